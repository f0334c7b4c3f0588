import io
from functools import cache
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from rich.cells import cell_len
from rich.console import Console

from lstm_baseline.demos import (
    DEMOS,
    classification,
    initialisation,
    sequence_to_sequence,
    state,
    step_by_step,
)


@cache
def numbers_of(name: str) -> Any:
    return DEMOS[name].compute()


def told(name: str, numbers: Any, width: int = 80) -> str:
    out = io.StringIO()
    DEMOS[name].tell(Console(file=out, width=width), numbers)
    return out.getvalue()


def rendered(figure: Figure) -> np.ndarray:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def labels_of(ax: Axes) -> list[Text]:
    """Return titles and labels that are drawn; a tick outside the limits is not."""
    labels = [ax.title, ax.xaxis.label, ax.yaxis.label]
    for axis, (low, high) in ((ax.xaxis, ax.get_xlim()), (ax.yaxis, ax.get_ylim())):
        labels += [
            tick.label1
            for tick in axis.get_major_ticks()
            if low <= tick.get_loc() <= high and tick.label1.get_visible()
        ]
    return [label for label in labels if label.get_text()]


def arrays_in(value: Any) -> list[np.ndarray]:
    """Return all numbers in nested tuples, lists and dicts."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, tuple | list):
        return [array for part in value for array in arrays_in(part)]
    return [np.asarray(value)]


def test_the_five_demos_are_there() -> None:
    assert list(DEMOS) == [
        "classification",
        "sequence-to-sequence",
        "state",
        "initialisation",
        "step-by-step",
    ]
    assert all(name == demo.name for name, demo in DEMOS.items())


@pytest.mark.parametrize("name", DEMOS)
class TestEveryDemo:
    def test_text_fits_eighty_columns(self, name: str) -> None:
        text = told(name, numbers_of(name))
        assert len(text) > 500
        assert max(cell_len(line.rstrip()) for line in text.splitlines()) <= 80
        assert "…" not in text  # rich's mark for a cell that was cut

    @pytest.mark.slow
    def test_every_panel_of_the_picture_has_content_and_labels(self, name: str) -> None:
        figure = DEMOS[name].draw(numbers_of(name))
        image = rendered(figure)
        for ax in figure.axes:
            assert ax.lines or ax.patches
            assert ax.get_title() or ax.get_ylabel()
            box = ax.get_window_extent()
            height = image.shape[0]
            panel = image[int(height - box.y1) : int(height - box.y0), int(box.x0) : int(box.x1)]
            assert len(np.unique(panel.reshape(-1, 3), axis=0)) > 10

    @pytest.mark.slow
    def test_labels_of_the_picture_do_not_overlap(self, name: str) -> None:
        figure = DEMOS[name].draw(numbers_of(name))
        rendered(figure)
        boxes = [text.get_window_extent() for ax in figure.axes for text in labels_of(ax)]
        assert len(boxes) > 10
        overlapping = [
            (a, b) for k, a in enumerate(boxes) for b in boxes[:k] if a.padded(-1).overlaps(b)
        ]
        assert not overlapping

    def test_same_numbers_every_time(self, name: str) -> None:
        again = arrays_in(DEMOS[name].compute())
        for a, b in zip(arrays_in(numbers_of(name)), again, strict=True):
            np.testing.assert_array_equal(a, b)

    def test_run_prints_and_returns_the_picture(self, name: str) -> None:
        out = io.StringIO()
        demo = DEMOS[name]._replace(compute=lambda: numbers_of(name))
        figure = demo.run(Console(file=out, width=80))
        assert out.getvalue() == told(name, numbers_of(name))
        assert isinstance(figure, Figure)


class TestClassification:
    def test_learns_what_needs_memory_and_order(self) -> None:
        numbers = numbers_of("classification")
        assert abs(numbers.before - 1 / 3) < 0.1
        assert numbers.after > 0.9
        assert numbers.curve[-1] > 0.9

    def test_shapes_and_probabilities(self) -> None:
        numbers = numbers_of("classification")
        assert numbers.x.shape == (4, 20, 8)
        assert numbers.probabilities.shape == (4, 3)
        np.testing.assert_allclose(numbers.probabilities.sum(axis=1), 1, rtol=1e-5)
        np.testing.assert_allclose(numbers.beliefs[:, -1], numbers.probabilities, atol=1e-5)
        assert set(numbers.y) == {0, 1, 2}

    def test_the_class_is_the_symbol_that_came_first(self) -> None:
        x, y = classification.sample(500, np.random.default_rng(0))
        symbols = x[:, :, :3]
        np.testing.assert_array_equal(symbols[:, :5].max(axis=1).argmax(axis=-1), y)
        assert (symbols[:, 8:14].max(axis=1).argmax(axis=-1) != y).all()
        assert np.abs(x[:, 14:]).max() < 1.6  # noise alone

    def test_says_so_when_nothing_was_learned(self) -> None:
        failed = numbers_of("classification")._replace(after=0.5)
        assert "not been shown" in told("classification", failed)
        assert "not been shown" not in told("classification", numbers_of("classification"))


class TestSequenceToSequence:
    def test_learns_the_echo(self) -> None:
        numbers = numbers_of("sequence-to-sequence")
        assert numbers.after < 0.05 * numbers.score("constant")
        assert numbers.before > 0.8 * numbers.score("constant")
        assert numbers.output.shape == numbers.target.shape == numbers.x.shape == (2, 15, 10)

    def test_known_rules_score_what_arithmetic_says(self) -> None:
        numbers = numbers_of("sequence-to-sequence")
        # U(-1, 1) has variance 1/3, and 12 of 15 targets are such numbers, the others are 0.
        assert numbers.score("constant") == pytest.approx(12 / 15 / 3, rel=0.02)
        assert numbers.score("copy") == pytest.approx((12 * 2 / 3 + 3 / 3) / 15, rel=0.02)
        assert numbers.score("oracle") == 0

    def test_the_target_is_the_input_of_three_steps_before(self) -> None:
        x = np.random.default_rng(0).standard_normal((2, 15, 10))
        y = sequence_to_sequence.echo(x)
        assert (y[:, :3] == 0).all()
        for t in range(3, 15):
            np.testing.assert_array_equal(y[:, t], x[:, t - 3])

    def test_says_so_when_nothing_was_learned(self) -> None:
        failed = numbers_of("sequence-to-sequence")._replace(after=0.25)
        assert "has not learned" in told("sequence-to-sequence", failed)
        learned = numbers_of("sequence-to-sequence")
        assert "has not learned" not in told("sequence-to-sequence", learned)


class TestState:
    def test_one_call_steps_and_chunks_agree_to_the_bit(self) -> None:
        numbers = numbers_of("state")
        assert numbers.whole_shape[:2] == (4, 30)
        assert numbers.steps_difference == 0
        assert numbers.chunks_difference == 0
        assert numbers.real_inputs_difference < 1e-6

    def test_a_reset_shows_after_it_and_not_before(self) -> None:
        numbers = numbers_of("state")
        assert numbers.reset_difference > 0.01
        assert (numbers.distance[:10] == 0).all()
        assert (numbers.distance[10:] > 0).all()
        for name in "hc":
            np.testing.assert_array_equal(numbers.kept[name][:10], numbers.reset[name][:10])

    def test_a_difference_is_found_in_any_part(self) -> None:
        run = (np.zeros((1, 2, 3)), np.zeros((1, 3)), np.zeros((1, 3)))
        for part in range(3):
            other = tuple(a + 0.5 * (k == part) for k, a in enumerate(run))
            assert state.difference(run, other) == 0.5


class TestInitialisation:
    def test_a_higher_forget_bias_lets_more_gradient_through(self) -> None:
        left = {one.setup.name: one.gradient[0] for one in numbers_of("initialisation")}
        by_bias = [left[f"orthogonal, forget bias {bias}"] for bias in (0, 1, 3)]
        assert by_bias[0] < 1e-6 * by_bias[1]
        assert by_bias[1] < 1e-3 * by_bias[2]

    def test_large_weights_explode_and_small_ones_vanish(self) -> None:
        left = {one.setup.name: one.gradient[0] for one in numbers_of("initialisation")}
        assert left["normal 1, forget bias 1"] > 1e3
        assert left["normal 0.01, forget bias 1"] < left["orthogonal, forget bias 1"] < 1

    def test_hundred_steps_stay_finite_with_stable_variance(self) -> None:
        own = next(m for m in numbers_of("initialisation") if m.setup == initialisation.OWN)
        assert own.finite
        assert 0.5 < own.variance_ratio < 2
        assert own.variance.shape == own.gradient.shape == (100,)
        assert own.gradient[-1] == 1

    def test_the_first_setup_is_what_the_package_does(self) -> None:
        own = initialisation.build(initialisation.OWN).params
        plain = initialisation.LSTM(32, 64, rng=0).params
        for name, value in plain.items():
            np.testing.assert_array_equal(own[name], value)

    @pytest.mark.parametrize(
        ("left", "words"),
        [
            (0.5**33, "halves every 3.0 steps"),
            (2.0**33, "doubles every 3.0 steps"),
            (0.9, "keeps its size, within a factor of 2"),
            (0.0, "is gone"),
        ],
    )
    def test_fate_of_a_gradient(self, left: float, words: str) -> None:
        one = numbers_of("initialisation")[0]
        one = one._replace(gradient=np.linspace(left, 1, 100))
        assert initialisation.fate(one) == words


class TestStepByStep:
    def test_by_hand_as_the_cell_and_as_the_lstm(self) -> None:
        numbers = numbers_of("step-by-step")
        assert numbers.cell_difference < 1e-14
        assert numbers.lstm_difference < 1e-14
        assert numbers.random_difference < 1e-14

    def test_writes_holds_reads_and_forgets(self) -> None:
        steps = numbers_of("step-by-step").steps
        does = [step_by_step.what_happens(s) for s in steps]
        assert does == ["holds", "writes", "holds", "holds", "reads", "forgets", "reads"]
        assert steps[4].h > 0.6
        assert abs(steps[6].h) < 0.1

    def test_a_wrong_equation_would_be_found(self) -> None:
        params = {name: value.copy() for name, value in step_by_step.WEIGHTS.items()}
        params["U_f"][...] = 0
        h = c = 0.0
        for x_t in step_by_step.INPUTS:
            s = step_by_step.step(params, x_t, h, c)
            h, c = s.h, s.c
        assert abs(h - numbers_of("step-by-step").steps[-1].h) > 0.1
