"""Less memory for more time: what backward needs is computed again, √T steps at a time.

Forward keeps the state before every stretch of ⌈√T⌉ steps and nothing else. Backward goes through
the stretches from the last to the first. It runs each one again from its state, keeps what the
derivative needs, and differentiates the stretch. So a sequence is run forward twice, and its memory
grows with √T, apart from each layer's inputs and the masks that are drawn for every step.

Source: Chen, Xu, Zhang and Guestrin 2016 (arXiv 1604.06174), section 4.3.
"""

import math
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from lstm_baseline.engine.backend import Engine, UnrolledCache
from lstm_baseline.engine.cells import Cell, CellGradients, Regularization, State
from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.inputs import is_tokens
from lstm_baseline.engine.shapes import FloatArray, IntArray, Params, Sequences


class RecomputingCache(NamedTuple):
    """Record of a pass: the call, and the state before each stretch."""

    engine: Engine
    cell: Cell[Any, Any]
    params: Params
    x: Sequences
    state: State
    """The last state."""
    starts: list[State | None]
    """The state before each stretch."""
    lengths: IntArray | None
    regularization: Regularization | None

    def gate(self, field: str) -> FloatArray:
        """Refuse: gates were not kept."""
        raise InputError(
            f"gate {field} was not kept, as it is to be computed again; leave out recompute"
        )

    def backward(self, d_outputs: FloatArray | None, d_state: State | None) -> CellGradients:
        """Run and differentiate every stretch, the last one first."""
        d_x = None if is_tokens(self.x) else np.empty_like(self.x)
        d_params: Params = {}
        for k in range(len(self.starts) - 1, -1, -1):
            steps = _stretch(k, self.x.shape[1])
            lengths, around = _part(steps, self.lengths, self.regularization)
            _, _, kept = self.engine.unroll(
                self.cell, self.params, self.x[:, steps], self.starts[k], lengths, True, around
            )
            assert kept is not None
            d_y = None if d_outputs is None else d_outputs[:, steps]
            own = kept.backward(d_y, d_state)
            if d_x is not None:
                # Computed now: computing it later would mean keeping this stretch's record.
                d_x[:, steps] = own.x()
            d_state = own.initial_state
            d_params = (
                {n: d_params[n] + d for n, d in own.params.items()} if d_params else own.params
            )
        assert d_state is not None
        return CellGradients(d_params, lambda: d_x, d_state)


def recomputing(engine: Engine) -> Engine:
    """Return an engine that gives the same outputs and gradients, and stores less between them."""
    return Engine(engine.name, partial(_unroll, engine))


def _unroll(
    engine: Engine,
    cell: Cell[Any, Any],
    params: Params,
    x: Sequences,
    state: State | None,
    lengths: IntArray | None,
    keep_cache: bool,
    regularization: Regularization | None = None,
) -> tuple[FloatArray, State, UnrolledCache | None]:
    num_steps = x.shape[1]
    if not keep_cache or num_steps == 0:
        return engine.unroll(cell, params, x, state, lengths, keep_cache, regularization)
    outputs: FloatArray | None = None
    starts = []
    for k in range(math.ceil(num_steps / _stretch_size(num_steps))):
        steps = _stretch(k, num_steps)
        starts.append(state)
        its_lengths, around = _part(steps, lengths, regularization)
        y, state, _ = engine.unroll(cell, params, x[:, steps], state, its_lengths, False, around)
        if outputs is None:
            outputs = np.empty((len(x), num_steps, y.shape[2]), y.dtype)
        outputs[:, steps] = y
    assert outputs is not None
    assert state is not None
    cache = RecomputingCache(engine, cell, params, x, state, starts, lengths, regularization)
    return outputs, state, cache


def _stretch_size(num_steps: int) -> int:
    return math.isqrt(num_steps - 1) + 1


def _stretch(k: int, num_steps: int) -> slice:
    size = _stretch_size(num_steps)
    return slice(k * size, min((k + 1) * size, num_steps))


def _part(
    steps: slice, lengths: IntArray | None, regularization: Regularization | None
) -> tuple[IntArray | None, Regularization | None]:
    """Return lengths and regularization of some of the steps."""
    if lengths is not None:
        lengths = np.clip(lengths - steps.start, 0, steps.stop - steps.start)
    return lengths, None if regularization is None else regularization.at(steps)
