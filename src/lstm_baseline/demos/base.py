"""The parts of every demo: numbers first, then words and a picture that compute nothing."""

from collections.abc import Callable
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich import box
from rich.console import Console
from rich.table import Table


class Demo(NamedTuple):
    """One demo. The same numbers come out at every call: all random draws are seeded."""

    name: str
    summary: str
    """One line: what is shown."""
    compute: Callable[[], Any]
    """Return everything that is told and drawn, as a named tuple."""
    tell: Callable[[Console, Any], None]
    """(console, numbers): print what they show and why it matters."""
    draw: Callable[[Any], Figure]
    """numbers -> picture."""

    def run(self, console: Console) -> Figure:
        """Compute, print, and return the picture."""
        numbers = self.compute()
        self.tell(console, numbers)
        return self.draw(numbers)


def say(console: Console, text: str, *, style: str = "") -> None:
    """Print a paragraph as it stands, wrapped to the console, and an empty line."""
    console.print(text, style=style, markup=False, highlight=False)
    console.print()


def show_table(
    console: Console, header: list[str], rows: list[list[str]], *, left: int = 1
) -> None:
    """Print a table whose first ``left`` columns are text and whose others are numbers."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for k, title in enumerate(header):
        table.add_column(title, justify="left" if k < left else "right", no_wrap=k >= left)
    for row in rows:
        table.add_row(*row)
    console.print(table, markup=False, highlight=False)
    console.print()


def tidy(axes: Axes) -> None:
    """Take away the lines of the frame that carry no scale."""
    axes.spines[["top", "right"]].set_visible(False)
