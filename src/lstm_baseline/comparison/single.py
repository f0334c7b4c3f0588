"""One model trained for use: the run, then weights that take the user's own numbers."""

from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from lstm_baseline.comparison.plan import RunSpec
from lstm_baseline.comparison.run import MODEL, RunResult, execute
from lstm_baseline.errors import DivergenceError
from lstm_baseline.models import load_model
from lstm_baseline.storage import write_json
from lstm_baseline.tasks import ArrayFile, TextFile
from lstm_baseline.training import Record


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
    result = _execute(spec, folder / "run", console)
    if result.score is None:
        raise DivergenceError(result.reason)
    model = load_model(folder / "run" / MODEL)
    task = spec.task
    if isinstance(task, ArrayFile):
        model.take_raw_inputs(*task.scaling(spec.seed))
        if task.classes is None:
            model.give_raw_outputs(*task.target_scaling(spec.seed))
        else:
            write_json(folder / "labels.json", task.classes.tolist())
    elif isinstance(task, TextFile):
        write_json(folder / "labels.json", list(task.characters))
    model.save(folder / MODEL)
    console.print(_score_table(spec, result))
    console.print(f"model: {folder / MODEL}", soft_wrap=True, highlight=False)


def _execute(spec: RunSpec, folder: Path, console: Console) -> RunResult:
    """Carry out the run with a bar that shows how far it is."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("left"))
    metric = spec.task.metric.name
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        bar = progress.add_task(f"{spec.task.name}  {spec.model}", total=spec.settings.num_steps)

        def show(record: Record) -> None:
            text = f"step {record.step}  validation {metric} {record.metric:.4g}"
            progress.update(bar, completed=record.step, description=text)

        return execute(spec, folder, show)


def _score_table(spec: RunSpec, result: RunResult) -> Table:
    """Return the scores on the test samples, worst rung first, the model last."""
    table = Table("test score", spec.task.metric.name)
    for rung in spec.task.ladder(spec.seed):
        table.add_row(f"{rung.name} ({rung.kind})", f"{rung.score:.4g}")
    table.add_row(f"{spec.model}, untrained", f"{result.untrained_score:.4g}")
    table.add_row(
        f"{spec.model}, {result.num_params:,} parameters, best step {result.best_step}",
        f"{result.score:.4g}",
        style="bold",
    )
    return table
