"""Axis legend, array aliases and gate order: stated once, here.

========  =====================================================
axis      meaning
========  =====================================================
B         batch: rows, independent sequences
T         time steps
I         input features
H         hidden units
O         output features or classes
G         gate lanes; 4H for an LSTM, in the order of ``LSTM_GATES``
S         memory slots of a relational memory
F         width of a memory slot
========  =====================================================

Sequences are batch-first, (B, T, I). Only ``LSTMCell`` uses columns, (H, B), as the equations do.

An ``Array`` is anything that follows the array API standard: NumPy, CuPy, torch and so on.
``NDArray`` is NumPy's own array, the type of those that the package itself makes or reads.
"""

from typing import Any, TypeAlias

import numpy as np
from array_api_compat import array_namespace
from jaxtyping import Float, Int

Array: TypeAlias = Any
"""An array of any library that follows the array API standard."""

Sequences: TypeAlias = Float[Array, "B T I"] | Int[Array, "B T"]
"""Inputs over time: numbers (B, T, I), or tokens (B, T), whole numbers 0 … I − 1 that stand for
one-hot rows of I columns."""

Params: TypeAlias = dict[str, Array]
"""Parameters by name. The arrays are live: an optimizer updates them in place."""

State: TypeAlias = tuple[Array, ...]
"""A state: a named tuple of arrays with B rows each; the first one is the output."""

Shapes: TypeAlias = dict[str, tuple[int, ...]]
"""Shape of every parameter by name."""

# Spelt out, because jaxtyping takes classes, and numpy.typing's NDArray is none.
NDArray: TypeAlias = np.ndarray[tuple[Any, ...], np.dtype[Any]]
FloatArray: TypeAlias = np.ndarray[tuple[Any, ...], np.dtype[np.floating[Any]]]
IntArray: TypeAlias = np.ndarray[tuple[Any, ...], np.dtype[np.integer[Any]]]
FloatDType: TypeAlias = np.dtype[np.floating[Any]]

LSTM_GATES = ("f", "i", "c", "o")
"""Forget, input, candidate, output: the order of the lanes in W (4H, I), U (4H, H), b (4H)."""

COUPLED_GATES = ("i", "c", "o")
"""The lanes without a forget gate of its own: W (3H, I) and so on where f = 1 − i."""

GRU_GATES = ("r", "z", "n")
"""Reset, update, candidate: the order of the lanes in W (3H, I), U (3H, H), b (3H)."""


def split_gates(z: Array, num_gates: int) -> list[Array]:
    """Split the last axis into equal gates, (…, n·H) -> n of (…, H)."""
    size = z.shape[-1] // num_gates
    return [z[..., k * size : (k + 1) * size] for k in range(num_gates)]


def join_gates(gates: list[Array]) -> Array:
    """Join gates along the last axis, n of (…, H) -> (…, n·H)."""
    return array_namespace(gates[0]).concat(gates, axis=-1)
