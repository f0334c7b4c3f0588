"""Races with known numbers: a task that is only a ladder, and handwritten runs."""

import numpy as np

from lstm_baseline.contestants.contestant import Contestant
from lstm_baseline.engine.models import MODELS
from lstm_baseline.race.judge import judge
from lstm_baseline.race.plan import Plan
from lstm_baseline.runs.run import RunResult
from lstm_baseline.tasks import Task
from lstm_baseline.tasks.base import Rung
from lstm_baseline.tasks.metrics import ACCURACY, MEAN_SQUARED_ERROR, Batch
from lstm_baseline.training import Record, TrainingSettings

CHANCE = Rung("chance", "chance", "any answer", 0.25)
HEURISTIC = Rung("last one", "heuristic", "the one shown last", 0.5)
ORACLE = Rung("oracle", "oracle", "knows it all", 1.0)
LADDER = (CHANCE, HEURISTIC, ORACLE)

CONSTANT = Rung("mean", "chance", "the mean", 0.4)
ORACLE_ERROR = Rung("oracle", "oracle", "knows it all", 0.0)
ERROR_LADDER = (CONSTANT, ORACLE_ERROR)

SETTINGS = TrainingSettings(num_steps=300, batch_size=8, evaluate_every=100)
PARAMETERS = 1300
"""Size that every model of the package can nearly reach on a ``LadderTask``."""


class LadderTask(Task):
    """A task with a given ladder; its data are zeros."""

    input_size, output_size = 2, 3
    per_step = False
    summary = "nothing is shown, nothing is asked"

    def __init__(self, ladder=LADDER, *, name="made-up", higher_is_better=True, level=1):
        self.ladder_rungs = ladder
        self.name = name
        self.metric = ACCURACY if higher_is_better else MEAN_SQUARED_ERROR
        self.loss = "cross_entropy" if higher_is_better else "mean_squared_error"
        self.level = level

    def train_batch(self, step, size, seed):
        y = np.zeros(size, np.int64)
        if self.loss == "mean_squared_error":
            y = np.zeros((size, self.output_size), np.float32)
        return Batch(np.zeros((size, 4, 2), np.float32), y)

    def validation(self, seed):
        return self.train_batch(0, 5, seed)

    def test(self, seed):
        return self.train_batch(0, 5, seed)

    def ladder(self, seed=0):
        return list(self.ladder_rungs(seed) if callable(self.ladder_rungs) else self.ladder_rungs)

    def config(self):
        return {"task": self.name, "level": self.level}


def run(score, *, untrained=0.2, history=None, seconds=3.0, reason="", **facts):
    """Return the result of a run; a score of None is a failure.

    ``history`` holds validation scores, one for every 100 steps and every second.
    """
    metrics = [untrained, 0.5 if score is None else score] if history is None else history
    return RunResult(
        status="failed" if score is None else "finished",
        reason=reason or ("loss is nan at step 7" if score is None else ""),
        untrained_score=untrained,
        score=score,
        standard_error=None if score is None else facts.pop("standard_error", 0.0),
        validation_score=score,
        best_step=100,
        seconds=seconds,
        num_params=1000,
        num_fixed=0,
        history=[
            Record(100 * k, 1.0 * k, 0.7, 1.0, 0.01, metric) for k, metric in enumerate(metrics)
        ],
        **{"state_size": 20, "flops_per_step": 4000, "peak_memory": 3 * 2**20} | facts,
    )


def trial(score, *, reason="", seconds=2.0):
    """Return the result of a trial, without any test score; a score of None is a failure."""
    return run(score, reason=reason, seconds=seconds).model_copy(
        update={"untrained_score": None, "score": None, "standard_error": None}
    )


def planned(names, tasks, seeds, **options):
    """Return a plan; a name that is not a model's stands for a further LSTM."""
    contestants = [
        Contestant.model_validate(
            {"name": name, "model": "lstm"}
            if isinstance(name, str) and name not in MODELS
            else name
        )
        for name in names
    ]
    return Plan(
        tasks=tuple(tasks),
        contestants=tuple(contestants),
        seeds=seeds,
        **{"settings": SETTINGS, "parameters": PARAMETERS} | options,
    )


def race(runs, *tasks, trials=None, trained=None, **options):
    """Return the outcome of a race.

    Parameters
    ----------
    runs
        Runs of each contestant, seed by seed, the same on every task; or a list of such lists, one
        for each task.
    trials
        Trials of each contestant on every task.
    trained
        A function ``spec -> RunResult`` for each sweep that trains.
    options
        Further arguments of ``Plan``.
    """
    tasks = tasks or (LadderTask(),)
    by_task = {
        name: [given] * len(tasks) if isinstance(given[0], RunResult) else given
        for name, given in runs.items()
    }
    seeds = len(next(iter(by_task.values()))[0])
    contestants = options.pop("contestants", tuple(runs))
    plan = planned(contestants, tasks, seeds, **options)
    drawn = plan.trials()
    tuned = [
        (spec, trials[spec.model][k // (len(tasks) * len(runs))]) for k, spec in enumerate(drawn)
    ]
    chosen = {(k, name): SETTINGS for k in range(len(tasks)) for name in plan.models}
    finals = [
        (spec, by_task[spec.model][tasks.index(spec.task)][spec.seed])
        for spec in plan.finals(chosen)
    ]
    own = [
        [(spec, trained(spec)) for spec in plan.sweep_runs(sweep, chosen)] for sweep in plan.sweeps
    ]
    return judge(plan, finals=finals, trials=tuned, trained=own)


def outcome(runs, task=None):
    """Return the outcome of a race on one task."""
    return race(runs, *([] if task is None else [task])).tasks[0]


def contestant(runs, task=None):
    """Return the outcome of one model's runs on a task."""
    return outcome({"lstm": runs}, task).contestants[0]
