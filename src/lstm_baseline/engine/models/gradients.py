"""Gradients of a model, and what its forward pass keeps for them."""

from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple

from lstm_baseline.engine.cells import State
from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.models.stack import StackCache
from lstm_baseline.engine.shapes import FloatArray, IntArray, NDArray, Params


class Gradients:
    """Gradients of a loss."""

    params: Params
    """Gradients by the names and shapes of ``model.params``."""
    initial_state: Any
    """A state of the model's own type."""

    def __init__(
        self, params: Params, gradient_of_x: Callable[[], FloatArray | None], initial_state: State
    ) -> None:
        self.params = params
        self.initial_state = initial_state
        self._gradient_of_x = gradient_of_x

    def __getstate__(self) -> dict[str, Any]:
        """Copy and pickle the numbers, that of x among them, and not what would compute it."""
        return {"params": self.params, "initial_state": self.initial_state, "_x": self._x}

    @property
    def x(self) -> FloatArray:
        """(B, T, I), zero in the padding; computed when it is first asked for.

        Raises
        ------
        InputError
            If x holds tokens, which have no gradient.
        """
        if self._x is None:
            raise InputError("x holds tokens, and whole numbers have no gradient")
        return self._x

    @cached_property
    def _x(self) -> FloatArray | None:
        return self._gradient_of_x()


class ModelCache(NamedTuple):
    """Record of a ``forward_with_cache`` for ``backward``."""

    cell: StackCache
    """Cache of the layers, with ``x``, the last ``state`` and, unless gates are to be recomputed,
    ``gate(field)``."""
    hidden: FloatArray
    """Hidden states that the readout saw, (B, T, H), (B, H), or (N, H) at N chosen steps."""
    live: NDArray | None
    """True at the steps that a readout's gradient counts, (B, T, 1); None for all."""
    return_sequences: bool
    at: NDArray | None
    """(B, T) True at the steps whose outputs were asked for; None for all."""
    tokens: IntArray | None
    """(B, T) what an embedding looked up; None without one."""
    from_learned_state: bool
    """Whether the pass started from the learned state."""

    @property
    def state(self) -> State:
        """The state after each row's last step."""
        return self.cell.state
