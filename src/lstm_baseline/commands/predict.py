"""Run a saved model over data."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from lstm_baseline.commands.terminal import console, write_data


def predict(
    model: Annotated[
        Path, typer.Argument(help="A model.safetensors, or the folder that train wrote.")
    ],
    data: Annotated[
        Path, typer.Option(help="Sequences: X (N, T, I) as .npy, or .npz with lengths as well.")
    ],
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
    """Run a saved model over your data: its outputs, or classes and their probabilities."""
    from rich.progress import Progress

    from lstm_baseline.usage import predict as prediction

    if out is not None:
        prediction.check_format(out)
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
