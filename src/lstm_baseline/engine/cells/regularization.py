"""Recurrent dropout and zoneout, applied around a cell's step.

    recurrent dropout   s' → (r ⊙ h', …)             the step sees h' through a mask, held over time
    zoneout             s  → z ⊙ s' + (1 − z) ⊙ s     each unit keeps its old value where z says so

In training r holds 0 and 1 / (1 − rate), and z is drawn anew at every step. Outside training there
is no r, and z is the rate, its mean.

Sources: recurrent dropout, Gal and Ghahramani 2016 (arXiv 1512.05287), equation 7; zoneout, Krueger
et al. 2017 (arXiv 1606.01305), equations 4 and 5, where h comes from the cell state before zoneout.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from array_api_compat import array_namespace

from lstm_baseline.engine.cells.cell import S
from lstm_baseline.engine.shapes import Array

Zone = Array | float | None
"""z of one array of the state: (B, T, ·) of True and False, a number, or None for 0."""


class Regularization(NamedTuple):
    """Changes of a state before a step and after it."""

    recurrent: Array | None = None
    """r, (B, ·) of the state's first array."""
    zoneout: tuple[Any, ...] | None = None
    """z of each of the state's arrays, as ``Zone`` says."""

    def at(self, steps: slice) -> "Regularization":
        """Return that of some of the steps."""
        if self.zoneout is None:
            return self
        return self._replace(
            zoneout=tuple(z if _constant(z) else z[:, steps] for z in self.zoneout)
        )

    def before_step(self, state: S) -> S:
        """Return what the step is to see of the state."""
        if self.recurrent is None:
            return state
        return rebuild(state, [self.recurrent * state[0], *state[1:]])

    def before_step_backward(self, d_state: S) -> S:
        """Differentiate ``before_step``."""
        return self.before_step(d_state)

    def after_step(self, new: S, old: S, t: int) -> S:
        """Return what stays of the state before a step, and what the step gave."""
        if self.zoneout is None:
            return new
        parts = zip(self.zoneout, new, old, strict=True)
        return rebuild(new, (_mix(z, t, a, b) for z, a, b in parts))

    def after_step_backward(self, d_state: S, t: int) -> tuple[S, S | None]:
        """Return the gradients of what the step gave, and of the state before it (None for 0)."""
        if self.zoneout is None:
            return d_state, None
        nothing = [array_namespace(part).zeros_like(part) for part in d_state]
        parts = list(zip(self.zoneout, d_state, nothing, strict=True))
        d_new = rebuild(d_state, (_mix(z, t, d, zero) for z, d, zero in parts))
        d_old = rebuild(d_state, (_mix(z, t, zero, d) for z, d, zero in parts))
        return d_new, d_old


def rebuild(like: S, parts: Iterable[Array]) -> S:
    """Return a state of the same named tuple type as ``like``."""
    make: Callable[..., S] = type(like)
    return make(*parts)


def _constant(z: Zone) -> bool:
    return z is None or isinstance(z, float)


def _mix(z: Zone, t: int, new: Array, old: Array) -> Array:
    """Return z ⊙ old + (1 − z) ⊙ new."""
    if z is None:
        return new
    if isinstance(z, float):
        return z * old + (1.0 - z) * new
    return array_namespace(new).where(z[:, t], old, new)
