"""Run a saved model over data or text."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from lstm_baseline.commands.terminal import console, write_data
from lstm_baseline.engine.errors import InputError


def predict(
    model: Annotated[
        Path, typer.Argument(help="A model.safetensors, or the folder that train wrote.")
    ],
    data: Annotated[
        Path | None,
        typer.Option(help="X as in train's --data, as .npy, or .npz with lengths and y."),
    ] = None,
    text: Annotated[
        Path | None, typer.Option(help="A UTF-8 text, for a model of text: bits per character.")
    ] = None,
    every_step: Annotated[
        bool | None,
        typer.Option(
            "--every-step/--last-step",
            help="Outputs at every step, or each row's last one; by default as it was trained.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write .csv or .npz instead of printing a table.")
    ] = None,
) -> None:
    """Run a saved model over your data or text.

    Of data: its outputs, or classes and their probabilities. Of text: bits per character, and what
    comes next.
    """
    from lstm_baseline.usage.predict import check_format

    if (data is None) == (text is None):
        raise InputError("give one of --data and --text")
    if out is not None:
        check_format(out)
    if data is not None:
        _predict_data(model, data, every_step, out)
    elif text is not None:
        if every_step is not None:
            raise InputError("--every-step and --last-step are for --data; text has every step")
        _predict_text(model, text, out)


def _predict_data(model: Path, data: Path, every_step: bool | None, out: Path | None) -> None:
    from rich.progress import Progress

    from lstm_baseline.usage import predict as prediction
    from lstm_baseline.usage.score import describe_score, read_split

    shown = Console(stderr=True)
    with Progress(console=shown, transient=True, disable=not shown.is_terminal) as progress:
        bar = progress.add_task("rows", total=None)
        found = prediction.predict(
            model,
            data,
            every_step,
            lambda done, total: progress.update(bar, completed=done, total=total),
        )
    if out is None:
        write_data(found.csv())
    else:
        found.write(out)
        console.print(f"predictions: {out}", soft_wrap=True)
    for line in describe_score(found, read_split(model)):  # not among the rows of the table
        shown.print(line, markup=False, highlight=False, soft_wrap=True)


def _predict_text(model: Path, text: Path, out: Path | None) -> None:
    from lstm_baseline.usage.text import predict_text

    found = predict_text(model, text)
    for line in found.lines():
        console.print(line, soft_wrap=True)
    if out is not None:
        found.write(out)
        console.print(f"predictions: {out}", soft_wrap=True)
