"""Less memory for more time: what backward needs is computed again, √T steps at a time.

Forward keeps the state before every stretch of ⌈√T⌉ steps and nothing else. Backward goes through
the stretches from the last to the first: each is run again from its state, now keeping what its
derivative needs, and is differentiated. So a sequence is run forward twice, and what is stored for
it grows with √T, but for what each layer is given: its inputs, and masks that are drawn for every
step.

Source: Chen, Xu, Zhang and Guestrin 2016 (arXiv 1604.06174), section 4.3.
"""

import math
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from lstm_baseline.engine.backend import Engine
from lstm_baseline.engine.cells import Cell, Regularization
from lstm_baseline.engine.shapes import FloatArray, IntArray, Params


class RecomputingCache(NamedTuple):
    """What ``unroll_backward`` needs."""

    x: FloatArray
    """(B, T, I)."""
    state: Any
    """The last state."""
    starts: list[Any]
    """The state before each stretch."""
    lengths: IntArray | None
    regularization: Regularization | None

    def stretches(self) -> Iterator[tuple[slice, IntArray | None, Regularization | None, Any]]:
        """Yield steps, lengths, regularization and starting state of each stretch, last first."""
        for k in range(len(self.starts) - 1, -1, -1):
            steps = _stretch(k, self.x.shape[1])
            yield steps, *_part(steps, self.lengths, self.regularization), self.starts[k]


def recomputing(engine: Engine) -> Engine:
    """Return an engine that gives the same outputs and gradients, and stores less between them."""
    return Engine(engine.name, partial(_unroll, engine), partial(_unroll_backward, engine))


def _unroll(
    engine: Engine,
    cell: Cell,
    params: Params,
    x: FloatArray,
    state: Any,
    lengths: IntArray | None,
    keep_cache: bool,
    regularization: Regularization | None = None,
) -> tuple[FloatArray, Any, Any]:
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
    return outputs, state, RecomputingCache(x, state, starts, lengths, regularization)


def _unroll_backward(
    engine: Engine,
    cell: Cell,
    params: Params,
    d_outputs: FloatArray | None,
    cache: Any,
    d_state: Any,
) -> tuple[Params, Any, Any]:
    if not isinstance(cache, RecomputingCache):
        return engine.unroll_backward(cell, params, d_outputs, cache, d_state)
    d_x = np.empty_like(cache.x)
    d_params: Params = {}
    for steps, lengths, around, start in cache.stretches():
        _, _, kept = engine.unroll(cell, params, cache.x[:, steps], start, lengths, True, around)
        d_y = None if d_outputs is None else d_outputs[:, steps]
        d_own, its_d_x, d_state = engine.unroll_backward(cell, params, d_y, kept, d_state)
        # At once, as to wait for somebody to ask would be to keep what it comes from.
        d_x[:, steps] = its_d_x()
        d_params = {n: d_params[n] + d for n, d in d_own.items()} if d_params else d_own
    return d_params, lambda: d_x, d_state


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
