from decimal import Decimal, localcontext

import numpy as np
import pytest

from lstm_baseline.engine.activations import (
    d_relu,
    d_sigmoid,
    d_tanh,
    log_softmax,
    relu,
    sigmoid,
    softmax,
    softmax_backward,
    tanh,
)

DTYPES = (np.float32, np.float64)


def finite_numbers(dtype):
    """Return both signs of sizes from the smallest to the largest that the dtype holds."""
    info = np.finfo(dtype)
    sizes = np.concatenate(
        [
            [0.0, info.smallest_subnormal, info.tiny, info.eps, info.max],
            np.logspace(-30, np.log10(info.max) - 1e-3, 200),
            np.linspace(0.01, 1000, 2000),
        ]
    )
    return np.concatenate([sizes, -sizes]).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("function", [sigmoid, tanh, relu])
def test_no_finite_number_overflows(function, dtype):
    with np.errstate(all="raise", under="ignore"):
        values = function(finite_numbers(dtype))
    assert values.dtype == dtype
    assert np.isfinite(values).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_sigmoid_reaches_its_limits(dtype):
    largest = np.finfo(dtype).max
    low, middle, high = sigmoid(np.array([-largest, 0, largest], dtype))
    assert 0 <= low < 1e-37
    assert middle == 0.5
    assert high == 1


def exact_sigmoid(z):
    return 1 / (1 + (-z).exp())


def exact_tanh(z):
    return 1 - 2 / (1 + (2 * z).exp())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("function", "exact"), [(sigmoid, exact_sigmoid), (tanh, exact_tanh)])
def test_values_agree_with_a_hundred_digits(function, exact, dtype):
    z = np.concatenate([np.linspace(-80, 80, 161), [-1e-5, 1e-5]]).astype(dtype)
    with localcontext() as context:
        context.prec = 100
        expected = np.array([float(exact(Decimal(float(v)))) for v in z])
    np.testing.assert_allclose(function(z), expected, rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize(
    ("function", "derivative"), [(sigmoid, d_sigmoid), (tanh, d_tanh), (relu, d_relu)]
)
def test_derivatives_agree_with_central_differences(function, derivative):
    z = np.linspace(-6, 6, 48)  # an even number, so none is 0, where the rectifier has no slope
    numeric = (function(z + 1e-6) - function(z - 1e-6)) / 2e-6
    np.testing.assert_allclose(derivative(function(z)), numeric, rtol=0, atol=1e-9)


@pytest.mark.parametrize("function", [sigmoid, tanh, relu, softmax, log_softmax])
def test_nan_stays_nan(function):
    assert np.isnan(function(np.array([np.nan, 1.0]))[0])


@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax_sums_to_one_whatever_the_scores(dtype):
    scores = np.array([[0, 0, 0], [1e30, -1e30, 1e30], [-1e30, 3, 4]], dtype)
    with np.errstate(all="raise", under="ignore"):
        p = softmax(scores)
    third, half, e = 1 / 3, 0.5, 1 / (1 + np.e)
    np.testing.assert_allclose(
        p, [[third] * 3, [half, 0, half], [0, e, 1 - e]], rtol=4 * np.finfo(dtype).eps
    )


def test_log_softmax_is_the_logarithm_where_softmax_underflows():
    scores = np.array([[0.0, -2000.0, 1.0]])
    log_sum = np.log1p(np.e)
    np.testing.assert_allclose(
        log_softmax(scores), [[-log_sum, -2000 - log_sum, 1 - log_sum]], rtol=1e-14
    )


def test_an_impossible_class_has_probability_zero():
    scores = np.array([[-np.inf, 0.0, 0.0]])
    np.testing.assert_array_equal(softmax(scores), [[0, 0.5, 0.5]])
    np.testing.assert_allclose(log_softmax(scores), [[-np.inf, -np.log(2), -np.log(2)]])


def test_softmax_backward_agrees_with_central_differences():
    rng = np.random.default_rng(0)
    z, d_p = rng.standard_normal((2, 3, 4))
    numeric = np.empty_like(z)
    for k in np.ndindex(z.shape):
        delta = np.zeros_like(z)
        delta[k] = 1e-6
        numeric[k] = np.sum(d_p * (softmax(z + delta) - softmax(z - delta))) / 2e-6
    np.testing.assert_allclose(softmax_backward(d_p, softmax(z)), numeric, rtol=0, atol=1e-9)
