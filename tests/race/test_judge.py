"""Who is compared with whom, on what, and what becomes of those who did not learn."""

import pytest

from lstm_baseline.race.verdict import VerdictRule
from tests.support.races import CHANCE, HEURISTIC, ORACLE, LadderTask, race, run

SEEDS = 8
TASKS = LadderTask(name="first"), LadderTask(name="second"), LadderTask(name="third")
QUICK = VerdictRule(num_resamples=500)
HIGH, LOW, NOTHING = 0.9, 0.7, 0.4
"""Two scores of who has learned, and one of who has not."""


def runs(score, seeds=SEEDS):
    """Return runs around a score, no two alike."""
    return [run(score + 0.004 * (k % 3)) for k in range(seeds)]


def judged(by_task, *tasks, seeds=SEEDS, rule=QUICK):
    """Return the outcome of a race; ``by_task`` holds each contestant's score on every task."""
    given = {
        name: [runs(score, seeds) if isinstance(score, float) else score for score in scores]
        for name, scores in by_task.items()
    }
    return race(given, *(tasks or TASKS), rule=rule)


def test_a_challenger_that_is_better_everywhere_wins_every_task_and_the_race():
    (duel,) = judged({"lstm": [LOW] * 3, "relational": [HIGH] * 3}).duels
    assert (duel.challenger, duel.baseline, duel.verdict) == (
        "relational",
        "lstm",
        "challenger wins",
    )
    assert [task.title for task in duel.tasks] == ["first", "second", "third"]
    assert {task.verdict for task in duel.tasks} == {"challenger better"}
    assert {(task.barrier, task.learned) for task in duel.tasks} == {(None, "both")}
    assert duel.overall.mean.estimate == pytest.approx(0.4)
    assert duel.overall.without == pytest.approx((0.4, 0.4, 0.4))


def test_the_baseline_wins_where_it_is_better():
    (duel,) = judged({"lstm": [HIGH] * 3, "relational": [LOW] * 3}).duels
    assert duel.verdict == "baseline wins"
    assert {task.verdict for task in duel.tasks} == {"baseline better"}


def test_a_race_against_oneself_is_equivalent():
    (duel,) = judged({"lstm": [HIGH] * 3, "again": [HIGH] * 3}).duels
    assert duel.verdict == "equivalent"
    assert {task.verdict for task in duel.tasks} == {"equivalent"}


def test_better_here_and_worse_there_is_mixed():
    (duel,) = judged({"lstm": [LOW, HIGH, LOW], "relational": [HIGH, LOW, LOW]}).duels
    assert [task.verdict for task in duel.tasks] == [
        *("challenger better", "baseline better", "equivalent")
    ]
    assert duel.verdict == "mixed"


@pytest.mark.parametrize(
    ("challenger", "baseline", "learned", "verdict"),
    [
        (HIGH, NOTHING, "challenger", "challenger better"),
        (NOTHING, HIGH, "baseline", "baseline better"),
    ],
)
def test_what_one_of_them_learned_is_compared(challenger, baseline, learned, verdict):
    (duel,) = judged({"lstm": [LOW, baseline], "relational": [LOW, challenger]}, *TASKS[:2]).duels
    task = duel.tasks[1]
    assert (task.barrier, task.learned, task.verdict) == (None, learned, verdict)
    # Normalised: 0.9 is 0.8, and 0.4 is −0.2.
    assert abs(task.evidence.difference.estimate) == pytest.approx(1.0, abs=0.01)


def test_what_neither_learned_is_not_compared():
    given = judged({"lstm": [LOW, LOW, NOTHING], "relational": [HIGH, HIGH, NOTHING]})
    (duel,) = given.duels
    assert [task.barrier for task in duel.tasks] == [None, None, "neither learned"]
    assert duel.tasks[2].evidence is None
    assert [task.title for task in duel.compared] == ["first", "second"]
    assert duel.verdict == "challenger ahead"
    assert len(duel.overall.without) == 2


def test_a_task_whose_heuristic_is_perfect_is_not_compared():
    solved = LadderTask((CHANCE, HEURISTIC, ORACLE._replace(score=0.5)), name="solved")
    given = judged({"lstm": [LOW, LOW], "relational": [HIGH, HIGH]}, TASKS[0], solved)
    (duel,) = given.duels
    assert [task.barrier for task in duel.tasks] == [None, "no ceiling"]
    assert set(given.overall) == {"lstm", "relational"}
    assert given.overall["lstm"].estimate == pytest.approx(0.4, abs=0.02)  # of the other one


def test_a_failed_run_counts_as_chance():
    failing = [run(None), *runs(HIGH, SEEDS - 1)]
    scores = {"lstm": [runs(LOW)], "relational": [failing]}
    (duel,) = judged(scores, TASKS[0]).duels
    # Normalised: 0.9 is 0.8, 0.7 is 0.4, and chance is −0.5.
    expected = (7 * 0.8 - 0.5) / 8 - 0.4
    assert duel.tasks[0].evidence.difference.estimate == pytest.approx(expected, abs=0.01)
    assert duel.tasks[0].evidence.probability.estimate == 7 / 8


def test_every_challenger_has_a_duel_and_all_comparisons_are_one_family():
    alone = judged({"lstm": [LOW] * 3, "one": [HIGH] * 3}).duels[0].tasks[0].evidence
    given = judged({"lstm": [LOW] * 3, "one": [HIGH] * 3, "two": [LOW] * 3})
    assert [(duel.challenger, duel.verdict) for duel in given.duels] == [
        ("one", "challenger wins"),
        ("two", "equivalent"),
    ]
    beside = given.duels[0].tasks[0].evidence
    assert alone.p_value == beside.p_value == 2 / 2**SEEDS
    assert alone.adjusted_p_value == 3 * alone.p_value
    assert beside.adjusted_p_value == 6 * beside.p_value


def test_challengers_may_be_compared_on_different_tasks():
    scores = {
        "lstm": [LOW, NOTHING, NOTHING],
        "one": [HIGH, HIGH, NOTHING],
        "two": [HIGH, NOTHING, NOTHING],
        "three": [NOTHING] * 3,
    }
    one, two, three = judged(scores).duels
    assert [task.title for task in one.compared] == ["first", "second"]
    assert [task.title for task in two.compared] == ["first"]
    assert [task.title for task in three.compared] == ["first"]
    assert [duel.verdict for duel in (one, two, three)] == [
        *("challenger ahead", "challenger ahead", "baseline ahead")
    ]


def test_nothing_compared_decides_nothing():
    (duel,) = judged({"lstm": [NOTHING] * 3, "relational": [NOTHING] * 3}).duels
    assert (duel.overall, duel.compared, duel.verdict) == (None, (), "open")


def test_one_seed_or_one_contestant_decides_nothing():
    given = judged({"lstm": [LOW] * 3, "relational": [HIGH] * 3}, seeds=1)
    (duel,) = given.duels
    assert (duel.overall, duel.compared, duel.verdict) == (None, (), "open")
    assert {task.barrier for task in duel.tasks} == {None}
    assert given.overall == {}
    given = judged({"lstm": [LOW] * 3})
    assert given.duels == ()
    assert list(given.overall) == ["lstm"]


def test_the_interval_over_all_tasks_is_of_whole_seeds():
    """Seeds that are good on one task and bad on the other leave no doubt about the mean."""
    seesaw = [[run(0.7 + sign * 0.01 * k) for k in range(SEEDS)] for sign in (1, -1)]
    given = judged({"lstm": seesaw}, *TASKS[:2])
    found = given.overall["lstm"]
    assert found.low == pytest.approx(found.high)
    assert found.estimate == pytest.approx(0.4)


def test_the_same_results_give_the_same_judgement():
    scores = {"lstm": [LOW] * 3, "one": [HIGH] * 3, "two": [HIGH] * 3}
    one, other = judged(scores), judged(scores)
    assert (one.duels, one.overall) == (other.duels, other.overall)


def test_the_plan_s_rule_decides():
    scores = {"lstm": [LOW] * 3, "relational": [HIGH] * 3}
    strict = VerdictRule(margin=0.5, num_resamples=500)
    (duel,) = judged(scores, rule=strict).duels
    assert duel.verdict == "equivalent"  # 0.4 is within ±0.5
    strict = VerdictRule(margin=0.4, num_resamples=500)
    (duel,) = judged(scores, rule=strict).duels
    assert duel.verdict == "open"
    assert duel.tasks[0].unmet == ("margin",)
