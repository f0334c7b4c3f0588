"""Activations that may replace sigmoid and tanh in a gate: those of ONNX's LSTM.

Each is a pair: y = φ(z), and φ′(z) from z and y. It may have the constants α and β.

Source: the ONNX operators LSTM, Affine, Elu, HardSigmoid, LeakyRelu, ScaledTanh, Softplus, Softsign
and ThresholdedRelu, with their default constants.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from array_api_compat import array_namespace

from lstm_baseline.engine.activations import (
    d_relu,
    d_sigmoid,
    d_tanh,
    exp_of_negative,
    relu,
    sigmoid,
    tanh,
)
from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.inputs import as_number
from lstm_baseline.engine.shapes import Array

_SILENCE = partial(np.errstate, over="ignore", invalid="ignore")


class GateActivation(NamedTuple):
    """One of ``NAMES`` with its constants; ``gate_activation`` makes it."""

    name: str
    constants: tuple[float, ...]
    """α and β; none or one where the activation has no more."""

    def __call__(self, z: Array) -> Array:
        """Return φ(z). It may overflow to ±∞ in silence, as in the compiled core."""
        with _SILENCE():
            return _KINDS[self.name].value(z, *self.constants)

    def derivative(self, z: Array, y: Array) -> Array:
        """Return φ′(z), given y = φ(z) as well."""
        with _SILENCE():
            return _KINDS[self.name].derivative(z, y, *self.constants)


def gate_activation(name: str, *constants: float) -> GateActivation:
    """Return an activation by its name, its constants α and β where they differ from ONNX's.

    Raises
    ------
    InputError
        If there is no such activation, it takes fewer constants, or a constant is not finite.
    """
    kind = _KINDS.get(name)
    if kind is None:
        raise InputError(f"activation is {name!r}; known are: {', '.join(NAMES)}")
    if len(constants) > len(kind.constants):
        raise InputError(
            f"activation {name} is given {len(constants)} constants; it takes {len(kind.constants)}"
        )
    given = tuple(as_number(f"a constant of activation {name}", c) for c in constants)
    return GateActivation(name, given + kind.constants[len(given) :])


def as_activation(given: object) -> GateActivation:
    """Return the activation that a user names: "tanh", or ("leaky_relu", 0.1).

    Raises
    ------
    InputError
        If there is no such activation.
    """
    if isinstance(given, GateActivation):
        return gate_activation(given.name, *given.constants)
    if isinstance(given, str):
        return gate_activation(given)
    if isinstance(given, list | tuple) and given and isinstance(given[0], str):
        return gate_activation(*given)
    raise InputError(
        f'an activation is {given!r}; give a name, or a name and constants as ("leaky_relu", 0.1)'
    )


class _Kind(NamedTuple):
    value: Callable[..., Array]
    """φ(z, α, β), with the constants that the activation has."""
    derivative: Callable[..., Array]
    """φ′(z, y, α, β)."""
    constants: tuple[float, ...] = ()
    """The default values of α and β."""


def _where(condition: Array, a: Array | float, b: Array | float, like: Array) -> Array:
    """Return a where the condition holds and b elsewhere, in the dtype of an array."""
    xp = array_namespace(like)
    one = xp.ones_like(like)
    return xp.where(condition, a * one, b * one)


def _affine(z: Array, alpha: float, beta: float) -> Array:
    return alpha * z + beta


def _d_affine(z: Array, y: Array, alpha: float, beta: float) -> Array:
    return alpha * array_namespace(z).ones_like(z)


def _elu(z: Array, alpha: float) -> Array:
    xp = array_namespace(z)
    return _where(z >= 0, z, alpha * xp.expm1(xp.minimum(z, 0.0)), z)


def _d_elu(z: Array, y: Array, alpha: float) -> Array:
    return _where(z >= 0, 1.0, y + alpha, z)


def _hard_sigmoid(z: Array, alpha: float, beta: float) -> Array:
    return array_namespace(z).clip(alpha * z + beta, 0.0, 1.0)


def _d_hard_sigmoid(z: Array, y: Array, alpha: float, beta: float) -> Array:
    return _where((y > 0) & (y < 1), alpha, 0.0, z)


def _leaky_relu(z: Array, alpha: float) -> Array:
    return _where(z >= 0, z, alpha * z, z)


def _d_leaky_relu(z: Array, y: Array, alpha: float) -> Array:
    return _where(z >= 0, 1.0, alpha, z)


def _scaled_tanh(z: Array, alpha: float, beta: float) -> Array:
    return alpha * tanh(beta * z)


def _d_scaled_tanh(z: Array, y: Array, alpha: float, beta: float) -> Array:
    return alpha * beta * d_tanh(tanh(beta * z))


def _softplus(z: Array) -> Array:
    # ln(1 + e^z) = max(z, 0) + ln(1 + e^−|z|), which cannot overflow.
    xp = array_namespace(z)
    return xp.maximum(z, 0.0) + xp.log1p(exp_of_negative(-xp.abs(z)))


def _softsign(z: Array) -> Array:
    xp = array_namespace(z)
    largest = float(xp.finfo(z.dtype).max)
    z = xp.clip(z, -largest, largest)  # ±1 at ±∞
    return z / (1.0 + xp.abs(z))


def _d_softsign(z: Array, y: Array) -> Array:
    # The square of 1 + |z| could overflow, that of its reciprocal cannot.
    reciprocal = 1.0 / (1.0 + array_namespace(z).abs(z))
    return reciprocal * reciprocal


def _thresholded_relu(z: Array, alpha: float) -> Array:
    return _where(z <= alpha, 0.0, z, z)  # NaN stays NaN


_KINDS = {
    "affine": _Kind(_affine, _d_affine, (1.0, 0.0)),
    "elu": _Kind(_elu, _d_elu, (1.0,)),
    "hard_sigmoid": _Kind(_hard_sigmoid, _d_hard_sigmoid, (0.2, 0.5)),
    "leaky_relu": _Kind(_leaky_relu, _d_leaky_relu, (0.01,)),
    "relu": _Kind(relu, lambda z, y: d_relu(y)),
    "scaled_tanh": _Kind(_scaled_tanh, _d_scaled_tanh, (1.0, 1.0)),
    "sigmoid": _Kind(sigmoid, lambda z, y: d_sigmoid(y)),
    "softplus": _Kind(_softplus, lambda z, y: sigmoid(z)),
    "softsign": _Kind(_softsign, _d_softsign),
    "tanh": _Kind(tanh, lambda z, y: d_tanh(y)),
    "thresholded_relu": _Kind(
        _thresholded_relu, lambda z, y, alpha: _where(z > alpha, 1.0, 0.0, z), (1.0,)
    ),
}

NAMES = tuple(_KINDS)
