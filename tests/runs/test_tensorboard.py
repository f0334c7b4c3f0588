"""Event files, read back with TensorBoard's own reader."""

from contextlib import closing
from pathlib import Path

import pytest

from lstm_baseline.runs.pool import carry_out_runs
from lstm_baseline.runs.spec import RunSpec
from lstm_baseline.runs.tensorboard import EventFiles
from lstm_baseline.training import Record
from tests.support.runs import quiet, troubled

accumulator = pytest.importorskip(
    "tensorboard.backend.event_processing.event_accumulator",
    reason="TensorBoard is not installed",
)


def read(directory: Path) -> dict[str, list[tuple[int, float]]]:
    """Return every scalar in a directory, by its tag, as steps and values."""
    events = accumulator.EventAccumulator(str(directory)).Reload()
    return {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }


def expected(history: list[Record]) -> dict[str, list[tuple[int, object]]]:
    """Return the scalars of a history; the files hold float32."""
    columns = {
        "training/loss": [(r.step, r.loss) for r in history[1:]],
        "training/gradient_norm": [(r.step, r.gradient_norm) for r in history[1:]],
        "training/learning_rate": [(r.step, r.learning_rate) for r in history[1:]],
        "validation/accuracy": [(r.step, r.metric) for r in history],
    }
    return {
        tag: [(step, pytest.approx(value, rel=1e-6)) for step, value in column]
        for tag, column in columns.items()
    }


def test_every_record_of_a_race_is_there_once(tmp_path: Path) -> None:
    specs = troubled("none")
    with closing(EventFiles(tmp_path)) as files:
        results = carry_out_runs(
            specs, tmp_path / "runs", num_workers=2, console=quiet(), on_record=files.write
        )
    for spec, result in zip(specs, results, strict=True):
        directory = files.directory(spec)
        assert directory.parent == tmp_path / "tensorboard"
        assert directory.name.startswith(f"troubled--lstm--seed{spec.seed}")
        assert read(directory) == expected(result.history)


def test_resumed_run_repeats_no_step_and_lacks_none(tmp_path: Path) -> None:
    spec: RunSpec = troubled("none")[0]
    history = [Record(step, 1.0, 0.5, 2.0, 0.1, 0.25) for step in range(0, 50, 10)]
    for length in (2, 5):  # stopped after two records; told from the first one again
        with closing(EventFiles(tmp_path)) as files:
            for record in history[:length]:
                files.write(spec, record)
    assert [step for step, _ in read(files.directory(spec))["validation/accuracy"]] == [
        *range(0, 50, 10)
    ]


def test_what_is_written_can_be_read_while_the_race_runs(tmp_path: Path) -> None:
    spec: RunSpec = troubled("none")[0]
    with closing(EventFiles(tmp_path)) as files:
        files.write(spec, Record(10, 1.0, 0.5, 2.0, 0.1, 0.25))
        assert read(files.directory(spec))["training/loss"] == [(10, 0.5)]
