"""Figures of intervals in rows: a title to the left, an interval, its numbers to the right."""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lstm_baseline.engine.models import LineStyle
from lstm_baseline.plots import formats
from lstm_baseline.plots.drawing import (
    INK,
    MUTED,
    SMALL_FONT_SIZE,
    figure_of,
    fit,
    label_places,
    make_room_below,
    new_axes,
    unbroken,
    width_of,
    wrapped_label,
)
from lstm_baseline.race.race_statistics import Interval

WIDTH = 6.8
"""Width of a figure in inches."""

_LABELS_WIDTH, _COLUMN_WIDTH = 1.5, 0.72
"""Widths of the titles left of the axes and of each column of numbers right of them, in inches."""
_MARGINS = 0.2
"""Margins above and below together, in inches, where there is neither legend nor label."""
_WIDEST_LABELS = 2.4
"""Room for the titles of rows at most, in inches."""
_LINE, _GAP = 0.16, 0.18
"""Height of a line of text, and the height that a row has besides its lines, in inches."""
_TICK_WIDTH = 0.6
"""Room that the label of a tick needs, in inches."""
_LINEAR = 2.0
"""Limit of linear axes; axes that reach further become logarithmic."""


def interval_rows(
    titles: Sequence[str], reasons: Sequence[str], head: Sequence[str], bold: int | None = None
) -> tuple[Figure, Axes, list[tuple[float, float]]]:
    """Return a figure, axes with a row for each title, and the tops and bottoms of the rows.

    Tops and bottoms are in inches from the top of the figure. A row that has a reason shows it in
    place of its interval. ``head`` has the headings of the columns of numbers to the right.
    """
    right = WIDTH - _COLUMN_WIDTH * len(head) - 0.12
    # Room for the longest word, within reason, so that no name is broken inside a word.
    longest = max((width_of(word) for title in titles for word in unbroken(title)), default=0.0)
    left = min(max(_LABELS_WIDTH, longest + 0.2), _WIDEST_LABELS)
    labels = [fit(title, left - 0.2) for title in titles]
    notes = [fit(reason, right - left - 0.2) for reason in reasons]
    edges, top = [], _LINE + _GAP if head else 0.0
    for texts in zip(labels, notes, strict=True):
        bottom = top + _GAP + _LINE * max(text.count("\n") + 1 for text in texts)
        edges.append((top, bottom))
        top = bottom
    figure, axes = new_axes(WIDTH, top + _MARGINS)
    figure.subplots_adjust(
        left=left / WIDTH,
        right=right / WIDTH,
        bottom=_MARGINS / 2 / (top + _MARGINS),
        top=1 - _MARGINS / 2 / (top + _MARGINS),
    )
    axes.set_ylim(top, 0.0)
    middles = [(start + end) / 2 for start, end in edges]
    axes.set_yticks(middles, labels)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    if bold is not None:
        axes.get_yticklabels()[bold].set_fontweight("bold")
    for middle, note in zip(middles, notes, strict=True):
        axes.text(
            0.5,
            middle,
            note,
            transform=axes.get_yaxis_transform(),
            horizontalalignment="center",
            verticalalignment="center",
            fontstyle="italic",
            color=MUTED,
        )
    put_numbers(axes, edges[0][0] / 2, head, color=MUTED)
    return figure, axes, edges


def put_numbers(axes: Axes, y: float, numbers: Sequence[str], color: str = INK) -> None:
    """Write a row of numbers into the columns to the right."""
    for k, text in enumerate(numbers):
        axes.annotate(
            text,
            (1.0, y),
            xycoords=axes.get_yaxis_transform(),
            xytext=(72 * _COLUMN_WIDTH * (k + 0.5) + 4, 0),
            textcoords="offset points",
            horizontalalignment="center",
            verticalalignment="center",
            fontsize=SMALL_FONT_SIZE,
            color=color,
            annotation_clip=False,
        )


def draw_interval(axes: Axes, y: float, interval: Interval, style: LineStyle) -> None:
    """Draw an interval as a line, if it has ends, and its estimate as a mark."""
    if math.isfinite(interval.low) and math.isfinite(interval.high):
        axes.plot([interval.low, interval.high], [y, y], color=style.color, linewidth=1.8)
    axes.plot(
        [interval.estimate], [y], color=style.color, marker=style.marker, markersize=7, zorder=3
    )


def finish_rows(axes: Axes, *lines: str) -> None:
    """Write ticks and label of the x axis, which is logarithmic if a few values are far away."""
    ends = axes.get_xlim()
    if len(axes.get_xticks()):
        inches = axes.get_position().width * figure_of(axes).get_figwidth()
        most = max(2, int(inches / _TICK_WIDTH))
        axes.xaxis.set_major_locator(MaxNLocator(most, steps=[1, 2, 5, 10]))
    if max(map(abs, ends)) > _LINEAR:
        axes.set_xscale("symlog", linthresh=1.0)
        axes.set_xlim(*ends)
        decades = range(math.ceil(math.log10(max(map(abs, ends)))))
        places = [*(-(10.0**k) for k in reversed(decades)), 0.0, *(10.0**k for k in decades)]
        places = [place for place in places if ends[0] <= place <= ends[1]]
        label_places(axes, places, [f"{place:,g}".replace("-", "−") for place in places])
        lines = (*lines, "logarithmic beyond ±1")
    axes.set_xlabel(wrapped_label(axes, *lines))
    make_room_below(axes)


def column_number(value: float) -> str:
    """Return a number for a column, with three decimals, or three digits where it is large."""
    if not math.isfinite(value):
        return formats.NOTHING
    return formats.number(value, like=0.1 if abs(value) < 100 else None)


def percent(share: float) -> str:
    """Return a share as a percentage."""
    return f"{100 * share:.3g}%"
