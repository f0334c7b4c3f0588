"""``lstm-baseline verify``: a race that was tampered with, on any level, is found out."""

import csv
import json
import shutil
from pathlib import Path

import pytest
from rich.console import Console
from threadpoolctl import threadpool_info

from lstm_baseline.race import verify
from lstm_baseline.race.plan import PLAN, Plan, Sweep
from lstm_baseline.race.race import hold_race, report_race
from lstm_baseline.race.report.exports import CSV, LATEX, VERDICT
from lstm_baseline.race.tuning import Range, Tuning
from lstm_baseline.race.verify import compare_races, verify_race
from lstm_baseline.runs.run import RESULT
from lstm_baseline.runs.saved_model import MODEL
from lstm_baseline.runs.spec import digest
from lstm_baseline.tasks import make_task
from lstm_baseline.training import TrainingSettings
from tests.support.processes import run
from tests.support.races import planned

QUIET = Console(quiet=True)
PAIRS = make_task("pair-matching", num_pairs=2, num_symbols=6)


def small_plan() -> Plan:
    return planned(
        ["lstm", "gru", {"name": "mine", "model": "lstm_baseline.engine.models:LSTM"}],
        [PAIRS],
        2,
        parameters=1000,
        settings=TrainingSettings(num_steps=40, batch_size=8, evaluate_every=20),
        tuning=Tuning(
            trials=2, space={"learning_rate": Range(low=1e-3, high=1e-2)}, finalists=1, reruns=1
        ),
        sweeps=(
            Sweep(PAIRS, "num_pairs", (2, 3), seeds=1, train=True),
            Sweep(PAIRS, "num_pairs", (2, 3), seeds=2, train=False),
        ),
    )


@pytest.fixture(scope="module")
def raced(tmp_path_factory):
    folder = tmp_path_factory.mktemp("race") / "report"
    outcome = hold_race(small_plan(), folder, num_workers=2, console=QUIET)
    report_race(outcome, folder, command="compare", console=QUIET)
    return folder


@pytest.fixture
def folder(raced, tmp_path):
    return shutil.copytree(raced, tmp_path / "copy")


def problems(folder, *, sample=0):
    """Return what is wrong, keyed by the check that finds it."""
    checks = verify_race(folder, data=folder, sample=sample, console=QUIET)
    return {check.name: " ".join(check.problems) for check in checks if check.problems}


def finals(folder):
    """Return the folders of the final runs, contestant by contestant."""
    return sorted(folder.glob("runs/*--seed*"))


def change(path, **values):
    """Change values of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_race_as_it_was_held_is_verified(folder):
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    shown = run("verify", folder, "--sample", "2")
    assert shown.returncode == 0
    assert shown.stdout.splitlines()[-1] == f"verified: {folder} is what its runs say"
    assert "2 runs trained again: 2 with the same bits" in shown.stdout
    assert "9 models scored again: the same" in shown.stdout
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_changed_plan(folder):
    found = json.loads((folder / PLAN).read_text())
    found["plan"]["verdict"]["margin"] = 0.5
    (folder / PLAN).write_text(json.dumps(found))
    assert "plan.json was changed" in problems(folder)["plan"]
    # With a hash to go with it, the verdict is no longer that of the plan.
    change(folder / PLAN, hash=digest(found["plan"]))
    assert set(problems(folder)) == {"verdict", "table", "LaTeX"}


def test_a_plan_with_other_training_has_other_runs(folder):
    found = json.loads((folder / PLAN).read_text())
    found["plan"]["training"]["batch_size"] = 16
    for drawn in found["plan"]["tuning"]["drawn"]:
        drawn["batch_size"] = 16
    change(folder / PLAN, plan=found["plan"], hash=digest(found["plan"]))
    assert "6 runs of the plan are not there" in problems(folder)["runs"]


def test_a_changed_score_in_the_table(folder):
    lines = (folder / CSV).read_text().splitlines()
    rows = list(csv.DictReader(lines))
    row = next(k for k, row in enumerate(rows) if row["stage"] == "final")
    lines[row + 1] = lines[row + 1].replace(rows[row]["score"], "0.99")
    (folder / CSV).write_text("\n".join(lines) + "\n")
    (found,) = problems(folder).values()
    assert f"line {row + 2} (pair-matching, lstm, seed 0): score is '0.99' there" in found


def test_a_changed_score_in_a_run(folder):
    change(finals(folder)[0] / RESULT, score=0.99)
    found = problems(folder)
    assert {"verdict", "table", "models"} <= set(found)
    assert "the run says 0.99" in found["models"]


@pytest.mark.slow
def test_a_changed_score_with_everything_drawn_again(folder):
    change(finals(folder)[0] / RESULT, score=0.99)
    outcome = hold_race(small_plan(), folder, console=QUIET)
    report_race(outcome, folder, command="compare", console=QUIET)
    assert set(problems(folder)) == {"models"}
    # Without the models, only training again finds it.
    for path in folder.glob(f"runs/*/{MODEL}"):
        path.unlink()
    assert problems(folder) == {}
    assert "trained again it ends otherwise" in problems(folder, sample=99)["sample"]


def test_an_exchanged_model(folder):
    one, other = finals(folder)[:2]
    (one / MODEL).write_bytes((other / MODEL).read_bytes())
    assert "is not the file that the run wrote" in problems(folder)["models"]
    # And with the digest to go with it.
    change(one / RESULT, model_sha256=json.loads((other / RESULT).read_text())["model_sha256"])
    assert "the model scores" in problems(folder)["models"]


def test_a_dropped_run_and_one_too_many(folder):
    (first, *_) = finals(folder)
    first.rename(first.with_name("another"))
    assert f"1 run of the plan are not there: {first.name}" in problems(folder)["runs"]
    first.with_name("another").rename(first)
    shutil.copytree(first, first.with_name("another"))
    assert problems(folder) == {"runs": "1 run belong to no plan: another"}


def test_a_dropped_trial(folder):
    shutil.rmtree(next(folder.glob("runs/*--trial1--*")))
    assert "1 run of the plan are not there" in problems(folder)["runs"]


def test_a_changed_verdict_and_a_changed_table(folder):
    found = json.loads((folder / VERDICT).read_text())
    found["duels"][0]["verdict"] = "challenger wins"
    (folder / VERDICT).write_text(json.dumps(found))
    (folder / LATEX).write_text((folder / LATEX).read_text().replace("0.", "1.", 1))
    found = problems(folder)
    assert set(found) == {"verdict", "LaTeX"}
    assert 'duels[0].verdict is "challenger wins" there' in found["verdict"]


@pytest.mark.parametrize("content", ["", "[]", "{", '{"status": "won"}', "\x00"])
def test_damaged_files_are_named(folder, content):
    path = finals(folder)[0] / RESULT
    path.write_text(content)
    assert str(path) in problems(folder)["runs"]


def test_the_exit_status_and_the_last_line_say_it(folder):
    change(finals(folder)[0] / RESULT, score=0.99)
    shown = run("verify", folder, "--sample", "0")
    assert shown.returncode == 1
    assert shown.stdout.splitlines()[-1].startswith("NOT verified: ")
    assert "(verdict, table, LaTeX, models)" in shown.stdout.splitlines()[-1]


def test_what_is_no_race_is_refused_in_one_line(tmp_path):
    shown = run("verify", tmp_path)
    line = f"lstm-baseline: {tmp_path} holds no race: it has no {PLAN}\n"
    assert (shown.returncode, shown.stdout, shown.stderr) == (2, "", line)


def test_a_race_of_an_earlier_format_is_refused_in_one_line():
    shown = run("verify", Path(__file__).parents[2] / "measurements/results/standard-race")
    assert (shown.returncode, shown.stderr.count("\n")) == (2, 1)
    assert "holds a race of format 2, by another version of this package" in shown.stderr


class TestTwoFolders:
    def compared(self, one, other):
        checks = list(compare_races(one, other))
        return {check.name: check.found for check in checks}, {
            check.name: " ".join(check.problems) for check in checks if check.problems
        }

    def test_that_agree(self, raced, folder):
        found, wrong = self.compared(raced, folder)
        assert not wrong
        assert found["runs"] == "18 of 18 runs are the same"
        shown = run("verify", raced, folder)
        assert shown.returncode == 0
        assert shown.stdout.splitlines()[-1] == f"verified: {raced} and {folder} agree"

    def test_other_scores_on_the_same_processor(self, raced, folder):
        path = finals(folder)[0] / RESULT
        score = json.loads(path.read_text())["score"]
        change(path, score=score + 0.25)
        found, wrong = self.compared(raced, folder)
        assert found["runs"] == "17 of 18 runs are the same, the others at most 0.25 apart in score"
        assert path.parent.name in wrong["runs"]
        # On another processor that may be.
        change(path, arithmetic="abacus")
        assert not self.compared(raced, folder)[1]

    def test_a_run_that_one_lacks(self, raced, folder):
        shutil.rmtree(finals(folder)[0])
        assert f"1 run only in {raced}" in self.compared(raced, folder)[1]["runs"]

    def test_other_verdicts(self, raced, folder):
        found = json.loads((folder / VERDICT).read_text())
        found["duels"][0]["tasks"][0]["verdict"] = "challenger better"
        (folder / VERDICT).write_text(json.dumps(found))
        wrong = self.compared(raced, folder)[1]["verdict"]
        assert f"gru on pair-matching: undecided in {raced}, challenger better in" in wrong
        (folder / VERDICT).write_text("[]")
        shown = run("verify", raced, folder)
        assert shown.returncode == 2
        assert f"{folder / VERDICT} is damaged: it is not a verdict" in shown.stderr
        assert shown.stderr.count("\n") == 1

    def test_of_different_plans(self, raced, folder):
        found = json.loads((folder / PLAN).read_text())
        found["plan"]["parameters"] = 2000
        (folder / PLAN).write_text(json.dumps(found))
        shown = run("verify", raced, folder)
        assert shown.returncode == 2
        assert "hold different plans, with other parameters" in shown.stderr


def test_models_are_scored_on_one_thread_as_in_their_runs(folder, monkeypatch):
    """The last bits of what NumPy multiplies depend on the number of threads."""
    threads = []
    real = verify.saved_outputs

    def outputs(*given):
        threads.extend(
            pool["num_threads"] for pool in threadpool_info() if "numpy" in pool["filepath"]
        )
        return real(*given)

    monkeypatch.setattr(verify, "saved_outputs", outputs)
    assert problems(folder) == {}
    assert set(threads) == {1}


def test_a_race_of_a_cell_of_one_s_own_is_verified(tmp_path):
    own = {"name": "mine", "model": "examples.own_cell:MinimalGatedUnit"}
    settings = TrainingSettings(num_steps=20, batch_size=8, evaluate_every=10)
    plan = planned(["lstm", own], [PAIRS], 1, parameters=1000, settings=settings)
    report_race(hold_race(plan, tmp_path, console=QUIET), tmp_path, command="", console=QUIET)
    assert problems(tmp_path, sample=2) == {}
    path = max(finals(tmp_path)) / RESULT
    assert json.loads(path.read_text())["looked_at_again"]
