"""Convert a model's file."""

from pathlib import Path
from typing import Annotated

import typer

from lstm_baseline.commands.terminal import console


def convert(
    source: Annotated[
        Path, typer.Argument(help="A .safetensors (ours or a PyTorch state dict), .onnx or .keras.")
    ],
    target: Annotated[Path, typer.Argument(help="A .safetensors, .onnx or .keras to write.")],
    to: Annotated[
        str | None,
        typer.Option(help="torch writes a .safetensors as a PyTorch state dict, not as ours."),
    ] = None,
    prefix: Annotated[
        str, typer.Option(help="What names of a larger state dict begin with for its LSTM.")
    ] = "",
) -> None:
    """Convert an LSTM from one library's file to another's, and check that outputs agree."""
    from lstm_baseline.interop import convert as convert_file

    found = convert_file(source, target, to=to, prefix=prefix)
    console.print(repr(found.model), soft_wrap=True)
    apart = f"at most {found.error:.0e} of the largest apart" if found.error else "the same"
    console.print(f"{target}: outputs are {apart}, run by {found.checked_by}", soft_wrap=True)
