"""The LSTM over whole sequences, with an optional readout."""

from collections.abc import Sequence
from typing import Any, final

import numpy as np
import numpy.typing as npt

from lstm_baseline.cells.gate_activations import GateActivation, gate_activation
from lstm_baseline.cells.lstm_variants import LSTMVariant
from lstm_baseline.errors import InputError
from lstm_baseline.initializers import gated_initializer, xavier_initializer
from lstm_baseline.inputs import RandomSource, as_generator, as_number, as_size
from lstm_baseline.models.base import RecurrentModel, Shapes, readout_shapes
from lstm_baseline.models.frozen import FrozenLSTM
from lstm_baseline.shapes import FloatArray, Params

PLAIN_NAMES = ("sigmoid", "tanh", "tanh")


@final
class LSTM(RecurrentModel):
    """Long short-term memory over (B, T, I).

    The six equations stand in ``cells/lstm.py``, those of its variants in
    ``cells/lstm_variants.py``. Recurrent weights start orthogonal and input weights
    Xavier-uniform, each gate on its own; the forget bias starts at 1 (with coupled gates the input
    bias at −1), gains of layer norms at 1, all other biases and the peepholes at 0.

    Parameters
    ----------
    input_size, hidden_size
        I and H.
    output_size
        O of a linear readout y = W_out h + b_out; no readout when None.
    projection_size
        P of a projection h = W_proj m, so that h is (B, P) while c is (B, H); none when None.
    peepholes
        Whether forget and input gate see the cell state before the step, the output gate that
        after it, each unit its own.
    coupled_gates
        Whether f = 1 − i, without a forget gate of its own.
    layer_norm
        Whether W x, U h' and c are normalised over their features.
    bias
        Whether gates have biases.
    clip
        Limit to the absolute value of the pre-activations of gates and candidate; none when None.
    activations
        Of gates, candidate and cell state: names of ``cells.gate_activations``, or tuples of a name
        and its constants, as ("leaky_relu", 0.1).
    dtype
        float32 or float64.
    rng
        Generator or seed of the initial values; fresh entropy when None.
    engine
        "auto", "native" or "reference"; variants run on the reference.

    Raises
    ------
    InputError
        If a size, limit or activation cannot be.

    Notes
    -----
    ``params`` holds W (4H, I), U (4H, H), b (4H) in gate order f, i, c, o, and W_out (O, H),
    b_out (O); ``get_params`` gives each gate apart: W_f, U_f, b_f and so on. There are
    4 H (I + H + 1) + O (H + 1) numbers. The state is (h, c), each (B, H). ``LSTM.shapes`` tells
    the parameters of a variant; gates that are coupled have the order i, c, o.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int | None = None,
        *,
        projection_size: int | None = None,
        peepholes: bool = False,
        coupled_gates: bool = False,
        layer_norm: bool = False,
        bias: bool = True,
        clip: float | None = None,
        activations: Sequence[Any] = PLAIN_NAMES,
        dtype: npt.DTypeLike = np.float32,
        rng: RandomSource = None,
        engine: str = "auto",
    ) -> None:
        self.hidden_size = as_size("hidden_size", hidden_size)
        self.variant = _as_variant(
            projection_size, peepholes, coupled_gates, layer_norm, bias, clip, activations
        )
        self.gates = self.variant.gates
        rng = as_generator(rng)
        super().__init__(
            self.variant.equations(),
            self._initial_values(as_size("input_size", input_size), rng),
            input_size,
            projection_size or self.hidden_size,
            output_size,
            dtype=dtype,
            rng=rng,
            engine=engine,
        )

    def _initial_values(self, input_size: int, rng: np.random.Generator) -> Params:
        H, variant = self.hidden_size, self.variant
        values = gated_initializer(
            len(self.gates), input_size, H, rng, output_size=variant.projection_size
        )
        # An open forget gate lets the cell state, and its gradient, through from the start.
        values["b"][:H] = -1.0 if variant.coupled_gates else 1.0
        for name, shape in variant.shapes(input_size, H).items():
            if name.startswith("gain"):
                values[name] = np.ones(shape)
            elif name == "W_proj":
                values[name] = xavier_initializer(shape, rng=rng, dtype=np.float64)
            elif name not in values:
                values[name] = np.zeros(shape)
        if not variant.bias:
            del values["b"]
        return values

    @classmethod
    def shapes(
        cls, input_size: int, hidden_size: int, output_size: int | None = None, **options: Any
    ) -> Shapes:
        """Return the shape of every parameter, without making any.

        Arguments are those of the constructor that say what a model is.
        """
        I, H = as_size("input_size", input_size), as_size("hidden_size", hidden_size)
        variant = _as_variant(**options)
        width = variant.projection_size or H
        return variant.shapes(I, H) | readout_shapes(width, output_size)

    @property
    def config(self) -> dict[str, Any]:
        """Constructor arguments that give a model of the same shape, as plain JSON values."""
        variant = self.variant._asdict() | {"activations": _as_names(self.variant.activations)}
        plain = LSTMVariant()._asdict() | {"activations": list(PLAIN_NAMES)}
        return {
            "input_size": self.input_size,
            "hidden_size": self.hidden_size,
            "output_size": self.output_size,
            "dtype": self.dtype.name,
        } | {name: value for name, value in variant.items() if value != plain[name]}

    def take_raw_inputs(self, mean: FloatArray, scale: FloatArray) -> None:
        """Fold the standardisation of inputs into the first weights.

        Raises
        ------
        InputError
            If the variant has no bias or normalises W x: then nothing can stand for it.
        """
        if self.variant.layer_norm or not self.variant.bias:
            piece = "a layer norm" if self.variant.layer_norm else "no bias"
            raise InputError(
                f"this LSTM has {piece}, so no weights stand for standardised inputs; "
                "standardise x before each call"
            )
        super().take_raw_inputs(mean, scale)

    def freeze(self) -> FrozenLSTM:
        """Return a copy for streams and inference, which later updates do not reach."""
        fixed = self.astype(self.dtype)
        for value in fixed.params.values():
            value.setflags(write=False)
        return FrozenLSTM(fixed)

    @property
    def flops_per_step(self) -> int:
        """Floating-point operations in the matrix products of one step of one row, forward."""
        H, P = self.hidden_size, self.width
        gates = len(self.gates) * H * (self.input_size + P)
        projection = 0 if self.variant.projection_size is None else P * H
        return 2 * (gates + projection + (self.output_size or 0) * P)


def _as_variant(
    projection_size: int | None = None,
    peepholes: bool = False,
    coupled_gates: bool = False,
    layer_norm: bool = False,
    bias: bool = True,
    clip: float | None = None,
    activations: Sequence[Any] = PLAIN_NAMES,
) -> LSTMVariant:
    """Check the constructor's arguments."""
    if projection_size is not None:
        as_size("projection_size", projection_size)
    if clip is not None and not as_number("clip", clip) > 0:
        raise InputError(f"clip is {clip!r}; give a limit above 0")
    if isinstance(activations, str) or len(activations) != 3:
        raise InputError(
            f"activations is {activations!r}; give three: of gates, candidate and cell state"
        )
    phi, gamma, eta = (
        gate_activation(a) if isinstance(a, str) else gate_activation(*a) for a in activations
    )
    return LSTMVariant(
        projection_size,
        bool(peepholes),
        bool(coupled_gates),
        bool(layer_norm),
        bool(bias),
        None if clip is None else float(clip),
        (phi, gamma, eta),
    )


def _as_names(activations: Sequence[GateActivation]) -> list[Any]:
    """Return what the constructor takes for these activations."""
    return [a.name if a == gate_activation(a.name) else [a.name, *a.constants] for a in activations]
