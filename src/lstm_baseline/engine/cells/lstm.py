"""The LSTM: six equations and their derivatives.

    F1   f = σ(W_f x + U_f h' + b_f)          forget gate
    F2   i = σ(W_i x + U_i h' + b_i)          input gate
    F3   c̃ = tanh(W_c x + U_c h' + b_c)       candidate
    F4   o = σ(W_o x + U_o h' + b_o)          output gate
    F5   c = f ⊙ c' + i ⊙ c̃                   cell state
    F6   h = o ⊙ tanh(c)                      hidden state

h' and c' are the states of the step before. The four gates share one product: W, U and b hold
their rows one below the other in the order of ``LSTM_GATES`` (f, i, c, o).

Source: Hochreiter and Schmidhuber 1997, with the forget gate of Gers, Schmidhuber and Cummins 2000.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, final

import numpy as np
from array_api_compat import array_namespace, device
from jaxtyping import Float

from lstm_baseline.engine.activations import d_sigmoid, d_tanh, sigmoid, tanh
from lstm_baseline.engine.cells.blocks import affine, affine_backward
from lstm_baseline.engine.cells.cell import Cell, matrix_flops
from lstm_baseline.engine.cells.initial_values import BASELINE, Start, initial_values
from lstm_baseline.engine.shapes import (
    LSTM_GATES,
    Array,
    Params,
    Sequences,
    Shapes,
    join_gates,
    split_gates,
)


class LSTMState(NamedTuple):
    """Hidden and cell state."""

    h: Float[Array, "*rows H"]
    c: Float[Array, "*rows H"]


class LSTMStep(NamedTuple):
    """Record of one step for its derivative, each (B, H)."""

    h_prev: Array
    c_prev: Array
    f: Array
    i: Array
    c_tilde: Array
    o: Array
    tanh_c: Array


@final
@dataclass(frozen=True)
class LSTMEquations(Cell[LSTMState, LSTMStep]):
    """The LSTM cell; parameters W (4H, I), U (4H, H), b (4H)."""

    hidden_size: int
    """H."""
    start: Start = BASELINE
    """Initialisation scheme of the parameters."""

    state_type: ClassVar[type[Any]] = LSTMState
    gates = LSTM_GATES
    input_weights = ("W", "b")
    gate_fields: ClassVar[dict[str, str]] = {
        "forget gate": "f",
        "input gate": "i",
        "output gate": "o",
    }

    @property
    def output_size(self) -> int:
        """H."""
        return self.hidden_size

    @property
    def config(self) -> dict[str, Any]:
        """H, as ``LSTM`` takes it."""
        return {"hidden_size": self.hidden_size}

    def shapes(self, input_size: int) -> Shapes:
        """Return the shapes of W, U and b."""
        H, G = self.hidden_size, 4 * self.hidden_size
        return {"W": (G, input_size), "U": (G, H), "b": (G,)}

    def initial_params(self, input_size: int, rng: np.random.Generator) -> Params:
        """Draw what ``start`` says."""
        return initial_values(self.start, self.shapes(input_size), self.gates, rng)

    def flops_per_step(self, input_size: int) -> int:
        """Return 2 · 4H (I + H)."""
        return matrix_flops(self.shapes(input_size))

    def input_part(self, params: Params, x: Sequences) -> Float[Array, "B T G"]:
        """Return W x + b of all four gates."""
        return affine(x, params["W"], params["b"])

    def step(
        self, params: Params, u_t: Float[Array, "B G"], state: LSTMState
    ) -> tuple[LSTMState, LSTMStep]:
        """Apply F1 to F6."""
        h_prev, c_prev = state
        z_f, z_i, z_c, z_o = split_gates(u_t + h_prev @ params["U"].T, 4)
        # F1
        f = sigmoid(z_f)
        # F2
        i = sigmoid(z_i)
        # F3
        c_tilde = tanh(z_c)
        # F4
        o = sigmoid(z_o)
        # F5
        c = f * c_prev + i * c_tilde
        # F6
        tanh_c = tanh(c)
        h = o * tanh_c
        return LSTMState(h, c), LSTMStep(h_prev, c_prev, f, i, c_tilde, o, tanh_c)

    def step_backward(
        self, params: Params, d_state: LSTMState, cache: LSTMStep, d_params: Params
    ) -> tuple[Float[Array, "B G"], LSTMState]:
        """Differentiate F6 to F1, in this order."""
        h_prev, c_prev, f, i, c_tilde, o, tanh_c = cache
        d_h, d_c = d_state
        # F6  h = o ⊙ tanh(c)
        d_o = d_h * tanh_c
        d_c = d_c + d_h * o * d_tanh(tanh_c)
        # F5  c = f ⊙ c' + i ⊙ c̃
        d_f = d_c * c_prev
        d_i = d_c * c_tilde
        d_c_tilde = d_c * i
        d_c_prev = d_c * f
        # F4  o = σ(W_o x + U_o h' + b_o)
        d_z_o = d_o * d_sigmoid(o)
        # F3  c̃ = tanh(W_c x + U_c h' + b_c)
        d_z_c = d_c_tilde * d_tanh(c_tilde)
        # F2  i = σ(W_i x + U_i h' + b_i)
        d_z_i = d_i * d_sigmoid(i)
        # F1  f = σ(W_f x + U_f h' + b_f)
        d_z_f = d_f * d_sigmoid(f)
        # F1 to F4: the product that the four gates share
        d_z = join_gates([d_z_f, d_z_i, d_z_c, d_z_o])
        d_params["U"] += d_z.T @ h_prev
        d_h_prev = d_z @ params["U"]
        return d_z, LSTMState(d_h_prev, d_c_prev)

    def input_part_backward(
        self,
        params: Params,
        d_u: Float[Array, "B T G"],
        x: Sequences,
        d_params: Params,
    ) -> Float[Array, "B T I"] | None:
        """Differentiate W x + b over all steps in one product."""
        return affine_backward(d_u, x, params, d_params, "W", "b")

    def initial_state(self, params: Params, num_rows: int) -> LSTMState:
        """Return h = c = 0."""
        U = params["U"]
        xp = array_namespace(U)
        h, c = (xp.zeros((num_rows, U.shape[1]), dtype=U.dtype, device=device(U)) for _ in "hc")
        return LSTMState(h, c)
