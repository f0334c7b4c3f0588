"""The loop over time, forward and backward, the same for every cell.

A cell states one step and its derivative; this file applies it T times. Rows shorter than T are
carried: past its end a row keeps its state, and its outputs are zero. What dropout and zoneout do
to a state before and after a step is ``regularization.py``'s.

    forward    s[t] = step(u[t], s[t−1]),  y[t] = first array of s[t]      t = 0 … T−1
    backward   d_s[t−1], d_u[t] = step_backward(d_s[t] + d_y[t])           t = T−1 … 0

u is the part of a step that depends on x alone.
"""

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple

from array_api_compat import array_namespace, device
from jaxtyping import Bool, Float, Int

from lstm_baseline.engine.cells.regularization import Regularization
from lstm_baseline.engine.shapes import Array, Params

State = tuple[Array, ...]
"""A cell's state: a named tuple of arrays with B rows each; the first one is the output."""


class Cell(ABC):
    """The equations of one recurrent cell.

    Parameters come in by name and are never changed. Gradients of parameters are added to the
    arrays in ``d_params``, next to the line that they differentiate.
    """

    state_type: ClassVar[type[Any]]
    """The named tuple of the state's arrays."""
    gate_fields: ClassVar[dict[str, str]] = {}
    """Gates by their names, and the fields of a step's cache that hold their values."""

    @abstractmethod
    def project(self, params: Params, x: Float[Array, "B T I"]) -> Float[Array, "B T G"]:
        """Return u, what a step needs of x, for all steps at once."""

    @abstractmethod
    def step(self, params: Params, u_t: Float[Array, "B G"], state: Any) -> tuple[Any, Any]:
        """Return the next state and what ``step_backward`` needs."""

    @abstractmethod
    def step_backward(
        self, params: Params, d_state: Any, cache: Any, d_params: Params
    ) -> tuple[Float[Array, "B G"], Any]:
        """Return the gradients of u_t and of the previous state; add to ``d_params``."""

    @abstractmethod
    def project_backward(
        self,
        params: Params,
        d_u: Float[Array, "B T G"],
        x: Float[Array, "B T I"],
        d_params: Params,
    ) -> Float[Array, "B T I"]:
        """Return the gradient of x; add to ``d_params``."""

    @abstractmethod
    def initial_state(self, params: Params, num_rows: int) -> Any:
        """Return the state before the first step, (B, …) arrays of the parameters' library."""


class Cache(NamedTuple):
    """What ``unroll_backward`` needs of a forward pass."""

    x: Array
    """(B, T, I), padding set to zero."""
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


def unroll(
    cell: Cell,
    params: Params,
    x: Float[Array, "B T I"],
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
        (B, T, I) inputs.
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
        For ``unroll_backward``; None without ``keep_cache``.
    """
    xp = array_namespace(x)
    num_steps = x.shape[1]
    live = None
    if lengths is not None:
        live = xp.arange(num_steps, device=device(x))[None, :] < lengths[:, None]
        # Whatever stands in the padding, NaN included, must not reach a product.
        x = xp.where(live[:, :, None], x, xp.zeros_like(x))
    regularization = regularization or Regularization()
    width = math.prod(state[0].shape[1:])
    outputs, steps = [], []
    for t in range(num_steps):
        seen = regularization.before_step(state)
        # Step by step, as the bits of a product of all steps would depend on their number.
        u_t = cell.project(params, x[:, t : t + 1, :])[:, 0, :]
        new_state, step_cache = cell.step(params, u_t, seen)
        new_state = regularization.after_step(new_state, state, t)
        state = new_state if live is None else _select(live[:, t], new_state, state)
        outputs.append(xp.reshape(state[0], (x.shape[0], width)))
        if keep_cache:
            steps.append(step_cache)
    if outputs:
        y = xp.stack(outputs, axis=1)
    else:
        y = xp.zeros((x.shape[0], 0, width), dtype=x.dtype, device=device(x))
    if live is not None:
        y = xp.where(live[:, :, None], y, xp.zeros_like(y))
    return y, state, Cache(x, live, steps, state, regularization) if keep_cache else None


def unroll_backward(
    cell: Cell,
    params: Params,
    d_outputs: Float[Array, "B T H"] | None,
    cache: Cache,
    d_state: State | None = None,
) -> tuple[Params, Float[Array, "B T I"], State]:
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
        Gradients with the shapes of what they belong to; d_x is zero in the padding.
    """
    x, live, steps, last_state, regularization = cache
    xp = array_namespace(x)
    d_params = {name: xp.zeros_like(value) for name, value in params.items()}
    if d_state is None:
        d_state = _rebuild(last_state, [xp.zeros_like(part) for part in last_state])
    if not steps:
        return d_params, xp.zeros_like(x), d_state
    d_u = []
    for t in range(len(steps) - 1, -1, -1):
        d_new = d_state
        if d_outputs is not None:
            d_y = xp.reshape(d_outputs[:, t, :], d_state[0].shape)
            d_new = _rebuild(d_state, [d_state[0] + d_y, *d_state[1:]])
        d_kept = None
        if live is not None:
            # A row past its end kept its state: the gradient goes by the step, not through it.
            nothing = _rebuild(d_state, [xp.zeros_like(part) for part in d_state])
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
    d_x = cell.project_backward(params, xp.stack(d_u[::-1], axis=1), x, d_params)
    return d_params, d_x, d_state


def _rebuild(like: State, parts: list[Array]) -> State:
    """Return a state of the same named tuple type as ``like``."""
    return type(like)(*parts)


def _add(one: State, other: State) -> State:
    return _rebuild(one, [a + b for a, b in zip(one, other, strict=True)])


def _select(rows: Bool[Array, " B"], new: State, old: State) -> State:
    """Take the marked rows of ``new`` and the others of ``old``."""
    xp = array_namespace(rows)
    return _rebuild(
        new,
        [
            xp.where(xp.reshape(rows, (-1,) + (1,) * (a.ndim - 1)), a, b)
            for a, b in zip(new, old, strict=True)
        ],
    )
