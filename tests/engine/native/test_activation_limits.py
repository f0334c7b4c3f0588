"""Every activation at the ends of a dtype's range, on both engines: overflow, NaN, thresholds."""

import warnings

import numpy as np
import pytest

from lstm_baseline import LSTM
from lstm_baseline.engine.cells.gate_activations import NAMES, gate_activation
from lstm_baseline.engine.cells.lstm import LSTMState
from tests.support.engines import INSTRUCTION_SETS, everything, require_core, running
from tests.support.models import shapes_unchecked

require_core()

DTYPES = (np.float32, np.float64)
CONSTANTS = {
    "affine": [(), (0.7, -0.3), (3.0, 0.0)],
    "elu": [(), (1.7,)],
    "hard_sigmoid": [(), (0.3, 0.4)],
    "leaky_relu": [(), (3.0,)],
    "scaled_tanh": [(), (1.3, 3.0)],
    "thresholded_relu": [(), (0.8,), (0.0,)],
}
ACTIVATIONS = [(name, *given) for name in NAMES for given in CONSTANTS.get(name, [()])]
LIMITS = {
    np.float32: (86.5, 87, 88, 89, 100, 104, 1e19),
    np.float64: (707, 708, 709, 710, 740, 746, 1e155),
}
"""Where powers of e leave the range, and where squares do."""


@pytest.fixture(scope="module", autouse=True)
def _without_shape_checks():
    with shapes_unchecked():
        yield


@pytest.fixture(params=INSTRUCTION_SETS)
def instruction_set(request):
    with running(request.param):
        yield request.param


def numbers(dtype, thresholds):
    """Return zeros, denormal and tiny numbers, thresholds and their neighbours, huge, ∞ and NaN."""
    info = np.finfo(dtype)
    sizes = [0, info.smallest_subnormal, info.tiny / 8, info.tiny, info.eps, 1e-3, 0.5, 1, 5, 22]
    sizes += [*LIMITS[dtype], *thresholds, 1e4, info.max / 8, info.max, np.inf]
    z = np.abs(np.array(sizes, np.float64)).astype(dtype)
    both = np.concatenate([z, -z])
    nearby = [np.nextafter(both, dtype(to)) for to in (-1, 1)]
    return np.concatenate([both, *nearby, [np.nan]]).astype(dtype)


def thresholds_of(name, *constants):
    """Return where an activation has a kink."""
    alpha, beta = (*gate_activation(name, *constants).constants, 0.0, 0.0)[:2]
    if name == "hard_sigmoid":
        return (1 - beta) / alpha, -beta / alpha
    return (alpha,)


def in_the_core(activation, z):
    """Return φ(z) and φ′(z) of candidates that start from their biases; their gates are at 1."""
    H = len(z)
    model = LSTM(
        1, H, activations=("sigmoid", activation, "affine"), dtype=z.dtype, engine="native"
    )
    for name, value in model.params.items():
        value[...] = 1000 if name == "b" else 0
    model.params["b"][2 * H : 3 * H] = z
    outputs, cache = model.forward_with_cache(np.zeros((1, 1, 1), z.dtype))
    nothing, one = np.zeros((1, H), z.dtype), np.ones((1, H), z.dtype)
    gradients = model.backward(np.zeros_like(outputs), cache, LSTMState(nothing, one))
    values = cache.cell.caches[0].gate("c")
    return values[0, 0], gradients.params["b"][2 * H : 3 * H]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
def test_engines_agree(instruction_set, activation, dtype):
    z = numbers(dtype, thresholds_of(*activation))
    phi, info = gate_activation(*activation), np.finfo(dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        value = phi(z)
        derivative = phi.derivative(z, value)
        given, given_derivative = in_the_core(activation, z)
    tolerance = {"rtol": 8 * info.eps, "atol": 0}
    np.testing.assert_allclose(given, value, **tolerance)
    # 1 − t² of a tanh loses digits near 1.
    largest = max(1.0, *np.abs(phi.constants)) if phi.constants else 1.0
    tolerance["atol"] = 4 * largest**2 * info.eps if "tanh" in phi.name else 0
    np.testing.assert_allclose(given_derivative, derivative, **tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("name", "at_minus_infinity", "at_infinity"),
    [
        ("elu", (-1, 0), (np.inf, 1)),
        ("hard_sigmoid", (0, 0), (1, 0)),
        ("relu", (0, 0), (np.inf, 1)),
        ("sigmoid", (0, 0), (1, 0)),
        ("softplus", (0, 0), (np.inf, 1)),
        ("softsign", (-1, 0), (1, 0)),
        ("tanh", (-1, 0), (1, 0)),
        ("thresholded_relu", (0, 0), (np.inf, 1)),
    ],
)
def test_limits(name, at_minus_infinity, at_infinity, dtype):
    phi, largest = gate_activation(name), np.finfo(dtype).max
    z = np.array([-np.inf, -largest, largest, np.inf], dtype)
    with np.errstate(all="raise", under="ignore"):
        value = phi(z)
        derivative = phi.derivative(z, value)
    value[np.abs(value) == largest] *= dtype(np.inf)
    (y, slope), (y_end, slope_end) = at_minus_infinity, at_infinity
    np.testing.assert_array_equal(value, [y, y, y_end, y_end])
    np.testing.assert_array_equal(derivative, [slope, slope, slope_end, slope_end])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("gates", NAMES)
@pytest.mark.parametrize("candidate", NAMES)
def test_gradients_with_huge_inputs(instruction_set, gates, candidate, dtype):
    """What a saturated activation passes back is 0, also where it meets a huge number."""
    size = dtype(1e153 if dtype is np.float64 else 1e18)
    x = np.random.default_rng(0).standard_normal((6, 1, 4)).astype(dtype) * size
    results = []
    for engine in ("native", "reference"):
        activations = (gates, candidate, "tanh")
        model = LSTM(4, 5, activations=activations, dtype=dtype, rng=0, engine=engine)
        with np.errstate(over="ignore", invalid="ignore"):
            results.append(everything(model, x))
    native, reference = results
    rtol = 1e-4 if dtype is np.float32 else 1e-12
    for name in ("outputs", "final 1", "d x", "d initial 0", "d initial 1"):
        largest = np.abs(reference[name][np.isfinite(reference[name])]).max(initial=0)
        np.testing.assert_allclose(
            native[name], reference[name], rtol=rtol, atol=rtol * largest, err_msg=name
        )


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_saturated_gate_gives_its_weights_no_gradient(instruction_set, dtype):
    size = np.finfo(dtype).max / 100
    x = np.array([[[1.0]], [[-1.0]]], dtype) * size
    for engine in ("native", "reference"):
        model = LSTM(1, 40, dtype=dtype, rng=0, engine=engine)
        found = everything(model, x)
        for name in ("d W", "d U", "d b", "d x"):
            assert not found[name].any(), (engine, name)
