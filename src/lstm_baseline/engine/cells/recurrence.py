"""The loop over time, forward and backward, the same for every cell.

A cell states one step and its derivative; this file applies them T times. Past its end a row that
is shorter than T keeps its state, and its outputs are zero. ``regularization.py`` has what dropout
and zoneout do to a state before and after a step.

    forward    s[t] = step(u[t], s[t−1]),  y[t] = first array of s[t]      t = 0 … T−1
    backward   d_s[t−1], d_u[t] = step_backward(d_s[t] + d_y[t])           t = T−1 … 0

u is the part of a step that depends on x alone.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from array_api_compat import array_namespace, device
from jaxtyping import Bool, Float, Int

from lstm_baseline.engine.cells.blocks import is_tokens
from lstm_baseline.engine.cells.cell import Cell
from lstm_baseline.engine.cells.regularization import Regularization, rebuild
from lstm_baseline.engine.shapes import Array, Params, Sequences, State


class CellGradients(NamedTuple):
    """Gradients of a cell that was run over time."""

    params: Params
    x: Callable[[], Array | None]
    """Computes (B, T, I), zero in the padding: training never asks, and it costs a product. None
    for tokens, which have no gradient."""
    initial_state: State


class Cache(NamedTuple):
    """Record of a forward pass for the derivative of ``unroll``."""

    cell: Cell[Any, Any]
    params: Params
    x: Array
    """(B, T, I) or (B, T), padding set to zero."""
    live: Array | None
    """(B, T), True within each row's length; None when all rows have T steps."""
    steps: list[Any]
    """The cell's own cache of each step."""
    state: State
    """The last state, for the shapes of its gradient."""
    regularization: Regularization

    def gate(self, field: str) -> Array:
        """Return a gate's values at every step, (B, T, …); see ``Cell.gate_fields``."""
        values = [getattr(step, field) for step in self.steps]
        return array_namespace(self.x).stack(values, axis=1)

    def backward(self, d_outputs: Array | None, d_state: State | None = None) -> CellGradients:
        """Differentiate ``unroll``; see ``unroll_backward``."""
        d_params, d_x, d_initial = unroll_backward(self.cell, self.params, d_outputs, self, d_state)
        return CellGradients(d_params, lambda: d_x, d_initial)


def unroll(
    cell: Cell[Any, Any],
    params: Params,
    x: Sequences,
    state: State,
    lengths: Int[Array, " B"] | None = None,
    *,
    keep_cache: bool = True,
    regularization: Regularization | None = None,
) -> tuple[Float[Array, "B T H"], State, Cache | None]:
    """Run a cell over time.

    Parameters
    ----------
    cell, params
        The equations and their parameters.
    x
        (B, T, I) inputs, or tokens (B, T): whole numbers that stand for one-hot rows.
    state
        State before the first step.
    lengths
        (B,) valid steps of each row, 0 to T; all T when None.
    keep_cache
        False saves the memory that only backward needs.
    regularization
        What is done to the state before and after each step; nothing when None.

    Returns
    -------
    outputs
        (B, T, H), zero past each row's end.
    state
        State after each row's last valid step.
    cache
        Its ``backward`` differentiates the call; None without ``keep_cache``.
    """
    xp = array_namespace(x)
    num_steps = x.shape[1]
    live = None
    if lengths is not None:
        live = xp.arange(num_steps, device=device(x))[None, :] < lengths[:, None]
        # Numbers in the padding, NaN included, must not reach a product.
        x = xp.where(live if is_tokens(x) else live[:, :, None], x, xp.zeros_like(x))
    regularization = regularization or Regularization()
    width = math.prod(state[0].shape[1:])
    outputs, steps = [], []
    for t in range(num_steps):
        seen = regularization.before_step(state)
        # Step by step: in one product of all steps, the bits would depend on their number.
        u_t = cell.input_part(params, x[:, t : t + 1, ...])[:, 0, :]
        new_state, step_cache = cell.step(params, u_t, seen)
        new_state = regularization.after_step(new_state, state, t)
        state = new_state if live is None else _select(live[:, t], new_state, state)
        outputs.append(xp.reshape(state[0], (x.shape[0], width)))
        if keep_cache:
            steps.append(step_cache)
    if outputs:
        y = xp.stack(outputs, axis=1)
    else:
        dtype = state[0].dtype
        y = xp.zeros((x.shape[0], 0, width), dtype=dtype, device=device(x))
    if live is not None:
        y = xp.where(live[:, :, None], y, xp.zeros_like(y))
    if not keep_cache:
        return y, state, None
    return y, state, Cache(cell, params, x, live, steps, state, regularization)


def unroll_backward(
    cell: Cell[Any, Any],
    params: Params,
    d_outputs: Float[Array, "B T H"] | None,
    cache: Cache,
    d_state: State | None = None,
) -> tuple[Params, Array | None, State]:
    """Differentiate ``unroll``.

    Parameters
    ----------
    cell, params
        As given to ``unroll``.
    d_outputs
        (B, T, H) gradient of the loss with respect to the outputs; padding is ignored. Zero when
        None.
    cache
        From ``unroll``.
    d_state
        Gradient with respect to the last state; zero when None.

    Returns
    -------
    d_params, d_x, d_initial_state
        Gradients with the shapes of what they belong to; d_x is zero in the padding, and None for
        tokens.
    """
    _, _, x, live, steps, last_state, regularization = cache
    xp = array_namespace(x)
    d_params = {name: xp.zeros_like(value) for name, value in params.items()}
    if d_state is None:
        d_state = rebuild(last_state, [xp.zeros_like(part) for part in last_state])
    if not steps:
        return d_params, None if is_tokens(x) else xp.zeros_like(x), d_state
    d_u = []
    for t in range(len(steps) - 1, -1, -1):
        d_new = d_state
        if d_outputs is not None:
            d_y = xp.reshape(d_outputs[:, t, :], d_state[0].shape)
            d_new = rebuild(d_state, [d_state[0] + d_y, *d_state[1:]])
        d_kept = None
        if live is not None:
            # Past the end of a row its state is copied, so the gradient bypasses the step.
            nothing = rebuild(d_state, [xp.zeros_like(part) for part in d_state])
            d_new, d_kept = (
                _select(live[:, t], d_new, nothing),
                _select(live[:, t], nothing, d_state),
            )
        d_new, d_old = regularization.after_step_backward(d_new, t)
        d_u_t, d_seen = cell.step_backward(params, d_new, steps[t], d_params)
        d_state = regularization.before_step_backward(d_seen)
        for by_the_step in (d_kept, d_old):
            if by_the_step is not None:
                d_state = _add(d_state, by_the_step)
        d_u.append(d_u_t)
    d_x = cell.input_part_backward(params, xp.stack(d_u[::-1], axis=1), x, d_params)
    return d_params, d_x, d_state


def _add(one: State, other: State) -> State:
    return rebuild(one, [a + b for a, b in zip(one, other, strict=True)])


def _select(rows: Bool[Array, " B"], new: State, old: State) -> State:
    """Take the marked rows of ``new`` and the others of ``old``."""
    xp = array_namespace(rows)
    return rebuild(
        new,
        [
            xp.where(xp.reshape(rows, (-1,) + (1,) * (a.ndim - 1)), a, b)
            for a, b in zip(new, old, strict=True)
        ],
    )
