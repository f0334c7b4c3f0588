"""A race's runs as TensorBoard shows them, in event files that TensorBoard's own writer makes."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lstm_baseline.engine.errors import InputError
from lstm_baseline.runs.spec import RunSpec
from lstm_baseline.training import Record

FOLDER = "tensorboard"

_MOST_OPEN = 100
"""Files open at once; a run that has been silent for long gets another one when it speaks again."""


class EventFiles:
    """Event files of a race, a directory a run, by the run's name.

    Scalars are ``training/loss``, ``training/gradient_norm``, ``training/learning_rate`` and the
    task's metric, such as ``validation/accuracy``, by training step, in float32. Steps that are
    there already are not written again, so a race that goes on continues them.

    Parameters
    ----------
    folder
        The race's folder.

    Raises
    ------
    InputError
        If TensorBoard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            import tensorboard  # noqa: F401
        except ImportError as error:
            raise InputError(
                "TensorBoard is not installed; pip install 'lstm-baseline[tensorboard]'"
            ) from error
        self._folder = folder / FOLDER
        self._last_steps: dict[str, int] = {}
        self._writers: dict[str, Any] = {}

    def close(self) -> None:
        """Close all files; ``contextlib.closing`` calls it."""
        for writer in self._writers.values():
            writer.close()

    def write(self, spec: RunSpec, record: Record) -> None:
        """Write a line of a run's history; what a reader finds is then complete."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        directory = self.directory(spec)
        if spec.name not in self._last_steps:
            self._last_steps[spec.name] = _last_step(directory)
        if record.step <= self._last_steps[spec.name]:
            return
        writer = self._writers.pop(spec.name, None) or EventFileWriter(str(directory))
        values = [Summary.Value(tag=tag, simple_value=x) for tag, x in _scalars(spec, record)]
        summary = Summary(value=values)
        writer.add_event(Event(wall_time=time.time(), step=record.step, summary=summary))
        writer.flush()
        self._last_steps[spec.name] = record.step
        self._writers[spec.name] = writer
        if len(self._writers) > _MOST_OPEN:
            self._writers.pop(next(iter(self._writers))).close()

    def directory(self, spec: RunSpec) -> Path:
        """Return where a run's event files are."""
        return self._folder / spec.name


def _scalars(spec: RunSpec, record: Record) -> Iterator[tuple[str, float]]:
    """Yield a record's numbers under the names that TensorBoard groups them by."""
    metric = spec.task.metric.name.replace(" ", "_")
    for tag, value in (
        ("training/loss", record.loss),
        ("training/gradient_norm", record.gradient_norm),
        ("training/learning_rate", record.learning_rate),
        (f"validation/{metric}", record.metric),
    ):
        if value is not None:
            yield tag, value


def _last_step(directory: Path) -> int:
    """Return the last step in a run's event files, -1 if there are none."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    if not directory.exists():
        return -1
    events = EventAccumulator(str(directory)).Reload()
    tags = events.Tags()["scalars"]
    return max((events.Scalars(tag)[-1].step for tag in tags), default=-1)
