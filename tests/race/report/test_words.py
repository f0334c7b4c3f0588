"""Numbers as they are read, and outcomes as they are quoted."""

import math
from dataclasses import replace

import numpy as np
import pytest

from lstm_baseline.plots import formats
from lstm_baseline.race.outcomes import Comparison, Duel
from lstm_baseline.race.race_statistics import Interval
from lstm_baseline.race.report import marks, words
from lstm_baseline.race.report.next_step import next_step
from lstm_baseline.race.scores import Spread
from lstm_baseline.race.tuning import Tuning
from lstm_baseline.race.verdict import Evidence, OverTasks, VerdictRule, race_verdict
from lstm_baseline.training import TrainingSettings
from tests.support.races import CHANCE, HEURISTIC, ORACLE, LadderTask, planned, race, run, trial


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.0, "0.000"),
        (1.0, "1.000"),
        (0.8675, "0.868"),
        (0.055, "0.055"),
        (0.00123, "0.0012"),
        (0.00004, "0.000040"),
        (0.0000012, "1.20e-06"),
        (2.3456, "2.346"),
        (23.456, "23.46"),
        (1234.5, "1,234"),
        (1.5e9, "1.50e+09"),
        (-0.116, "−0.116"),
        (-0.0001, "−0.00010"),
    ],
)
def test_number(value, text):
    assert formats.number(value) == text


def test_no_negative_zero():
    assert formats.number(-0.0001, like=1.0) == "0.000"


def test_a_deviation_has_the_decimals_of_its_mean():
    assert words.spread(Spread(0.00051, 0.0000412, 3)) == "0.00051 ± 0.00004"
    assert words.spread(Spread(0.9, 0.00001, 3)) == "0.900 ± 0.000"
    assert words.spread(Spread(0.9, None, 1)) == "0.900"
    assert words.spread(None) == "–"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0.0, "0 s"),
        (0.123, "0.12 s"),
        (9.96, "10.0 s"),
        (59.6, "60 s"),
        (600, "10 min"),
        (3599, "1 h 00 min"),
        (7260, "2 h 01 min"),
    ],
)
def test_duration(seconds, text):
    assert formats.duration(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(None, "–"), (2**20, "1 MiB"), (999 * 2**20, "999 MiB"), (1536 * 2**20, "1.5 GiB")],
)
def test_memory(size, text):
    assert formats.memory(size) == text


def test_enumerations():
    assert formats.listing(["a"]) == "a"
    assert formats.listing(["a", "b", "c"]) == "a, b and c"
    assert formats.count_range([1000, 2000, 1500]) == "1,000 to 2,000"
    assert formats.count_range([1000, 1000]) == "1,000"
    settings = TrainingSettings(learning_rate=0.02, clip_norm=None)
    assert formats.settings(settings, ["learning_rate", "clip_norm"]) == (
        "learning rate 0.02, clip norm None"
    )


def test_only_what_everybody_knows_has_an_article():
    assert formats.the("lstm") == "the LSTM"
    assert formats.the("my cell") == "my cell"
    assert formats.the("a\x1b[31mb\u202ec\n") == r"a\x1b[31mb\u202ec\n"


TITLES = "first", "second", "third", "fourth"


UNDER = {"title": "", "num_steps": 2000, "still_improved": False}


def comparison(verdict, low=0.05, estimate=0.1, high=0.15, unmet=(), p=0.01, needed=30, **more):
    evidence = Evidence(
        difference=Interval(estimate, low, high),
        probability=Interval(0.9, 0.8, 1.0),
        p_value=p / 2,
        adjusted_p_value=p,
        equivalence_p_value=p / 2,
        adjusted_equivalence_p_value=p,
        seeds_needed=needed,
    )
    return Comparison(evidence=evidence, verdict=verdict, unmet=tuple(unmet), **UNDER | more)


BETTER = comparison("challenger better")
WORSE = comparison("baseline better", -0.15, -0.1, -0.05)
EQUAL = comparison("equivalent", -0.01, 0.001, 0.01, ["significance", "margin"])
OPEN = comparison("undecided", unmet=["significance"])
NOT_LEARNED = Comparison(**UNDER, barrier="neither learned", learned="neither")
PERFECT = Comparison(**UNDER, barrier="no ceiling")


def duel(*tasks, challenger="relational", overall=None):
    """Return a duel whose verdict is that of its tasks."""
    tasks = tuple(replace(task, title=title) for task, title in zip(tasks, TITLES, strict=False))
    verdict = race_verdict([task.verdict for task in tasks if task.barrier != "no ceiling"])
    return Duel(
        challenger=challenger, baseline="lstm", tasks=tasks, overall=overall, verdict=verdict
    )


def plan_of(given, seeds=10, **rule):
    tasks = [LadderTask(name=task.title) for task in given.tasks]
    return planned(["lstm", given.challenger], tasks, seeds, rule=VerdictRule(**rule))


def sentence(given, seeds=10, **rule):
    return words.verdict(plan_of(given, seeds, **rule), given)


@pytest.mark.parametrize(
    ("tasks", "expected"),
    [
        ([BETTER], "The relational RNN wins against the LSTM: better on first"),
        (
            [BETTER, EQUAL],
            "The relational RNN wins against the LSTM: better on first, equivalent on second",
        ),
        (
            [OPEN, BETTER, BETTER],
            "The relational RNN is ahead of the LSTM: better on second and third, undecided on "
            "first",
        ),
        ([WORSE] * 2, "The relational RNN loses against the LSTM: worse on first and second"),
        (
            [WORSE, OPEN],
            "The relational RNN is behind the LSTM: worse on first, undecided on second",
        ),
        (
            [BETTER, WORSE],
            "Mixed, the relational RNN against the LSTM: better on first, worse on second",
        ),
        (
            [EQUAL] * 4,
            "The relational RNN and the LSTM are equivalent on all 4 tasks",
        ),
        ([OPEN], "Open, the relational RNN against the LSTM: undecided on first"),
        (
            [BETTER, NOT_LEARNED, PERFECT],
            "The relational RNN is ahead of the LSTM: better on first, neither learned second, a "
            "heuristic is perfect already on third",
        ),
    ],
)
def test_a_verdict_says_what_was_decided_where(tasks, expected):
    assert sentence(duel(*tasks)) == f"{expected} (10 paired seeds, 2,000 steps)."


def test_a_name_of_the_user_s_own_stays_as_it_is():
    assert sentence(duel(BETTER, challenger="theirs")).startswith("theirs wins against the LSTM")


def test_many_tasks_are_counted_and_not_named():
    titles = [f"task {k}" for k in range(6)]
    tasks = tuple(replace(BETTER if k < 4 else OPEN, title=title) for k, title in enumerate(titles))
    given = Duel(
        challenger="gru", baseline="lstm", tasks=tasks, overall=None, verdict="challenger ahead"
    )
    assert sentence(given) == (
        "The GRU is ahead of the LSTM: better on 4 of 6 tasks, undecided on task 4 and task 5 "
        "(10 paired seeds, 2,000 steps)."
    )


@pytest.mark.parametrize(
    ("tasks", "why"),
    [
        ([NOT_LEARNED], "neither learned first"),
        ([NOT_LEARNED] * 4, "neither learned any of the 4 tasks"),
        ([PERFECT], "a heuristic is perfect already on first"),
        (
            [PERFECT, NOT_LEARNED],
            "neither learned second, a heuristic is perfect already on first",
        ),
    ],
)
def test_no_verdict_says_why(tasks, why):
    assert sentence(duel(*tasks)) == (f"No verdict on the relational RNN against the LSTM: {why}.")


def test_one_seed_gives_no_verdict():
    assert sentence(duel(Comparison(**UNDER)), seeds=1) == (
        "No verdict on the relational RNN against the LSTM: one seed shows what can happen, not "
        "what usually does."
    )


def test_the_mean_over_tasks_is_said_with_what_each_task_does_to_it():
    overall = OverTasks(Interval(0.1, 0.05, 0.15), (0.2, -0.01, 0.11))
    given = duel(BETTER, OPEN, EQUAL, overall=overall)
    assert words.over_tasks(plan_of(given), given) == (
        "Over the 3 tasks compared, the mean difference the relational RNN − the LSTM is 0.100 in "
        "normalised score (95% interval 0.050 to 0.150); with any one task left out it is between "
        "−0.010 and 0.200."
    )
    alone = duel(BETTER, overall=OverTasks(Interval(0.1, 0.05, 0.15), ()))
    assert words.over_tasks(plan_of(alone), alone) == ""


def test_one_contestant_gives_no_verdict():
    plan = planned(["lstm"], [LadderTask()], 3)
    assert words.verdicts(plan, ()) == ["No verdict: the LSTM raced alone."]


@pytest.mark.parametrize(
    ("task", "verdict", "reason"),
    [
        (
            BETTER,
            "the relational RNN is better",
            "by 0.100 (95% interval 0.050 to 0.150, p = 0.01)",
        ),
        (WORSE, "the LSTM is better", "by 0.100 (95% interval 0.050 to 0.150, p = 0.01)"),
        (
            replace(WORSE, learned="baseline"),
            "the LSTM is better",
            "by 0.100 (95% interval 0.050 to 0.150, p = 0.01); only the LSTM learned it",
        ),
        (
            replace(BETTER, learned="challenger"),
            "the relational RNN is better",
            "by 0.100 (95% interval 0.050 to 0.150, p = 0.01); only the relational RNN learned it",
        ),
        (EQUAL, "equivalent", "0.001 apart, 95% interval within ±0.02"),
        (
            OPEN,
            "undecided",
            "the relational RNN leads by 0.100 (95% interval 0.050 to 0.150, p = 0.01), but p is "
            "above 0.05; about 30 seeds would probably decide, by the spread seen",
        ),
        (
            comparison("undecided", unmet=["significance", "margin"], needed=4),
            "undecided",
            "the relational RNN leads by 0.100 (95% interval 0.050 to 0.150, p = 0.01), but p is "
            "above 0.05 and the interval does not clear the margin of 0.02; about 11 seeds would "
            "probably decide, by the spread seen",
        ),
        (
            comparison("undecided", -0.15, -0.1, 0.0, ["margin"], p=0.00002, needed=201),
            "undecided",
            "the LSTM leads by 0.100 (95% interval 0.000 to 0.150, p < 0.0001), but the interval "
            "does not clear the margin of 0.02; more than 200 seeds would be needed, by the spread "
            "seen",
        ),
        (
            comparison("undecided", 0.0, 0.0, 0.0, ["significance"], p=1.0, needed=None),
            "undecided",
            "level (95% interval 0.000 to 0.000, p = 1); more than 200 seeds would be needed, by "
            "the spread seen",
        ),
        (
            comparison("undecided", -math.inf, 0.00031, math.inf, ["significance"]),
            "undecided",
            "the relational RNN leads by 0.00031 (95% interval unbounded with so few seeds, "
            "p = 0.01), but p is above 0.05; about 30 seeds would probably decide, by the spread "
            "seen",
        ),
        (NOT_LEARNED, "not compared", "neither learned"),
        (PERFECT, "not compared", "its best heuristic is perfect already"),
        (Comparison(**UNDER), "not compared", "one seed is no comparison"),
    ],
)
def test_tasks_one_by_one(task, verdict, reason):
    given = duel(task)
    assert words.task_verdict(given, given.tasks[0]) == verdict
    assert words.task_reason(plan_of(given), given, given.tasks[0]) == reason


def test_without_a_margin():
    given = duel(comparison("undecided", low=-0.1, unmet=["margin"]))
    plan = plan_of(given, margin=0.0)
    assert "but the interval includes 0;" in words.task_reason(plan, given, given.tasks[0])
    assert "equivalent there" not in words.rule(plan)


def test_the_rule_has_the_plan_s_numbers():
    rule = VerdictRule(level=0.01, margin=0.1)
    given = words.rule(planned(["lstm"], [LadderTask()], 3, rule=rule))
    for number in ("at most 0.01", "99% interval", "beyond 0.1", "within ±0.1"):
        assert number in given


def test_a_real_judgement_is_put_into_words():
    solved = LadderTask((CHANCE, HEURISTIC, ORACLE._replace(score=0.5)), name="solved")
    given = race(
        {
            name: [run(score + k / 1000) for k in range(8)]
            for name, score in (("lstm", 0.7), ("mine", 0.9))
        },
        LadderTask(),
        solved,
        rule=VerdictRule(num_resamples=500),
    )
    assert words.verdicts(given.plan, given.duels) == [
        "mine wins against the LSTM: better on made-up, a heuristic is perfect already on solved "
        "(8 paired seeds, 300 steps)."
    ]


class TestNextStep:
    def test_nothing_is_left_to_do(self):
        runs = {"lstm": [run(0.7 + k / 1000) for k in range(8)], "mine": [run(0.9)] * 8}
        assert next_step(race(runs)) == ""

    def test_more_and_fresh_seeds_where_something_is_undecided(self):
        rng = np.random.default_rng(4)
        runs = {
            name: [run(0.7 + bonus + 0.05 * rng.standard_normal()) for _ in range(8)]
            for name, bonus in (("lstm", 0.0), ("mine", 0.03))
        }
        outcome = race(runs)
        needed = outcome.duels[0].tasks[0].evidence.seeds_needed
        assert outcome.duels[0].tasks[0].verdict == "undecided"
        assert next_step(outcome) == (
            f"Next: hold a new race on fresh seeds (--seeds {max(needed, 8)} --first-seed 8): "
            f"about {max(needed, 8)} would probably decide made-up."
        )

    def test_the_task_that_fewest_seeds_decide_comes_first(self):
        rng = np.random.default_rng(6)

        def about(mean):
            return [run(mean + 0.05 * rng.standard_normal()) for _ in range(8)]

        tasks = [LadderTask(name="hard"), LadderTask(name="easy")]
        given = {"lstm": [about(0.7), about(0.7)], "mine": [about(0.74), about(0.76)]}
        outcome = race(given, *tasks)
        hard, easy = (task.evidence.seeds_needed for task in outcome.duels[0].tasks)
        assert 8 < easy < hard
        assert next_step(outcome) == (
            f"Next: hold a new race on fresh seeds (--seeds {easy} --first-seed 8): about {easy} "
            f"would probably decide easy, about {hard} hard."
        )

    def test_with_too_few_seeds_for_anything(self):
        runs = {"lstm": [run(0.7)] * 3, "mine": [run(0.9)] * 3}
        assert "hold a race of 6 seeds: fewer can decide nothing" in next_step(race(runs))
        runs = {"lstm": [run(0.7)], "mine": [run(0.9)]}
        assert "give at least two seeds" in next_step(race(runs))
        assert next_step(race({"lstm": [run(0.7)]})) == ""

    def test_what_failed_still_improved_or_lies_at_an_edge(self):
        rising = [run(0.9, history=[0.2, 0.5, 0.5, 0.9])] * 8
        failed = [run(None), *[run(0.9)] * 7]
        tuning = Tuning(trials=1, space={"learning_rate": {"low": 3e-3, "high": 1e-1}})
        trials = {"lstm": [trial(0.5)], "mine": [trial(0.5)]}
        found = next_step(race({"lstm": rising, "mine": failed}, tuning=tuning, trials=trials))
        assert "look at why mine failed on made-up with seed 0: loss is nan at step 7" in found
        assert "train longer on made-up, where most runs of a contestant still improved" in found
        assert (
            "widen the search space: on made-up the LSTM took learning rate 0.003, at its edge "
            "(one of 2)"
        ) in found


def test_how_far_to_trust_an_outcome_is_said_beside_it():
    rising = [run(0.9, history=[0.2, 0.5, 0.5, 0.9])] * 3
    outcome = race({"lstm": [*rising, run(None)], "mine": [run(0.9)] * 4})
    (given,) = outcome.duels
    assert marks.caveats(outcome, given) == (
        "4 paired seeds: a first look; nothing tuned; 1 of 8 runs failed; 3 of 8 runs still "
        "improved when they ended."
    )
    assert marks.failures_counted(given, outcome.tasks[0]) == "1 failed run counted as chance"
    tuning = Tuning(trials=1, space={"learning_rate": {"low": 1e-3, "high": 1e-1}})
    trials = {"lstm": [trial(0.5)], "mine": [trial(0.5)]}
    runs = {"lstm": [run(0.9)] * 10, "mine": [run(0.9)] * 10}
    outcome = race(runs, tuning=tuning, trials=trials)
    (given,) = outcome.duels
    assert marks.caveats(outcome, given) == "10 paired seeds; 1 tuning trial each; no run failed."
    assert marks.failures_counted(given, outcome.tasks[0]) == ""
