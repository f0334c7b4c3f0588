"""The GRU's kernel."""

from typing import Any

from lstm_baseline.engine.core import load_core
from lstm_baseline.engine.native.unrolling import Call, Kernel, Parts, contiguous
from lstm_baseline.engine.shapes import FloatArray, Params

_NAMES = ("W", "U", "b", "b_u")
_STORED = ("r", "z", "n", "q")


def _forward(call: Call) -> tuple[Any, ...]:
    params = (contiguous(call.params[name]) for name in _NAMES)
    result: tuple[Any, ...] = load_core().gru_forward(
        call.x, *call.state, *params, call.lengths, call.keep_cache
    )
    return result


def _backward(
    call: Call, kept: Any, d_outputs: FloatArray | None, d_state: Parts
) -> tuple[Params, tuple[Any, ...]]:
    found = kept.backward(contiguous(call.params["U"]), d_outputs, *d_state)
    return dict(zip(_NAMES, found, strict=False)), found[len(_NAMES) :]


def _gate(call: Call, kept: Any, field: str) -> FloatArray:
    values: FloatArray = kept.stored(_STORED.index(field))
    return values


KERNEL = Kernel(_forward, _backward, _gate)
