"""The look of every figure: colours, lines, axes, legends and labels of the axes.

Figures are made through matplotlib's object-oriented interface, so no window and no global figure
is involved. A style that the user has set for matplotlib has no effect here and is not changed.
"""

import functools
import io
import math
import textwrap
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, ParamSpec, TypeVar

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.ticker import NullFormatter

from lstm_baseline.engine.models import MODELS, LineStyle
from lstm_baseline.engine.shapes import FloatArray
from lstm_baseline.plots import palette
from lstm_baseline.plots.fonts import FAMILY, family_of_pdfs
from lstm_baseline.plots.formats import metric_label
from lstm_baseline.tasks.base import Rung, RungKind
from lstm_baseline.tasks.metrics import Metric

P = ParamSpec("P")
R = TypeVar("R")


class Ink(NamedTuple):
    """A colour that depends on whether the page is light or dark."""

    name: str
    light: str
    dark: str


INKS = (
    Ink("ink", "#1f2329", "#e8eaed"),
    Ink("muted", "#5c6670", "#a5adb8"),
    Ink("faint", "#c9ced6", "#4a515b"),
    Ink("blue", palette.BLUE, "#3f9fdc"),
)
INK, MUTED, FAINT, BLUE = (ink.light for ink in INKS)
"""Inks for text and marks, reference lines, axes, and the one colour too dark for a dark page."""


MARKERS = {"o": "●", "s": "■", "^": "▲", "D": "◆", "v": "▼", "P": "✚", "X": "✖", "p": "⬟"}
"""Markers of lines, and the letter that stands for each in text."""

_MODEL_STYLES = {
    kind.name: kind.style._replace(color=getattr(palette, kind.style.color))
    for kind in MODELS.values()
}
_OTHER_STYLES = [
    style
    for style in (
        LineStyle(palette.PURPLE, (0, (1.5, 1)), "D"),
        LineStyle(INK, (0, (9, 1.5, 2, 1.5)), "X"),
        LineStyle(palette.GREY, (0, (2, 2.5)), "p"),
    )
    # A new model of the package takes one of these over.
    if not any(set(map(str, style)) & set(map(str, taken)) for taken in _MODEL_STYLES.values())
]
PART_STYLES = (
    LineStyle(palette.ORANGE, "-", "o"),
    LineStyle(palette.SKY, (0, (5, 1.5)), "s"),
    LineStyle(palette.PURPLE, (0, (1.5, 1)), "^"),
)
"""Colours for the inside of a model: its states, its gates."""

SIZE = (5.4, 3.5)
"""Width and height of most figures, in inches."""

FONT_SIZE, SMALL_FONT_SIZE = 9.0, 8.0
"""Sizes in points."""
_DPI = 100
_TURNED_LENGTH = 1.6
"""Inches of a line of a label that is turned by 90°; more where it would have too many lines."""
_NO_LEGEND = 0.12
"""Inches above axes that have no legend."""
_LINE_HEIGHT = 0.17
"""Inches of a line of text with the gap to the next."""

_MOST_DECADES = 7
"""Labels of powers of ten on an axis at most."""
_LINEAR_PART, _LEAST_LINEAR = 0.5, 0.1
"""Length of the part from 0 to the first decade of a logarithmic axis with zeros, in decades, and
at least as a share of all decades, for the two labels to stand apart."""
_FEW_DIGITS = (-4, 5)
"""Powers of ten between which an axis has them in digits."""
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

RUNG_DASHES: dict[RungKind, Any] = {
    "chance": (0, (1, 2)),
    "heuristic": (0, (5, 2.5)),
    "oracle": "-",
}

_STYLE: dict[Any, Any] = {
    "font.family": ["sans-serif"],
    "font.sans-serif": [FAMILY],
    "font.size": FONT_SIZE,
    "text.usetex": False,
    "text.parse_math": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "xtick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.color": FAINT,
    "ytick.labelcolor": INK,
    "figure.facecolor": "none",
    "legend.frameon": False,
    "svg.fonttype": "path",
    "svg.hashsalt": "lstm-baseline",
    "pdf.fonttype": 42,  # TrueType, which every publisher's check takes
    "path.simplify": True,
}


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """Make a function draw in the report's style, whatever the settings of matplotlib."""

    @functools.wraps(draw)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        with mpl.rc_context(), warnings.catch_warnings():
            # A user's name may need a glyph that the font lacks; it is then drawn as a box.
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")
            mpl.rcdefaults()
            mpl.rcParams.update(_STYLE)
            return draw(*args, **kwargs)

    return wrapper


def model_style(model: str, models: Sequence[str]) -> LineStyle:
    """Return a contestant's style, the same wherever ``models`` names the same contestants.

    Contestants of a known name have styles of their own; the others get the remaining styles, by
    their place. From the ninth contestant on, colours repeat, with other dashes and markers.
    """
    if model in _MODEL_STYLES:
        return _MODEL_STYLES[model]
    unused = [style for name, style in _MODEL_STYLES.items() if name not in models]
    spare = [*_OTHER_STYLES, *unused]
    turn, place = divmod(
        [other for other in models if other not in _MODEL_STYLES].index(model), len(spare)
    )
    dash, marker = (spare[(place + k * turn) % len(spare)] for k in (1, 2))
    return LineStyle(spare[place].color, dash.dash, marker.marker)


def legend_label(text: str) -> str:
    """Return a text as a label that is shown: matplotlib leaves out labels that start with "_"."""
    return f" {text}" if text.startswith("_") else text


def new_axes(width: float, height: float, bottom: float = 0.5) -> tuple[Figure, Axes]:
    """Return a figure and its axes, with sizes and the room below the axes in inches."""
    figure = Figure(figsize=(width, height), dpi=_DPI)
    FigureCanvasAgg(figure)
    figure.subplots_adjust(
        left=0.6 / width, right=1 - 0.12 / width, bottom=bottom / height, top=1 - 0.36 / height
    )
    axes = figure.add_subplot()
    axes.tick_params(length=3)
    return figure, axes


def grow(figure: Figure, *, above: float = 0.0, below: float = 0.0) -> None:
    """Make a figure of `new_axes` higher, in inches above and below; its axes keep their size."""
    width, height = figure.get_size_inches()
    bottom, top = (height * part for part in (figure.subplotpars.bottom, figure.subplotpars.top))
    whole = height + above + below
    figure.set_size_inches(width, whole)
    figure.subplots_adjust(bottom=(bottom + below) / whole, top=(top + below) / whole)


def fit(text: str, width: float) -> str:
    """Break a text into lines of at most ``width`` inches, within words if necessary."""
    for characters in range(len(text), 1, -1):
        lines = textwrap.wrap(text, characters)
        if all(width_of(line) <= width for line in lines):
            return "\n".join(lines)
    return "\n".join(textwrap.wrap(text, 1))


def unbroken(text: str) -> list[str]:
    """Return the parts of a text between which a line may end: words, and what hyphens divide."""
    return textwrap.wrap(text, 1, break_long_words=False)


def width_of(line: str) -> float:
    """Return the width of a line of text in inches."""
    font = FontProperties(family=_STYLE["font.family"], size=FONT_SIZE)
    width, _, _ = _text_renderer().get_text_width_height_descent(line, font, False)
    return float(width) / _DPI


def add_legend(axes: Axes) -> None:
    """Put a legend above the axes, where it hides nothing, in as many rows as it needs.

    Call it when limits and labels are final: it makes room for the labels of the y axis too.
    """
    figure = figure_of(axes)
    renderer = renderer_of(figure)
    labels = axes.yaxis.get_tightbbox(renderer)
    if labels is not None:
        needed = axes.get_window_extent().x0 - labels.x0 + 0.06 * figure.dpi
        figure.subplots_adjust(left=needed / figure.bbox.width)
    handles, names = axes.get_legend_handles_labels()
    if not handles:
        return
    room = (figure.bbox.width - axes.get_window_extent().x0) / figure.dpi
    for columns in range(4, 0, -1):
        if columns == 1:
            names = [fit(name, room - 0.6) for name in names]
        legend = axes.legend(
            handles,
            names,
            loc="lower left",
            bbox_to_anchor=(0.0, 1.0),
            borderaxespad=0.2,
            ncols=columns,
            handlelength=2.6,
            columnspacing=1.2,
        )
        extent = legend.get_window_extent(renderer)
        if extent.x1 <= figure.bbox.width:
            break
    above = figure.bbox.height - axes.get_window_extent().y1
    needed = extent.height + 0.06 * figure.dpi
    grow(figure, above=(needed - above) / figure.dpi)


def remove_legend(figure: Figure) -> None:
    """Take the legend of `add_legend` off a figure, with the room that it took."""
    (axes,) = figure.axes
    legend = axes.get_legend()
    if legend is not None:
        legend.remove()
        above = figure.bbox.height - axes.get_window_extent().y1
        grow(figure, above=_NO_LEGEND - above / figure.dpi)


def label_places(axes: Axes, places: Sequence[float], labels: Sequence[str]) -> None:
    """Put ascending ticks on the x axis; leave out a label that would touch one to its right.

    Call it when limits and the axes' width are final.
    """
    middles = axes.transData.transform([(place, 0.0) for place in places])[:, 0]
    kept: list[int] = []
    edge = np.inf
    for k in reversed(range(len(places))):
        width = width_of(labels[k]) * _DPI
        if middles[k] + width / 2 + 4 <= edge:
            kept.append(k)
            edge = middles[k] - width / 2
    kept.reverse()
    axes.set_xticks([places[k] for k in kept], [labels[k] for k in kept])
    axes.set_xticks([place for k, place in enumerate(places) if k not in kept], minor=True)
    axes.xaxis.set_minor_formatter(NullFormatter())


def label_columns(axes: Axes, labels: Sequence[str]) -> None:
    """Label the places 0, 1, … of the x axis, each within its own width, with room below.

    Labels are broken between words; if a word is wider than its place, all labels are turned.
    Call it when limits and the axes' width are final.
    """
    figure = figure_of(axes)
    low, high = axes.get_xlim()
    room = axes.get_window_extent().width / figure.dpi / (high - low) - 0.06
    parts = [label.split("\n") for label in labels]
    turned = any(width_of(word) > room for label in labels for word in unbroken(label))
    length = _TURNED_LENGTH if turned else room
    lines = _broken(parts, length)
    while turned and max(text.count("\n") + 1 for text in lines) * _LINE_HEIGHT > room:
        length *= 1.25
        lines = _broken(parts, length)
    axes.set_xticks(range(len(lines)), lines, rotation=90 if turned else 0)
    make_room_below(axes)


def _broken(parts: Sequence[Sequence[str]], length: float) -> list[str]:
    return ["\n".join(fit(part, length) for part in label) for label in parts]


def wrapped_label(axes: Axes, *lines: str) -> str:
    """Return the lines of a label below the axes, wrapped to stay within the figure."""
    figure, frame = figure_of(axes), axes.get_window_extent()
    middle, width = (frame.x0 + frame.x1) / 2, figure.bbox.width
    room = 2 * min(middle, width - middle) / figure.dpi - 0.1
    return "\n".join(fit(line, room) for line in lines)


def make_room_below(axes: Axes) -> None:
    """Give the labels of the x axis exactly the room below that they need."""
    figure = figure_of(axes)
    labels = axes.xaxis.get_tightbbox(renderer_of(figure))
    if labels is not None:
        grow(figure, below=0.06 - labels.y0 / figure.dpi)


def axis_label(metric: Metric) -> str:
    """Return the metric, with the better direction in a line below."""
    return metric_label(metric).replace(", ", "\n")


def set_score_axis(
    axes: Axes, label: str, scores: Iterable[float], ladder: Sequence[Rung], higher_is_better: bool
) -> None:
    """Set label, scale and limits of the y axis to suit some scores and a ladder.

    Errors of more than a decade get a logarithmic axis, on which nothing is cut. If there are zeros
    too, it is linear below the decade of the smallest error that is not 0; the label says so.
    """
    values = np.array([*scores, *(rung.score for rung in ladder)], dtype=np.float64)
    low, high = score_limits(values[: len(values) - len(ladder)], ladder, higher_is_better)
    values = values[np.isfinite(values)]
    if not higher_is_better and values.size and _is_logarithmic(values, high):
        label = f"{label}\n{_set_logarithmic(axes, values)}"
    else:
        axes.set_ylim(low, high)
        if high >= 10_000:
            axes.yaxis.set_major_formatter("{x:,g}")
    axes.set_ylabel(label)


def _is_logarithmic(values: FloatArray, high: float) -> bool:
    """Return True for errors of more than a decade, or that linear axes up to ``high`` would cut.

    A measure that can be negative has no place on a logarithmic axis.
    """
    positive = values[values > 0]
    if values.min() < 0 or positive.size == 0:
        return False
    return bool(positive.max() > 10 * positive.min() or positive.max() > high)


def _set_logarithmic(axes: Axes, values: FloatArray) -> str:
    """Make the y axis logarithmic, and return what its label says of that."""
    positive = values[values > 0]
    lowest, highest = float(positive.min()), float(positive.max())
    first, last = math.floor(math.log10(lowest)), math.ceil(math.log10(highest))
    margin = (highest / lowest) ** 0.04
    zero, in_digits = bool((values == 0).any()), _FEW_DIGITS[0] <= first <= last <= _FEW_DIGITS[1]
    if zero:
        linear = 10.0**first
        part = max(_LINEAR_PART, _LEAST_LINEAR * (last - first))
        axes.set_yscale("symlog", linthresh=linear, linscale=part)
        axes.set_ylim(-0.15 * linear, highest * margin)
        note = f"logarithmic, linear below {_power(first, in_digits)}"
    else:
        axes.set_yscale("log")
        axes.set_ylim(lowest / margin, highest * margin)
        note = "logarithmic"
    bottom, top = axes.get_ylim()
    powers = range(first, last + 1, math.ceil((last - first + 1) / _MOST_DECADES))
    places = {10.0**k: _power(k, in_digits) for k in powers}
    if sum(bottom <= place <= top for place in places) < 2:
        places |= {m * 10.0**k: f"{m * 10.0**k:g}" for k in powers for m in (2, 5)}
    places |= {0.0: "0"} if zero else {}
    shown = {place: text for place, text in sorted(places.items()) if bottom <= place <= top}
    axes.set_yticks([*shown], [*shown.values()])
    axes.set_yticks([], minor=True)
    return note


def _power(exponent: int, in_digits: bool) -> str:
    """Return a power of ten."""
    if in_digits or exponent == 0:
        return f"{10.0**exponent:,g}"
    return f"10{str(exponent).translate(_SUPERSCRIPTS)}"


def score_limits(
    scores: Iterable[float], ladder: Sequence[Rung], higher_is_better: bool
) -> tuple[float, float]:
    """Return limits of an axis that show the whole ladder and every score not far beyond it.

    A network that is far worse than the worst rule of the ladder would squeeze everything else
    together. So the room beyond that rule is at most the height of the ladder.
    """
    rungs = [rung.score for rung in ladder]
    values = np.array([*scores, *rungs], dtype=np.float64)
    values = values[np.isfinite(values)]
    if values.size == 0:
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    if rungs and higher_is_better:
        worst = min(rungs)
        low = max(low, worst - (high - worst)) if high > worst else low
    elif rungs:
        worst = max(rungs)
        high = min(high, worst + (worst - low)) if low < worst else high
    margin = 0.04 * (high - low) or 0.05 * abs(high) or 0.05
    return low - margin, high + margin


def note_cut(axes: Axes, scores: Iterable[float]) -> None:
    """Write a note on the figure if scores lie beyond the axis."""
    low, high = axes.get_ylim()
    values = np.fromiter(scores, dtype=np.float64)
    for beyond, y, alignment in ((values > high, 0.98, "top"), (values < low, 0.02, "bottom")):
        if beyond.any():
            axes.text(
                0.98,
                y,
                "some values lie beyond this edge",
                transform=axes.transAxes,
                horizontalalignment="right",
                verticalalignment=alignment,
                fontstyle="italic",
                color=MUTED,
            )


def figure_of(axes: Axes) -> Figure:
    """Return the figure of `new_axes`."""
    figure = axes.figure
    assert isinstance(figure, Figure)
    return figure


def renderer_of(figure: Figure) -> RendererAgg:
    """Return the renderer that measures a figure's texts; it is valid until the size changes."""
    assert isinstance(figure.canvas, FigureCanvasAgg)
    renderer: RendererAgg = figure.canvas.get_renderer()  # type: ignore[no-untyped-call]
    return renderer


@functools.cache
def _text_renderer() -> Any:
    """Return the renderer that measures texts that belong to no figure yet."""
    figure = Figure(figsize=(1, 1), dpi=_DPI)
    FigureCanvasAgg(figure)
    return renderer_of(figure)


@styled
def to_png(figure: Figure) -> bytes:
    """Return a figure as PNG on white, 200 dots an inch."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=200, facecolor="white", metadata={"Software": None})
    return content.getvalue()


@styled
def to_pdf(figure: Figure) -> bytes:
    """Return a figure as PDF on white, for a paper, with its letters embedded as TrueType.

    It holds no date, so the same figure gives the same bytes.
    """
    content = io.BytesIO()
    mpl.rcParams["font.sans-serif"] = [family_of_pdfs()]
    unknown = dict.fromkeys(("CreationDate", "Creator", "Producer"))
    figure.savefig(content, format="pdf", facecolor="white", metadata=unknown)
    return content.getvalue()
