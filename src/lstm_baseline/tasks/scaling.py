"""Standardisation of a user's numbers, and which of them carry no information."""

from typing import NamedTuple

import numpy as np

from lstm_baseline.engine.shapes import FloatArray, NDArray

_ROUNDINGS = 4.0
"""A feature whose values lie within so many roundings of each other is constant."""
_LEAST_SPREAD = 1e3
"""Standard deviation that float64 can compute with, in roundings of the largest value."""


class Scaling(NamedTuple):
    """Standardisation of values: (value − mean) / scale."""

    mean: NDArray
    """(I,) or (O,), float64"""
    scale: NDArray
    """(I,) or (O,), float64; of a constant feature of X inf, so that it is 0 whatever its value,
    and of a constant component of y 1."""

    def apply(self, values: NDArray) -> FloatArray:
        """Return standardised values, float32."""
        return ((values - self.mean) / self.scale).astype(np.float32)

    def inverse(self) -> "Scaling":
        """Return the scaling that undoes this one: value · scale + mean; constants stay at 0."""
        constant = np.isinf(self.scale)
        return Scaling(-self.mean / self.scale, np.where(constant, 1.0, 1 / self.scale))


def measured(values: NDArray, constant_scale: float) -> Scaling:
    """Return mean and standard deviation over the first axis of values (M, ·).

    Parameters
    ----------
    values
        Values of several features, side by side.
    constant_scale
        Scale of a feature that is constant.
    """
    mean = values.mean(axis=0, dtype=np.float64)
    scale = values.std(axis=0, dtype=np.float64)
    return Scaling(mean, np.where(is_constant(values) | (scale == 0), constant_scale, scale))


def is_constant(values: NDArray) -> NDArray:
    """Return which features of values (M, ·) are constant, but for the rounding of their dtype."""
    low, high = values.min(axis=0).astype(np.float64), values.max(axis=0).astype(np.float64)
    if values.dtype.kind != "f":
        return np.asarray(low == high)
    largest = np.maximum(np.abs(low), np.abs(high))
    return np.asarray(high - low <= _ROUNDINGS * np.finfo(values.dtype).eps * largest)


def too_narrow(values: NDArray, scale: NDArray) -> NDArray:
    """Return which features spread so little beside their size that float64 is too coarse."""
    largest = np.abs(values).max(axis=0).astype(np.float64)
    return np.asarray(scale < _LEAST_SPREAD * np.finfo(np.float64).eps * largest)
