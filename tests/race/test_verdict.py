"""The rule that decides: condition by condition, and by simulated races."""

import numpy as np
import pytest
from pydantic import ValidationError

from lstm_baseline import InputError
from lstm_baseline.race.race_statistics import Interval
from lstm_baseline.race.verdict import (
    Evidence,
    Pair,
    VerdictRule,
    compare_tasks,
    over_tasks,
    race_verdict,
)

RULE = VerdictRule()


def fails(share):
    """Return noise of contestants of which both fail in a share of runs, each for itself."""

    def draw(shape, rng):
        failed = [(rng.random(shape) < share).astype(float) for _ in range(2)]
        return 0.9 * (failed[0] - failed[1]) + rng.normal(0, 0.005, shape)

    return draw


NOISES = {
    "normal": lambda shape, rng: rng.normal(size=shape),
    "seeds in common": lambda shape, rng: rng.normal(size=(shape[0], 1)) + rng.normal(size=shape),
    "heavy tails": lambda shape, rng: rng.standard_t(2, size=shape),
    "ties": lambda shape, rng: np.round(rng.normal(size=shape)),
    "skewed scores": lambda shape, rng: (
        rng.exponential(size=shape) ** 2 - rng.exponential(size=shape) ** 2
    ),
    "fails in 3 of 10": fails(0.3),
    "fails in 1 of 10": fails(0.1),
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
BETWEEN = [0.18 * lead for lead in LEAD]
FIVE = LEAD[:5]
EIGHT_OF_TEN = [0.5] * 8 + [-0.01] * 2
ONE_THAT_FELL = [0.04] * 9 + [-0.3]


@pytest.mark.parametrize(
    ("differences", "unmet", "verdict"),
    [
        (LEAD, (), "challenger better"),
        (EIGHT_OF_TEN, (), "challenger better"),
        (SMALL_LEAD, ("margin",), "equivalent"),
        ([0.0] * 10, ("significance", "margin"), "equivalent"),
        (BETWEEN, ("margin",), "undecided"),
        (FIVE, ("significance", "margin"), "undecided"),
        ([0.0] * 5, ("significance", "margin"), "undecided"),
        (ONE_THAT_FELL, ("significance", "margin"), "undecided"),
    ],
)
def test_a_task_is_decided_by_every_condition(differences, unmet, verdict):
    pair = against_zero(differences)
    turned_round = {"challenger better": "baseline better"}.get(verdict, verdict)
    for turned, expected in ((pair, verdict), (exchanged(pair), turned_round)):
        (found,) = compare_tasks([turned], RULE, rng())[0]
        assert RULE.unmet(found) == unmet
        assert RULE.verdict(found) == expected


def evidence(**numbers):
    """Return evidence by which the challenger is better, but for the numbers given."""
    better = {
        "difference": Interval(0.1, 0.05, 0.15),
        "probability": Interval(0.9, 0.8, 1.0),
        "p_value": 0.005,
        "adjusted_p_value": 0.01,
        "equivalence_p_value": 1.0,
        "adjusted_equivalence_p_value": 1.0,
        "seeds_needed": 9,
    }
    return Evidence(**better | numbers)


@pytest.mark.parametrize(
    ("numbers", "unmet"),
    [
        ({}, ()),
        ({"adjusted_p_value": 0.05}, ()),
        ({"adjusted_p_value": 0.0501}, ("significance",)),
        ({"difference": Interval(0.1, 0.02, 0.15)}, ("margin",)),
        ({"probability": Interval(0.5, 0.1, 0.9)}, ()),
    ],
)
def test_each_condition_is_about_a_number_of_the_evidence(numbers, unmet):
    given = evidence(**numbers)
    assert RULE.unmet(given) == unmet
    assert RULE.verdict(given) == ("undecided" if unmet else "challenger better")


@pytest.mark.parametrize(("p_value", "verdict"), [(0.05, "equivalent"), (0.0501, "undecided")])
def test_equivalence_is_about_the_adjusted_p_value(p_value, verdict):
    given = evidence(
        difference=Interval(0.0, -0.01, 0.01),
        adjusted_p_value=1.0,
        adjusted_equivalence_p_value=p_value,
    )
    assert RULE.verdict(given) == verdict


def test_the_rule_is_put_to_whoever_is_ahead():
    behind = evidence(difference=Interval(-0.1, -0.15, -0.05))
    assert RULE.verdict(behind) == "baseline better"
    assert RULE.unmet(evidence(difference=Interval(-0.1, -0.15, -0.02))) == ("margin",)


@pytest.mark.parametrize(
    ("tasks", "verdict"),
    [
        ("++", "challenger wins"),
        ("+=", "challenger wins"),
        ("+?", "challenger ahead"),
        ("+?=", "challenger ahead"),
        ("--", "baseline wins"),
        ("-=", "baseline wins"),
        ("-?=", "baseline ahead"),
        ("+-", "mixed"),
        ("+-=?", "mixed"),
        ("==", "equivalent"),
        ("=?", "open"),
        ("??", "open"),
        ("", "open"),
    ],
)
def test_the_race_s_verdict_is_made_of_those_of_its_tasks(tasks, verdict):
    names = {
        "+": "challenger better",
        "-": "baseline better",
        "=": "equivalent",
        "?": "undecided",
    }
    for order in (tasks, tasks[::-1]):
        assert race_verdict([names[task] for task in order]) == verdict


def test_verdict_is_mirrored_when_contestants_change_sides():
    pair = Pair(*rng(3).normal(size=(2, 12, 40)) + np.array([0.6, 0.0])[:, None, None])
    for one, other in zip(
        compare_tasks([pair], RULE, rng())[0],
        compare_tasks([exchanged(pair)], RULE, rng())[0],
        strict=True,
    ):
        assert one.p_value == other.p_value
        assert one.equivalence_p_value == other.equivalence_p_value
        for mine, theirs in (
            (one.difference, [-end for end in other.difference]),
            (one.probability, [1 - end for end in other.probability]),
        ):
            assert mine == pytest.approx((theirs[0], theirs[2], theirs[1]))


def test_a_margin_has_to_be_exceeded():
    equal = against_zero([0.52 - 0.5] * 10)
    assert RULE.unmet(compare_tasks([equal], RULE, rng())[0][0]) == ("margin",)


def test_every_comparison_of_every_challenger_is_in_the_family():
    """Seven runs of one sign have p = 1/64: enough alone and among two, not among six."""
    seven = against_zero(LEAD[:7])
    alone = compare_tasks([seven], RULE, rng())[0][0]
    assert (alone.p_value, alone.adjusted_p_value) == (1 / 64, 1 / 64)
    assert RULE.verdict(alone) == "challenger better"
    other = against_zero([0.1, -0.1] * 4, [-0.1, 0.2] * 4, *[[0.3, -0.2] * 4] * 3)
    found, others = compare_tasks([seven, other], RULE, rng())
    assert len(others) == 5
    assert (found[0].p_value, found[0].adjusted_p_value) == (1 / 64, 6 / 64)
    assert found[0].seeds_needed > alone.seeds_needed
    assert RULE.unmet(found[0]) == ("significance",)
    level = against_zero([0.0] * 7)
    alone, beside = (compare_tasks(pairs, RULE, rng())[0][0] for pairs in ([level], [level, other]))
    assert alone.adjusted_equivalence_p_value == alone.equivalence_p_value == 1 / 64
    assert beside.adjusted_equivalence_p_value == 6 / 64


def test_same_seed_gives_the_same_verdict():
    pairs = [Pair(*rng(4).normal(size=(2, 20, 3))), Pair(*rng(5).normal(size=(2, 16, 2)))]
    assert compare_tasks(pairs, RULE, rng()) == compare_tasks(pairs, RULE, rng())
    assert compare_tasks(pairs, RULE, rng(1)) != compare_tasks(pairs, RULE, rng())


def test_no_challenger_no_comparison():
    assert compare_tasks([], RULE, rng()) == []


def one_of_twenty(number):
    """Return the most that a twentieth of so many cases may come to, by three standard errors."""
    return 0.05 * number + 3 * np.sqrt(number * 0.05 * 0.95)


@pytest.mark.parametrize(
    "num_races", [pytest.param(12, id="quick"), pytest.param(600, marks=pytest.mark.slow, id="all")]
)
@pytest.mark.parametrize("seeds", [7, 10, 20])
@pytest.mark.parametrize("noise", NOISES)
def test_a_race_against_oneself_is_called_in_at_most_one_of_twenty(noise, seeds, num_races):
    """Two contestants who are alike, on 2, 6 and 20 tasks; there is no margin to help."""
    rule, draw = VerdictRule(margin=0, num_resamples=400), rng(11)
    for tasks in (2, 6, 20):
        called = 0
        for _ in range(num_races):
            differences = NOISES[noise]((seeds, tasks), draw)
            found = compare_tasks([Pair(differences, np.zeros_like(differences))], rule, draw)[0]
            called += race_verdict(verdicts(found, rule)) != "open"
        assert called <= one_of_twenty(num_races)


def test_a_race_against_oneself_is_called_now_and_then():
    """A rule that never finds anything would keep the promise above, too."""
    rule, draw = VerdictRule(margin=0), rng(2)
    found = [
        rule.verdict(compare_tasks([against_zero(draw.normal(size=10))], rule, draw)[0][0])
        for _ in range(400)
    ]
    assert 8 <= sum(verdict != "undecided" for verdict in found) <= 34


@pytest.mark.parametrize("mean", [0.02, -0.02])
@pytest.mark.parametrize("seeds", [7, 10, 20])
def test_equivalence_is_claimed_wrongly_in_at_most_one_of_twenty(mean, seeds):
    """Six tasks, on each of which the contestants differ by just the margin."""
    draw, claimed, num_races = rng(13), 0, 100
    for _ in range(num_races):
        differences = draw.normal(mean, 0.01, size=(seeds, 6))
        found = compare_tasks([Pair(differences, np.zeros_like(differences))], RULE, draw)[0]
        claimed += "equivalent" in verdicts(found)
    assert claimed <= one_of_twenty(num_races)


def test_a_challenger_better_on_some_tasks_and_equal_on_others_is_ahead():
    """By 0.3 on two of six tasks: a share of pairs over all of them would be asked of ties."""
    draw, found = rng(14), []
    for _ in range(100):
        differences = draw.normal(0, 0.1, size=(10, 6))
        differences[:, :2] += 0.3
        found.append(
            race_verdict(verdicts(compare_tasks([against_zero(*differences.T)], RULE, draw)[0]))
        )
    assert found.count("challenger ahead") >= 95


def test_better_here_and_worse_there_is_mixed():
    draw = rng(15)
    differences = draw.normal([0.3, 0.3, 0.3, -0.3, -0.3, -0.3], 0.1, size=(20, 6))
    found = compare_tasks([against_zero(*differences.T)], RULE, draw)[0]
    assert race_verdict(verdicts(found)) == "mixed"


@pytest.mark.parametrize(("seeds", "least"), [(10, 0.75), (20, 0.97)])
def test_effect_of_one_standard_deviation_is_found(seeds, least):
    """On one task and with no margin."""
    rule, num_races = VerdictRule(margin=0, num_resamples=500), 300
    differences = rng(12).normal(1, 1, size=(seeds, num_races))
    found = [
        verdicts(compare_tasks([against_zero(column)], rule, rng())[0], rule)[0]
        for column in differences.T
    ]
    assert found.count("challenger better") >= least * num_races


def test_the_seeds_said_to_be_needed_would_decide_most_races():
    draw = rng(16)
    needed = [
        compare_tasks([against_zero(draw.normal(0.1, 0.2, 40))], RULE, draw)[0][0].seeds_needed
        for _ in range(60)
    ]
    seeds = int(np.median(needed))
    assert 35 <= seeds <= 70  # (1.96 + 0.84)² (0.2 / 0.08)² = 49
    found = [
        verdicts(compare_tasks([against_zero(draw.normal(0.1, 0.2, seeds))], RULE, draw)[0])[0]
        for _ in range(200)
    ]
    assert 0.7 <= found.count("challenger better") / 200 <= 0.92


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"margin": -0.1}, "greater than or equal to 0"),
        ({"level": 0.0}, "greater than or equal to 0.001"),
        ({"level": 0.5}, "less than 0.5"),
        ({"margins": 0.1}, "margins"),
        ({"probability": 0.75}, "probability is no longer part of the rule; leave it out"),
    ],
)
def test_rule_refuses_wrong_settings(settings, message):
    with pytest.raises(ValidationError, match=message):
        VerdictRule(**settings)


@pytest.mark.parametrize("compare", [lambda pair: compare_tasks([pair], RULE, rng()), None])
def test_scores_that_are_no_pairs_are_refused(compare):
    compare = compare or (lambda pair: over_tasks(pair, RULE, rng()))
    for challenger, baseline, message in (
        (np.zeros((5, 2)), np.zeros((4, 2)), r"\(5, 2\) and baseline \(4, 2\)"),
        (np.zeros((5, 2)), np.full((5, 2), np.nan), "not finite"),
        (np.zeros((1, 2)), np.zeros((1, 2)), "at least 2 runs"),
    ):
        with pytest.raises(InputError, match=message):
            compare(Pair(challenger, baseline))


def test_over_all_tasks_a_seed_counts_once_however_many_tasks_there_are():
    """Copies of a task are no further evidence."""
    one = Pair(*rng(4).normal(size=(2, 9, 1)))
    copies = Pair(*(np.repeat(scores, 5, axis=1) for scores in one))
    alone, many = (over_tasks(pair, RULE, rng()) for pair in (one, copies))
    assert many.mean == pytest.approx(alone.mean)
    assert alone.without == ()
    assert many.without == pytest.approx([alone.mean.estimate] * 5)


def test_over_all_tasks_each_is_left_out_once():
    differences = rng(5).normal([0.0, 1.0, 5.0], size=(8, 3))
    found = over_tasks(against_zero(*differences.T), RULE, rng())
    assert found.mean.estimate == pytest.approx(differences.mean())
    assert found.without == pytest.approx(
        [np.delete(differences, k, axis=1).mean() for k in range(3)]
    )
