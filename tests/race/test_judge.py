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
    assert {task.verdict for task in duel.tasks} == {"challenger wins"}
    assert {task.barrier for task in duel.tasks} == {None}
    assert duel.challenger_score - duel.baseline_score == pytest.approx(0.4)
    assert duel.overall.evidence.difference.estimate == pytest.approx(0.4)


def test_the_baseline_wins_where_it_is_better():
    (duel,) = judged({"lstm": [HIGH] * 3, "relational": [LOW] * 3}).duels
    assert duel.verdict == "baseline wins"
    assert {task.verdict for task in duel.tasks} == {"baseline wins"}
    assert duel.disqualified == ()


def test_a_race_against_oneself_is_inconclusive():
    (duel,) = judged({"lstm": [HIGH] * 3, "again": [HIGH] * 3}).duels
    assert duel.verdict == "inconclusive"
    assert {task.verdict for task in duel.tasks} == {"inconclusive"}


@pytest.mark.parametrize(
    ("challenger", "baseline", "barrier"),
    [
        (NOTHING, NOTHING, "neither learned"),
        (HIGH, NOTHING, "only the challenger learned"),
        (NOTHING, HIGH, "only the baseline learned"),
    ],
)
def test_no_comparison_is_drawn_from_whoever_did_not_learn(challenger, baseline, barrier):
    given = judged({"lstm": [LOW, LOW, baseline], "relational": [HIGH, HIGH, challenger]})
    (duel,) = given.duels
    assert [task.barrier for task in duel.tasks] == [None, None, barrier]
    assert duel.tasks[2].evidence is None
    assert [task.title for task in duel.compared] == ["first", "second"]
    assert duel.challenger_score == pytest.approx(0.8, abs=0.02)  # of the two tasks alone


def test_a_task_whose_heuristic_is_perfect_is_not_compared():
    solved = LadderTask((CHANCE, HEURISTIC, ORACLE._replace(score=0.5)), name="solved")
    given = judged({"lstm": [LOW, LOW], "relational": [HIGH, HIGH]}, TASKS[0], solved)
    (duel,) = given.duels
    assert [task.barrier for task in duel.tasks] == [None, "no ceiling"]
    assert set(given.overall) == {"lstm", "relational"}
    assert given.overall["lstm"].estimate == pytest.approx(0.4, abs=0.02)  # of the other one


def test_whoever_missed_a_task_that_the_other_one_learned_cannot_win():
    scores = {"lstm": [LOW, LOW, LOW], "relational": [HIGH, HIGH, NOTHING]}
    (duel,) = judged(scores).duels
    assert duel.overall.verdict == "challenger wins"
    assert (duel.verdict, duel.disqualified) == ("inconclusive", ("third",))
    scores = {"lstm": [HIGH, NOTHING, HIGH], "relational": [LOW, LOW, LOW]}
    (duel,) = judged(scores).duels
    assert duel.overall.verdict == "baseline wins"
    assert (duel.verdict, duel.disqualified) == ("inconclusive", ("second",))


@pytest.mark.parametrize("baseline", [NOTHING, LOW])
def test_what_neither_or_only_the_loser_missed_takes_no_win_away(baseline):
    scores = {"lstm": [LOW, LOW, NOTHING], "relational": [HIGH, HIGH, baseline]}
    (duel,) = judged(scores).duels
    assert (duel.verdict, duel.disqualified) == ("challenger wins", ())


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
        ("two", "inconclusive"),
    ]
    beside = given.duels[0].tasks[0].evidence
    assert alone.p_value == beside.p_value == 2 / 2**SEEDS
    assert alone.adjusted_p_value == 3 * alone.p_value
    assert beside.adjusted_p_value == 6 * beside.p_value


def test_challengers_may_be_compared_on_different_tasks():
    scores = {
        "lstm": [LOW, LOW, NOTHING],
        "one": [HIGH, NOTHING, HIGH],
        "two": [NOTHING, HIGH, HIGH],
        "three": [NOTHING] * 3,
    }
    one, two, three = judged(scores).duels
    assert [task.title for task in one.compared] == ["first"]
    assert [task.title for task in two.compared] == ["second"]
    assert three.compared == ()
    assert (three.overall, three.challenger_score, three.verdict) == (None, None, "inconclusive")


def test_one_seed_or_one_contestant_decides_nothing():
    given = judged({"lstm": [LOW] * 3, "relational": [HIGH] * 3}, seeds=1)
    (duel,) = given.duels
    assert (duel.overall, duel.compared, duel.verdict) == (None, (), "inconclusive")
    assert {task.barrier for task in duel.tasks} == {None}
    assert given.overall == {}
    given = judged({"lstm": [LOW] * 3})
    assert given.duels == ()
    assert list(given.overall) == ["lstm"]


def test_the_same_results_give_the_same_judgement():
    scores = {"lstm": [LOW] * 3, "one": [HIGH] * 3, "two": [HIGH] * 3}
    one, other = judged(scores), judged(scores)
    assert (one.duels, one.overall) == (other.duels, other.overall)


def test_the_plan_s_rule_decides():
    scores = {"lstm": [LOW] * 3, "relational": [HIGH] * 3}
    strict = VerdictRule(margin=0.5, num_resamples=500)
    (duel,) = judged(scores, rule=strict).duels
    assert (duel.verdict, duel.overall.unmet) == ("inconclusive", ("margin",))
