"""Numbers as they are read, and outcomes as they are quoted."""

from dataclasses import replace

import pytest

from lstm_baseline.plots import formats
from lstm_baseline.race.outcomes import Comparison, Duel
from lstm_baseline.race.race_statistics import Interval
from lstm_baseline.race.report import words
from lstm_baseline.race.scores import Spread
from lstm_baseline.race.verdict import Evidence, VerdictRule
from lstm_baseline.training import TrainingSettings
from tests.support.races import CHANCE, HEURISTIC, ORACLE, LadderTask, planned, race, run


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


def comparison(verdict, low=0.05, estimate=0.1, high=0.15, unmet=(), share=0.9, p=0.01):
    evidence = Evidence(
        difference=Interval(estimate, low, high),
        mean_difference=estimate,
        probability=Interval(share, share - 0.1, min(share + 0.1, 1.0)),
        p_value=p / 2,
        adjusted_p_value=p,
    )
    return Comparison(title="", evidence=evidence, verdict=verdict, unmet=tuple(unmet))


LEFT_OUT = "neither learned"


def duel(overall, *, barriers=(None, None), challenger="relational", disqualified=()):
    """Return a duel with a task for each of ``barriers``, and scores as far apart as it says."""
    tasks = tuple(
        Comparison(title=title, barrier=barrier)
        if overall is None or barrier is not None
        else replace(overall, title=title)
        for title, barrier in zip(TITLES, barriers, strict=False)
    )
    known = overall is not None
    return Duel(
        challenger=challenger,
        baseline="lstm",
        tasks=tasks,
        overall=overall,
        challenger_score=0.7 + overall.evidence.difference.estimate if known else None,
        baseline_score=0.7 if known else None,
        verdict="inconclusive" if disqualified or not known else overall.verdict,
        disqualified=disqualified,
    )


def sentence(given, seeds=10, **rule):
    tasks = [LadderTask(name=task.title) for task in given.tasks]
    plan = planned(["lstm", given.challenger], tasks, seeds, rule=VerdictRule(**rule))
    return words.verdict(plan, given)


FIGURES = (
    "over 2 tasks with 10 paired seeds, 95% interval of the difference 0.050 to 0.150, p = 0.01"
)


def test_a_challenger_that_wins():
    assert sentence(duel(comparison("challenger wins"))) == (
        "The relational RNN beats the LSTM by 0.100 in normalised score: interquartile mean 0.800 "
        f"to 0.700 {FIGURES}."
    )


def test_a_name_of_the_user_s_own_stays_as_it_is():
    given = sentence(duel(comparison("challenger wins"), challenger="theirs"))
    assert given.startswith("theirs beats the LSTM by")


def test_the_baseline_that_wins_is_ahead_by_as_much():
    behind = comparison("baseline wins", -0.15, -0.1, -0.05, share=0.1)
    assert sentence(duel(behind)) == (
        "The baseline wins: the LSTM beats the relational RNN by 0.100 in normalised score, "
        f"interquartile mean 0.700 to 0.600 {FIGURES}."
    )


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"unmet": ["significance"], "p": 0.0504}, "p is above 0.05"),
        ({"unmet": ["direction"]}, "the mean over all tasks points the other way"),
        ({"unmet": ["margin"]}, "the interval does not clear the margin of 0.02"),
        ({"unmet": ["probability"], "share": 0.7}, "the share of pairs won is 70%, short of 75%"),
        ({"unmet": ["probability interval"]}, "winning just half of the pairs is not ruled out"),
        (
            {"unmet": ["significance", "probability", "probability interval"], "share": 0.7},
            "p is above 0.05 and the share of pairs won is 70%, short of 75%",
        ),
        (
            {"low": -0.15, "estimate": -0.1, "high": -0.05, "unmet": ["probability"], "share": 0.3},
            "the share of pairs won is 70%, short of 75%",
        ),
    ],
)
def test_inconclusive_says_what_is_missing(options, why):
    given = sentence(duel(comparison("inconclusive", **options)))
    ahead, behind = "the relational RNN", "the LSTM"
    if "low" in options:
        ahead, behind = behind, ahead
    assert given.startswith(f"Inconclusive: {ahead} leads {behind} by 0.100 in normalised score (")
    assert given.endswith(f"), but {why}.")


def test_inconclusive_without_a_margin():
    given = comparison("inconclusive", low=-0.1, unmet=["margin"])
    assert sentence(duel(given), margin=0.0).endswith("but the interval includes 0.")


def test_level():
    level = comparison("inconclusive", 0.0, 0.0, 0.0, ["significance"], 0.5, 1.0)
    assert sentence(duel(level)) == (
        "Inconclusive: the relational RNN and the LSTM are level in normalised score "
        "(interquartile mean 0.700 to 0.700 over 2 tasks with 10 paired seeds, 95% interval of "
        "the difference 0.000 to 0.000, p = 1)."
    )
    plan = planned(["lstm", "relational"], [LadderTask()], 10)
    task = duel(level).tasks[0]
    assert words.task_reason(plan, duel(level), task) == (
        "level (95% interval 0.000 to 0.000, p = 1)"
    )


def test_a_small_difference_is_not_called_none():
    tiny = comparison("inconclusive", -0.01, 0.00031, 0.01, ["significance"])
    assert "by 0.00031 in normalised score" in sentence(duel(tiny))


def test_tiny_p_and_other_levels():
    given = sentence(duel(comparison("challenger wins", p=0.00002)), level=0.001)
    assert "99.9% interval of the difference" in given
    assert given.endswith("p < 0.0001.")


@pytest.mark.parametrize(
    ("barriers", "place"),
    [
        ((None,), "on first"),
        ((None, None, None), "over 3 tasks"),
        ((None, None, LEFT_OUT), "over the 2 of 3 tasks that both learned,"),
        ((LEFT_OUT, None), "on second, the only one of 2 tasks that both learned,"),
        ((None, None, "no ceiling"), "over the 2 of 3 tasks that allow a comparison,"),
        ((None, "no ceiling"), "on first, the only one of 2 tasks that allows a comparison,"),
    ],
)
def test_a_verdict_says_on_what_it_rests(barriers, place):
    given = sentence(duel(comparison("challenger wins"), barriers=barriers))
    assert f"to 0.700 {place} with 10 paired seeds," in given


def test_who_missed_a_task_cannot_win():
    given = duel(
        comparison("challenger wins"),
        barriers=(None, "only the baseline learned"),
        disqualified=("second",),
    )
    assert sentence(given).endswith(
        "but the relational RNN did not learn second, which the LSTM did."
    )


@pytest.mark.parametrize(
    ("barriers", "why"),
    [
        (["neither learned"], "neither learned first"),
        (["neither learned"] * 2, "neither learned first or second"),
        (["neither learned"] * 4, "neither learned any of the 4 tasks"),
        (["only the baseline learned"] * 2, "only the LSTM learned first and second"),
        (["only the challenger learned"] * 4, "only the relational RNN learned all 4 tasks"),
        (["no ceiling"], "a heuristic is perfect already on first"),
        (
            ["only the baseline learned", "neither learned", "only the challenger learned"],
            "neither learned second; only the relational RNN learned third; only the LSTM learned "
            "first",
        ),
    ],
)
def test_no_verdict_says_why(barriers, why):
    assert sentence(duel(None, barriers=barriers)) == (
        f"No verdict on the relational RNN against the LSTM: {why}."
    )


def test_one_seed_gives_no_verdict():
    assert sentence(duel(None), seeds=1) == (
        "No verdict on the relational RNN against the LSTM: one seed shows what can happen, not "
        "what usually does."
    )


def test_one_contestant_gives_no_verdict():
    plan = planned(["lstm"], [LadderTask()], 3)
    assert words.verdicts(plan, ()) == ["No verdict: the LSTM raced alone."]


def test_tasks_one_by_one():
    plan = planned(["lstm", "relational"], [LadderTask()], 10)
    given = duel(comparison("challenger wins"))
    assert words.task_verdict(given, given.tasks[0]) == "the relational RNN wins"
    assert words.task_reason(plan, given, given.tasks[0]) == (
        "by 0.100 (95% interval 0.050 to 0.150, p = 0.01)"
    )
    given = duel(comparison("baseline wins", -0.15, -0.1, -0.05))
    assert words.task_verdict(given, given.tasks[0]) == "the LSTM wins"
    assert words.task_reason(plan, given, given.tasks[0]).startswith("by 0.100 (95% interval 0.05")
    given = duel(comparison("inconclusive", unmet=["significance"]))
    assert words.task_verdict(given, given.tasks[0]) == "inconclusive"
    assert words.task_reason(plan, given, given.tasks[0]) == (
        "the relational RNN leads by 0.100 (95% interval 0.050 to 0.150, p = 0.01), but p is "
        "above 0.05"
    )
    missed = Comparison(title="first", barrier="only the baseline learned")
    assert words.task_verdict(given, missed) == "not compared"
    assert words.task_reason(plan, given, missed) == "only the LSTM learned"


def test_the_rule_has_the_plan_s_numbers():
    rule = VerdictRule(level=0.01, margin=0.1, probability=0.8)
    given = words.rule(planned(["lstm"], [LadderTask()], 3, rule=rule))
    for number in ("at most 0.01", "99% interval", "beyond 0.1", "at least 80%"):
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
        "mine beats the LSTM by 0.400 in normalised score: interquartile mean 0.807 to 0.407 on "
        "made-up, the only one of 2 tasks that allows a comparison, with 8 paired seeds, 95% "
        "interval of the difference 0.400 to 0.400, p = 0.00781."
    ]
