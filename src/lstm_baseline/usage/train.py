"""Training of one model for use: a run, then weights that take the user's own numbers."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from lstm_baseline.engine.errors import DivergenceError, FileError
from lstm_baseline.engine.storage import write_whole
from lstm_baseline.plots import formats
from lstm_baseline.runs.run import RunResult, carry_out_run, read_result
from lstm_baseline.runs.saved_model import LABELS, MODEL, SPLIT
from lstm_baseline.runs.spec import RunSpec
from lstm_baseline.tasks.base import Rung
from lstm_baseline.tasks.checks import check_task
from lstm_baseline.tasks.ladder import unbeaten
from lstm_baseline.tasks.memoryless import memoryless_rungs
from lstm_baseline.tasks.own_task import is_own_task
from lstm_baseline.training import Record

RUN_FOLDER = "run"


def train_and_save(spec: RunSpec, folder: Path, console: Console) -> None:
    """Train one model, save it, and print its score together with the task's ladder.

    ``folder`` then holds ``model.safetensors``, which takes raw inputs; of a user's file
    ``labels.json`` with the labels of the outputs, if they are classes, and ``split.json`` with the
    rows that were for training, validation and test; and ``run/``, the training run that made them.
    If the model did not learn, by the rule of the race, the last lines say so.

    Raises
    ------
    DivergenceError
        If the loss or a gradient is not finite.
    FileError
        If the folder holds another run or cannot be written.
    InputError
        If a task of the user's breaks a rule that tasks must keep.
    """
    task = spec.task
    console.print(f"{task.name}: {task.summary}")
    notes = check_task(task) if is_own_task(task) else []
    for hint in (*task.hints, *notes):
        console.print(f"hint: {hint}")
    result = _run_with_bar(spec, folder / RUN_FOLDER, console)
    if result.score is None:
        raise DivergenceError(result.reason)
    if result.of_earlier_version:
        raise FileError(
            f"{folder} holds this run as an earlier version carried it out; choose another --out,"
            " or remove it"
        )
    for name in (LABELS, SPLIT, MODEL):  # the model last: with it the folder is complete
        if (made := folder / RUN_FOLDER / name).exists():
            write_whole(folder / name, made.read_bytes())
    ladder = task.ladder(spec.seed)
    console.print(_score_table(spec, result, ladder))
    if rules := unbeaten(result.test_scores, ladder, task.metric):
        console.print(_did_not_learn(spec, result, rules))
    console.print(f"model: {folder / MODEL}", soft_wrap=True)


def _run_with_bar(spec: RunSpec, folder: Path, console: Console) -> RunResult:
    """Carry out the run with a bar that shows how far it is."""
    if (ended := read_result(spec, folder)) is not None:
        console.print(f"this run has ended before, in {folder}", soft_wrap=True)
        return ended
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        TimeRemainingColumn(compact=True),
        TextColumn("left"),
    )
    metric = spec.task.metric.name
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("step 0", total=spec.settings.num_steps)

        def show(record: Record) -> None:
            text = f"step {record.step}  validation {metric} {formats.number(record.metric)}"
            progress.update(bar, completed=record.step, description=text)

        return carry_out_run(spec, folder, show)


def _score_table(spec: RunSpec, result: RunResult, ladder: Sequence[Rung]) -> Table:
    """Return a table of test scores: the ladder, what was fitted without memory, the model."""
    table = Table("test score", formats.metric_label(spec.task.metric))
    table.columns[1].justify = "right"
    for rung in (*ladder, *memoryless_rungs(spec.task, spec.seed)):
        kind = "" if rung.kind == rung.name else f" ({rung.kind})"
        table.add_row(f"{rung.name}{kind}", formats.number(rung.score))
    table.add_row(f"{spec.model}, untrained", formats.number(result.untrained_score))
    table.add_row(
        f"{spec.model}, {result.num_params:,} parameters, best step {result.best_step}",
        formats.number(result.score),
        style="bold",
    )
    return table


def _did_not_learn(spec: RunSpec, result: RunResult, rules: Sequence[str]) -> str:
    """Return the line about a model whose test score does not clearly beat all it has to."""
    names = ["its untrained self" if rule == "untrained" else rule for rule in rules]
    why = f"its test score does not beat {formats.listing(names)} by two standard errors"
    if result.selected_by == "untrained":
        why = (
            "no step of training was better in validation than the untrained network, which is kept"
        )
    return f"did not learn: {why}; more rows, more --steps or another --learning-rate may help"
