"""Call the LSTM's kernels: arguments as ``unroll`` and ``unroll_backward`` take them."""

from collections.abc import Callable
from typing import Any

import numpy as np

from lstm_baseline.engine.native.core import load_core
from lstm_baseline.engine.shapes import FloatArray, IntArray, Params

_STORED = ("f", "i", "c_tilde", "o", "tanh_c")


class LSTMCache:
    """What the backward kernel needs; the forward kernel's own memory."""

    def __init__(self, x: FloatArray, state: Any, kernel_cache: Any) -> None:
        self.x = x
        self.state = state
        self.kernel_cache = kernel_cache

    def gate(self, field: str) -> FloatArray:
        """Return a gate's values at every step, (B, T, H)."""
        values: FloatArray = self.kernel_cache.stored(_STORED.index(field))
        return values


def unroll(
    cell: Any,
    params: Params,
    x: FloatArray,
    state: Any,
    lengths: IntArray | None,
    keep_cache: bool,
) -> tuple[FloatArray, Any, LSTMCache | None]:
    """Run the LSTM over time."""
    x = np.ascontiguousarray(x)
    h, c = (None, None) if state is None else map(np.ascontiguousarray, state)
    W, U, b = (np.ascontiguousarray(params[name]) for name in ("W", "U", "b"))
    y, h, c, cache = load_core().lstm_forward(x, h, c, W, U, b, lengths, keep_cache)
    last = cell.state_type(h, c)
    return y, last, LSTMCache(x, last, cache) if keep_cache else None


def unroll_backward(
    cell: Any, params: Params, d_outputs: FloatArray | None, cache: LSTMCache, d_state: Any
) -> tuple[Params, Callable[[], FloatArray], Any]:
    """Differentiate ``unroll``."""
    if d_outputs is not None:
        d_outputs = np.ascontiguousarray(d_outputs)
    d_h, d_c = (None, None) if d_state is None else map(np.ascontiguousarray, d_state)
    d_W, d_U, d_b, d_h, d_c, input_gradient = cache.kernel_cache.backward(
        np.ascontiguousarray(params["U"]), d_outputs, d_h, d_c
    )
    # A copy: the optimizer may have changed W when somebody asks for the gradient of x.
    W = params["W"].copy()
    d_params = {"W": d_W, "U": d_U, "b": d_b}
    return d_params, lambda: input_gradient.d_x(W), cell.state_type(d_h, d_c)
