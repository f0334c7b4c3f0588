"""The analysis against the models' own outputs, finite differences and known arrays."""

import numpy as np
import pytest

from lstm_baseline import InputError
from lstm_baseline.analysis import (
    gate_saturation,
    gradient_norms,
    statistics_over_time,
    trace,
)
from tests.support.models import INPUT_SIZE, SMALL_MODELS, make_model, normal

ROWS, STEPS, OUTPUTS = 3, 6, 2
GATES = {"lstm": ("forget gate", "input gate", "output gate"), "gru": ("reset gate", "update gate")}


@pytest.fixture(params=list(SMALL_MODELS))
def model(request):
    return make_model(request.param, OUTPUTS)


def x():
    return normal(ROWS, STEPS, INPUT_SIZE)


def test_trace_is_what_forward_goes_through(model):
    given = trace(model, x())
    _, *last = model.forward(x(), return_state=True)
    for values, final in zip(given.states.values(), last, strict=True):
        assert values.shape == (ROWS, STEPS, final[0].size)
        np.testing.assert_allclose(values[:, -1], final.reshape(ROWS, -1), atol=1e-12)
    hidden = next(iter(given.states.values()))
    outputs = hidden @ model.params["W_out"].T + model.params["b_out"]
    np.testing.assert_allclose(outputs, model.forward(x()), atol=1e-12)


def test_states_and_gates_go_by_their_names():
    given = trace(make_model("lstm"), x())
    assert tuple(given.states) == ("h", "c")
    assert tuple(given.gates) == GATES["lstm"]
    given = trace(make_model("gru"), x())
    assert tuple(given.states) == ("h",)
    assert tuple(given.gates) == GATES["gru"]
    given = trace(make_model("relational"), x())
    assert tuple(given.states) == ("memory",)
    assert tuple(given.gates) == ("forget gate", "input gate")


def test_gates_are_those_that_make_the_states(model):
    for gate in trace(model, x()).gates.values():
        assert gate.shape[:2] == (ROWS, STEPS)
        assert ((gate > 0) & (gate < 1)).all()
    lstm = make_model("lstm")
    (h, c), gates = trace(lstm, x()).states.values(), trace(lstm, x()).gates
    np.testing.assert_allclose(h, gates["output gate"] * np.tanh(c), atol=1e-12)


def test_memory_gates_are_one_number_a_slot():
    gates = trace(make_model("relational, memory gate, two blocks"), x()).gates
    assert gates["forget gate"].shape == (ROWS, STEPS, 2)


def test_attention_is_what_the_memory_reads_by():
    model = make_model("relational, memory gate, two blocks", engine="reference")
    given = trace(model, x()).attention
    assert given.shape == (ROWS, STEPS, 2, 2, 3, 3)
    np.testing.assert_allclose(given.sum(axis=-1), 1, rtol=1e-12)
    _, cache = model.forward_with_cache(x())
    for t, step in enumerate(cache.cell.caches[0].steps):
        for k, block in enumerate(step.blocks):
            np.testing.assert_allclose(given[:, t, k], block.A, atol=1e-12)


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_a_cell_without_slots_has_no_attention(name):
    assert trace(make_model(name), x()).attention is None


def test_gradient_norms_are_those_of_finite_differences(model):
    d_last = normal(ROWS, OUTPUTS, seed=4)
    given = gradient_norms(model, x(), d_last)
    assert given.shape == (ROWS, STEPS)
    for t in (0, 1, STEPS - 1):
        state = model.initial_state(ROWS)
        if t:
            state = type(state)(*model.forward(x()[:, :t], return_state=True)[1:])

        def loss(*parts, t=t, state=state):
            y = model.forward(x()[:, t:], False, initial_state=type(state)(*parts))
            return np.sum(d_last * y, axis=1)  # a number a row; rows do not mix

        squares = np.zeros(ROWS)
        for k, part in enumerate(state):
            for index in np.ndindex(part.shape[1:]):
                up, down = [p.copy() for p in state], [p.copy() for p in state]
                # Tiny: at h = 0 the layer norm of U h is steep.
                up[k][:, *index] += 3e-7
                down[k][:, *index] -= 3e-7
                squares += ((loss(*up) - loss(*down)) / 6e-7) ** 2
        np.testing.assert_allclose(given[:, t], np.sqrt(squares), rtol=1e-6)


def test_first_gradient_norm_is_that_of_the_whole_backward_pass(model):
    d_last = normal(ROWS, OUTPUTS, seed=4)
    _, cache = model.forward_with_cache(x(), False)
    whole = model.backward(d_last, cache).initial_state
    expected = np.sqrt(sum(np.square(p.reshape(ROWS, -1)).sum(axis=1) for p in whole))
    np.testing.assert_allclose(gradient_norms(model, x(), d_last)[:, 0], expected, rtol=1e-10)


def test_a_shut_forget_gate_lets_no_gradient_through():
    model = make_model("lstm", OUTPUTS)
    model.params["U"][:] = 0
    model.params["W"][:5] = 0
    model.params["b"][:5] = -20.0  # forget gates of e^−20
    norms = gradient_norms(model, x(), np.ones((ROWS, OUTPUTS)))
    assert (norms[:, -1] > 1e-10).all()
    assert (norms[:, -2] < 1e-7 * norms[:, -1]).all()


def test_nothing_is_changed(model):
    inputs, d_last = x(), normal(ROWS, OUTPUTS)
    before = {name: value.copy() for name, value in model.params.items()}
    trace(model, inputs)
    gradient_norms(model, inputs, d_last)
    np.testing.assert_array_equal(inputs, x())
    np.testing.assert_array_equal(d_last, normal(ROWS, OUTPUTS))
    for name, value in model.params.items():
        np.testing.assert_array_equal(value, before[name])


def test_statistics_are_over_rows_and_units():
    values = np.zeros((2, 3, 2), np.float32)
    values[:, 1] = [[1, 3], [5, 7]]
    mean, std, variance = statistics_over_time(values)
    np.testing.assert_allclose(mean, [0, 4, 0])
    np.testing.assert_allclose(variance, [0, 5, 0])
    np.testing.assert_allclose(std, [0, np.sqrt(5), 0])
    assert mean.dtype == np.float64


def test_saturation_counts_what_is_nearly_shut_and_nearly_open():
    gate = np.full((2, 3, 2), 0.5)
    gate[:, 0] = [[0.0, 0.0999], [0.1, 0.5]]
    gate[:, 1] = [[1.0, 0.9001], [0.9, 0.01]]
    shut, opened = gate_saturation(gate)
    np.testing.assert_array_equal(shut, [0.5, 0.25, 0])
    np.testing.assert_array_equal(opened, [0, 0.5, 0])


@pytest.mark.parametrize("shape", [(ROWS, 0, INPUT_SIZE), (ROWS, STEPS, 9), (ROWS, STEPS), (4,)])
def test_inputs_that_do_not_fit_are_refused(model, shape):
    with pytest.raises(InputError, match="x has"):
        trace(model, np.zeros(shape))
    with pytest.raises(InputError, match="x has"):
        gradient_norms(model, np.zeros(shape), np.zeros((ROWS, OUTPUTS)))


def test_a_gradient_that_does_not_fit_is_refused(model):
    with pytest.raises(InputError, match="d_outputs"):
        gradient_norms(model, x(), np.zeros((ROWS, OUTPUTS + 1)))
