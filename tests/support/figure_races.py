"""Races written by hand whose figures are drawn: trials, sweeps, any number of tasks and names."""

import numpy as np

from lstm_baseline.contestants.contestant import Contestant
from lstm_baseline.engine.models import MODELS
from lstm_baseline.race.judge import judge
from lstm_baseline.race.outcomes import Point, SweepOutcome
from lstm_baseline.race.plan import Plan, Sweep
from lstm_baseline.race.verdict import VerdictRule
from lstm_baseline.runs.spec import FIRST_TRIAL_SEED, RunSpec
from lstm_baseline.tasks import make_task
from tests.support.races import CHANCE, HEURISTIC, LADDER, ORACLE, SETTINGS, LadderTask, run

HOSTILE = (
    "$\\frac{1}{0$ <script>alert(1)</script> & --> %s {x} \\n _a^b",
    "W" * 60,
    "_an underscore first, and then a name of sixty characters, …",
    "模型 with glyphs that a font may lack, ünïcödé ☃ and so on 1",
    "a cell with a long name that differs in its last character A",
    "a cell with a long name that differs in its last character B",
)
"""Names of sixty characters, or nearly."""


CROWDED = (
    CHANCE,
    HEURISTIC,
    HEURISTIC._replace(name="the same, nearly", score=0.501),
    HEURISTIC._replace(name="a rule with a name that goes on for quite a while", score=0.502),
    HEURISTIC._replace(name="near the top", score=0.999),
    ORACLE,
)
"""A ladder with rungs that lie close together."""

THREE = ("lstm", "relational", "gru")


def contestants(names):
    """Return contestants of one small model under some names."""
    return tuple(Contestant(name=name, model=name if name in MODELS else "lstm") for name in names)


def race(tasks, *, trials=None, rule=None):
    """Return the outcome of a race.

    ``tasks`` holds (task, runs) pairs, runs being those of each contestant, seed by seed;
    ``trials`` the tuning runs of each contestant, the same on every task.
    """
    names = list(tasks[0][1])
    num_seeds = len(tasks[0][1][names[0]])
    plan = Plan(
        tuple(task for task, _ in tasks),
        contestants(names),
        num_seeds,
        SETTINGS,
        4,
        rule=rule or VerdictRule(num_resamples=200),
    )
    finals = [
        (_spec(task, plan, name, seed), runs[name][seed])
        for seed in range(num_seeds)
        for task, runs in tasks
        for name in names
    ]
    tuning = [
        (_spec(task, plan, name, FIRST_TRIAL_SEED + k, stage="trial"), result)
        for task, _ in tasks
        for name, of_name in (trials or {}).items()
        for k, result in enumerate(of_name)
    ]
    return judge(plan, finals=finals, trials=tuning)


def outcome(runs, task=None, *, trials=None):
    """Return the outcome of a race on one task."""
    return race([(task or LadderTask(), runs)], trials=trials).tasks[0]


def sweep(values, scores, ladder=LADDER, *, task="adding", vary="length", train=True):
    """Return how scores go with an argument of a task.

    ``scores`` holds, for each contestant, a score for each seed at each value, None for a failure;
    ``ladder`` is that of every value, or a function of the value.
    """
    num_seeds = len(next(iter(scores.values()))[0])
    return SweepOutcome(
        Sweep(make_task(task), vary, tuple(values), num_seeds, train),
        task,
        tuple(ladder(value) if callable(ladder) else ladder for value in values),
        {
            name: tuple(Point(tuple(at_value), (None,) * num_seeds) for at_value in of_name)
            for name, of_name in scores.items()
        },
        (),
    )


def _spec(task, plan, name, seed, **options):
    contestant = plan.contestants[plan.models.index(name)]
    return RunSpec(task, contestant, 3, SETTINGS, seed, **options)


def two_models(**options):
    return outcome(
        {
            "lstm": [run(0.9, history=[0.2, 0.4, 0.9]), run(0.7, history=[0.3, 0.6, 0.7])],
            "relational": [run(0.6, history=[0.1, 0.5, 0.6]), run(0.8, history=[0.1, 0.7, 0.8])],
        },
        **options,
    )


def runs_about(*scores, num_seeds=10, names=THREE):
    """Return runs of each contestant about a score, None for failures."""
    rng = np.random.default_rng(0)
    noise = 0.01 * rng.standard_normal((num_seeds, len(names)))
    return {
        name: [run(None if score is None else score + noise[k, j]) for k in range(num_seeds)]
        for j, (name, score) in enumerate(zip(names, scores, strict=True))
    }


def tasks_named(*names, ladder=LADDER):
    """Return tasks with one ladder."""
    return [LadderTask(ladder, name=name) for name in names]


def mixed_race():
    """Return a race won on one task and lost on another, undecided on a third, barred on two."""
    won, lost, even, missed, failed = tasks_named("won", "lost", "even", "missed", "failed")
    return race(
        [
            (won, runs_about(0.7, 0.9, 0.7)),
            (lost, runs_about(0.9, 0.7, 0.9)),
            (even, runs_about(0.8, 0.8, 0.8)),
            (missed, runs_about(0.8, 0.3, 0.8)),
            (failed, runs_about(None, None, 0.9)),
        ]
    )
