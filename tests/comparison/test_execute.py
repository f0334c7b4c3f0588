"""Runs as real processes: ended once, never again; interrupted, continued; failed, recorded."""

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from lstm_baseline import FileError
from lstm_baseline.comparison.execute import run_all
from lstm_baseline.comparison.plan import Plan, RunSpec
from lstm_baseline.comparison.run import RESULT, RUN, execute, read_result
from lstm_baseline.storage import write_json
from lstm_baseline.tasks import make_task
from lstm_baseline.training import TrainingSettings
from lstm_baseline.training.loop import CHECKPOINT
from processes import interrupt, run, start, wait_until

PAIRS = make_task("pair-matching", num_pairs=2, num_symbols=6)
PLAN = Plan(
    tasks=(PAIRS,),
    models=("lstm", "relational"),
    seeds=2,
    settings=TrainingSettings(num_steps=20, evaluate_every=10),
    head_size=10,
)


def quiet() -> Console:
    return Console(quiet=True)


def comparable(results: list[Any]) -> list[dict[str, Any]]:
    """Results without what a clock says."""
    return [
        result.model_dump(exclude={"seconds", "history"})
        | {"history": [record._replace(seconds=0.0) for record in result.history]}
        for result in results
    ]


def test_results_do_not_depend_on_the_number_of_workers(tmp_path: Path) -> None:
    specs = PLAN.runs()
    one = run_all(specs, tmp_path / "one", num_workers=1, console=quiet())
    two = run_all(specs, tmp_path / "two", num_workers=2, console=quiet())
    alone = [execute(spec, tmp_path / "alone" / spec.name) for spec in specs]
    assert comparable(one) == comparable(two) == comparable(alone)
    assert [result.status for result in one] == ["finished"] * 4


def test_ended_run_is_never_repeated(tmp_path: Path) -> None:
    specs = PLAN.runs()[:1]
    run_all(specs, tmp_path, num_workers=1, console=quiet())
    path = tmp_path / specs[0].name / RESULT
    changed = json.loads(path.read_text()) | {"score": 0.125}
    path.write_text(json.dumps(changed))
    (again,) = run_all(specs, tmp_path, num_workers=1, console=quiet())
    assert again.score == 0.125


def test_diverged_run_is_recorded_with_its_reason(tmp_path: Path) -> None:
    settings = TrainingSettings(
        num_steps=50, optimizer="sgd", learning_rate=1e30, clip_norm=None, evaluate_every=10
    )
    spec = RunSpec(make_task("adding", length=5), "lstm", 4, settings, seed=0)
    result = execute(spec, tmp_path)
    assert result.status == "failed"
    assert result.score is None
    assert "is not" not in result.reason
    assert "lower the learning rate" in result.reason
    assert read_result(spec, tmp_path) == result
    # The reason says that the checkpoint is kept.
    assert (tmp_path / CHECKPOINT).exists()


def test_damaged_result_is_refused_by_name(tmp_path: Path) -> None:
    spec = PLAN.runs()[0]
    execute(spec, tmp_path)
    (tmp_path / RESULT).write_text("{}")
    with pytest.raises(FileError, match=r"result\.json is damaged .*; remove it"):
        read_result(spec, tmp_path)
    (tmp_path / RESULT).write_text("{")
    with pytest.raises(FileError, match="is not JSON"):
        read_result(spec, tmp_path)


def test_folder_of_another_run_is_refused(tmp_path: Path) -> None:
    first, second, *_ = PLAN.runs()
    write_json(tmp_path / RUN, first.config())  # begun, not ended
    before = (tmp_path / RUN).read_bytes()
    with pytest.raises(FileError, match="holds a run with other model, width"):
        execute(second, tmp_path)
    assert (tmp_path / RUN).read_bytes() == before
    execute(first, tmp_path)
    with pytest.raises(FileError, match="choose another folder with --out"):
        execute(second, tmp_path)


def test_ctrl_c_keeps_finished_runs_and_the_same_command_continues(tmp_path: Path) -> None:
    compare = (
        *("compare", "--tasks", "pair-matching", "--seeds", 3, "--steps", 600),
        *("--workers", 2, "--out", tmp_path / "report"),
    )

    def finished() -> list[Path]:
        return sorted((tmp_path / "report" / "runs").glob(f"*/{RESULT}"))

    process = start(*compare)
    wait_until(lambda: len(finished()) > 0, process)
    interrupt(process)
    _, complaint = process.communicate(timeout=30)
    assert process.returncode == 130
    assert complaint == "lstm-baseline: stopped; given again, the same command goes on from here\n"
    kept = {path: path.stat().st_mtime_ns for path in finished()}
    assert 0 < len(kept) < 6

    again = run(*compare)
    assert again.returncode == 0, again.stderr
    assert f"{len(kept)} of 6 runs have ended before" in again.stdout
    assert len(finished()) == 6
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert (tmp_path / "report" / "index.html").is_file()


def test_killed_worker_is_one_clear_line_and_the_same_command_continues(tmp_path: Path) -> None:
    compare = ("compare", "--tasks", "qa", "--seeds", 1, "--steps", 1500, "--out", tmp_path)
    process = start(*compare)
    runs = tmp_path / "runs"
    wait_until(lambda: len(list(runs.glob("*/metrics.jsonl"))) == 2, process)
    workers = subprocess.run(
        ["pgrep", "-g", str(process.pid), "-f", "popen_loky"], capture_output=True, text=True
    ).stdout.split()
    os.kill(int(workers[0]), signal.SIGKILL)
    _, complaint = process.communicate(timeout=60)
    assert process.returncode == 1
    assert complaint.count("\n") == 1
    assert "a process was killed from outside" in complaint
    again = run(*compare)
    assert again.returncode == 0, again.stderr
