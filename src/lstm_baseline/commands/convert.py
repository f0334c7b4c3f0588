"""Convert a model's file."""

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from lstm_baseline.commands.terminal import console


def convert(
    source: Annotated[
        Path,
        typer.Argument(
            help="A .safetensors (ours or a PyTorch state dict), .onnx or .keras; "
            "or a folder that train wrote."
        ),
    ],
    target: Annotated[Path, typer.Argument(help="A .safetensors, .onnx or .keras to write.")],
    to: Annotated[
        str | None,
        typer.Option(help="torch writes a .safetensors as a PyTorch state dict, not as ours."),
    ] = None,
    prefix: Annotated[
        str,
        typer.Option(help="What the LSTM's names in a state dict begin with, as 'encoder.lstm.'."),
    ] = "",
    head: Annotated[
        str | None,
        typer.Option(help="Name of the nn.Linear in a state dict that is the readout, as 'fc'."),
    ] = None,
) -> None:
    """Convert an LSTM from one library's file to another's, and check that outputs agree."""
    from lstm_baseline.interop import convert as convert_file
    from lstm_baseline.runs.saved_model import MODEL

    file = source
    with suppress(OSError):  # what cannot be looked at is refused below
        file = source / MODEL if source.is_dir() else source
    found = convert_file(file, target, to=to, prefix=prefix, head=head)
    apart = f"at most {found.error:.0e} of the largest apart" if found.error else "the same"
    for line in (
        repr(found.model),
        *found.notes,
        f"{target}: outputs are {apart}, run by {found.checked_by}",
    ):
        console.print(line, soft_wrap=True)
