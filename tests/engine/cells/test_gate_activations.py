"""The activations of gates: values, derivatives, constants."""

import numpy as np
import pytest

from lstm_baseline.engine.cells.gate_activations import NAMES, gate_activation
from lstm_baseline.engine.errors import InputError

Z = np.linspace(-6.03, 6.01, 400)
CONSTANTS = {
    "affine": (0.7, -0.3),
    "elu": (1.7,),
    "hard_sigmoid": (0.3, 0.4),
    "leaky_relu": (0.2,),
    "scaled_tanh": (1.3, 0.6),
    "thresholded_relu": (0.8,),
}


def formula(name, z, alpha=None, beta=None):
    """Return an activation as the ONNX documentation writes it."""
    return {
        "affine": lambda: alpha * z + beta,
        "elu": lambda: np.where(z >= 0, z, alpha * (np.exp(z) - 1)),
        "hard_sigmoid": lambda: np.minimum(np.maximum(alpha * z + beta, 0), 1),
        "leaky_relu": lambda: np.where(z >= 0, z, alpha * z),
        "relu": lambda: np.maximum(0, z),
        "scaled_tanh": lambda: alpha * np.tanh(beta * z),
        "sigmoid": lambda: 1 / (1 + np.exp(-z)),
        "softplus": lambda: np.log(1 + np.exp(z)),
        "softsign": lambda: z / (1 + np.abs(z)),
        "tanh": lambda: (1 - np.exp(-2 * z)) / (1 + np.exp(-2 * z)),
        "thresholded_relu": lambda: np.where(z >= alpha, z, 0),
    }[name]()


DEFAULTS = {
    "affine": (1.0, 0.0),
    "elu": (1.0,),
    "hard_sigmoid": (0.2, 0.5),
    "leaky_relu": (0.01,),
    "scaled_tanh": (1.0, 1.0),
    "thresholded_relu": (1.0,),
}


@pytest.mark.parametrize("constants", [CONSTANTS, DEFAULTS], ids=["given", "default"])
@pytest.mark.parametrize("name", NAMES)
def test_values(name, constants):
    given = gate_activation(name, *(constants.get(name, ()) if constants is CONSTANTS else ()))
    np.testing.assert_allclose(
        given(Z), formula(name, Z, *constants.get(name, ())), rtol=1e-13, atol=1e-15
    )


@pytest.mark.parametrize("name", NAMES)
def test_derivatives_against_differences(name):
    phi = gate_activation(name, *CONSTANTS.get(name, ()))
    step = 1e-6
    differences = (phi(Z + step) - phi(Z - step)) / (2 * step)
    np.testing.assert_allclose(phi.derivative(Z, phi(Z)), differences, rtol=0, atol=1e-8)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", NAMES)
def test_dtype_and_extremes(name, dtype):
    phi = gate_activation(name)
    z = np.array([-np.inf, -1e30, -1.0, 0.0, 1.0, 1e30, np.inf, np.nan], dtype)
    with np.errstate(all="ignore"):
        y = phi(z)
        derivative = phi.derivative(z, y)
    assert y.dtype == derivative.dtype == dtype
    assert np.isnan(y[-1])
    assert np.isfinite(y[1:6]).all()
    assert np.isfinite(derivative[1:6]).all()


def test_what_cannot_be_is_refused():
    with pytest.raises(InputError, match=r"'swish'; known are: affine, elu"):
        gate_activation("swish")
    with pytest.raises(InputError, match="relu is given 1 constants; it takes 0"):
        gate_activation("relu", 1.0)
    with pytest.raises(InputError, match="a constant of activation elu is nan"):
        gate_activation("elu", np.nan)
