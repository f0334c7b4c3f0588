import numpy as np
import pytest

from lstm_baseline import LSTM, InputError, LSTMCell
from tests.support.models import normal

I, H, B = 3, 4, 2


@pytest.fixture
def cell():
    return LSTMCell(I, H, rng=0, dtype=np.float64)


@pytest.fixture
def state():
    return normal(H, B, seed=1), normal(H, B, seed=2)


def sigma(z):
    return 1 / (1 + np.exp(-z))


def test_a_step_is_the_six_equations(cell, state):
    x = normal(B, I)
    p = {k: v + 0.1 for k, v in cell.get_params().items()}
    cell.set_params(p)
    h_prev, c_prev = state
    pre = {g: p[f"W_{g}"] @ x.T + p[f"U_{g}"] @ h_prev + p[f"b_{g}"] for g in "fico"}
    c_expected = sigma(pre["f"]) * c_prev + sigma(pre["i"]) * np.tanh(pre["c"])
    h, c = cell.forward(x, h_prev, c_prev)
    np.testing.assert_allclose(c, c_expected, rtol=1e-14)
    np.testing.assert_allclose(h, sigma(pre["o"]) * np.tanh(c_expected), rtol=1e-14)


def test_both_readings_of_x_give_the_same(cell, state):
    x = normal(B, I)
    rows, columns = cell.forward(x, *state), cell.forward(x.T, *state)
    assert rows[0].shape == rows[1].shape == (H, B)
    np.testing.assert_array_equal(rows, columns)


def test_a_square_x_is_read_as_batch_first():
    cell = LSTMCell(2, H, rng=0, dtype=np.float64)
    x = normal(2, 2)
    h, c = cell.forward(x, np.zeros((H, 2)), np.zeros((H, 2)))
    for row in range(2):
        expected = cell.forward(x[row], np.zeros(H), np.zeros(H))
        np.testing.assert_allclose(h[:, row], expected[0][:, 0], rtol=1e-14)
        np.testing.assert_allclose(c[:, row], expected[1][:, 0], rtol=1e-14)


def test_one_axis_is_one_column(cell, state):
    h_prev, c_prev = state[0][:, 0], state[1][:, 0]
    x = normal(I)
    h, c = cell.forward(x, h_prev, c_prev)
    assert h.shape == c.shape == (H, 1)
    expected = cell.forward(x[:, None], h_prev[:, None], c_prev[:, None])
    np.testing.assert_array_equal((h, c), expected)


def test_stepping_by_hand_gives_what_the_model_gives():
    cell = LSTMCell(I, H, rng=0, dtype=np.float64)
    model = LSTM(I, H, dtype=np.float64, rng=5)
    model.set_params(cell.get_params())
    x = normal(B, 12, I)
    outputs, h_last, c_last = model.forward(x, return_state=True)
    h = c = np.zeros((H, B))
    for t in range(x.shape[1]):
        h, c = cell.forward(x[:, t], h, c)
        np.testing.assert_allclose(outputs[:, t], h.T, rtol=0, atol=1e-14)
    np.testing.assert_allclose(h_last, h.T, rtol=0, atol=1e-14)
    np.testing.assert_allclose(c_last, c.T, rtol=0, atol=1e-14)


def test_states_stay_in_the_cell_s_dtype_and_inputs_unchanged():
    cell = LSTMCell(I, H, rng=0)
    given = [normal(B, I), normal(H, B), normal(H, B)]
    for array in given:
        array.setflags(write=False)
    h, c = cell.forward(*given)
    assert h.dtype == c.dtype == np.float32


def test_params_are_attributes_and_live(cell):
    assert cell.W_f is cell.params["W_f"]
    assert cell.num_params == 4 * H * (I + H + 1)
    copies = cell.get_params()
    copies["W_f"] += 1
    assert not np.array_equal(copies["W_f"], cell.W_f)
    cell.set_params(copies)
    np.testing.assert_array_equal(cell.W_f, copies["W_f"])


@pytest.mark.parametrize(
    ("x", "h_prev", "c_prev", "message"),
    [
        (np.zeros((B, I + 1)), np.zeros((H, B)), np.zeros((H, B)), r"x has shape \(2, 4\)"),
        (np.zeros((1, B, I)), np.zeros((H, B)), np.zeros((H, B)), r"x has shape \(1, 2, 3\)"),
        (np.zeros(()), np.zeros((H, 1)), np.zeros((H, 1)), r"x has shape \(\)"),
        (np.zeros((B, I)), np.zeros((B, H)), np.zeros((H, B)), r"h_prev has shape \(2, 4\)"),
        (np.zeros((B, I)), np.zeros((H, B)), np.zeros(H), r"c_prev has shape \(4,\)"),
        (np.zeros((B, I), complex), np.zeros((H, B)), np.zeros((H, B)), "x has dtype complex128"),
        ([["a"] * I] * B, np.zeros((H, B)), np.zeros((H, B)), "x has dtype <U1"),
        ([[1.0], [1.0, 2.0]], np.zeros((H, B)), np.zeros((H, B)), "rows differ in length"),
    ],
)
def test_bad_input_is_named(cell, x, h_prev, c_prev, message):
    with pytest.raises(InputError, match=message):
        cell.forward(x, h_prev, c_prev)


@pytest.mark.parametrize("sizes", [(0, 4), (3, -1), (3.0, 4), ("3", 4), (True, 4), (3, 2**21)])
def test_bad_sizes_are_refused(sizes):
    with pytest.raises(InputError, match="give a whole number from 1 to"):
        LSTMCell(*sizes)


@pytest.mark.parametrize("dtype", [None, "no such type", np.float16, int, complex, object])
def test_other_dtypes_are_refused(dtype):
    with pytest.raises(InputError, match="give float32 or float64"):
        LSTMCell(I, H, dtype=dtype)


def test_refused_params_change_nothing(cell):
    before = cell.get_params()
    bad = {**cell.get_params(), "W_f": np.ones((H, I)), "b_o": np.ones(H)}
    with pytest.raises(InputError, match="b_o has shape"):
        cell.set_params(bad)
    for name, value in before.items():
        np.testing.assert_array_equal(cell.params[name], value)


def test_parameters_are_attributes_that_forward_uses():
    cell = LSTMCell(3, 4, rng=0)
    x, state = np.ones((1, 3)), np.ones((4, 1))
    cell.b_f = np.full((4, 1), -100.0)  # forget everything
    assert (cell.params["b_f"] == -100).all()
    assert (cell.get_params()["b_f"] == -100).all()
    _, kept = cell.forward(x, np.zeros((4, 1)), 1000 * state)
    assert (np.abs(kept) < 2).all()
    with pytest.raises(InputError, match="W_f has shape"):
        cell.W_f = np.zeros((4, 4))
