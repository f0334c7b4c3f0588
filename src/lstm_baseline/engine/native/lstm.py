"""The LSTM's kernel."""

from typing import Any

from lstm_baseline.engine.core import load_core
from lstm_baseline.engine.native.unrolling import Call, Kernel, Parts, contiguous
from lstm_baseline.engine.shapes import FloatArray, Params

_STORED = ("f", "i", "c_tilde", "o", "tanh_c")


def _forward(call: Call) -> tuple[Any, ...]:
    W, U, b = (contiguous(call.params[name]) for name in ("W", "U", "b"))
    result: tuple[Any, ...] = load_core().lstm_forward(
        call.x, *call.state, W, U, b, call.lengths, call.keep_cache
    )
    return result


def _backward(
    call: Call, kept: Any, d_outputs: FloatArray | None, d_state: Parts
) -> tuple[Params, tuple[Any, ...]]:
    d_W, d_U, d_b, *rest = kept.backward(contiguous(call.params["U"]), d_outputs, *d_state)
    return {"W": d_W, "U": d_U, "b": d_b}, tuple(rest)


def _gate(call: Call, kept: Any, field: str) -> FloatArray:
    values: FloatArray = kept.stored(_STORED.index(field))
    return values


KERNEL = Kernel(_forward, _backward, _gate)
