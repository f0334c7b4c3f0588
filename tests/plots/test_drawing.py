"""The look of figures: limits, styles, names of any kind, settings of a user's."""

import io
import itertools
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
    score_limits,
    to_pdf,
    to_png,
    width_of,
)
from lstm_baseline.plots.svg import to_svg
from lstm_baseline.race.report.sections.curves import learning_curves, learning_curves_figure
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
