"""Run the demos."""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lstm_baseline.commands.terminal import console
from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.storage import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def demo(
    name: Annotated[str | None, typer.Argument(help="A demo; all of them without.")] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Save the picture here: .png, .svg or .pdf.")
    ] = None,
) -> None:
    """Show what an LSTM does, in five small demos."""
    from lstm_baseline.demos import DEMOS

    if name is not None and name not in DEMOS:
        raise InputError(f"no demo is named {name!r}; give one of: {', '.join(DEMOS)}")
    if plot is not None:
        _check_picture_path(plot)
    for each in DEMOS.values() if name is None else [DEMOS[name]]:
        figure = each.run(console)
        if plot is not None:
            _save_picture(figure, plot if name else plot.with_stem(f"{plot.stem}-{each.name}"))


def _save_picture(figure: "Figure", path: Path) -> None:
    content = io.BytesIO()
    figure.savefig(content, format=path.suffix[1:], dpi=150)
    write_whole(path, content.getvalue())
    console.print(f"picture: {path}", soft_wrap=True)


def _check_picture_path(path: Path) -> None:
    if path.suffix not in (".png", ".svg", ".pdf"):
        raise InputError(f"--plot is {str(path)!r}; end it in .png, .svg or .pdf")
