"""A recurrent cell of one's own, in NumPy and with its derivative, to race against the LSTM.

    lstm-baseline compare --challenger examples.own_cell:MinimalGatedUnit

The minimal gated unit is a GRU with one gate:

    F1   f = σ(W_f x + U_f h' + b_f)             forget gate
    F2   n = tanh(W_n x + U_n (f ⊙ h') + b_n)    candidate
    F3   h = (1 − f) ⊙ h' + f ⊙ n                hidden state

A cell states its parameters, one step and its derivative; running over time, layers, row lengths,
the readout and files come from ``GatedModel``.

Source: Zhou et al. 2016 (arXiv 1603.09420), equations 7.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from lstm_baseline.engine import (
    Cell,
    FloatArray,
    GatedModel,
    Params,
    Shapes,
    affine,
    affine_backward,
    d_sigmoid,
    d_tanh,
    gated_initializer,
    matrix_flops,
    sigmoid,
    tanh,
)


class MGUState(NamedTuple):
    """Hidden state, (B, H); the first array of a state is the cell's output."""

    h: FloatArray


class MGUStep(NamedTuple):
    """What the derivative of one step needs, each (B, H)."""

    h_prev: FloatArray
    f: FloatArray
    n: FloatArray


@dataclass(frozen=True)
class MGUEquations(Cell[MGUState, MGUStep]):
    """The cell; parameters W (2H, I), U (2H, H), b (2H), the forget gate's rows first."""

    hidden_size: int

    state_type: ClassVar[type[Any]] = MGUState
    gates = ("f", "n")
    input_weights = ("W", "b")

    @property
    def output_size(self) -> int:
        """H."""
        return self.hidden_size

    @property
    def config(self) -> dict[str, Any]:
        """H, as the model's constructor takes it."""
        return {"hidden_size": self.hidden_size}

    def shapes(self, input_size: int) -> Shapes:
        """Return the shapes of W, U and b."""
        H = self.hidden_size
        return {"W": (2 * H, input_size), "U": (2 * H, H), "b": (2 * H,)}

    def initial_params(self, input_size: int, rng: np.random.Generator) -> Params:
        """Draw W Xavier-uniform and U orthogonal, each gate on its own; b starts at 0."""
        return gated_initializer(2, input_size, self.hidden_size, rng)

    def flops_per_step(self, input_size: int) -> int:
        """Return 2 · 2H (I + H)."""
        return matrix_flops(self.shapes(input_size))

    def input_part(self, params: Params, x: FloatArray) -> FloatArray:
        """Return W x + b of gate and candidate."""
        return affine(x, params["W"], params["b"])

    def step(self, params: Params, u_t: FloatArray, state: MGUState) -> tuple[MGUState, MGUStep]:
        """Apply F1 to F3."""
        (h_prev,) = state
        u_f, u_n = np.split(u_t, 2, axis=-1)
        U_f, U_n = np.split(params["U"], 2)
        # F1
        f = sigmoid(u_f + h_prev @ U_f.T)
        # F2
        n = tanh(u_n + (f * h_prev) @ U_n.T)
        # F3
        h = (1.0 - f) * h_prev + f * n
        return MGUState(h), MGUStep(h_prev, f, n)

    def step_backward(
        self, params: Params, d_state: MGUState, cache: MGUStep, d_params: Params
    ) -> tuple[FloatArray, MGUState]:
        """Differentiate F3 to F1, in this order."""
        h_prev, f, n = cache
        (d_h,) = d_state
        U_f, U_n = np.split(params["U"], 2)
        # F3  h = (1 − f) ⊙ h' + f ⊙ n
        d_h_prev = d_h * (1.0 - f)
        d_f = d_h * (n - h_prev)
        # F2  n = tanh(W_n x + U_n (f ⊙ h') + b_n)
        d_u_n = d_h * f * d_tanh(n)
        d_kept = d_u_n @ U_n
        d_f += d_kept * h_prev
        d_h_prev += d_kept * f
        # F1  f = σ(W_f x + U_f h' + b_f)
        d_u_f = d_f * d_sigmoid(f)
        d_h_prev += d_u_f @ U_f
        d_params["U"] += np.concatenate([d_u_f.T @ h_prev, d_u_n.T @ (f * h_prev)])
        return np.concatenate([d_u_f, d_u_n], axis=-1), MGUState(d_h_prev)

    def input_part_backward(
        self, params: Params, d_u: FloatArray, x: FloatArray, d_params: Params
    ) -> FloatArray:
        """Differentiate W x + b over all steps in one product."""
        return affine_backward(d_u, x, params, d_params, "W", "b")

    def initial_state(self, params: Params, num_rows: int) -> MGUState:
        """Return h = 0."""
        U = params["U"]
        return MGUState(np.zeros((num_rows, U.shape[1]), U.dtype))


class MinimalGatedUnit(GatedModel):
    """The cell over whole sequences, with a readout where ``output_size`` is given."""

    cell_type = MGUEquations
