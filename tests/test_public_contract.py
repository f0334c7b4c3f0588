"""What the names at the package's front promise: shapes, parameters, initial values, sizes."""

import array_api_strict
import numpy as np
import pytest

from lstm_baseline import (
    GRU,
    LSTM,
    LSTMCell,
    RelationalRNN,
    orthogonal_initializer,
    xavier_initializer,
)
from lstm_baseline.engine.activations import sigmoid
from lstm_baseline.engine.cells import unroll
from tests.support.models import SMALL_MODELS, make_model, normal

I, H, O = 32, 64, 16
GATES = "fico"


def example_input(num_rows=2, num_steps=10):
    return normal(num_rows, num_steps, I, dtype=np.float32)


class TestCell:
    """`LSTMCell` takes columns, and has parameters of its own for each gate."""

    def test_each_gate_has_parameters_of_its_own(self):
        cell = LSTMCell(I, H)
        for gate in GATES:
            assert getattr(cell, f"W_{gate}").shape == (H, I)
            assert getattr(cell, f"U_{gate}").shape == (H, H)
            assert getattr(cell, f"b_{gate}").shape == (H, 1)

    @pytest.mark.parametrize("shape", [(5, I), (I, 5)])
    def test_states_are_columns_and_x_has_two_readings(self, shape):
        h, c = LSTMCell(I, H).forward(normal(*shape), np.zeros((H, 5)), np.zeros((H, 5)))
        assert h.shape == c.shape == (H, 5)

    def test_one_axis_is_one_column(self):
        h, c = LSTMCell(I, H).forward(normal(I), np.zeros(H), np.zeros(H))
        assert h.shape == c.shape == (H, 1)


class TestSequenceModel:
    """`LSTM` maps (B, T, I) to outputs of every step or of the last, and to its states."""

    @pytest.mark.parametrize("output_size", [None, O])
    @pytest.mark.parametrize("return_sequences", [True, False])
    def test_shapes(self, output_size, return_sequences):
        model = LSTM(input_size=I, hidden_size=H, output_size=output_size)
        outputs, h, c = model.forward(
            example_input(), return_sequences=return_sequences, return_state=True
        )
        width = output_size or H
        assert outputs.shape == ((2, 10, width) if return_sequences else (2, width))
        assert h.shape == c.shape == (2, H)

    def test_the_last_output_is_the_last_of_the_sequence(self):
        model, x = LSTM(I, H, O, rng=0), example_input()
        np.testing.assert_allclose(
            model.forward(x, return_sequences=False), model.forward(x)[:, -1], rtol=1e-5, atol=1e-6
        )

    def test_the_projection_is_linear_in_h(self):
        plain, projected = LSTM(I, H, rng=0), LSTM(I, H, O, rng=0)
        p = projected.get_params()
        plain.set_params({k: v for k, v in p.items() if k not in ("W_out", "b_out")})
        x = example_input()
        expected = plain.forward(x) @ p["W_out"].T + p["b_out"].T
        np.testing.assert_allclose(projected.forward(x), expected, rtol=0, atol=1e-6)


class TestParams:
    """`get_params` names one array for each gate; `set_params` takes what it gave."""

    def test_names_and_shapes(self):
        shapes = {name: value.shape for name, value in LSTM(I, H, O).get_params().items()}
        expected = {"W_out": (O, H), "b_out": (O, 1)}
        for gate in GATES:
            expected |= {f"W_{gate}": (H, I), f"U_{gate}": (H, H), f"b_{gate}": (H, 1)}
        assert shapes == expected

    def test_what_is_set_is_what_one_gets(self):
        given = LSTM(I, H, O, rng=1).get_params()
        model = LSTM(I, H, O, rng=2)
        model.set_params(given)
        for name, value in model.get_params().items():
            np.testing.assert_array_equal(value, given[name])


class TestInitialValues:
    """Recurrent weights start orthogonal, input weights Xavier, the forget bias at 1."""

    @pytest.fixture(params=[LSTM, LSTMCell])
    def params(self, request):
        return request.param(I, H, rng=0).get_params()

    def test_orthogonal_initializer(self):
        U = orthogonal_initializer((H, H), gain=1.0)
        assert np.abs(U @ U.T - np.eye(H)).max() < 1e-6

    def test_xavier_initializer(self):
        W = xavier_initializer((H, I))
        assert W.shape == (H, I)
        assert np.abs(W).max() <= np.float32(np.sqrt(6 / (I + H)))

    @pytest.mark.parametrize("gate", GATES)
    def test_recurrent_weights_are_orthogonal(self, params, gate):
        U = params[f"U_{gate}"]
        assert np.abs(U @ U.T - np.eye(H)).max() < 1e-6

    @pytest.mark.parametrize("gate", GATES)
    def test_input_weights_are_xavier_uniform(self, params, gate):
        limit = np.sqrt(6 / (I + H))  # of one gate: the four gates are not one tall matrix
        assert 0.98 * limit < np.abs(params[f"W_{gate}"]).max() <= 1.000001 * limit

    def test_only_the_forget_bias_is_one(self, params):
        for gate in GATES:
            assert (params[f"b_{gate}"] == (1.0 if gate == "f" else 0.0)).all()

    def test_gates_start_apart(self, params):
        assert not np.array_equal(params["W_f"], params["W_i"])
        assert not np.array_equal(params["U_f"], params["U_i"])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sigmoid_is_silent_for_any_finite_input(dtype):
    largest = np.finfo(dtype).max
    z = np.array([-largest, -1e4, -710, -89, 0, 89, 710, 1e4, largest], dtype)
    with np.errstate(all="raise", under="ignore"):
        s = sigmoid(z)
    assert ((s >= 0) & (s <= 1)).all()
    assert (np.diff(s) >= 0).all()


def test_numbers_of_parameters():
    assert LSTM(I, H).num_params == LSTMCell(I, H).num_params == 24_832
    assert LSTM(I, H, O).num_params - LSTM(I, H).num_params == 1_040
    assert LSTM(I, H, O).num_params == 25_872
    gate = [v for name, v in LSTM(I, H).get_params().items() if name.endswith("_f")]
    assert sum(value.size for value in gate) == 6_208


class TestFirstSteps:
    """The first eight things that a new user tries, in this order."""

    def test_no_projection(self):
        assert LSTM(I, H).forward(example_input()).shape == (2, 10, H)

    def test_projection(self):
        assert LSTM(I, H, O).forward(example_input()).shape == (2, 10, O)

    def test_last_output(self):
        outputs = LSTM(I, H, O).forward(example_input(), return_sequences=False)
        assert outputs.shape == (2, O)

    def test_states(self):
        outputs, h, c = LSTM(I, H, O).forward(example_input(), return_state=True)
        assert (outputs.shape, h.shape, c.shape) == ((2, 10, O), (2, H), (2, H))

    def test_initial_values(self):
        p = LSTM(I, H, O).get_params()
        assert (p["b_f"] == 1).all()
        assert not any(p[name].any() for name in ("b_i", "b_c", "b_o", "b_out"))
        assert np.abs(p["U_c"] @ p["U_c"].T - np.eye(H)).max() < 1e-6

    def test_different_inputs_give_different_outputs(self):
        model, x = LSTM(I, H, O, rng=0), example_input()
        assert np.abs(model.forward(x) - model.forward(x + 1)).max() > 0.1

    def test_single_step(self):
        outputs, h, _ = LSTM(I, H).forward(example_input(num_steps=1), return_state=True)
        assert outputs.shape == (2, 1, H)
        np.testing.assert_array_equal(outputs[:, 0], h)

    @pytest.mark.parametrize("seed", range(5))
    def test_a_hundred_steps_are_finite_and_of_stable_variance(self, seed):
        x = normal(4, 100, I, seed=seed, dtype=np.float32)
        outputs = LSTM(I, H, rng=seed).forward(x)
        assert np.isfinite(outputs).all()
        variance = outputs.var(axis=(0, 2), dtype=np.float64)
        # Over 200 seeds the last step has 1.4 to 3.4 times the variance of the first, and the last
        # ten 0.9 to 1.4 times that of the first ten.
        assert 1 < variance[-1] / variance[0] < 5
        assert 0.8 < variance[-10:].mean() / variance[:10].mean() < 1.6


class TestBeyondForward:
    """Backward, array libraries, batches and files: more than a forward pass in NumPy."""

    @pytest.mark.parametrize("model_class", [LSTM, GRU, RelationalRNN])
    def test_there_is_a_backward_pass(self, model_class):
        sizes = {} if model_class is RelationalRNN else {"hidden_size": H}
        model = model_class(I, **sizes, output_size=O)
        outputs, cache = model.forward_with_cache(example_input())
        gradients = model.backward(np.ones_like(outputs), cache)
        assert gradients.params.keys() == model.params.keys()
        assert gradients.x.shape == (2, 10, I)

    def test_not_numpy_only(self):
        model = LSTM(I, H, rng=0)
        on_another_library = {k: array_api_strict.asarray(v) for k, v in model.params.items()}
        state = model.cell.initial_state(on_another_library, 2)
        x = array_api_strict.asarray(example_input())
        outputs, _, _ = unroll(model.cell, on_another_library, x, state)
        assert outputs.dtype == array_api_strict.float32
        np.testing.assert_allclose(
            np.asarray(outputs), model.forward(example_input()), rtol=0, atol=1e-6
        )

    @pytest.mark.parametrize("name", SMALL_MODELS)
    def test_a_batch_gives_what_its_rows_give_alone(self, name):
        model, x = make_model(name, output_size=2), normal(4, 6, 3)
        alone = np.concatenate([model.forward(x[row : row + 1]) for row in range(4)])
        np.testing.assert_allclose(model.forward(x), alone, rtol=0, atol=1e-13)

    def test_saving_to_disk(self, tmp_path):
        model = LSTM(I, H, O, rng=0)
        model.save(tmp_path / "model.safetensors")
        loaded = LSTM.load(tmp_path / "model.safetensors")
        np.testing.assert_array_equal(
            loaded.forward(example_input()), model.forward(example_input())
        )
