"""The look of figures: limits, styles, names of any kind, settings of a user's."""

import io
import itertools
import os
import subprocess
import sys

import matplotlib as mpl
import matplotlib.image
import numpy as np
import pytest

from lstm_baseline.engine.models import MODELS
from lstm_baseline.plots.drawing import (
    MARKERS,
    fit,
    model_style,
    new_axes,
    remove_legend,
    score_limits,
    set_score_axis,
    to_pdf,
    to_png,
    width_of,
)
from lstm_baseline.plots.svg import to_svg
from lstm_baseline.race.report.sections.curves import learning_curves, learning_curves_figure
from tests.support.figure_checks import assert_nothing_overlaps
from tests.support.figure_races import HOSTILE, two_models
from tests.support.races import CHANCE, ERROR_LADDER, LADDER


@pytest.mark.parametrize(
    ("scores", "ladder", "higher", "expected"),
    [
        ([0.3, 0.9], LADDER, True, (0.25, 1.0)),
        ([0.1], LADDER, True, (0.1, 1.0)),
        ([-9.0], LADDER, True, (-0.5, 1.0)),
        ([0.1, 9.0], ERROR_LADDER, False, (0.0, 0.8)),
        ([2.0, 3.0], (), False, (2.0, 3.0)),
        ([2.0, np.nan, 3.0], (), False, (2.0, 3.0)),
    ],
)
def test_score_limits(scores, ladder, higher, expected):
    low, high = score_limits(scores, ladder, higher)
    margin = 0.04 * (expected[1] - expected[0])
    assert (low, high) == pytest.approx((expected[0] - margin, expected[1] + margin))


def axis(scores, ladder=(), higher_is_better=False):
    _, axes = new_axes(5.4, 3.5)
    set_score_axis(axes, "error", scores, ladder, higher_is_better)
    return axes


def ticks(axes):
    return [text.get_text() for text in axes.get_yticklabels()]


@pytest.mark.parametrize(
    ("scores", "ladder", "scale"),
    [
        ([0.1, 0.9], (), "linear"),
        ([0.1, 1.1], (), "log"),
        ([0.1, 1.1, 0.0], (), "symlog"),
        ([0.3, 0.2], ERROR_LADDER, "linear"),  # its oracle is 0
        ([0.3, 0.03], ERROR_LADDER, "symlog"),
        ([0.3, 0.9], ERROR_LADDER, "symlog"),  # linear axes would cut it
        ([-0.1, 5.0, 0.01], (), "linear"),
        ([0.0, 0.0], (), "linear"),
        ([np.nan, 0.1, np.inf, 2.0], (), "log"),
        ([], (), "linear"),
    ],
)
def test_errors_of_more_than_a_decade_are_on_a_logarithmic_axis(scores, ladder, scale):
    axes = axis(scores, ladder)
    assert axes.get_yscale() == scale
    assert axis(scores, ladder, higher_is_better=True).get_yscale() == "linear"
    low, high = axes.get_ylim()
    values = [*scores, *(rung.score for rung in ladder)]
    assert all(low < value < high for value in values if np.isfinite(value))
    said = {
        "linear": "error",
        "log": "error\nlogarithmic",
        "symlog": "error\nlogarithmic, linear below",
    }
    assert axes.get_ylabel().startswith(said[scale])
    assert ("logarithmic" in axes.get_ylabel()) == (scale != "linear")


def test_zero_has_a_place_below_the_smallest_error():
    axes = axis([0.0, 0.002, 0.5])
    assert axes.get_ylabel() == "error\nlogarithmic, linear below 0.001"
    assert ticks(axes) == ["0", "0.001", "0.01", "0.1"]
    heights = axes.transData.transform([(0, y) for y in (0, 0.001, 0.01, 0.1)])[:, 1]
    apart = np.diff(heights)
    assert apart[1] == pytest.approx(apart[2])
    assert 0.3 * apart[1] < apart[0] < apart[1]


@pytest.mark.parametrize(
    ("scores", "shown"),
    [
        ([0.2, 3.0], ["0.2", "0.5", "1", "2"]),
        ([1e-6, 0.5], ["10⁻⁶", "10⁻⁵", "10⁻⁴", "10⁻³", "10⁻²", "10⁻¹"]),
        ([20.0, 3e4], ["100", "1,000", "10,000"]),
        ([1e-30, 1.0], ["10⁻³⁰", "10⁻²⁵", "10⁻²⁰", "10⁻¹⁵", "10⁻¹⁰", "10⁻⁵", "1"]),
    ],
)
def test_powers_of_ten_are_written_alike(scores, shown):
    assert ticks(axis(scores)) == shown


def test_a_figure_without_its_legend_loses_only_that():
    data = learning_curves(two_models())
    with_legend, without = (learning_curves_figure(data) for _ in range(2))
    remove_legend(without)
    (axes,), (expected,) = without.axes, with_legend.axes
    assert axes.get_legend() is None
    assert expected.get_legend() is not None
    size, frame = axes.get_window_extent().size, expected.get_window_extent().size
    np.testing.assert_allclose(size, frame)
    assert without.get_figheight() < with_legend.get_figheight() - 0.1
    assert_nothing_overlaps(without)


def test_score_limits_are_never_empty():
    for scores, ladder in (([], ()), ([0.5], ()), ([0.0, 0.0], ()), ([0.25], (CHANCE,))):
        low, high = score_limits(scores, ladder, True)
        assert low < high


def test_the_package_s_models_share_neither_colour_nor_dash_nor_marker():
    styles = {kind.name: kind.style for kind in MODELS.values()}
    for one, other in itertools.combinations(styles, 2):
        shared = set(map(str, styles[one])) & set(map(str, styles[other]))
        assert not shared, f"{one} and {other} share {shared}"
    assert {style.marker for style in styles.values()} <= MARKERS.keys()


@pytest.mark.parametrize(
    "models",
    [
        ["lstm", "mine", "relational", "yours", "gru"],
        [f"own {k}" for k in range(8)],
        ["lstm", *(f"own {k}" for k in range(7))],
    ],
)
def test_every_model_looks_different_in_colour_and_without(models):
    styles = [model_style(model, models) for model in models]
    for column in zip(*styles, strict=True):
        assert len({str(value) for value in column}) == len(models)


def test_a_contestant_of_a_known_name_keeps_its_style():
    assert model_style("lstm", ["gru", "lstm"]) == model_style("lstm", ["lstm", *HOSTILE])


def test_a_crowd_of_contestants_still_has_a_style_each():
    models = ["gru", *(f"own {k}" for k in range(40))]
    assert len({str(model_style(model, models)) for model in models}) == len(models)


def test_png_is_on_white():
    png = to_png(learning_curves_figure(learning_curves(two_models())))
    image = mpl.image.imread(io.BytesIO(png), format="png")
    assert image.shape[1] == 1080
    np.testing.assert_array_equal(image[0, 0], [1, 1, 1, 1])


def test_pdf_embeds_its_letters_as_truetype_and_is_the_same_each_time():
    pdf = to_pdf(learning_curves_figure(learning_curves(two_models())))
    assert pdf.startswith(b"%PDF-")
    assert b"/FontFile2" in pdf  # TrueType; Type 3 fonts have none
    assert b"/Type3" not in pdf
    assert b"Date" not in pdf
    assert pdf == to_pdf(learning_curves_figure(learning_curves(two_models())))


def test_a_pdf_is_the_same_in_every_process_and_has_all_faces(tmp_path):
    code = """
import hashlib, re
from lstm_baseline.plots.drawing import new_axes, styled, to_pdf
@styled
def draw():
    figure, axes = new_axes(3, 2)
    axes.set_title("bold", fontweight="bold")
    axes.set_xlabel("slanted", fontstyle="italic")
    return figure
pdf = to_pdf(draw())
print(sorted(set(re.findall(rb"/BaseFont /[A-Z]*.([A-Za-z-]*)", pdf))))
print(hashlib.sha256(pdf).hexdigest())
"""
    command = [sys.executable, "-W", "error", "-c", code]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    # The second one starts a second later: dates in a font are in seconds.
    first, second = (
        subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        for _ in range(2)
    )
    assert first.stdout.splitlines()[0] == str(
        [b"DejaVuSans", b"DejaVuSans-Bold", b"DejaVuSans-Oblique"]
    )
    assert first.stdout == second.stdout
    # It neither complains at its end nor leaves its fonts behind.
    assert first.stderr == second.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_words_are_broken_only_where_they_must():
    assert fit("a short name", 5.0) == "a short name"
    assert fit("a short name", 0.5) == "a short\nname"
    lines = fit("W" * 60, 1.0).split("\n")
    assert "".join(lines) == "W" * 60
    assert all(0.8 < width_of(line) <= 1.0 for line in lines[:-1])
    assert fit("", 1.0) == ""


def test_a_user_s_matplotlib_settings_neither_show_nor_change():
    data = learning_curves(two_models())
    expected = to_svg(learning_curves_figure(data))
    own = {"text.usetex": True, "axes.grid": True, "legend.fontsize": 20, "axes.facecolor": "red"}
    with mpl.rc_context(own):
        before = dict(mpl.rcParams)
        assert to_svg(learning_curves_figure(data)) == expected
        assert dict(mpl.rcParams) == before


def test_no_window_system_is_touched():
    page = "lstm_baseline.race.report.page"
    code = f"import sys, {page}; print('matplotlib.pyplot' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
