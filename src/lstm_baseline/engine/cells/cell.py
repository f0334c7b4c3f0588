"""The statements of a cell: parameters, their initial values, one step and its derivative."""

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from jaxtyping import Float

from lstm_baseline.engine.shapes import Array, Params, Sequences, Shapes

S = TypeVar("S", bound=tuple[Array, ...])
K = TypeVar("K")


class Cell(ABC, Generic[S, K]):
    """One recurrent cell: sizes and initial values of its parameters, its equations, derivatives.

    S is the named tuple of the cell's state, K what a step keeps for its derivative.

    A cell knows its hidden size, but not its number of inputs, which is I of its layer. Parameters
    are given by name and never changed. Gradients of parameters are added to the arrays in
    ``d_params``, next to the line that they differentiate.
    """

    state_type: ClassVar[type[Any]]
    """The named tuple of the state's arrays."""
    gated_params: ClassVar[tuple[str, ...]] = ("W", "U", "b")
    """Parameters that hold the rows of all gates one below the other."""
    gate_fields: ClassVar[dict[str, str]] = {}
    """Gates by their names, and the fields of a step's cache that hold their values."""
    recurrent_weights: ClassVar[tuple[str, ...]] = ("U",)
    """Weights of the state before the step: those that weight drop is for."""

    @property
    @abstractmethod
    def gates(self) -> tuple[str, ...]:
        """Short names of the gates, in the order in which ``gated_params`` hold them."""

    @property
    @abstractmethod
    def input_weights(self) -> tuple[str, str]:
        """Names of the weights and of the bias that x meets first.

        Raises
        ------
        InputError
            If their values cannot express another mean and scale of x.
        """

    @property
    @abstractmethod
    def output_size(self) -> int:
        """Features of the output: of the state's first array, flattened."""

    @property
    @abstractmethod
    def config(self) -> dict[str, Any]:
        """Constructor arguments of a model of this cell, as plain JSON values."""

    @abstractmethod
    def shapes(self, input_size: int) -> Shapes:
        """Return the shape of every parameter."""

    @abstractmethod
    def initial_params(self, input_size: int, rng: np.random.Generator) -> Params:
        """Draw where the parameters start, in float64, by the names of ``shapes``."""

    @abstractmethod
    def flops_per_step(self, input_size: int) -> int:
        """Return the operations in the matrix products of one step of one row, forward."""

    @abstractmethod
    def input_part(self, params: Params, x: Sequences) -> Float[Array, "B T G"]:
        """Return u, the part of a step that depends on x alone.

        The loop over time computes it step by step, the derivative for all steps at once.
        """

    @abstractmethod
    def step(self, params: Params, u_t: Float[Array, "B G"], state: S) -> tuple[S, K]:
        """Return the next state, and what ``step_backward`` needs."""

    @abstractmethod
    def step_backward(
        self, params: Params, d_state: S, cache: K, d_params: Params
    ) -> tuple[Float[Array, "B G"], S]:
        """Return the gradients of u_t and of the previous state; add to ``d_params``."""

    @abstractmethod
    def input_part_backward(
        self,
        params: Params,
        d_u: Float[Array, "B T G"],
        x: Sequences,
        d_params: Params,
    ) -> Float[Array, "B T I"] | None:
        """Return the gradient of x, None for tokens; add to ``d_params``."""

    @abstractmethod
    def initial_state(self, params: Params, num_rows: int) -> S:
        """Return the state before the first step, (B, …) arrays of the parameters' library."""


def matrix_flops(shapes: Shapes) -> int:
    """Return the operations of a step that meets every entry of its matrices once."""
    return 2 * sum(math.prod(shape) for shape in shapes.values() if len(shape) == 2)
