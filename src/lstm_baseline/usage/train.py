"""One model trained for use: the run, then weights that take the user's own numbers."""

from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from lstm_baseline.engine.errors import DivergenceError, FileError
from lstm_baseline.engine.models import SequenceModel, load_model
from lstm_baseline.engine.storage import write_json
from lstm_baseline.plots import formats
from lstm_baseline.runs.run import MODEL, RunResult, carry_out_run, read_result
from lstm_baseline.runs.spec import RunSpec
from lstm_baseline.tasks import ArrayFile, TextFile
from lstm_baseline.training import Record

LABELS, RUN_FOLDER = "labels.json", "run"


def train_and_save(spec: RunSpec, folder: Path, console: Console) -> None:
    """Train one model and save it, with its score beside the task's ladder on the console.

    ``folder`` then holds ``model.safetensors``, for raw inputs; ``labels.json``, what its outputs
    stand for, where they are classes of the user's file; and ``run/``, how it was trained.

    Raises
    ------
    DivergenceError
        If the loss or a gradient is not finite.
    FileError
        If the folder holds another run, or cannot be written.
    """
    task = spec.task
    console.print(f"{task.name}: {task.summary}")
    result = _run_with_bar(spec, folder / RUN_FOLDER, console)
    if result.score is None:
        raise DivergenceError(result.reason)
    model = load_model(folder / RUN_FOLDER / MODEL)
    if isinstance(task, ArrayFile):
        model = _for_raw_numbers(model, task, spec.seed)
        if task.classes is not None:
            write_json(folder / LABELS, task.classes.tolist())
    elif isinstance(task, TextFile):
        write_json(folder / LABELS, list(task.characters))
    model.save(folder / MODEL)
    console.print(_score_table(spec, result))
    console.print(f"model: {folder / MODEL}", soft_wrap=True)


def _run_with_bar(spec: RunSpec, folder: Path, console: Console) -> RunResult:
    """Carry out the run with a bar that shows how far it is."""
    if (ended := read_result(spec, folder)) is not None:
        console.print(f"this run has ended before, in {folder}", soft_wrap=True)
        return ended
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        TextColumn("left"),
        TimeRemainingColumn(compact=True),
    )
    metric = spec.task.metric.name
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("step 0", total=spec.settings.num_steps)

        def show(record: Record) -> None:
            text = f"step {record.step}  validation {metric} {formats.number(record.metric)}"
            progress.update(bar, completed=record.step, description=text)

        return carry_out_run(spec, folder, show)


def _for_raw_numbers(model: SequenceModel, task: ArrayFile, seed: int) -> SequenceModel:
    """Return the model for the file's own numbers, in float64 where float32 is too coarse.

    Raises
    ------
    FileError
        If not even float64 tells the numbers of a feature apart.
    """
    inputs, test = task.scaling(seed), task.test(seed)
    outputs = model.forward(test.x, task.per_step, lengths=test.lengths)
    raw_x = test.x.astype(np.float64) * inputs.scale + inputs.mean
    for dtype in (model.dtype, np.float64):
        raw = model.astype(dtype)
        raw.take_raw_inputs(*inputs)
        raw_outputs = raw.forward(raw_x, task.per_step, lengths=test.lengths)
        if np.abs(raw_outputs - outputs).max() <= 1e-2 * max(1.0, float(np.abs(outputs).max())):
            if task.classes is None:
                raw.give_raw_outputs(*task.target_scaling(seed))
            return raw
    raise FileError(
        f"{task.config()['path']}: a feature of X is too large beside its spread to be computed "
        "with; subtract its mean before saving the file"
    )


def _score_table(spec: RunSpec, result: RunResult) -> Table:
    """Return the scores on the test samples, worst rung first, the model last."""
    table = Table("test score", formats.metric_label(spec.task.metric))
    table.columns[1].justify = "right"
    for rung in spec.task.ladder(spec.seed):
        kind = "" if rung.kind == rung.name else f" ({rung.kind})"
        table.add_row(f"{rung.name}{kind}", formats.number(rung.score))
    table.add_row(f"{spec.model}, untrained", formats.number(result.untrained_score))
    table.add_row(
        f"{spec.model}, {result.num_params:,} parameters, best step {result.best_step}",
        formats.number(result.score),
        style="bold",
    )
    return table
