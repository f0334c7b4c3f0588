"""Call the GRU's kernels: arguments as ``unroll`` and ``unroll_backward`` take them."""

from collections.abc import Callable
from typing import Any

import numpy as np

from lstm_baseline.engine.native.core import load_core
from lstm_baseline.engine.shapes import FloatArray, IntArray, Params

_STORED = ("r", "z", "n", "q")


class GRUCache:
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
) -> tuple[FloatArray, Any, GRUCache | None]:
    """Run the GRU over time."""
    x = np.ascontiguousarray(x)
    h = None if state is None else np.ascontiguousarray(state[0])
    W, U, b, b_u = (np.ascontiguousarray(params[name]) for name in ("W", "U", "b", "b_u"))
    y, h, cache = load_core().gru_forward(x, h, W, U, b, b_u, lengths, keep_cache)
    last = cell.state_type(h)
    return y, last, GRUCache(x, last, cache) if keep_cache else None


def unroll_backward(
    cell: Any, params: Params, d_outputs: FloatArray | None, cache: GRUCache, d_state: Any
) -> tuple[Params, Callable[[], FloatArray], Any]:
    """Differentiate ``unroll``."""
    if d_outputs is not None:
        d_outputs = np.ascontiguousarray(d_outputs)
    d_h = None if d_state is None else np.ascontiguousarray(d_state[0])
    d_W, d_U, d_b, d_b_u, d_h, input_gradient = cache.kernel_cache.backward(
        np.ascontiguousarray(params["U"]), d_outputs, d_h
    )
    # A copy: the optimizer may have changed W when somebody asks for the gradient of x.
    W = params["W"].copy()
    d_params = {"W": d_W, "U": d_U, "b": d_b, "b_u": d_b_u}
    return d_params, lambda: input_gradient.d_x(W), cell.state_type(d_h)
