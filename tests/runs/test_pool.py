"""Runs as real processes: ended once, never again; interrupted, continued; failed, recorded."""

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lstm_baseline import FileError
from lstm_baseline.contestants.contestant import Contestant
from lstm_baseline.engine.storage import write_json
from lstm_baseline.race.plan import Plan
from lstm_baseline.runs.pool import carry_out_runs
from lstm_baseline.runs.run import RESULT, RUN, carry_out_run, read_result
from lstm_baseline.runs.spec import RunSpec
from lstm_baseline.tasks import make_task
from lstm_baseline.training import TrainingSettings
from lstm_baseline.training.loop import CHECKPOINT
from tests.support.processes import interrupt, run, start, wait_until
from tests.support.runs import LSTM, comparable, finals, outcomes, quiet, troubled

PAIRS = make_task("pair-matching", num_pairs=2, num_symbols=6)
PLAN = Plan(
    tasks=(PAIRS,),
    contestants=(LSTM, Contestant.model_validate("relational")),
    seeds=2,
    settings=TrainingSettings(num_steps=20, evaluate_every=10),
    parameters=17_000,
)


@pytest.mark.slow
def test_results_do_not_depend_on_the_number_of_workers(tmp_path: Path) -> None:
    specs = finals(PLAN)
    one = carry_out_runs(specs, tmp_path / "one", num_workers=1, console=quiet())
    two = carry_out_runs(specs, tmp_path / "two", num_workers=2, console=quiet())
    alone = [carry_out_run(spec, tmp_path / "alone" / spec.name) for spec in specs]
    assert comparable(one) == comparable(two) == comparable(alone)
    assert [result.status for result in one] == ["finished"] * 4


def test_ended_run_is_never_repeated(tmp_path: Path) -> None:
    specs = finals(PLAN)[:1]
    carry_out_runs(specs, tmp_path, num_workers=1, console=quiet())
    path = tmp_path / specs[0].name / RESULT
    changed = json.loads(path.read_text()) | {"score": 0.125}
    path.write_text(json.dumps(changed))
    (again,) = carry_out_runs(specs, tmp_path, num_workers=1, console=quiet())
    assert again.score == 0.125


def test_a_model_that_grows_where_it_is_trained_has_failed(tmp_path: Path) -> None:
    contestant = Contestant.model_validate("tests.support.plain_challenger:GrowsInWorkers")
    settings = TrainingSettings(num_steps=2, evaluate_every=1)
    spec = RunSpec(PAIRS, contestant, 8, settings, seed=0, code=contestant.code())
    (result,) = carry_out_runs([spec], tmp_path, num_workers=1, console=quiet())
    planned = contestant.size(PAIRS, 8)
    trained = contestant.size(PAIRS, 24)
    assert (result.status, result.score) == ("failed", None)
    assert result.reason == f"it trained {trained:,} parameters; the plan gives it {planned:,}"
    # The same from its file, as a reviewer reads it.
    assert read_result(spec, tmp_path / spec.name) == result


def test_diverged_run_is_recorded_with_its_reason(tmp_path: Path) -> None:
    settings = TrainingSettings(
        num_steps=50, optimizer="sgd", learning_rate=1e30, clip_norm=None, evaluate_every=10
    )
    spec = RunSpec(make_task("adding", length=5), LSTM, 4, settings, seed=0)
    result = carry_out_run(spec, tmp_path)
    assert result.status == "failed"
    assert result.score is None
    assert "is not" not in result.reason
    assert "lower the learning rate" in result.reason
    assert read_result(spec, tmp_path) == result
    # The reason says that the checkpoint is kept.
    assert (tmp_path / CHECKPOINT).exists()


def test_damaged_result_is_refused_by_name(tmp_path: Path) -> None:
    spec = finals(PLAN)[0]
    carry_out_run(spec, tmp_path)
    (tmp_path / RESULT).write_text("{}")
    with pytest.raises(FileError, match=r"result\.json is damaged .*; remove it"):
        read_result(spec, tmp_path)
    (tmp_path / RESULT).write_text("{")
    with pytest.raises(FileError, match="is not JSON"):
        read_result(spec, tmp_path)


def test_folder_of_another_run_is_refused(tmp_path: Path) -> None:
    first, second, *_ = finals(PLAN)
    write_json(tmp_path / RUN, first.config())  # begun, not ended
    before = (tmp_path / RUN).read_bytes()
    with pytest.raises(FileError, match="holds a run with other contestant, width"):
        carry_out_run(second, tmp_path)
    assert (tmp_path / RUN).read_bytes() == before
    carry_out_run(first, tmp_path)
    with pytest.raises(FileError, match="choose another folder with --out"):
        carry_out_run(second, tmp_path)


@pytest.mark.slow
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


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    found = subprocess.run(
        ["pgrep", "-g", str(process.pid), "-f", "worker_process"], capture_output=True, text=True
    )
    return [int(pid) for pid in found.stdout.split()]


COMPARE = ("compare", "--tasks", "pair-matching", "--seeds", 1, "--steps", 1000)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the outcomes of a race that nothing happens to."""
    out = tmp_path_factory.mktemp("undisturbed") / "report"
    assert run(*COMPARE, "--out", out).returncode == 0
    return outcomes(out / "runs")


@pytest.mark.slow
@pytest.mark.parametrize("blow", [signal.SIGTERM, signal.SIGKILL])
def test_no_worker_outlives_the_race_and_the_same_command_continues(
    blow: signal.Signals, tmp_path: Path, undisturbed: dict[str, Any]
) -> None:
    killed = tmp_path / "killed"
    process = start(*COMPARE, "--out", killed)
    wait_until(lambda: len(list(killed.glob("runs/*/metrics.jsonl"))) == 2, process)
    assert len(workers_of(process)) == 2
    process.send_signal(blow)
    process.communicate(timeout=10)  # until all that may write to its pipes are gone
    assert not workers_of(process)
    assert not list(killed.glob(f"runs/*/{RESULT}"))
    assert run(*COMPARE, "--out", killed).returncode == 0
    assert outcomes(killed / "runs") == undisturbed


@pytest.mark.slow
def test_killed_worker_is_done_again_and_its_bits_are_those_of_an_undisturbed_race(
    tmp_path: Path, undisturbed: dict[str, Any]
) -> None:
    killed = tmp_path / "killed"
    process = start(*COMPARE, "--out", killed)
    wait_until(lambda: len(list(killed.glob("runs/*/metrics.jsonl"))) == 2, process)
    os.kill(workers_of(process)[0], signal.SIGKILL)
    said, complaint = process.communicate(timeout=60)
    assert process.returncode == 0, complaint
    assert said.count("its process was killed; it is done again") == 1
    assert outcomes(killed / "runs") == undisturbed


def test_run_that_outlives_no_process_has_failed_and_takes_no_other_with_it(tmp_path: Path) -> None:
    specs = troubled("kill")
    told: dict[str, list[int]] = {spec.name: [] for spec in specs}
    first, second, third = carry_out_runs(
        specs,
        tmp_path,
        num_workers=2,
        console=quiet(),
        on_record=lambda spec, record: told[spec.name].append(record.step),
    )
    assert (first.status, third.status) == ("finished", "finished")
    assert second.status == "failed"
    assert second.reason == "its process was killed 3 times, often for lack of memory"
    assert [record.step for record in second.history] == [0, 10]
    assert read_result(specs[1], tmp_path / specs[1].name) == second
    # However often a run was begun, each line of its history is told once and in order.
    assert list(told.values()) == [[0, 10, 20], [0, 10], [0, 10, 20]]
    # Of runs that have ended nothing is told again.
    carry_out_runs(specs, tmp_path, num_workers=2, console=quiet(), on_record=pytest.fail)


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        ("type", "TypeError: unsupported operand"),
        ("memory", "MemoryError: no room for 8 bytes"),
        ("exit", "SystemExit: 3"),
    ],
)
def test_whatever_a_contestant_raises_is_recorded(
    tmp_path: Path, trouble: str, reason: str
) -> None:
    spec = troubled(trouble)[1]
    result = carry_out_run(spec, tmp_path)
    assert (result.status, result.reason) == ("failed", reason)
    assert [record.step for record in result.history] == [0, 10]
    assert read_result(spec, tmp_path) == result


def test_disk_that_cannot_be_written_stops_the_race(tmp_path: Path) -> None:
    specs = finals(PLAN)[:1]
    (tmp_path / specs[0].name).write_text("a file where the run's folder is to be")
    with pytest.raises(FileError, match="cannot write"):
        carry_out_runs(specs, tmp_path, num_workers=1, console=quiet())


def test_damaged_checkpoint_stops_the_race_and_is_no_failure_of_the_run(tmp_path: Path) -> None:
    spec = finals(PLAN)[0]
    folder = tmp_path / spec.name
    folder.mkdir()
    (folder / CHECKPOINT).write_text("cut")
    with pytest.raises(FileError, match=r"checkpoint\.safetensors is damaged"):
        carry_out_runs([spec], tmp_path, num_workers=1, console=quiet())
    assert not (folder / RESULT).exists()
