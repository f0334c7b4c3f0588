"""Call the kernels of the LSTM's variants: arguments as ``unroll``, ``unroll_backward`` take them.

They also run the plain LSTM where something is put around its steps.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from lstm_baseline.engine.native.core import load_core
from lstm_baseline.engine.shapes import FloatArray, IntArray, Params

_NAMES = (
    "W",
    "U",
    "b",
    "p_f",
    "p_i",
    "p_o",
    "gain_x",
    "gain_h",
    "gain_c",
    "bias_c",
    "W_proj",
)
"""Parameters in the order in which the core takes them, None for those that are not there."""

_ACTIVATIONS = (
    "affine",
    "elu",
    "hard_sigmoid",
    "leaky_relu",
    "relu",
    "scaled_tanh",
    "sigmoid",
    "softplus",
    "softsign",
    "tanh",
    "thresholded_relu",
)
"""By the numbers that ``gate_activations_kernel.h`` gives them."""

_FROM_VALUE = ("sigmoid", "tanh")
"""Activations whose derivatives need their values only."""


class LSTMVariantCache:
    """What the backward kernel needs; the forward kernel's own memory."""

    def __init__(
        self, x: FloatArray, state: Any, gates: tuple[str, ...], params: Params, kernel_cache: Any
    ) -> None:
        self.x = x
        self.state = state
        self.kernel_cache = kernel_cache
        self._gates = gates
        self._params = _listed(params)

    def gate(self, field: str) -> FloatArray:
        """Return a gate's values at every step, (B, T, H)."""
        if field not in self._gates:  # f, where gates are coupled
            return 1.0 - self.gate("i")
        values: FloatArray = self.kernel_cache.stored(self._gates.index(field), self._params)
        return values


def unroll(
    cell: Any,
    params: Params,
    x: FloatArray,
    state: Any,
    lengths: IntArray | None,
    keep_cache: bool,
    regularization: Any = None,
) -> tuple[FloatArray, Any, LSTMVariantCache | None]:
    """Run the LSTM over time."""
    x = np.ascontiguousarray(x)
    h, c = (None, None) if state is None else map(np.ascontiguousarray, state)
    recurrent, (zoneout_h, zoneout_c) = None, (None, None)
    if regularization is not None:
        recurrent = _contiguous(regularization.recurrent)
        if regularization.zoneout is not None:
            zoneout_h, zoneout_c = map(_contiguous, regularization.zoneout)
    y, h, c, cache = load_core().lstm_variant_forward(
        x,
        h,
        c,
        _listed(params),
        cell.coupled_gates,
        cell.clip,
        [_numbered(activation) for activation in cell.activations],
        cell.clip is not None or any(a.name not in _FROM_VALUE for a in cell.activations),
        recurrent,
        zoneout_h,
        zoneout_c,
        lengths,
        keep_cache,
    )
    last = cell.state_type(h, c)
    if not keep_cache:
        return y, last, None
    return y, last, LSTMVariantCache(x, last, cell.gates, params, cache)


def unroll_backward(
    cell: Any, params: Params, d_outputs: FloatArray | None, cache: LSTMVariantCache, d_state: Any
) -> tuple[Params, Callable[[], FloatArray], Any]:
    """Differentiate ``unroll``."""
    d_h, d_c = (None, None) if d_state is None else map(np.ascontiguousarray, d_state)
    d_listed, d_h, d_c, input_gradient = cache.kernel_cache.backward(
        _listed(params), _contiguous(d_outputs), d_h, d_c
    )
    d_params = {n: d for n, d in zip(_NAMES, d_listed, strict=True) if d is not None}
    # A copy: the optimizer may have changed W when somebody asks for the gradient of x.
    W = params["W"].copy()
    return d_params, lambda: input_gradient.d_x(W), cell.state_type(d_h, d_c)


def _listed(params: Params) -> list[FloatArray | None]:
    return [_contiguous(params.get(name)) for name in _NAMES]


def _contiguous(array: Any) -> Any:
    return np.ascontiguousarray(array) if isinstance(array, np.ndarray) else array


def _numbered(activation: Any) -> tuple[int, float, float]:
    """Return an activation's number and its constants."""
    alpha, beta = (*activation.constants, 0.0, 0.0)[:2]
    return _ACTIVATIONS.index(activation.name), alpha, beta
