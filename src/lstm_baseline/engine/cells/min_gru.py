"""The minGRU: three equations and their derivatives.

    F1   z = σ(W_z x + b_z)              update gate
    F2   h̃ = W_h x + b_h                 candidate
    F3   h = (1 − z) ⊙ h' + z ⊙ h̃        hidden state

h' is the state of the step before. Neither gate nor candidate sees it, so all of z and h̃ could be
computed at once, and h by a scan over time. Here this cell runs step by step, like every other. W
and b hold the rows of gate and candidate one below the other in the order of ``MIN_GRU_GATES``
(z, h).

Source: Feng et al. 2024 (arXiv 2410.01201), section 3.1.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, final

import numpy as np
from array_api_compat import array_namespace, device
from jaxtyping import Float

from lstm_baseline.engine.activations import d_sigmoid, sigmoid
from lstm_baseline.engine.cells.blocks import affine, affine_backward
from lstm_baseline.engine.cells.cell import Cell, matrix_flops
from lstm_baseline.engine.initializers import xavier_initializer
from lstm_baseline.engine.shapes import Array, Params, Sequences, Shapes, join_gates, split_gates

MIN_GRU_GATES = ("z", "h")
"""Update gate, candidate: the order of the lanes in W (2H, I), b (2H)."""


class MinGRUState(NamedTuple):
    """Hidden state."""

    h: Float[Array, "*rows H"]


class MinGRUStep(NamedTuple):
    """Record of one step for its derivative, each (B, H)."""

    h_prev: Array
    z: Array
    h_tilde: Array


@final
@dataclass(frozen=True)
class MinGRUEquations(Cell[MinGRUState, MinGRUStep]):
    """The minGRU cell; parameters W (2H, I), b (2H)."""

    hidden_size: int
    """H."""

    state_type: ClassVar[type[Any]] = MinGRUState
    gates = MIN_GRU_GATES
    gate_fields: ClassVar[dict[str, str]] = {"update gate": "z"}
    input_weights = ("W", "b")
    recurrent_weights: ClassVar[tuple[str, ...]] = ()

    @property
    def output_size(self) -> int:
        """H."""
        return self.hidden_size

    @property
    def config(self) -> dict[str, Any]:
        """H, as ``MinGRU`` takes it."""
        return {"hidden_size": self.hidden_size}

    def shapes(self, input_size: int) -> Shapes:
        """Return the shapes of W and b."""
        G = 2 * self.hidden_size
        return {"W": (G, input_size), "b": (G,)}

    def initial_params(self, input_size: int, rng: np.random.Generator) -> Params:
        """Draw W Xavier-uniform, each gate on its own; b starts at 0."""
        shape = (self.hidden_size, input_size)
        W = [xavier_initializer(shape, rng=rng, dtype=np.float64) for _ in self.gates]
        return {"W": np.concatenate(W), "b": np.zeros(2 * self.hidden_size)}

    def flops_per_step(self, input_size: int) -> int:
        """Return 2 · 2H I."""
        return matrix_flops(self.shapes(input_size))

    def input_part(self, params: Params, x: Sequences) -> Float[Array, "B T G"]:
        """Return W x + b of gate and candidate."""
        return affine(x, params["W"], params["b"])

    def step(
        self, params: Params, u_t: Float[Array, "B G"], state: MinGRUState
    ) -> tuple[MinGRUState, MinGRUStep]:
        """Apply F1 to F3."""
        (h_prev,) = state
        z_z, h_tilde = split_gates(u_t, 2)  # F2
        # F1
        z = sigmoid(z_z)
        # F3
        h = (1.0 - z) * h_prev + z * h_tilde
        return MinGRUState(h), MinGRUStep(h_prev, z, h_tilde)

    def step_backward(
        self, params: Params, d_state: MinGRUState, cache: MinGRUStep, d_params: Params
    ) -> tuple[Float[Array, "B G"], MinGRUState]:
        """Differentiate F3 to F1, in this order."""
        h_prev, z, h_tilde = cache
        (d_h,) = d_state
        # F3  h = (1 − z) ⊙ h' + z ⊙ h̃
        d_h_prev = d_h * (1.0 - z)
        d_z = d_h * (h_tilde - h_prev)
        # F2  h̃ = W_h x + b_h
        d_h_tilde = d_h * z
        # F1  z = σ(W_z x + b_z)
        d_z_z = d_z * d_sigmoid(z)
        return join_gates([d_z_z, d_h_tilde]), MinGRUState(d_h_prev)

    def input_part_backward(
        self,
        params: Params,
        d_u: Float[Array, "B T G"],
        x: Sequences,
        d_params: Params,
    ) -> Float[Array, "B T I"] | None:
        """Differentiate W x + b over all steps in one product."""
        return affine_backward(d_u, x, params, d_params, "W", "b")

    def initial_state(self, params: Params, num_rows: int) -> MinGRUState:
        """Return h = 0."""
        b = params["b"]
        xp = array_namespace(b)
        return MinGRUState(xp.zeros((num_rows, self.hidden_size), dtype=b.dtype, device=device(b)))
