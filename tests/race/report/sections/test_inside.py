"""Figures of what goes on inside a model show what was seen there."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from lstm_baseline import GRU, LSTM, InputError, RelationalRNN
from lstm_baseline.analysis import Saturation, gradient_norms, trace
from lstm_baseline.plots.drawing import model_style
from lstm_baseline.plots.svg import to_svg
from lstm_baseline.race.report.sections.inside import (
    attention_figure,
    gates_figure,
    gradient_figure,
    look_inside,
    saturation_figure,
    states_figure,
)
from lstm_baseline.tasks import make_task
from lstm_baseline.training.losses import cross_entropy
from tests.support.figure_checks import (
    assert_nothing_overlaps,
    renderer,
)


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
