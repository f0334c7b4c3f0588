"""The contract: what a model must have to be trained, checked and raced.

The package's own models keep it, and so can any class, which need not inherit anything.
B rows, T steps, I input features, O outputs.

Where the targets of some steps alone count, ``forward`` and ``forward_with_cache`` may take
``at``, (B, T) booleans, and return the outputs at these steps, (N, O), row by row; ``d_outputs``
then is (N, O), too. Of a model without this argument, outputs are computed at all steps.
"""

from typing import Protocol, TypeVar

import numpy as np

from lstm_baseline.engine.shapes import FloatArray, IntArray, NDArray, Params, State

MEMBERS = ("params", "forward", "forward_with_cache", "backward")
"""Names that a class must have; their signatures are those of ``Model``."""

C = TypeVar("C")


class ParamGradients(Protocol):
    """The result of ``backward``."""

    params: Params
    """Gradients by the names and shapes of the model's ``params``."""


class Model(Protocol[C]):
    """A model that can be trained. C is the type of what its forward pass keeps."""

    params: Params
    """Live arrays by name, of one dtype: what an optimizer updates in place."""

    def forward(
        self,
        x: NDArray,
        return_sequences: bool = True,
        /,
        *,
        lengths: IntArray | None = None,
    ) -> FloatArray:
        """Return the output at every step, (B, T, O), or each row's last, (B, O).

        x is (B, T, I), or tokens (B, T) where a task is of tokens; lengths (B,) are the valid steps
        of each row, or None for all.
        """

    def forward_with_cache(
        self,
        x: NDArray,
        return_sequences: bool = True,
        /,
        *,
        lengths: IntArray | None = None,
        rng: np.random.Generator | None = None,
    ) -> tuple[FloatArray, C]:
        """Return outputs, and what ``backward`` needs.

        Dropout masks are drawn from rng and from nothing else.
        """

    def backward(self, d_outputs: FloatArray, cache: C, /) -> ParamGradients:
        """Return the gradients of a loss whose gradient by the outputs is ``d_outputs``."""


class StatefulModel(Model[C], Protocol[C]):
    """A model that a sequence may be given to in chunks: what it keeps has the last ``state``."""

    def forward_with_cache(
        self,
        x: NDArray,
        return_sequences: bool = True,
        /,
        *,
        initial_state: State | None = None,
        lengths: IntArray | None = None,
        rng: np.random.Generator | None = None,
    ) -> tuple[FloatArray, C]:
        """Return outputs, and what ``backward`` needs, from a state on."""
