"""Put races side by side."""

from pathlib import Path
from typing import Annotated

import typer

from lstm_baseline.commands.terminal import console
from lstm_baseline.engine.wording import counted


def board(
    folders: Annotated[list[Path], typer.Argument(help="Folders that compare wrote.")],
    out: Annotated[Path, typer.Option(help="Folder of the page and the table.")] = Path("board"),
    data: Annotated[
        Path,
        typer.Option(help="Folder of the files, or of the modules with own tasks, of the races."),
    ] = Path(),
) -> None:
    """Put races on equal tasks side by side: one static page, and a table.

    Each folder is checked first, as verify does it, and the page says what did not pass; nothing is
    trained.
    """
    from lstm_baseline.race.board import make_board, write_board

    found = make_board(folders, data=data)
    path = write_board(found, out)
    for task in found:
        console.print(f"{task.name}: {counted(len(task.entries), 'contestant')}")
    doubtful = {entry.folder for task in found for entry in task.entries if entry.problems}
    for folder in folders:
        if folder in doubtful:
            console.print(f"{folder} is not verified; `lstm-baseline verify {folder}` says why")
    console.print(f"{path}", soft_wrap=True)
