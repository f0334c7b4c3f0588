"""Options that several commands take."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lstm_baseline.engine.errors import InputError

if TYPE_CHECKING:
    from lstm_baseline.tasks import Task

DataOption = Annotated[
    Path | None,
    typer.Option(
        help="Your own data: .npz with X, y and, if rows differ, lengths; or music, .json or .mat."
    ),
]
TextOption = Annotated[
    Path | None,
    typer.Option(help="Your own text: any UTF-8 file; the task is to predict the next character."),
]
Target = Literal["auto", "classification", "regression", "labels"]
TargetOption = Annotated[
    Target,
    typer.Option(help="What y in --data is: auto, classification, regression, or several labels."),
]
Split = Literal["auto", "time"]
SplitOption = Annotated[
    Split,
    typer.Option(
        help="Test rows of --data: auto draws them, or takes what the file says; time: the last."
    ),
]
StepsOption = Annotated[
    int | None, typer.Option(min=1, help="Training steps of each run; the preset's by default.")
]


PresetOption = Annotated[
    str,
    typer.Option(
        help="quick: minutes on two cores; state-tracking, recall: longer; the others: hours."
    ),
]


def own_task(data: Path | None, text: Path | None, target: Target, split: Split) -> "Task":
    """Return the task made from the user's own file."""
    from lstm_baseline.tasks import TextFile, read_data

    if data is not None:
        return read_data(data, target, split)
    assert text is not None
    return TextFile(text)


def refuse_without_data(target: Target, split: Split, data: Path | None) -> None:
    """Refuse --target and --split without --data, which they describe."""
    if target != "auto" and data is None:
        raise InputError("--target says what y in --data is; give --data as well")
    if split != "auto" and data is None:
        raise InputError("--split says which rows of --data are for test; give --data as well")
