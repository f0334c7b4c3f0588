"""Tests of trained models on other samples: lengths beyond training, each with its own verdict."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from lstm_baseline import FileError, InputError
from lstm_baseline.race.judge import judge
from lstm_baseline.race.plan import FurtherTest
from lstm_baseline.race.plan_file import plan_of
from lstm_baseline.race.race import hold_race, report_race
from lstm_baseline.race.race_file import make_race
from lstm_baseline.race.report.exports import CSV, VERDICT
from lstm_baseline.race.verify import verify_race
from lstm_baseline.runs.run import RESULT, RunResult, read_result
from lstm_baseline.runs.saved_model import saved_model
from lstm_baseline.tasks import make_task
from lstm_baseline.training import TrainingSettings, evaluate
from tests.support.races import planned

QUIET = Console(quiet=True)
TASK = {"task": "parity", "lengths": [2, 4], "test_lengths": [[5, 8], 12]}
VALUES = {"contestants": ["lstm", "gru"], "parameters": 1000, "seeds": 2}


def small_plan():
    race = make_race(
        tasks=[TASK, {"task": "flip-flop", "length": 8, "tests": [{"ignore": 0.98}]}],
        training={"num_steps": 20, "evaluate_every": 10},
        **VALUES,
    )
    return race.plan()


@pytest.fixture(scope="module")
def held(tmp_path_factory):
    plan, folder = small_plan(), tmp_path_factory.mktemp("race")
    outcome = hold_race(plan, folder, num_workers=1, console=QUIET)
    report_race(outcome, folder, command="compare", console=QUIET)
    return outcome, folder


def test_the_file_says_what_is_tested():
    plan = make_race(tasks=[TASK, {"task": "adding", "test_lengths": [100]}], **VALUES).plan()
    tests = [(test.trained.name, test.arguments) for test in plan.further_tests]
    assert tests == [
        ("parity", {"lengths": [5, 8]}),
        ("parity", {"lengths": 12}),
        ("adding", {"length": 100}),
    ]
    assert [task.config().get("lengths") for task in plan.judged[:3]] == [[2, 4], [5, 8], 12]


@pytest.mark.parametrize(
    ("task", "problem"),
    [
        ({"task": "qa", "test_lengths": [9]}, "qa has neither lengths nor length"),
        ({"task": "parity", "test_lengths": [0]}, "lengths must be at least 1|lengths is 0"),
        ({"task": "parity", "tests": [{"colour": 3}]}, "parity has no 'colour'"),
        ({"task": "parity", "lengths": 9, "test_lengths": [9]}, "is what it was trained on"),
        ({"task": "parity", "test_lengths": [8, 8]}, "twice"),
        ({"task": "word-problem", "tests": [{"group": "S5"}]}, "group changes what word-problem"),
        ({"task": "parity", "tests": [{"every_step": True}]}, "every_step changes what parity"),
    ],
    ids=str,
)
def test_what_cannot_be_tested_is_refused(task, problem):
    with pytest.raises(InputError, match=problem):
        make_race(tasks=[task], **VALUES).plan()


def test_a_user_s_file_has_no_other_samples(tmp_path):
    np.savez(tmp_path / "own.npz", X=np.zeros((40, 5, 2)), y=np.arange(40) % 2)
    race = make_race(tasks=[{"data": "own.npz", "tests": [{"lengths": 3}]}], **VALUES)
    with pytest.raises(InputError, match="is a file"):
        race.plan(tmp_path)


def test_a_plan_without_them_is_what_it_was():
    plan = planned(["lstm", "gru"], [make_task("parity")], 2, settings=TrainingSettings())
    assert "further_tests" not in plan.config()
    tested = replace(plan, further_tests=(FurtherTest(plan.tasks[0], {"lengths": 30}),))
    assert tested.hash != plan.hash
    assert [run.name for run in tested.trials()] == [run.name for run in plan.trials()]


def test_they_are_counted_among_the_comparisons():
    plan = small_plan()
    assert plan.num_comparisons == 5
    assert plan.shortage().needed_p == pytest.approx(plan.rule.level / 5)


def test_a_plan_is_read_back():
    plan = small_plan()
    assert plan_of(json.loads(json.dumps(plan.config()))).hash == plan.hash


def test_every_test_has_an_outcome_and_a_verdict(held):
    outcome, _ = held
    titles = [
        "parity (lengths=2–4)",
        "parity (lengths=5–8)",
        "parity (lengths=12)",
        "flip-flop (ignore=0.8)",
        "flip-flop (ignore=0.98)",
    ]
    assert [each.title for each in outcome.tasks] == titles
    assert [each.title for each in outcome.trained] == [titles[0], titles[3]]
    (duel,) = outcome.duels
    assert [each.title for each in duel.tasks] == titles
    assert [rung.name for rung in outcome.tasks[4].ladder] == [
        rung.name for rung in outcome.tasks[4].task.ladder()
    ]


def test_scores_are_those_of_the_trained_model_on_these_samples(held):
    outcome, folder = held
    for contestant in outcome.trained[0].contestants:
        for seed in contestant.seeds:
            model = saved_model(seed.spec, folder / "runs" / seed.spec.name)
            tests = [*seed.spec.further_tests]
            assert len(tests) == 2
            for place, test in enumerate(tests):
                found = outcome.tasks[1 + place].of(contestant.model)
                (seen,) = (each for each in found.seeds if each.spec == seed.spec)
                assert seen.result.score == evaluate(model, test, test.test(seed.spec.seed))
                assert seen.result.standard_error > 0


def test_a_test_is_judged_by_its_own_ladder_alone():
    """A score that beats the rules there has learned, whatever it was on the task itself."""
    plan = replace(small_plan(), seeds=10)
    finals = []
    for spec in plan.finals({(k, m): plan.settings for k in range(2) for m in plan.models}):
        at_lengths = (1.0, 0.5) if spec.model == "gru" else (0.5, 0.5)
        scores = [{"score": score, "standard_error": 0.001} for score in at_lengths]
        result = RunResult(
            status="finished",
            score=1.0,
            standard_error=0.001,
            untrained_score=0.5,
            validation_score=1.0,
            further_tests=scores[: len(spec.further_tests)],
            num_params=1000,
        )
        finals.append((spec, result))
    (duel,) = judge(plan, finals=finals, trained=[]).duels
    assert [(c.learned, c.barrier, c.verdict) for c in duel.tasks[:3]] == [
        ("both", None, "equivalent"),
        ("challenger", None, "challenger better"),
        ("neither", "neither learned", "undecided"),
    ]


def test_a_model_that_takes_no_longer_rows_has_failed_there():
    result = RunResult(
        status="finished",
        score=1.0,
        further_tests=({"score": None, "reason": "ValueError: too long"},),
    )
    seen = result.in_further_test(0)
    assert (seen.status, seen.reason, seen.score) == ("failed", "ValueError: too long", None)
    failed = RunResult(status="failed", reason="it diverged").in_further_test(3)
    assert (failed.status, failed.reason) == ("failed", "it diverged")


def test_the_report_has_them_and_counts_each_run_once(held):
    outcome, folder = held
    rows = list(csv.DictReader((folder / CSV).read_text().splitlines()))
    assert [row["stage"] for row in rows].count("final") == 2 * 2 * 2
    tested = [row for row in rows if row["stage"] == "further test"]
    assert len(tested) == 3 * 2 * 2
    assert all(row["score"] and not row["seconds"] for row in tested)
    assert json.loads(tested[0]["task_arguments"])["lengths"] == [5, 8]
    verdict = json.loads((folder / VERDICT).read_text())
    assert [task["title"] for task in verdict["tasks"]] == [t.title for t in outcome.tasks]
    trained_on = [task.get("trained_on", {}).get("lengths") for task in verdict["tasks"][:3]]
    assert trained_on == [None, [2, 4], [2, 4]]
    page = (folder / "index.html").read_text()
    assert "trained on parity (lengths=2–4) and flip-flop (ignore=0.8)" in " ".join(page.split())
    assert "tested with" in page
    (curve, flips) = outcome.test_curves
    assert curve.sweep.values == ([2, 4], [5, 8], 12)
    assert flips.sweep.values == (0.8, 0.98)
    assert "each has a verdict" not in (folder / "methods.md").read_text()
    assert "## Further tests" in (folder / "methods.md").read_text()


def test_a_changed_score_is_found_by_the_model(held):
    outcome, folder = held
    assert not any(
        check.problems for check in verify_race(folder, data=folder, sample=0, console=QUIET)
    )
    spec = outcome.tasks[0].contestants[0].seeds[0].spec
    path = folder / "runs" / spec.name / RESULT
    kept = path.read_text()
    try:
        found = json.loads(kept)
        found["further_tests"][1]["score"] += 0.05
        path.write_text(json.dumps(found))
        problems = {
            check.name: check.problems
            for check in verify_race(folder, data=folder, sample=0, console=QUIET)
        }
        assert problems["models"]
        assert problems["verdict"]
        found["further_tests"].pop()
        path.write_text(json.dumps(found))
        with pytest.raises(FileError, match="further_tests is incomplete"):
            read_result(spec, path.parent)
    finally:
        path.write_text(kept)
