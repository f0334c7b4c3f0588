"""Labels to the right of the axes: the rungs of a ladder, moved apart where they lie too close."""

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Text

from lstm_baseline.plots.drawing import (
    FAINT,
    MUTED,
    RUNG_DASHES,
    SMALL_FONT_SIZE,
    figure_of,
    renderer_of,
)
from lstm_baseline.plots.formats import number
from lstm_baseline.tasks.base import Rung


def draw_ladder(axes: Axes, ladder: Sequence[Rung]) -> list[Text]:
    """Draw each rung as a line across, labelled to the right of the axes.

    Call it when the axis limits are final. The figure's right margin is made to fit.
    """
    low, high = axes.get_ylim()
    shown = [rung for rung in ladder if low <= rung.score <= high]
    for rung in shown:
        axes.axhline(
            rung.score, color=MUTED, linewidth=1, linestyle=RUNG_DASHES[rung.kind], zorder=1
        )
    return label_right(
        axes,
        [
            (rung.score, "\n".join([*textwrap.wrap(rung.name, 18), number(rung.score)]))
            for rung in shown
        ],
    )


def label_right(axes: Axes, labels: Sequence[tuple[float, str]]) -> list[Text]:
    """Put texts to the right of the axes, each at its place on the y axis or near it.

    Texts whose places lie too close are moved apart, and a thin line leads from each place to its
    text. The figure's right margin is made to fit.
    """
    figure = figure_of(axes)
    renderer = renderer_of(figure)
    labels = sorted(labels)
    if not labels:
        return []
    texts = [
        axes.text(
            1.0,
            place,
            text,
            color=MUTED,
            fontsize=SMALL_FONT_SIZE,
            verticalalignment="center",
            transform=axes.get_yaxis_transform(),
            clip_on=False,
        )
        for place, text in labels
    ]
    boxes = [text.get_window_extent(renderer) for text in texts]
    lead = 0.16 * figure.dpi
    margin = max(box.width for box in boxes) + lead + 0.06 * figure.dpi
    figure.subplots_adjust(right=1 - margin / figure.bbox.width)

    frame = axes.get_window_extent()
    # The axis may be logarithmic: places are those on the screen.
    wanted = axes.transData.transform([(0.0, place) for place, _ in labels])[:, 1].tolist()
    centres = spread_out(wanted, [box.height + 2 for box in boxes], 0.0, frame.y1)
    for start, text, centre in zip(wanted, texts, centres, strict=True):
        x, y = 1 + lead / frame.width, (centre - frame.y0) / frame.height
        text.set_transform(axes.transAxes)
        text.set_position((x, y))
        axes.plot(
            [1, x - 0.03 * figure.dpi / frame.width],
            [(start - frame.y0) / frame.height, y],
            transform=axes.transAxes,
            color=FAINT,
            linewidth=0.8,
            clip_on=False,
            scaley=False,
            scalex=False,
        )
    return texts


def spread_out(
    wanted: Sequence[float], sizes: Sequence[float], low: float, high: float
) -> list[float]:
    """Return places as near as possible to the wanted ones at which intervals do not overlap.

    Parameters
    ----------
    wanted
        Wanted middles of the intervals, ascending.
    sizes
        Lengths of the intervals.
    low, high
        Limits between which the intervals lie, as far as there is room.
    """
    # Intervals that touch form a block, placed where the mean displacement of its members is zero.
    blocks: list[list[int]] = []

    def extent(block: list[int]) -> tuple[float, float]:
        lengths = np.array([sizes[k] for k in block])
        middles = np.cumsum(lengths) - lengths / 2
        start = float(np.mean(np.array([wanted[k] for k in block]) - middles))
        total = float(lengths.sum())
        start = max(min(start, high - total), low)
        return start, start + total

    for k in range(len(wanted)):
        blocks.append([k])
        while len(blocks) > 1 and extent(blocks[-2])[1] > extent(blocks[-1])[0]:
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    places = []
    for block in blocks:
        edge, _ = extent(block)
        for k in block:
            places.append(edge + sizes[k] / 2)
            edge += sizes[k]
    return places
