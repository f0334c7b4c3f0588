"""The verdict as data: its numbers, its words, and a file that every reader of JSON takes."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from lstm_baseline.race.race_statistics import Interval
from lstm_baseline.race.report import words
from lstm_baseline.race.report.exports import write_exports
from lstm_baseline.race.report.verdict_file import verdict_as_data
from lstm_baseline.race.verdict import OverTasks, VerdictRule
from tests.support.raced import hostile
from tests.support.races import CHANCE, HEURISTIC, ORACLE, LadderTask, race, run

QUICK = VerdictRule(num_resamples=500)
SOLVED = LadderTask((CHANCE, HEURISTIC, ORACLE._replace(score=0.5)), name="solved")
DOCUMENTATION = Path(__file__).parents[3] / "docs" / "races.md"


def runs(score, count=8):
    return [run(score + k / 1000) for k in range(count)]


@pytest.fixture(scope="module")
def outcome():
    """A race with a task that is won, one that one alone learned, and one without a ceiling."""
    won, missed = LadderTask(name="won"), LadderTask(name="missed")
    given = {
        "lstm": [runs(0.7), runs(0.8), runs(0.9)],
        "relational": [runs(0.9), runs(0.3), [run(None), *runs(0.9, 7)]],
        "gru": [runs(0.7)] * 3,
    }
    return race(given, won, missed, SOLVED, rule=QUICK, title="three tasks")


@pytest.fixture(scope="module")
def data(outcome, tmp_path_factory):
    """The file of that race, read without a tolerance for what JSON does not have."""
    folder = tmp_path_factory.mktemp("verdict")
    write_exports(outcome, [], folder)

    def refuse(constant):
        raise AssertionError(constant)

    return json.loads((folder / "verdict.json").read_text(), parse_constant=refuse)


def of_interval(values):
    return {"estimate": values.estimate, "low": values.low, "high": values.high}


def same(given, comparison):
    """Hold a comparison of the file against that of the race."""
    assert given["title"] == comparison.title
    assert given["verdict"] == comparison.verdict
    assert given["barrier"] == comparison.barrier
    assert given["learned"] == comparison.learned
    assert tuple(given["unmet"]) == comparison.unmet
    assert given["num_steps"] == comparison.num_steps
    assert given["still_improved"] == comparison.still_improved
    if comparison.evidence is None:
        assert given["evidence"] is None
        return
    evidence = given["evidence"]
    assert evidence["difference"] == of_interval(comparison.evidence.difference)
    assert evidence["probability"] == of_interval(comparison.evidence.probability)
    for name in (
        *("p_value", "adjusted_p_value", "equivalence_p_value", "adjusted_equivalence_p_value"),
        "seeds_needed",
    ):
        assert evidence[name] == getattr(comparison.evidence, name)


def test_numbers_are_those_of_the_race(outcome, data):
    assert len(data["duels"]) == len(outcome.duels) == 2
    for given, duel in zip(data["duels"], outcome.duels, strict=True):
        for name in ("challenger", "baseline", "verdict"):
            assert given[name] == getattr(duel, name)
        assert given["sentence"] == words.verdict(outcome.plan, duel)
        assert len(given["tasks"]) == len(duel.tasks) == 3
        for one, other in zip(given["tasks"], duel.tasks, strict=True):
            same(one, other)
        assert given["over_tasks"] == {
            "mean": of_interval(duel.overall.mean),
            "without": list(duel.overall.without),
        }
    first = data["duels"][0]
    assert first["verdict"] == "mixed"
    assert [task["barrier"] for task in first["tasks"]] == [None, None, "no ceiling"]
    assert [task["learned"] for task in first["tasks"]] == ["both", "baseline", "both"]
    assert data["overall"] == {name: of_interval(score) for name, score in outcome.overall.items()}


def test_the_race_is_named(outcome, data):
    plan = outcome.plan
    assert data["format"] == 2
    assert (data["title"], data["plan"], data["seeds"]) == ("three tasks", plan.hash, 8)
    assert data["rule"] == plan.rule.model_dump()
    assert (data["contestants"], data["baseline"]) == (["lstm", "relational", "gru"], "lstm")


def test_scores_of_every_run_are_there(outcome, data):
    for given, task in zip(data["tasks"], outcome.tasks, strict=True):
        assert (given["title"], given["task"]) == (task.title, task.task.config())
        assert (given["metric"], given["higher_is_better"]) == ("accuracy", True)
        assert given["best_heuristic"] == {"name": "last one", "score": 0.5}
        assert given["oracle"]["score"] == task.oracle.score
        for one, other in zip(given["contestants"], task.contestants, strict=True):
            assert (one["name"], one["learned"]) == (other.model, other.learned)
            assert one["parameters"] == other.num_params
            assert one["score"] == other.score._asdict()
            assert one["share_learned"] == of_interval(other.share_learned(0.05))
            for listed, seed in zip(one["runs"], other.seeds, strict=True):
                assert listed == {
                    "seed": seed.spec.seed,
                    "score": seed.result.score,
                    "normalised": seed.normalised,
                    "value": seed.value,
                    "learned": seed.learned,
                    "still_improved": seed.still_improved,
                    "uses_question": seed.uses_question,
                }
    failed = data["tasks"][2]["contestants"][1]["runs"][0]
    unknown = dict.fromkeys(("score", "normalised", "value", "uses_question"))
    assert failed == {"seed": 0, "learned": False, "still_improved": False, **unknown}


def test_what_is_not_finite_is_null(outcome):
    ladder = (HEURISTIC._replace(score=-math.inf), ORACLE._replace(score=math.nan))
    mean = Interval(0.5, -math.inf, math.inf)
    duel = replace(outcome.duels[0], overall=OverTasks(mean, ()))
    far = replace(outcome, tasks=(replace(outcome.tasks[0], ladder=ladder),), duels=(duel,))
    found = json.loads(json.dumps(verdict_as_data(far), allow_nan=False))
    assert found["tasks"][0]["best_heuristic"] == {"name": "last one", "score": None}
    assert found["tasks"][0]["oracle"]["score"] is None
    assert found["duels"][0]["over_tasks"]["mean"] == {"estimate": 0.5, "low": None, "high": None}


@pytest.mark.parametrize("seeds", [1, 2])
def test_nothing_compared_alone_or_without_a_rule(seeds):
    for given in (
        race({"lstm": runs(0.7, seeds)}, rule=QUICK),
        race({"lstm": runs(0.7, seeds), "gru": runs(0.3, seeds)}, LadderTask(()), rule=QUICK),
        hostile(),
    ):
        json.dumps(verdict_as_data(given), allow_nan=False)
    alone = verdict_as_data(race({"lstm": runs(0.7, seeds)}, rule=QUICK))
    assert alone["duels"] == []
    pair = verdict_as_data(race({"lstm": runs(0.7, seeds), "gru": runs(0.3, seeds)}, rule=QUICK))
    assert (pair["duels"][0]["over_tasks"] is None) == (seeds == 1)


def test_every_key_is_documented(data):
    documentation = DOCUMENTATION.read_text().partition("## The verdict as data")[2]
    free = {"overall": set(data["overall"]), "task": set(data["tasks"][0]["task"])}

    def keys(value, under=""):
        if isinstance(value, list):
            return {key for each in value for key in keys(each, under)}
        if not isinstance(value, dict):
            return set()
        below = {key for name, each in value.items() for key in keys(each, name)}
        return below | (set(value) - free.get(under, set()))

    found = keys(data)
    assert {"duels", "evidence", "estimate", "num_seeds", "higher_is_better"} <= found
    assert {key for key in found if f"`{key}`" not in documentation} == set()
