"""Figures carry the data they should, and nothing in them covers anything else."""

import io
import subprocess
import sys
import xml.etree.ElementTree as ET

import matplotlib as mpl
import matplotlib.image
import numpy as np
import pytest

from lstm_baseline import GRU, LSTM, InputError, RelationalRNN
from lstm_baseline.analysis import Saturation, gradient_norms, trace
from lstm_baseline.plots.drawing import fit, model_style, score_limits, to_png, width_of
from lstm_baseline.plots.layout import spread_out
from lstm_baseline.plots.svg import to_svg
from lstm_baseline.race.report.sections.curves import learning_curves, learning_curves_figure
from lstm_baseline.race.report.sections.inside import (
    attention_figure,
    gates_figure,
    gradient_figure,
    look_inside,
    saturation_figure,
    states_figure,
)
from lstm_baseline.race.report.sections.scores import final_scores, final_scores_figure
from lstm_baseline.tasks import make_task
from lstm_baseline.training.losses import cross_entropy
from tests.support.figure_checks import (
    assert_nothing_overlaps,
    ladder_labels,
    renderer,
    shown_ticks,
)
from tests.support.figure_races import HOSTILE, outcome
from tests.support.races import CHANCE, ERROR_LADDER, HEURISTIC, LADDER, ORACLE, LadderTask, run

CROWDED = (
    CHANCE,
    HEURISTIC,
    HEURISTIC._replace(name="the same, nearly", score=0.501),
    HEURISTIC._replace(name="a rule with a name that goes on for quite a while", score=0.502),
    HEURISTIC._replace(name="near the top", score=0.999),
    ORACLE,
)
MODELS = ("lstm", "relational", "gru")


def two_models(**options):
    return outcome(
        {
            "lstm": [run(0.9, history=[0.2, 0.4, 0.9]), run(0.7, history=[0.3, 0.6, 0.7])],
            "relational": [run(0.6, history=[0.1, 0.5, 0.6]), run(0.8, history=[0.1, 0.7, 0.8])],
        },
        **options,
    )


class TestLearningCurves:
    def test_mean_and_range_over_seeds(self):
        data = learning_curves(two_models())
        lstm, relational = data.curves
        assert (lstm.model, relational.model) == ("lstm", "relational")
        np.testing.assert_array_equal(lstm.x, [0, 100, 200])
        np.testing.assert_allclose(lstm.mean, [0.25, 0.5, 0.8])
        np.testing.assert_allclose(lstm.low, [0.2, 0.4, 0.7])
        np.testing.assert_allclose(lstm.high, [0.3, 0.6, 0.9])
        assert lstm.num_seeds == 2
        assert data.ladder == LADDER
        assert (data.x_label, data.y_label) == (
            "training steps",
            "validation accuracy\nhigher is better",
        )

    def test_seconds_are_read_at_the_same_times(self):
        fast, slow = run(0.8, history=[0.0, 0.4, 0.8]), run(0.8, history=[0.0, 0.4, 0.8])
        slow = slow.model_copy(
            update={"history": [r._replace(seconds=2 * r.seconds) for r in slow.history]}
        )
        (curve,) = learning_curves(outcome({"lstm": [fast, slow]}), "seconds").curves
        np.testing.assert_array_equal(curve.x, [0, 1, 2, 4])
        np.testing.assert_allclose(curve.high, [0, 0.4, 0.8, 0.8])  # the fast one, then it stopped
        np.testing.assert_allclose(curve.low, [0, 0.2, 0.4, 0.8])

    def test_a_seed_that_stopped_early_keeps_its_last_score(self):
        short, long = run(0.4, history=[0.2, 0.4]), run(0.8, history=[0.2, 0.4, 0.6, 0.8])
        (curve,) = learning_curves(outcome({"lstm": [short, long]})).curves
        np.testing.assert_allclose(curve.mean, [0.2, 0.4, 0.5, 0.6])

    def test_a_run_that_failed_is_kept_apart(self):
        runs = [run(0.8, history=[0.2, 0.8]), run(None, history=[0.3, 0.9])]
        (curve,) = learning_curves(outcome({"lstm": runs})).curves
        np.testing.assert_allclose(curve.mean, [0.2, 0.8])
        assert curve.num_seeds == 1
        (failed,) = curve.failed
        np.testing.assert_array_equal(failed.x, [0, 100])
        np.testing.assert_array_equal(failed.score, [0.3, 0.9])

    def test_many_validations_become_a_bounded_number_of_points(self):
        runs = [run(0.8, history=np.linspace(0, 0.8, 3000).tolist())]
        (curve,) = learning_curves(outcome({"lstm": runs})).curves
        assert len(curve.x) == 200
        np.testing.assert_allclose(curve.mean, curve.x / 100 * 0.8 / 2999, atol=1e-12)

    def test_drawing_shows_the_data(self):
        data = learning_curves(two_models())
        figure = learning_curves_figure(data)
        (axes,) = figure.axes
        assert axes.get_ylabel() == data.y_label
        assert axes.get_xlabel() == "training steps\nline and band: mean and range of 2 seeds"
        lines = {line.get_label(): line for line in axes.lines}
        for curve, label in zip(data.curves, ("LSTM", "relational RNN"), strict=True):
            np.testing.assert_array_equal(lines[label].get_ydata(), curve.mean)
        assert len(axes.collections) == 2  # a band each
        levels = {line.get_ydata()[0] for line in axes.lines if len(set(line.get_ydata())) == 1}
        assert levels >= {rung.score for rung in LADDER}

    def test_one_seed_has_no_band(self):
        figure = learning_curves_figure(learning_curves(outcome({"lstm": [run(0.8)]})))
        assert not figure.axes[0].collections
        assert figure.axes[0].get_xlabel() == "training steps\none seed"

    def test_failed_runs_are_thin_lines_to_a_cross(self):
        runs = [run(0.8), run(None, history=[0.2, 0.3]), run(None, history=[])]
        figure = learning_curves_figure(learning_curves(outcome({"lstm": runs})))
        crosses = [line for line in figure.axes[0].lines if line.get_marker() == "x"]
        assert crosses[0].get_xydata().tolist() == [[100, 0.3]]
        assert figure.axes[0].get_xlabel().endswith("one seed; ×: failed")

    def test_nothing_finished(self):
        figure = learning_curves_figure(learning_curves(outcome({"lstm": [run(None, history=[])]})))
        assert "no run finished" in figure.axes[0].get_xlabel()

    @pytest.mark.parametrize("against", ["steps", "seconds"])
    @pytest.mark.parametrize("ladder", [LADDER, CROWDED, ERROR_LADDER, (), (ORACLE,)])
    def test_nothing_overlaps(self, ladder, against):
        task = LadderTask(ladder, higher_is_better=ladder is not ERROR_LADDER)
        runs = {model: [run(0.9), run(0.55), run(0.6)] for model in MODELS}
        of_task = outcome(runs | {"gru": [run(0.9), run(0.7), run(None)]}, task)
        figure = learning_curves_figure(learning_curves(of_task, against))
        assert len(ladder_labels(figure)) == len(ladder)
        assert_nothing_overlaps(figure)

    def test_a_rung_s_label_gives_its_name_and_score(self):
        figure = learning_curves_figure(learning_curves(two_models()))
        assert [text.get_text() for text, _ in ladder_labels(figure)] == [
            "chance\n0.250",
            "last one\n0.500",
            "oracle\n1.000",
        ]

    def test_a_wild_score_does_not_squeeze_the_ladder(self):
        task = LadderTask(ERROR_LADDER, higher_is_better=False)
        runs = [run(0.1, history=[1e6, 0.3, 0.1])]
        figure = learning_curves_figure(learning_curves(outcome({"lstm": runs}, task)))
        low, high = figure.axes[0].get_ylim()
        assert -0.1 < low < 0
        assert 0.8 < high < 0.9
        notes = [text.get_text() for text in figure.axes[0].texts]
        assert "some values lie beyond this edge" in notes
        assert_nothing_overlaps(figure)

    def test_scores_in_the_thousands(self):
        ladder = [rung._replace(score=1e6 * rung.score) for rung in ERROR_LADDER]
        task = LadderTask(tuple(ladder), higher_is_better=False)
        runs = [run(1e5, history=[4e5, 2e5, 1e5])]
        figure = learning_curves_figure(learning_curves(outcome({"lstm": runs}, task)))
        assert_nothing_overlaps(figure)
        assert "100,000" in [text.get_text() for text in shown_ticks(figure.axes[0])]

    def test_a_legend_too_long_for_one_row_takes_more(self):
        data = learning_curves(two_models())
        curves = [data.curves[0]._replace(model=f"a cell with a long name, {k}") for k in range(5)]
        figure = learning_curves_figure(data._replace(curves=tuple(curves)))
        assert_nothing_overlaps(figure)


class TestFinalScores:
    def test_every_seed_and_its_control(self):
        runs = {"lstm": [run(0.9, untrained=0.1), run(None, untrained=0.2), run(0.7)]}
        data = final_scores(outcome(runs))
        (points,) = data.points
        np.testing.assert_array_equal(points.scores, [0.9, 0.7])
        np.testing.assert_array_equal(points.untrained, [0.1, 0.2, 0.2])
        assert points.mean == pytest.approx(0.8)
        assert points.num_failed == 1
        assert data.y_label == "test accuracy\nhigher is better"

    def test_drawing_shows_the_data(self):
        data = final_scores(two_models())
        figure = final_scores_figure(data)
        (axes,) = figure.axes
        assert axes.get_ylabel() == data.y_label
        assert [t.get_text() for t in axes.get_xticklabels()] == ["LSTM", "relational RNN"]
        drawn = [np.asarray(line.get_ydata()).tolist() for line in axes.lines]
        for points in data.points:
            assert points.scores.tolist() in drawn
            assert points.untrained.tolist() in drawn
            assert [points.mean, points.mean] in drawn

    def test_untrained_dots_are_hollow_and_beside_the_trained_ones(self):
        axes = final_scores_figure(final_scores(two_models())).axes[0]
        filled, hollow = (
            [
                x
                for line in axes.lines[:3]
                if line.get_markerfacecolor() == face and line.get_linestyle() == "None"
                for x in line.get_xdata()
            ]
            for face in (model_style("lstm", MODELS).color, "none")
        )
        assert len(filled) == len(hollow) == 2
        assert max(filled) < min(hollow)

    def test_failures_are_named_below(self):
        runs = {"lstm": [run(0.9), run(None)], "gru": [run(None), run(None)]}
        figure = final_scores_figure(final_scores(outcome(runs)))
        labels = [text.get_text() for text in figure.axes[0].get_xticklabels()]
        assert labels == ["LSTM\n(1 seed failed)", "GRU\n(2 seeds failed)"]
        assert_nothing_overlaps(figure)

    @pytest.mark.parametrize("num_seeds", [1, 2, 30])
    @pytest.mark.parametrize("ladder", [LADDER, CROWDED, ()])
    def test_nothing_overlaps(self, ladder, num_seeds):
        runs = {
            model: [run(0.5 + 0.01 * k, untrained=0.2) for k in range(num_seeds)]
            for model in MODELS
        }
        figure = final_scores_figure(final_scores(outcome(runs, LadderTask(ladder))))
        assert_nothing_overlaps(figure)
        # The dots of one model keep clear of the next one's.
        for line in figure.axes[0].lines[:9]:
            assert np.ptp(line.get_xdata()) < 0.5


@pytest.fixture(scope="module")
def seen():
    task = make_task("pair-matching", num_pairs=2, num_symbols=4)
    models = {
        "lstm": LSTM(task.input_size, 5, task.output_size, rng=0),
        "relational": RelationalRNN(task.input_size, task.output_size, head_size=2, rng=0),
        "gru": GRU(task.input_size, 5, task.output_size, rng=0),
    }
    return {name: look_inside(name, model, task, 0) for name, model in models.items()}


class TestInside:
    def test_what_is_seen(self, seen):
        assert list(seen["lstm"].states) == ["hidden state h", "cell state c"]
        assert list(seen["lstm"].gates) == ["forget gate", "input gate", "output gate"]
        assert list(seen["relational"].states) == ["memory"]
        assert list(seen["relational"].saturation) == ["forget gate", "input gate"]
        assert list(seen["gru"].gates) == ["reset gate", "update gate"]
        for inside in seen.values():
            assert inside.num_rows == 100
            for part in (*inside.states.values(), *inside.gates.values(), inside.gradient):
                assert part[0].shape == (3,)
            low, median, high = inside.gradient
            assert (low <= median).all()
            assert (median <= high).all()

    def test_numbers_are_those_of_the_analysis(self):
        task = make_task("adding", length=6)
        model = LSTM(task.input_size, 4, 1, rng=0)
        batch = task.test(3)
        x = batch.x[:100]
        inside = look_inside("lstm", model, task, 3)
        forget = trace(model, x).gates["forget gate"]
        np.testing.assert_allclose(
            inside.gates["forget gate"].mean, forget.mean(axis=(0, 2), dtype=np.float64)
        )
        d_last = 2 * (model.forward(x, False) - batch.y[:100])  # of each row's own squared error
        norms = gradient_norms(model, x, d_last)
        np.testing.assert_allclose(inside.gradient.median, np.median(norms, axis=0), rtol=1e-4)

    def test_per_step_task_looks_at_the_last_step(self):
        task = make_task("copy-memory", delay=2, num_recalled=2, num_symbols=3)
        model = LSTM(task.input_size, 4, task.output_size, rng=0)
        batch = task.test(0)
        x, y = batch.x[:100], batch.y[:100]
        _, d_last = cross_entropy(model.forward(x, False), y[:, -1])
        norms = gradient_norms(model, x, 100 * d_last)
        inside = look_inside("lstm", model, task, 0)
        np.testing.assert_allclose(inside.gradient.median, np.median(norms, axis=0), rtol=1e-4)

    def test_only_whole_rows_of_ragged_data(self):
        task = make_task("adding", length=6)
        model = LSTM(task.input_size, 4, 1, rng=0)
        ragged = task.test(0)._replace(lengths=np.arange(2000) % 5)
        task.test = lambda seed: ragged
        inside = look_inside("lstm", model, task, 0)
        whole = ragged.x[4::5][:100, :4]
        np.testing.assert_allclose(
            inside.gates["input gate"].mean,
            trace(model, whole).gates["input gate"].mean(axis=(0, 2), dtype=np.float64),
        )

    def test_drawings_show_the_data(self, seen):
        lstm = seen["lstm"]
        axes = states_figure(lstm).axes[0]
        for line, values in zip(axes.lines, lstm.states.values(), strict=True):
            np.testing.assert_array_equal(line.get_xdata(), [1, 2, 3])
            np.testing.assert_array_equal(line.get_ydata(), values.mean)
        axes = gates_figure(lstm).axes[0]
        for line, values in zip(axes.lines, lstm.gates.values(), strict=True):
            np.testing.assert_array_equal(line.get_ydata(), values.mean)
        shares = {"forget gate": Saturation(np.full(3, 0.1), np.full(3, 0.3))}
        lstm = lstm._replace(saturation=shares)
        axes = saturation_figure(lstm).axes[0]
        drawn = [np.asarray(line.get_ydata()).tolist() for line in axes.lines]
        for share in lstm.saturation.values():
            assert share.open.tolist() in drawn
            assert (-share.shut).tolist() in drawn
        axes = gradient_figure(list(seen.values())).axes[0]
        assert axes.get_yscale() == "log"
        for line, inside in zip(axes.lines, seen.values(), strict=True):
            np.testing.assert_array_equal(line.get_xdata(), [0, 1, 2])
            np.testing.assert_array_equal(line.get_ydata(), inside.gradient.median)

    def test_nothing_overlaps(self, seen):
        for inside in seen.values():
            for draw in (states_figure, gates_figure, saturation_figure):
                assert_nothing_overlaps(draw(inside))
        assert_nothing_overlaps(gradient_figure(list(seen.values())))

    def test_attention_is_that_of_the_analysis(self, seen):
        task = make_task("pair-matching", num_pairs=2, num_symbols=4)
        model = RelationalRNN(task.input_size, task.output_size, head_size=2, rng=0)
        expected = trace(model, task.test(0).x[:100]).attention.mean(axis=(0, 2, 3))
        attention = seen["relational"].attention
        assert attention.shape == (3, 5, 5)
        np.testing.assert_allclose(attention, expected, rtol=1e-5)
        assert seen["lstm"].attention is None
        assert seen["gru"].attention is None

    def test_attention_is_drawn_slot_by_slot(self, seen):
        attention = seen["relational"].attention
        over_time, between, scale = attention_figure(seen["relational"]).axes
        (image,), (average,) = over_time.images, between.images
        np.testing.assert_array_equal(image.get_array(), attention[:, :4, 4].T)
        np.testing.assert_array_equal(average.get_array(), attention[:, :4].mean(axis=0))
        limits = (0, max(image.get_array().max(), average.get_array().max()))
        assert image.get_clim() == average.get_clim() == scale.images[0].get_clim() == limits
        labels = [text.get_text() for text in between.get_xticklabels()]
        assert labels[-1] == "input"

    def test_attention_of_others_is_refused(self, seen):
        with pytest.raises(InputError, match="lstm has no attention"):
            attention_figure(seen["lstm"])

    @pytest.mark.parametrize(("steps", "slots"), [(1, 1), (8, 4), (300, 8), (7, 40)])
    def test_attention_of_any_size_fits(self, seen, steps, slots):
        shares = np.random.default_rng(0).random((steps, slots + 1, slots + 1))
        inside = seen["relational"]._replace(attention=shares / shares.sum(-1, keepdims=True))
        figure = attention_figure(inside)
        assert_nothing_overlaps(figure)
        ET.fromstring(to_svg(figure))

    def test_styles_are_those_of_the_whole_race(self, seen):
        models = ["own", "lstm", "another"]
        inside = seen["lstm"]._replace(model="another")
        (line,) = gradient_figure([inside], models).axes[0].lines
        assert line.get_color() == model_style("another", models).color

    @pytest.mark.parametrize("scale", [1e-30, 1e-3, 1.0, 1e20])
    def test_gradients_of_any_size_have_ticks_in_plain_text(self, seen, scale):
        tame = [
            i._replace(gradient=type(i.gradient)(*(scale * (1 + p / 10) for p in i.gradient)))
            for i in seen.values()
        ]
        figure = gradient_figure(tame)
        renderer(figure)
        labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
        assert len(labels) >= 2
        assert not any("$" in label for label in labels)

    def test_a_gradient_of_zero_is_said(self, seen):
        zero = [
            i._replace(gradient=type(i.gradient)(*(0 * p for p in i.gradient)))
            for i in seen.values()
        ]
        axes = gradient_figure(zero).axes[0]
        assert [text.get_text() for text in axes.texts] == ["exactly zero everywhere"]


def test_labels_are_spread_no_further_than_needed():
    assert spread_out([10, 50], [10, 10], 0, 100) == [10, 50]
    assert spread_out([50, 50], [10, 10], 0, 100) == [45, 55]
    assert spread_out([98, 99], [10, 10], 0, 100) == [85, 95]
    assert spread_out([1], [10], 0, 100) == [5]
    assert spread_out([], [], 0, 1) == []


def test_spread_labels_never_overlap():
    rng = np.random.default_rng(0)
    for _ in range(200):
        count = int(rng.integers(1, 9))
        wanted, sizes = np.sort(rng.uniform(0, 100, count)), rng.uniform(1, 12, count)
        places = np.array(spread_out(wanted, sizes, 0, 100))
        assert (np.diff(places) >= (sizes[1:] + sizes[:-1]) / 2 - 1e-9).all()
        assert places[0] - sizes[0] / 2 >= -1e-9
        assert places[-1] + sizes[-1] / 2 <= 100 + 1e-9


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


def test_svg_is_xml_for_light_and_dark_pages_and_the_same_each_time():
    figure = learning_curves_figure(learning_curves(two_models()))
    svg = to_svg(figure)
    root = ET.fromstring(svg)
    assert root.tag.endswith("svg")
    assert b"prefers-color-scheme:dark" in svg
    assert b"var(--ink)" in svg
    assert svg == to_svg(learning_curves_figure(learning_curves(two_models())))


def test_any_name_is_drawn_as_it_is():
    ladder = (CHANCE._replace(name="$\\frac{$ 100% <b> & 模"), ORACLE._replace(name="-->"))
    figure = learning_curves_figure(learning_curves(two_models(task=LadderTask(ladder))))
    ET.fromstring(to_svg(figure))


def test_png_is_on_white():
    png = to_png(learning_curves_figure(learning_curves(two_models())))
    image = mpl.image.imread(io.BytesIO(png), format="png")
    assert image.shape[1] == 1080
    np.testing.assert_array_equal(image[0, 0], [1, 1, 1, 1])


def test_any_six_names_fit():
    of_task = outcome({name: [run(0.9), run(None), run(0.6)] for name in HOSTILE})
    for figure in (
        learning_curves_figure(learning_curves(of_task)),
        final_scores_figure(final_scores(of_task)),
    ):
        assert_nothing_overlaps(figure)
        ET.fromstring(to_svg(figure))
    legend = learning_curves_figure(learning_curves(of_task)).axes[0].get_legend()
    shown = ["".join(text.get_text().split()) for text in legend.get_texts()]
    assert shown == ["".join(name.split()) for name in HOSTILE]


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
