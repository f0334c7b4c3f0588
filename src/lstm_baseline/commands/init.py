"""Write a race's file."""

from pathlib import Path
from typing import Annotated

import typer

from lstm_baseline.commands.options import PresetOption
from lstm_baseline.commands.terminal import console


def init(
    race: Annotated[Path, typer.Argument(help="The file to write, race.toml say.")],
    preset: PresetOption = "quick",
) -> None:
    """Write a race's file, with comments, to change and give to compare."""
    from lstm_baseline.race.race_file import write_preset

    write_preset(preset, race)
    console.print(f"race: {race}", soft_wrap=True)
