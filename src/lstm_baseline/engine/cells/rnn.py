"""The Elman network: one equation and its derivative.

    F1   h = tanh(W x + U h' + b)        hidden state

h' is the state of the step before.

Source: Elman 1990, "Finding Structure in Time".
"""

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, final

import numpy as np
from array_api_compat import array_namespace, device
from jaxtyping import Float

from lstm_baseline.engine.activations import d_tanh, tanh
from lstm_baseline.engine.cells.blocks import affine, affine_backward
from lstm_baseline.engine.cells.cell import Cell, matrix_flops
from lstm_baseline.engine.initializers import gated_initializer
from lstm_baseline.engine.shapes import Array, Params, Sequences, Shapes


class RNNState(NamedTuple):
    """Hidden state."""

    h: Float[Array, "*rows H"]


class RNNStep(NamedTuple):
    """Record of one step for its derivative, each (B, H)."""

    h_prev: Array
    h: Array


@final
@dataclass(frozen=True)
class RNNEquations(Cell[RNNState, RNNStep]):
    """The Elman cell; parameters W (H, I), U (H, H), b (H)."""

    hidden_size: int
    """H."""

    state_type: ClassVar[type[Any]] = RNNState
    gates = ("h",)
    input_weights = ("W", "b")
    gate_fields: ClassVar[dict[str, str]] = {}

    @property
    def output_size(self) -> int:
        """H."""
        return self.hidden_size

    @property
    def config(self) -> dict[str, Any]:
        """H, as ``RNN`` takes it."""
        return {"hidden_size": self.hidden_size}

    def shapes(self, input_size: int) -> Shapes:
        """Return the shapes of W, U and b."""
        H = self.hidden_size
        return {"W": (H, input_size), "U": (H, H), "b": (H,)}

    def initial_params(self, input_size: int, rng: np.random.Generator) -> Params:
        """Draw W Xavier-uniform and U orthogonal; b starts at 0."""
        return gated_initializer(1, input_size, self.hidden_size, rng)

    def flops_per_step(self, input_size: int) -> int:
        """Return 2 · H (I + H)."""
        return matrix_flops(self.shapes(input_size))

    def input_part(self, params: Params, x: Sequences) -> Float[Array, "B T H"]:
        """Return W x + b."""
        return affine(x, params["W"], params["b"])

    def step(
        self, params: Params, u_t: Float[Array, "B H"], state: RNNState
    ) -> tuple[RNNState, RNNStep]:
        """Apply F1."""
        (h_prev,) = state
        h = tanh(u_t + h_prev @ params["U"].T)
        return RNNState(h), RNNStep(h_prev, h)

    def step_backward(
        self, params: Params, d_state: RNNState, cache: RNNStep, d_params: Params
    ) -> tuple[Float[Array, "B H"], RNNState]:
        """Differentiate F1."""
        h_prev, h = cache
        (d_h,) = d_state
        d_u = d_h * d_tanh(h)
        d_params["U"] += d_u.T @ h_prev
        return d_u, RNNState(d_u @ params["U"])

    def input_part_backward(
        self,
        params: Params,
        d_u: Float[Array, "B T H"],
        x: Sequences,
        d_params: Params,
    ) -> Float[Array, "B T I"] | None:
        """Differentiate W x + b over all steps in one product."""
        return affine_backward(d_u, x, params, d_params, "W", "b")

    def initial_state(self, params: Params, num_rows: int) -> RNNState:
        """Return h = 0."""
        U = params["U"]
        xp = array_namespace(U)
        return RNNState(xp.zeros((num_rows, U.shape[1]), dtype=U.dtype, device=device(U)))
