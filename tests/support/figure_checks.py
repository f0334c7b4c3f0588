"""Checks of every figure: nothing in it covers anything else or is cut off."""

import itertools

from lstm_baseline.plots.drawing import styled


def renderer(figure):
    figure.canvas.draw()
    return figure.canvas.get_renderer()


def ladder_labels(figure):
    """Return the texts to the right of the axes."""
    (axes,) = figure.axes
    frame = axes.get_window_extent()
    extents = [(t, t.get_window_extent(renderer(figure))) for t in axes.texts]
    return [(text, box) for text, box in extents if box.x0 > frame.x1]


def shown_ticks(axes):
    """Return tick labels within the axis limits; matplotlib keeps others but does not draw them."""
    return [
        label
        for axis, limits in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim()))
        for tick in axis.get_major_ticks()
        for label in (tick.label1, tick.label2)
        if label.get_visible() and min(limits) <= tick.get_loc() <= max(limits)
    ]


@styled
def assert_nothing_overlaps(figure):
    """Check that texts and legends do not overlap, and lie within the figure and off the axes."""
    draw = renderer(figure)
    frames, boxes = [], []
    for axes in figure.axes:
        frames.append(axes.get_window_extent())
        texts = [axes.xaxis.label, axes.yaxis.label, axes.title, *shown_ticks(axes), *axes.texts]
        boxes += [
            (text.get_text(), text.get_window_extent(draw)) for text in texts if text.get_text()
        ]
        if axes.get_legend() is not None:
            boxes.append(("legend", axes.get_legend().get_window_extent(draw)))
    for name, box in boxes:
        assert box.x0 >= -1, name
        assert box.y0 >= -1, name
        assert box.x1 <= figure.bbox.width + 1, name
        assert box.y1 <= figure.bbox.height + 1, name
        for frame in frames:
            within = frame.contains(box.x0, box.y0) and frame.contains(box.x1, box.y1)
            assert within or not frame.padded(-3).overlaps(box), name
    for (name, box), (other, its) in itertools.combinations(boxes, 2):
        assert not box.overlaps(its), (name, other)
