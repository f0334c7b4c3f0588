"""The LSTM's variants: the six equations of ``lstm.py`` with pieces added or exchanged.

    F1   f = φ([z_f + p_f ⊙ c'])              forget gate; 1 − i where gates are coupled
    F2   i = φ([z_i + p_i ⊙ c'])              input gate
    F3   c̃ = γ([z_c])                         candidate
    F4   o = φ([z_o + p_o ⊙ c])               output gate, which sees the new cell state
    F5   c = f ⊙ c' + i ⊙ c̃                   cell state
    F6   m = o ⊙ η(N_c(c)),  h = W_proj m     hidden state; m itself without a projection

    with z = N_x(W x) + N_h(U h') + b and [·] a clip to ±limit

A piece is used if its parameters are given: peepholes p_f, p_i, p_o (H), projection W_proj (P, H),
layer norms gain_x (G), gain_h (G), gain_c (H) and bias_c (H), biases b (G). G is 4H in the order of
``LSTM_GATES``, or 3H in that of ``COUPLED_GATES``. Clip, coupling and activations φ, γ, η belong to
the cell. With none of these pieces, this is the plain LSTM.

Sources: peepholes, Gers, Schraudolph and Schmidhuber 2002; projection, Sak, Senior and Beaufays
2014; coupled gates, Greff et al. 2017 (arXiv 1503.04069); layer norms, Ba, Kiros and Hinton 2016,
equations 20 to 22; clip, activations and all their combinations as in the ONNX operator LSTM.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, final

import numpy as np
from array_api_compat import array_namespace, device
from jaxtyping import Float

from lstm_baseline.engine.cells.blocks import (
    LayerNormCache,
    affine,
    affine_backward,
    layer_norm,
    layer_norm_backward,
)
from lstm_baseline.engine.cells.cell import Cell, matrix_flops
from lstm_baseline.engine.cells.gate_activations import (
    GateActivation,
    as_activation,
    gate_activation,
)
from lstm_baseline.engine.cells.initial_values import BASELINE, Start, initial_values
from lstm_baseline.engine.cells.lstm import LSTMEquations, LSTMState
from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.inputs import as_number, as_size
from lstm_baseline.engine.shapes import (
    COUPLED_GATES,
    LSTM_GATES,
    Array,
    Params,
    Sequences,
    Shapes,
    join_gates,
    split_gates,
)

PLAIN_ACTIVATIONS = (
    gate_activation("sigmoid"),
    gate_activation("tanh"),
    gate_activation("tanh"),
)
"""φ of the gates, γ of the candidate, η of the cell state."""


class LSTMVariant(NamedTuple):
    """The pieces that are added or exchanged; none by default."""

    projection_size: int | None = None
    peepholes: bool = False
    coupled_gates: bool = False
    layer_norm: bool = False
    bias: bool = True
    clip: float | None = None
    activations: tuple[GateActivation, GateActivation, GateActivation] = PLAIN_ACTIVATIONS

    @classmethod
    def checked(cls, **given: Any) -> "LSTMVariant":
        """Return the variant that a user's arguments describe.

        Raises
        ------
        InputError
            If a size, limit or activation is not valid.
        """
        taken = cls(**given)
        if taken.projection_size is not None:
            as_size("projection_size", taken.projection_size)
        if taken.clip is not None and not as_number("clip", taken.clip) > 0:
            raise InputError(f"clip is {taken.clip!r}; give a limit above 0")
        activations: Any = taken.activations
        if not isinstance(activations, list | tuple) or len(activations) != 3:
            raise InputError(
                f"activations is {activations!r}; give three: of gates, candidate and cell state"
            )
        phi, gamma, eta = map(as_activation, activations)
        return cls(
            None if taken.projection_size is None else int(taken.projection_size),
            bool(taken.peepholes),
            bool(taken.coupled_gates),
            bool(taken.layer_norm),
            bool(taken.bias),
            None if taken.clip is None else float(taken.clip),
            (phi, gamma, eta),
        )

    @property
    def config(self) -> dict[str, Any]:
        """Pieces that differ from the plain LSTM's, as plain JSON values."""
        plain = PLAIN._asdict()
        own = {name: value for name, value in self._asdict().items() if value != plain[name]}
        if "activations" in own:
            own["activations"] = [
                a.name if a == gate_activation(a.name) else [a.name, *a.constants]
                for a in self.activations
            ]
        return own

    @property
    def gates(self) -> tuple[str, ...]:
        """Gates whose rows W, U and b hold one below the other."""
        return COUPLED_GATES if self.coupled_gates else LSTM_GATES

    def cell(
        self, hidden_size: int, start: Start = BASELINE
    ) -> "LSTMEquations | LSTMVariantEquations":
        """Return the cell; that of ``lstm.py`` where nothing differs."""
        if self == PLAIN:
            return LSTMEquations(hidden_size, start)
        return LSTMVariantEquations(hidden_size, self, start)


PLAIN = LSTMVariant()


class Activated(NamedTuple):
    """A pre-activation within its limits, and its activation."""

    z: Array
    y: Array
    inside: Array | None
    """True where the clip let the pre-activation through; None without a clip."""


class LSTMVariantStep(NamedTuple):
    """Record of one step for its derivative."""

    h_prev: Array
    c_prev: Array
    c: Array
    f_gate: Activated | None
    """None where gates are coupled."""
    i_gate: Activated
    candidate: Activated
    o_gate: Activated
    cell: Activated
    """N_c(c) and η of it."""
    f: Array
    m: Array
    h_norm: LayerNormCache | None
    c_norm: LayerNormCache | None

    @property
    def i(self) -> Array:
        """Input gate."""
        return self.i_gate.y

    @property
    def o(self) -> Array:
        """Output gate."""
        return self.o_gate.y


@final
@dataclass(frozen=True)
class LSTMVariantEquations(Cell[LSTMState, LSTMVariantStep]):
    """An LSTM cell with pieces added or exchanged.

    Its parameters are those of its pieces, which the module's docstring lists.
    """

    hidden_size: int
    """H."""
    variant: LSTMVariant = PLAIN
    """The pieces."""
    start: Start = BASELINE
    """Initialisation scheme of the parameters."""

    state_type: ClassVar[type[Any]] = LSTMState
    gate_fields: ClassVar[dict[str, str]] = {
        "forget gate": "f",
        "input gate": "i",
        "output gate": "o",
    }

    @property
    def gates(self) -> tuple[str, ...]:
        """Gates whose rows W, U and b hold one below the other."""
        return self.variant.gates

    @property
    def input_weights(self) -> tuple[str, str]:
        """W and b.

        Raises
        ------
        InputError
            If the variant has no bias or normalises W x.
        """
        if self.variant.bias and not self.variant.layer_norm:
            return "W", "b"
        piece = "a layer norm" if self.variant.layer_norm else "no bias"
        raise InputError(
            f"this LSTM has {piece}, so no weights stand for standardised inputs; "
            "standardise x before each call"
        )

    @property
    def output_size(self) -> int:
        """P of a projection, H without one."""
        return self.variant.projection_size or self.hidden_size

    @property
    def config(self) -> dict[str, Any]:
        """H and the pieces, as ``LSTM`` takes them."""
        return {"hidden_size": self.hidden_size, **self.variant.config}

    def shapes(self, input_size: int) -> Shapes:
        """Return the shapes of the parameters of all pieces."""
        H, P, variant = self.hidden_size, self.output_size, self.variant
        G = len(self.gates) * H
        shapes: Shapes = {"W": (G, input_size), "U": (G, P)}
        if variant.bias:
            shapes["b"] = (G,)
        if variant.peepholes:
            shapes |= {f"p_{gate}": (H,) for gate in self.gates if gate != "c"}
        if variant.layer_norm:
            shapes |= {"gain_x": (G,), "gain_h": (G,), "gain_c": (H,), "bias_c": (H,)}
        if variant.projection_size is not None:
            shapes["W_proj"] = (P, H)
        return shapes

    def initial_params(self, input_size: int, rng: np.random.Generator) -> Params:
        """Draw what ``start`` says."""
        return initial_values(self.start, self.shapes(input_size), self.gates, rng)

    def flops_per_step(self, input_size: int) -> int:
        """Return the operations of the products with W, U and W_proj."""
        return matrix_flops(self.shapes(input_size))

    def input_part(self, params: Params, x: Sequences) -> Float[Array, "B T G"]:
        """Return N_x(W x) + b."""
        u = affine(x, params["W"])
        if "gain_x" in params:
            u, _ = layer_norm(u, params["gain_x"])
        return u + params["b"] if "b" in params else u

    def step(
        self, params: Params, u_t: Float[Array, "B G"], state: LSTMState
    ) -> tuple[LSTMState, LSTMVariantStep]:
        """Apply F1 to F6."""
        h_prev, c_prev = state
        phi, gamma, eta = self.variant.activations
        v, h_norm = h_prev @ params["U"].T, None
        if "gain_h" in params:
            v, h_norm = layer_norm(v, params["gain_h"])
        z = dict(zip(self.gates, split_gates(u_t + v, len(self.gates)), strict=True))
        # F2
        i_gate = self._activate(phi, _peep(params, "p_i", z["i"], c_prev))
        # F1
        if self.variant.coupled_gates:
            f_gate, f = None, 1.0 - i_gate.y
        else:
            f_gate = self._activate(phi, _peep(params, "p_f", z["f"], c_prev))
            f = f_gate.y
        # F3
        candidate = self._activate(gamma, z["c"])
        # F5
        c = f * c_prev + i_gate.y * candidate.y
        # F4
        o_gate = self._activate(phi, _peep(params, "p_o", z["o"], c))
        # F6
        c_in, c_norm = c, None
        if "gain_c" in params:
            c_in, c_norm = layer_norm(c, params["gain_c"], params["bias_c"])
        cell = Activated(c_in, eta(c_in), None)
        m = o_gate.y * cell.y
        h = affine(m, params["W_proj"]) if "W_proj" in params else m
        return LSTMState(h, c), LSTMVariantStep(
            h_prev, c_prev, c, f_gate, i_gate, candidate, o_gate, cell, f, m, h_norm, c_norm
        )

    def step_backward(
        self, params: Params, d_state: LSTMState, cache: LSTMVariantStep, d_params: Params
    ) -> tuple[Float[Array, "B G"], LSTMState]:
        """Differentiate F6 to F1, in this order."""
        h_prev, c_prev, c, f_gate, i_gate, candidate, o_gate, cell, f, m, h_norm, c_norm = cache
        phi, gamma, eta = self.variant.activations
        d_h, d_c = d_state
        # F6  m = o ⊙ η(N_c(c)),  h = W_proj m
        d_m = affine_backward(d_h, m, params, d_params, "W_proj") if "W_proj" in params else d_h
        d_o = d_m * cell.y
        d_c_in = d_m * o_gate.y * eta.derivative(cell.z, cell.y)
        if c_norm is not None:
            d_c_in = layer_norm_backward(d_c_in, c_norm, params, d_params, "gain_c", "bias_c")
        d_c = d_c + d_c_in
        # F4  o = φ([z_o + p_o ⊙ c])
        d_z_o = _activate_backward(phi, o_gate, d_o)
        d_c = d_c + _peep_backward(params, "p_o", d_z_o, c, d_params)
        # F5  c = f ⊙ c' + i ⊙ c̃
        d_f = d_c * c_prev
        d_i = d_c * candidate.y
        d_c_prev = d_c * f
        # F3  c̃ = γ([z_c])
        d_z = {"o": d_z_o, "c": _activate_backward(gamma, candidate, d_c * i_gate.y)}
        # F1  f = φ([z_f + p_f ⊙ c'])
        if f_gate is None:
            d_i = d_i - d_f
        else:
            d_z["f"] = _activate_backward(phi, f_gate, d_f)
            d_c_prev = d_c_prev + _peep_backward(params, "p_f", d_z["f"], c_prev, d_params)
        # F2  i = φ([z_i + p_i ⊙ c'])
        d_z["i"] = _activate_backward(phi, i_gate, d_i)
        d_c_prev = d_c_prev + _peep_backward(params, "p_i", d_z["i"], c_prev, d_params)
        # F1 to F4: the product that the gates share
        d_u = join_gates([d_z[gate] for gate in self.gates])
        d_v = d_u
        if h_norm is not None:
            d_v = layer_norm_backward(d_u, h_norm, params, d_params, "gain_h")
        d_params["U"] += d_v.T @ h_prev
        return d_u, LSTMState(d_v @ params["U"], d_c_prev)

    def input_part_backward(
        self,
        params: Params,
        d_u: Float[Array, "B T G"],
        x: Sequences,
        d_params: Params,
    ) -> Float[Array, "B T I"] | None:
        """Differentiate N_x(W x) + b over all steps in one product."""
        if "b" in params:
            d_params["b"] += array_namespace(d_u).sum(d_u, axis=(0, 1))
        if "gain_x" in params:
            # One more product costs less than keeping W x of all steps.
            _, x_norm = layer_norm(affine(x, params["W"]), params["gain_x"])
            d_u = layer_norm_backward(d_u, x_norm, params, d_params, "gain_x")
        return affine_backward(d_u, x, params, d_params, "W")

    def initial_state(self, params: Params, num_rows: int) -> LSTMState:
        """Return h = c = 0."""
        U = params["U"]
        xp = array_namespace(U)
        sizes = (U.shape[1], U.shape[0] // len(self.gates))
        h, c = (xp.zeros((num_rows, size), dtype=U.dtype, device=device(U)) for size in sizes)
        return LSTMState(h, c)

    def _activate(self, activation: GateActivation, z: Array) -> Activated:
        if self.variant.clip is None:
            return Activated(z, activation(z), None)
        xp = array_namespace(z)
        limit = min(self.variant.clip, float(xp.finfo(z.dtype).max))
        clipped = xp.clip(z, -limit, limit)
        return Activated(clipped, activation(clipped), clipped == z)


def _activate_backward(activation: GateActivation, gate: Activated, d_y: Array) -> Array:
    """Return the gradient of a pre-activation; 0 where the clip cut it off."""
    d_z = d_y * activation.derivative(gate.z, gate.y)
    if gate.inside is None:
        return d_z
    return array_namespace(d_z).where(gate.inside, d_z, array_namespace(d_z).zeros_like(d_z))


def _peep(params: Params, name: str, z: Array, c: Array) -> Array:
    """Return z + p ⊙ c, or z where there is no such peephole."""
    return z + params[name] * c if name in params else z


def _peep_backward(
    params: Params, name: str, d_z: Array, c: Array, d_params: Params
) -> Array | float:
    """Return d_c = p ⊙ d_z; add d_p = Σ d_z ⊙ c to ``d_params``."""
    if name not in params:
        return 0.0
    d_params[name] += array_namespace(d_z).sum(d_z * c, axis=0)
    return params[name] * d_z
