"""The GRU: four equations and their derivatives.

    F1   r = σ(W_r x + U_r h' + b_r)                     reset gate
    F2   z = σ(W_z x + U_z h' + b_z)                     update gate
    F3   n = tanh(W_n x + b_n + r ⊙ (U_n h' + b_u))      candidate
    F4   h = (1 − z) ⊙ n + z ⊙ h'                        hidden state

h' is the state of the step before. W, U and b hold the rows of the gates one below the other in
the order of ``GRU_GATES`` (r, z, n).

Source: Cho et al. 2014 (arXiv 1406.1078), in the form that applies the reset gate after the
recurrent product, as in PyTorch, cuDNN and ONNX (``linear_before_reset = 1``).
"""

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, final

import numpy as np
from array_api_compat import array_namespace, device
from jaxtyping import Float

from lstm_baseline.engine.activations import d_sigmoid, d_tanh, sigmoid, tanh
from lstm_baseline.engine.cells.blocks import affine, affine_backward
from lstm_baseline.engine.cells.cell import Cell, matrix_flops
from lstm_baseline.engine.initializers import gated_initializer
from lstm_baseline.engine.shapes import (
    GRU_GATES,
    Array,
    Params,
    Sequences,
    Shapes,
    join_gates,
    split_gates,
)


class GRUState(NamedTuple):
    """Hidden state."""

    h: Float[Array, "*rows H"]


class GRUStep(NamedTuple):
    """Record of one step for its derivative, each (B, H)."""

    h_prev: Array
    r: Array
    z: Array
    n: Array
    q: Array
    """U_n h' + b_u, what the reset gate scales."""


@final
@dataclass(frozen=True)
class GRUEquations(Cell[GRUState, GRUStep]):
    """The GRU cell; parameters W (3H, I), U (3H, H), b (3H), b_u (H)."""

    hidden_size: int
    """H."""

    state_type: ClassVar[type[Any]] = GRUState
    gates = GRU_GATES
    input_weights = ("W", "b")
    gate_fields: ClassVar[dict[str, str]] = {"reset gate": "r", "update gate": "z"}

    @property
    def output_size(self) -> int:
        """H."""
        return self.hidden_size

    @property
    def config(self) -> dict[str, Any]:
        """H, as ``GRU`` takes it."""
        return {"hidden_size": self.hidden_size}

    def shapes(self, input_size: int) -> Shapes:
        """Return the shapes of W, U, b and b_u."""
        H, G = self.hidden_size, 3 * self.hidden_size
        return {"W": (G, input_size), "U": (G, H), "b": (G,), "b_u": (H,)}

    def initial_params(self, input_size: int, rng: np.random.Generator) -> Params:
        """Draw W Xavier-uniform and U orthogonal, each gate on its own; biases start at 0."""
        params = gated_initializer(len(self.gates), input_size, self.hidden_size, rng)
        return params | {"b_u": np.zeros(self.hidden_size)}

    def flops_per_step(self, input_size: int) -> int:
        """Return 2 · 3H (I + H)."""
        return matrix_flops(self.shapes(input_size))

    def input_part(self, params: Params, x: Sequences) -> Float[Array, "B T G"]:
        """Return W x + b of all three gates."""
        return affine(x, params["W"], params["b"])

    def step(
        self, params: Params, u_t: Float[Array, "B G"], state: GRUState
    ) -> tuple[GRUState, GRUStep]:
        """Apply F1 to F4."""
        (h_prev,) = state
        u_r, u_z, u_n = split_gates(u_t, 3)
        v_r, v_z, v_n = split_gates(h_prev @ params["U"].T, 3)
        # F1
        r = sigmoid(u_r + v_r)
        # F2
        z = sigmoid(u_z + v_z)
        # F3
        q = v_n + params["b_u"]
        n = tanh(u_n + r * q)
        # F4
        h = (1.0 - z) * n + z * h_prev
        return GRUState(h), GRUStep(h_prev, r, z, n, q)

    def step_backward(
        self, params: Params, d_state: GRUState, cache: GRUStep, d_params: Params
    ) -> tuple[Float[Array, "B G"], GRUState]:
        """Differentiate F4 to F1, in this order."""
        h_prev, r, z, n, q = cache
        (d_h,) = d_state
        # F4  h = (1 − z) ⊙ n + z ⊙ h'
        d_n = d_h * (1.0 - z)
        d_z = d_h * (h_prev - n)
        d_h_prev = d_h * z
        # F3  n = tanh(W_n x + b_n + r ⊙ (U_n h' + b_u))
        d_u_n = d_n * d_tanh(n)
        d_r = d_u_n * q
        d_q = d_u_n * r
        d_params["b_u"] += array_namespace(d_q).sum(d_q, axis=0)
        # F2  z = σ(W_z x + U_z h' + b_z)
        d_u_z = d_z * d_sigmoid(z)
        # F1  r = σ(W_r x + U_r h' + b_r)
        d_u_r = d_r * d_sigmoid(r)
        # F1 to F3: the product that the three gates share
        d_v = join_gates([d_u_r, d_u_z, d_q])
        d_params["U"] += d_v.T @ h_prev
        d_h_prev = d_h_prev + d_v @ params["U"]
        return join_gates([d_u_r, d_u_z, d_u_n]), GRUState(d_h_prev)

    def input_part_backward(
        self,
        params: Params,
        d_u: Float[Array, "B T G"],
        x: Sequences,
        d_params: Params,
    ) -> Float[Array, "B T I"] | None:
        """Differentiate W x + b over all steps in one product."""
        return affine_backward(d_u, x, params, d_params, "W", "b")

    def initial_state(self, params: Params, num_rows: int) -> GRUState:
        """Return h = 0."""
        U = params["U"]
        xp = array_namespace(U)
        return GRUState(xp.zeros((num_rows, U.shape[1]), dtype=U.dtype, device=device(U)))
