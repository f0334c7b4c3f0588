"""The equations, losses and optimizers on other libraries' arrays give NumPy's numbers."""

from typing import Any, NamedTuple

import array_api_strict
import numpy as np
import pytest

from lstm_baseline.engine.cells import unroll, unroll_backward
from lstm_baseline.training.losses import (
    binary_cross_entropy,
    cross_entropy,
    mean_squared_error,
)
from lstm_baseline.training.optimizers import SGD, Adam, AdamW, RMSProp, clip_by_global_norm
from tests.support.models import (
    INPUT_SIZE,
    SMALL_MODELS,
    assert_same_arrays,
    make_model,
    normal,
    random_state,
)

TOLERANCE = 1e-12
B, T, K = 4, 5, 3
LENGTHS = np.array([5, 0, 2, 4])


class Library(NamedTuple):
    """Arrays of one library on one device."""

    xp: Any
    device: Any

    def array(self, value):
        # A copy: some libraries share NumPy's memory, and optimizers work in place.
        return self.xp.asarray(np.array(value), device=self.device)

    def arrays(self, values):
        return {name: self.array(value) for name, value in values.items()}

    def numpy(self, value):
        assert value.device == self.device
        if self.xp is array_api_strict:
            value = value.to_device(array_api_strict.Device("CPU_DEVICE"))
        return np.asarray(value)

    def numpys(self, values):
        return {name: self.numpy(value) for name, value in values.items()}


STRICT = [
    pytest.param("CPU_DEVICE", id="strict"),
    pytest.param("device1", id="strict, another device"),
]


@pytest.fixture(params=[*STRICT, "torch"])
def library(request):
    if request.param == "torch":
        torch = pytest.importorskip("torch", reason="needs torch")
        return Library(torch, torch.device("cpu"))
    return Library(array_api_strict, array_api_strict.Device(request.param))


def through_the_cell(model, params, x, state, lengths, d_outputs, d_state):
    outputs, final, cache = unroll(model.cell, params, x, state, lengths)
    d_params, d_x, d_start = unroll_backward(model.cell, params, d_outputs, cache, d_state)
    results = {"outputs": outputs, "d_x": d_x}
    for name, parts in (("final", final), ("d_start", d_start)):
        results |= {f"{name}[{k}]": part for k, part in enumerate(parts)}
    return results | d_params


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "ragged"])
@pytest.mark.parametrize("name", SMALL_MODELS)
def test_cells(library, name, lengths):
    model = make_model(name)
    x, d_outputs = normal(B, T, INPUT_SIZE), normal(B, T, model.width, seed=1)
    start, d_state = random_state(model, B), random_state(model, B, seed=2)
    expected = through_the_cell(model, model.params, x, start, lengths, d_outputs, d_state)

    def moved(state):
        return type(state)(*(library.array(part) for part in state))

    given = through_the_cell(
        model,
        library.arrays(model.params),
        library.array(x),
        moved(start),
        None if lengths is None else library.array(lengths),
        library.array(d_outputs),
        moved(d_state),
    )
    assert_same_arrays(library.numpys(given), expected, TOLERANCE)


@pytest.mark.parametrize("num_steps", [0, 2])
@pytest.mark.parametrize("name", SMALL_MODELS)
def test_initial_states_and_empty_sequences(library, name, num_steps):
    model = make_model(name)
    params = library.arrays(model.params)
    state = model.cell.initial_state(params, B)
    for part, expected in zip(state, model.initial_state(B), strict=True):
        np.testing.assert_array_equal(library.numpy(part), expected)
    x = normal(B, num_steps, INPUT_SIZE)
    outputs, _, _ = unroll(model.cell, params, library.array(x), state)
    np.testing.assert_allclose(library.numpy(outputs), model.forward(x), rtol=0, atol=TOLERANCE)


CLASSES = np.random.default_rng(0).integers(K, size=(B, T))
PROBABILITIES = np.random.default_rng(0).dirichlet(np.ones(K), size=(B, T))
LABELS = np.random.default_rng(0).integers(2, size=(B, T, K))


@pytest.mark.parametrize(
    ("loss", "targets"),
    [
        pytest.param(cross_entropy, CLASSES, id="cross_entropy-classes"),
        pytest.param(cross_entropy, PROBABILITIES, id="cross_entropy-probabilities"),
        pytest.param(mean_squared_error, PROBABILITIES, id="mean_squared_error"),
        pytest.param(binary_cross_entropy, PROBABILITIES, id="binary_cross_entropy"),
        pytest.param(binary_cross_entropy, LABELS, id="binary_cross_entropy-labels"),
    ],
)
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "ragged"])
def test_losses(library, loss, targets, lengths):
    outputs = normal(B, T, K)
    expected, expected_gradient = loss(outputs, targets, lengths)
    value, gradient = loss(
        library.array(outputs),
        library.array(targets),
        None if lengths is None else library.array(lengths),
    )
    assert value == pytest.approx(expected, rel=0, abs=TOLERANCE)
    np.testing.assert_allclose(library.numpy(gradient), expected_gradient, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize(
    "make",
    [SGD, lambda params: SGD(params, momentum=0.9), Adam, AdamW, RMSProp],
    ids=["SGD", "SGD with momentum", "Adam", "AdamW", "RMSProp"],
)
def test_clipping_and_optimizers(library, make):
    params = {"W": normal(3, 4), "b": normal(3)}
    moved = library.arrays(params)
    ours, theirs = make(params), make(moved)
    for step in range(5):
        gradients = {"W": normal(3, 4, seed=step), "b": normal(3, seed=step + 9)}
        clipped, norm = clip_by_global_norm(gradients, 1.0)
        moved_clipped, moved_norm = clip_by_global_norm(library.arrays(gradients), 1.0)
        assert moved_norm == pytest.approx(norm, rel=1e-14)
        assert_same_arrays(library.numpys(moved_clipped), clipped, TOLERANCE)
        ours.update(clipped, 0.1)
        theirs.update(moved_clipped, 0.1)
    assert_same_arrays(library.numpys(moved), params, TOLERANCE)
    assert_same_arrays(library.numpys(theirs.state), ours.state, TOLERANCE)
