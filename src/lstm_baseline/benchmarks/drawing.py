"""A benchmark's picture: how many times as long as ours each peer takes."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from lstm_baseline.benchmarks.entrants import OURS, PEERS
from lstm_baseline.benchmarks.results import Report, Row
from lstm_baseline.engine.models import LineStyle
from lstm_baseline.engine.wording import counted
from lstm_baseline.plots import palette
from lstm_baseline.plots.drawing import BLUE, FAINT, MUTED, add_legend, new_axes, styled

_STYLES = dict(
    zip(
        (peer.name for peer in PEERS),
        (
            LineStyle(palette.RED, "-", "o"),
            LineStyle(palette.GREEN, "-", "s"),
            LineStyle(palette.PURPLE, "-", "D"),
        ),
        strict=True,
    )
)
_WIDTH, _ROW_HEIGHT, _MARGINS = 7.6, 0.185, 1.1
"""Size in inches."""
_HEADING = 1.3
"""Rows that the heading of a group takes."""


class Dots(NamedTuple):
    """One row of the picture."""

    label: str
    threads: int
    ratios: dict[str, float]
    """A peer's median over ours, its fastest way of doing the case."""


class Ratios(NamedTuple):
    """The picture's rows, by what their cases have in common."""

    groups: dict[str, tuple[Dots, ...]]
    peers: tuple[str, ...]
    """Those that have a dot somewhere."""


def ratios(report: Report) -> Ratios:
    """Return every peer's time over ours, at the same number of threads."""
    groups = {
        group: tuple(_dots(row, report.peers) for row in rows)
        for group, rows in report.groups.items()
    }
    seen = {name for rows in groups.values() for dots in rows for name in dots.ratios}
    return Ratios(groups, tuple(name for name in report.peers if name in seen))


def _dots(row: Row, peers: Iterable[str]) -> Dots:
    ours, found = row.ours, {}
    for name in peers:
        median = row.median(name)
        if median is not None and ours is not None:
            found[name] = median / ours
    return Dots(row.case.sizes, row.threads, found)


@styled
def ratios_figure(data: Ratios) -> Figure:
    """Draw a dot a peer on a logarithmic axis; right of the line at 1×, ours is the faster."""
    num_lines = sum(len(rows) + _HEADING for rows in data.groups.values())
    figure, axes = new_axes(_WIDTH, _MARGINS + _ROW_HEIGHT * num_lines, bottom=0.65)
    places, labels, place = [], [], 0.0
    for group, rows in data.groups.items():
        # Above the group's rows, where no dot can be.
        axes.text(
            0.01,
            place,
            group,
            transform=axes.get_yaxis_transform(),
            verticalalignment="center",
            fontweight="bold",
        )
        for k, dots in enumerate(rows):
            place += 1
            again = k > 0 and rows[k - 1].label == dots.label
            count = counted(dots.threads, "thread")
            labels.append(count if again else f"{dots.label},  {count}")
            places.append(place)
            _draw_dots(axes, place, dots)
        # Piece by piece, so that it crosses no heading.
        extent = [place - len(rows) + 0.5, place + 0.5]
        axes.plot([1.0, 1.0], extent, color=BLUE, linewidth=1.6, zorder=1)
        place += _HEADING
    axes.set_yticks(places, labels)
    axes.set_ylim(place - _HEADING + 0.7, -0.8)
    axes.tick_params(axis="y", length=0)
    axes.plot([], [], color=BLUE, linewidth=1.6, label=f"{OURS.name}, 1×")
    for name in data.peers:
        style = _STYLES[name]
        axes.plot([], [], color=style.color, marker=style.marker, linestyle="none", label=name)
    _set_ratio_axis(axes, data)
    add_legend(axes)
    return figure


def _draw_dots(axes: Axes, place: float, dots: Dots) -> None:
    axes.axhline(place, color=FAINT, linewidth=0.5, zorder=0)
    for name, ratio in dots.ratios.items():
        style = _STYLES[name]
        axes.plot(
            [ratio],
            [place],
            color=style.color,
            marker=style.marker,
            markersize=5.5,
            markeredgewidth=0,
        )


def _set_ratio_axis(axes: Axes, data: Ratios) -> None:
    """Show every dot and the line at 1× on a logarithmic axis."""
    values = [r for rows in data.groups.values() for dots in rows for r in dots.ratios.values()]
    low, high = min([1.0, *values]), max([1.0, *values])
    room = max(0.04 * float(np.log10(high / low)), 0.05)
    axes.set_xscale("log")
    axes.set_xlim(low * 10**-room, high * 10**room)
    wide = high / low > 500
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}×"))
    axes.grid(axis="x", color=FAINT, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.set_xlabel(
        f"time of the peer / time of {OURS.name}, on as many threads; right of 1×, ours is faster\n"
        "sizes: batch × steps × inputs × hidden units, or width of a memory slot",
        color=MUTED,
    )
