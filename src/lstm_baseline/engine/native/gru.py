"""The GRU's kernel."""

from typing import Any

import numpy as np

from lstm_baseline.engine.core import load_core
from lstm_baseline.engine.native.unrolling import Call, Kernel, Parts
from lstm_baseline.engine.shapes import FloatArray, Params

_STORED = ("r", "z", "n", "q")


def _forward(call: Call) -> tuple[Any, ...]:
    params = call.params
    W, U, b = map(np.ascontiguousarray, (params["W"], params["U"], params["b"]))
    b_u = np.ascontiguousarray(params["b_u"])
    result: tuple[Any, ...] = load_core().gru_forward(
        call.x, *call.state, W, U, b, b_u, call.tokens, call.table, call.lengths, call.keep_cache
    )
    return result


def _backward(
    call: Call, kept: Any, d_outputs: FloatArray | None, d_state: Parts
) -> tuple[Params, tuple[Any, ...]]:
    U = np.ascontiguousarray(call.params["U"])
    d_W, d_U, d_b, d_b_u, *rest = kept.backward(U, d_outputs, *d_state)
    return {"W": d_W, "U": d_U, "b": d_b, "b_u": d_b_u}, tuple(rest)


def _gate(call: Call, kept: Any, field: str) -> FloatArray:
    values: FloatArray = kept.stored(_STORED.index(field))
    return values


KERNEL = Kernel(_forward, _backward, _gate)
