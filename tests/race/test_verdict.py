"""The rule that decides: condition by condition, and by simulated races."""

from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from lstm_baseline import InputError
from lstm_baseline.race.race_statistics import Interval
from lstm_baseline.race.verdict import Evidence, Pair, VerdictRule, compare_overall, compare_tasks

RULE = VerdictRule()
NOISES = {
    "normal": lambda shape, rng: rng.normal(size=shape),
    "heavy tails": lambda shape, rng: rng.standard_t(2, size=shape),
    "skewed": lambda shape, rng: rng.exponential(size=shape) ** 2,
    "ties": lambda shape, rng: np.round(rng.normal(size=shape)),
}


def rng(seed=0):
    return np.random.default_rng(seed)


def against_zero(*differences):
    """Return a pair with the given differences, a row a task."""
    challenger = np.array(differences, dtype=float).T
    return Pair(challenger, np.zeros_like(challenger))


def exchanged(pair):
    return Pair(pair.baseline, pair.challenger)


def verdicts(evidence, rule=RULE):
    return [rule.verdict(each) for each in evidence]


LEAD = [0.1, 0.12, 0.14, 0.1, 0.11, 0.13, 0.12, 0.1, 0.15, 0.11]
SMALL_LEAD = [0.1 * lead for lead in LEAD]
FIVE = LEAD[:5]
SEVEN_OF_TEN = [0.5] * 7 + [-0.01] * 3
EIGHT_OF_TEN = [0.5] * 8 + [-0.01] * 2
ONE_THAT_FELL = [0.04] * 9 + [-0.3]


@pytest.mark.parametrize(
    ("differences", "unmet"),
    [
        (LEAD, ()),
        (SMALL_LEAD, ("margin",)),
        (FIVE, ("significance",)),
        (EIGHT_OF_TEN, ("probability interval",)),
        (SEVEN_OF_TEN, ("probability", "probability interval")),
        (ONE_THAT_FELL, ("significance", "margin")),
        ([0.0] * 10, ("significance", "margin", "probability", "probability interval")),
    ],
)
@pytest.mark.parametrize("overall", [False, True])
def test_a_win_takes_every_condition(differences, unmet, overall):
    pair = against_zero(differences)
    for turned, winner in ((pair, "challenger wins"), (exchanged(pair), "baseline wins")):
        found = (
            compare_overall([turned], RULE, rng())
            if overall
            else compare_tasks([turned], RULE, rng())[0]
        )
        assert RULE.unmet(found[0]) == unmet
        assert verdicts(found) == ["inconclusive" if unmet else winner]


def evidence(**numbers):
    """Return evidence by which the challenger wins, but for the numbers given."""
    won = {
        "difference": Interval(0.1, 0.05, 0.15),
        "mean_difference": 0.1,
        "probability": Interval(0.9, 0.8, 1.0),
        "p_value": 0.005,
        "adjusted_p_value": 0.01,
    }
    return Evidence(**won | numbers)


@pytest.mark.parametrize(
    ("numbers", "unmet"),
    [
        ({}, ()),
        ({"mean_difference": -0.1}, ("direction",)),
        ({"mean_difference": 0.0}, ()),
        ({"adjusted_p_value": 0.05}, ()),
        ({"adjusted_p_value": 0.0501}, ("significance",)),
        ({"difference": Interval(0.1, 0.02, 0.15)}, ("margin",)),
        ({"probability": Interval(0.74, 0.6, 0.8)}, ("probability",)),
        ({"probability": Interval(0.75, 0.5, 0.8)}, ("probability interval",)),
    ],
)
def test_each_condition_is_about_a_number_of_the_evidence(numbers, unmet):
    given = evidence(**numbers)
    assert RULE.unmet(given) == unmet
    assert RULE.verdict(given) == ("inconclusive" if unmet else "challenger wins")


def test_the_rule_is_put_to_whoever_is_ahead():
    behind = evidence(
        difference=Interval(-0.1, -0.15, -0.05),
        mean_difference=-0.1,
        probability=Interval(0.1, 0.0, 0.2),
    )
    assert RULE.verdict(behind) == "baseline wins"
    assert RULE.unmet(replace(behind, probability=Interval(0.3, 0.2, 0.6))) == (
        "probability",
        "probability interval",
    )


def test_verdict_is_mirrored_when_contestants_change_sides():
    pair = Pair(*rng(3).normal(size=(2, 12, 40)) + np.array([0.6, 0.0])[:, None, None])
    for one, other in zip(
        compare_tasks([pair], RULE, rng())[0],
        compare_tasks([exchanged(pair)], RULE, rng())[0],
        strict=True,
    ):
        assert one.p_value == other.p_value
        assert one.probability.estimate == pytest.approx(1 - other.probability.estimate)
        assert one.difference == pytest.approx(
            (-other.difference.estimate, -other.difference.high, -other.difference.low)
        )


def test_thresholds_are_met_by_what_equals_them():
    """P(better) = 15/20 is enough for a probability of 0.75, and a margin has to be exceeded."""
    pair = against_zero([0.5] * 15 + [-0.1] * 5)
    assert verdicts(compare_tasks([pair], RULE, rng())[0]) == ["challenger wins"]
    equal = against_zero([0.52 - 0.5] * 10)
    assert RULE.unmet(compare_tasks([equal], RULE, rng())[0][0]) == ("margin",)


def test_every_comparison_of_every_challenger_is_in_the_family():
    """Six runs of one sign have p = 1/32: enough alone, not among two."""
    six = against_zero(LEAD[:6])
    alone = compare_tasks([six], RULE, rng())[0][0]
    assert (alone.p_value, alone.adjusted_p_value) == (1 / 32, 1 / 32)
    assert RULE.verdict(alone) == "challenger wins"
    other = against_zero([0.1, -0.1] * 4, [-0.1, 0.2] * 4)
    found, others = compare_tasks([six, other], RULE, rng())
    assert len(others) == 2
    assert (found[0].p_value, found[0].adjusted_p_value) == (1 / 32, 3 / 32)
    assert RULE.unmet(found[0]) == ("significance",)
    overall = compare_overall([six, other], RULE, rng())
    assert overall[0].adjusted_p_value == 2 * overall[0].p_value < 1


def test_same_seed_gives_the_same_verdict():
    pairs = [Pair(*rng(4).normal(size=(2, 20, 3))), Pair(*rng(5).normal(size=(2, 16, 2)))]
    for compare in (compare_tasks, compare_overall):
        assert compare(pairs, RULE, rng()) == compare(pairs, RULE, rng())
        assert compare(pairs, RULE, rng(1)) != compare(pairs, RULE, rng())


def test_no_challenger_no_comparison():
    assert compare_tasks([], RULE, rng()) == compare_overall([], RULE, rng()) == []


@pytest.mark.parametrize("noise", NOISES)
def test_race_against_oneself_is_inconclusive(noise):
    """Two contestants who are alike: a winner, on a task or overall, in at most 5% of races.

    Four kinds of noise make 2,000 races of 10 seeds on 3 tasks. There is no margin to help.
    """
    rule, draw, num_races = VerdictRule(margin=0, num_resamples=500), rng(11), 500
    won = 0
    for _ in range(num_races):
        pair = Pair(*NOISES[noise]((2, 10, 3), draw))
        found = compare_tasks([pair], rule, draw)[0] + compare_overall([pair], rule, draw)
        won += any(verdict != "inconclusive" for verdict in verdicts(found, rule))
    assert won <= 0.05 * num_races
    assert won > 0  # a rule that never finds anything would pass too


def test_effect_of_one_standard_deviation_is_found():
    """With 20 seeds and no margin, in at least 90% of races with one task.

    The true mean of the paired differences is one standard deviation of those differences. What
    limits the power is P(better), truly Φ(1) = 0.84: at least 15 of 20 pairs must be won, which
    happens in 91.6% of races; then the difference is nearly always significant.
    """
    rule, num_races = VerdictRule(margin=0, num_resamples=500), 1000
    differences = rng(12).normal(1, 1, size=(20, num_races))
    won = sum(
        verdicts(compare_tasks([against_zero(column)], rule, rng())[0], rule) == ["challenger wins"]
        for column in differences.T
    )
    assert won == pytest.approx(0.914 * num_races, abs=0.014 * num_races)


@pytest.mark.parametrize(
    "settings",
    [{"margin": -0.1}, {"level": 0.0}, {"level": 0.5}, {"probability": 0.4}, {"margins": 0.1}],
)
def test_rule_refuses_wrong_settings(settings):
    with pytest.raises(ValidationError):
        VerdictRule(**settings)


@pytest.mark.parametrize("compare", [compare_tasks, compare_overall])
def test_scores_that_are_no_pairs_are_refused(compare):
    for challenger, baseline, message in (
        (np.zeros((5, 2)), np.zeros((4, 2)), r"\(5, 2\) and baseline \(4, 2\)"),
        (np.zeros((5, 2)), np.full((5, 2), np.nan), "not finite"),
        (np.zeros((1, 2)), np.zeros((1, 2)), "at least 2 runs"),
    ):
        with pytest.raises(InputError, match=message):
            compare([Pair(challenger, baseline)], RULE, rng())


def test_the_plainest_difference_over_all_tasks_is_found():
    """Scores that are all alike: interquartile means would not move when a few change sides."""
    pair = Pair(np.full((8, 1), 0.8), np.full((8, 1), 0.4))
    (found,) = compare_overall([pair], VerdictRule(), rng())
    assert found.p_value == 2 / 2**8
    assert RULE.verdict(found) == "challenger wins"


def test_over_all_tasks_a_seed_counts_once_however_many_tasks_there_are():
    """Copies of a task are no further evidence."""
    one = Pair(*rng(4).normal(size=(2, 9, 1)))
    copies = Pair(*(np.repeat(scores, 5, axis=1) for scores in one))
    found = [compare_overall([pair], RULE, rng())[0] for pair in (one, copies)]
    assert found[0].p_value == found[1].p_value


def test_nothing_is_won_on_means_that_point_the_other_way():
    """Ahead by a little nearly always, and far behind now and then."""
    differences = np.full((10, 7), 0.05)
    differences.ravel()[::8] = -1.0
    assert differences.mean() < 0
    (found,) = compare_overall([Pair(differences, np.zeros((10, 7)))], RULE, rng())
    assert found.difference.low > 0
    assert found.mean_difference == pytest.approx(differences.mean())
    assert "direction" in RULE.unmet(found)
    assert RULE.verdict(found) == "inconclusive"
