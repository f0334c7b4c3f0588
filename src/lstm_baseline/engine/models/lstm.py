"""The LSTM over whole sequences, with an optional readout."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, final

import numpy as np
import numpy.typing as npt
from jaxtyping import Float

from lstm_baseline.engine.backend import Engine
from lstm_baseline.engine.cells.gate_activations import GateActivation, gate_activation
from lstm_baseline.engine.cells.lstm_variants import LSTMVariant
from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.inputs import RandomSource, as_generator, as_number, as_size, one_of
from lstm_baseline.engine.models.base import RecurrentModel, Shapes, readout_shapes
from lstm_baseline.engine.models.dropout import DropoutRates, Masks
from lstm_baseline.engine.models.frozen import FrozenLSTM
from lstm_baseline.engine.models.initial_values import initial_values
from lstm_baseline.engine.models.stack import MERGES, Stack
from lstm_baseline.engine.shapes import FloatArray, IntArray, NDArray, Params

PLAIN_NAMES = ("sigmoid", "tanh", "tanh")


@final
class LSTM(RecurrentModel):
    """Long short-term memory over (B, T, I).

    The six equations stand in ``cells/lstm.py``, those of its variants in
    ``cells/lstm_variants.py``. Unless told otherwise recurrent weights start orthogonal and input
    weights Xavier-uniform, each gate on its own, the forget bias at 1 and all other biases at 0.

    Parameters
    ----------
    input_size, hidden_size
        I and H.
    output_size
        O of a linear readout y = W_out h + b_out; no readout when None.
    num_layers
        L layers, each of which sees the outputs of the one before.
    bidirectional
        Whether every layer runs from both ends of each row. The last output holds the last of each
        direction. No ``step`` then: a stream has no end to begin from.
    merge
        What becomes of the outputs of both directions: "concatenate" puts them side by side,
        (B, T, 2H); "sum" and "mean" give (B, T, H).
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
    dropout, input_dropout, output_dropout, recurrent_dropout, weight_drop, zoneout
        Rates from 0 to below 1 of what is dropped out in training, where ``forward_with_cache`` is
        given an ``rng``; ``models/dropout.py`` says what each means. zoneout may be a pair, of h
        and of c.
    initialization
        How parameters start: "baseline", "torch", "keras", "flax", ("chrono", T) for memories of up
        to T steps, or "zeros"; ``models/initial_values.py`` says what each means.
    forget_bias
        Where the forget gate's bias starts; as the initialization has it when None.
    dtype
        float32 or float64.
    rng
        Generator or seed of the initial values; fresh entropy when None.
    engine
        "auto", "native" or "reference".

    Raises
    ------
    InputError
        If a size, limit or activation cannot be.

    Notes
    -----
    ``params`` holds W (4H, I), U (4H, H), b (4H) in gate order f, i, c, o, and W_out (O, H),
    b_out (O); ``get_params`` gives each gate apart: W_f, U_f, b_f and so on. There are
    4 H (I + H + 1) + O (H + 1) numbers. The state is (h, c), each (B, H); h is (B, P) with a
    projection. ``LSTM.shapes`` tells the parameters of a variant; gates that are coupled have the
    order i, c, o. With several layers or both directions, names end in the layer and direction, as
    W_l0, W_l0_reverse, W_l1, and the state's arrays are (LD, B, ·), D directions by layer.
    """

    unset: ClassVar[dict[str, Any]] = {"initialization": "zeros"}

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int | None = None,
        *,
        num_layers: int = 1,
        bidirectional: bool = False,
        merge: str = "concatenate",
        projection_size: int | None = None,
        peepholes: bool = False,
        coupled_gates: bool = False,
        layer_norm: bool = False,
        bias: bool = True,
        clip: float | None = None,
        activations: Sequence[Any] = PLAIN_NAMES,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        output_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        weight_drop: float = 0.0,
        zoneout: float | Sequence[float] = 0.0,
        initialization: str | Sequence[Any] = "baseline",
        forget_bias: float | None = None,
        dtype: npt.DTypeLike = np.float32,
        rng: RandomSource = None,
        engine: str = "auto",
    ) -> None:
        self.hidden_size = as_size("hidden_size", hidden_size)
        self.variant = _as_variant(
            projection_size, peepholes, coupled_gates, layer_norm, bias, clip, activations
        )
        self.gates = self.variant.gates
        self.rates = DropoutRates.checked(
            dropout=dropout,
            input_dropout=input_dropout,
            output_dropout=output_dropout,
            recurrent_dropout=recurrent_dropout,
            weight_drop=weight_drop,
            zoneout=zoneout,
        )
        self.merge = one_of("merge", merge, MERGES)
        self.num_layers, self.bidirectional = as_size("num_layers", num_layers), bool(bidirectional)
        self._num_directions = 2 if self.bidirectional else 1
        layers = _shapes_by_layer(
            self.variant,
            as_size("input_size", input_size),
            self.hidden_size,
            self.num_layers,
            self._num_directions,
            self.merge,
        )
        self.suffixes = list(layers)
        self.batch_axis = 0 if len(layers) == 1 else 1
        rng = as_generator(rng)
        cell_params = {
            f"{name}{suffix}": value
            for suffix, shapes in layers.items()
            for name, value in initial_values(
                initialization, forget_bias, shapes, self.gates, rng
            ).items()
        }
        super().__init__(
            self.variant.equations(),
            cell_params,
            input_size,
            _width(self.variant, self.hidden_size, self._num_directions, self.merge),
            output_size,
            dtype=dtype,
            rng=rng,
            engine=engine,
        )
        # Every name as the cell has it, and as ``params`` has it.
        self._names_by_layer = [
            {name: f"{name}{suffix}" for name in shapes} for suffix, shapes in layers.items()
        ]

    @classmethod
    def shapes(
        cls, input_size: int, hidden_size: int, output_size: int | None = None, **options: Any
    ) -> Shapes:
        """Return the shape of every parameter, without making any.

        Arguments are those of the constructor that say what a model is.
        """
        I, H = as_size("input_size", input_size), as_size("hidden_size", hidden_size)
        num_layers = as_size("num_layers", options.pop("num_layers", 1))
        num_directions = 2 if options.pop("bidirectional", False) else 1
        merge = one_of("merge", options.pop("merge", MERGES[0]), MERGES)
        DropoutRates.checked(
            **{name: options.pop(name) for name in DropoutRates._fields if name in options}
        )
        variant = _as_variant(**options)
        layers = _shapes_by_layer(variant, I, H, num_layers, num_directions, merge)
        width = _width(variant, H, num_directions, merge)
        return {
            f"{name}{suffix}": shape
            for suffix, shapes in layers.items()
            for name, shape in shapes.items()
        } | readout_shapes(width, output_size)

    @property
    def config(self) -> dict[str, Any]:
        """Constructor arguments that give a model of the same shape, as plain JSON values."""
        options: dict[str, Any] = {
            "num_layers": self.num_layers,
            "bidirectional": self.bidirectional,
            "merge": self.merge,
            **self.variant._asdict(),
            "activations": _as_names(self.variant.activations),
            **self.rates._asdict(),
            "zoneout": list(self.rates.zoneout),
        }
        plain: dict[str, Any] = {
            "num_layers": 1,
            "bidirectional": False,
            "merge": MERGES[0],
            **LSTMVariant()._asdict(),
            "activations": list(PLAIN_NAMES),
            **DropoutRates()._asdict(),
            "zoneout": [0.0, 0.0],
        }
        return {
            "input_size": self.input_size,
            "hidden_size": self.hidden_size,
            "output_size": self.output_size,
            "dtype": self.dtype.name,
        } | {name: value for name, value in options.items() if value != plain[name]}

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
        for suffix in self.suffixes[: self._num_directions]:
            self._fold_inputs(f"W{suffix}", f"b{suffix}", mean, scale)

    def initial_state(self, num_rows: int) -> Any:
        """Return h = c = 0 for ``num_rows`` rows."""
        return self._stack(self.engine).initial_state(self._params_by_layer, num_rows)

    def step(self, x_t: Float[NDArray, "B I"], state: Any = None) -> tuple[FloatArray, Any]:
        """Advance by one step: streaming. See ``RecurrentModel.step``.

        Raises
        ------
        InputError
            If the model is bidirectional, or a shape or dtype does not fit.
        """
        if self.bidirectional:
            raise InputError(
                "a bidirectional LSTM has no step: it needs the whole sequence; call forward"
            )
        return super().step(x_t, state)

    @property
    def _params_by_layer(self) -> list[Params]:
        params = self.params
        return [{k: params[name] for k, name in names.items()} for names in self._names_by_layer]

    def _stack(self, engine: Engine) -> Stack:
        return Stack(engine, self.cell, self._num_directions, self.merge)

    def _names_of_gates(self, name: str) -> list[str]:
        for suffix in self.suffixes:
            if name in {f"{part}{suffix}" for part in ("W", "U", "b")}:
                return [f"{name[0]}_{gate}{suffix}" for gate in self.gates]
        return []

    def _unroll(
        self,
        engine: Engine,
        x: FloatArray,
        state: Any,
        lengths: IntArray | None,
        keep: bool,
        rng: np.random.Generator | None,
    ) -> tuple[FloatArray, Any, Any]:
        drops = self.rates.in_evaluation if rng is None else self.rates != DropoutRates()
        masks = Masks(self.rates, rng) if drops else None
        return self._stack(engine).unroll(self._params_by_layer, x, state, lengths, keep, masks)

    def _unroll_backward(
        self, engine: Engine, d_sequence: FloatArray | None, cache: Any, d_state: Any
    ) -> tuple[Params, Callable[[], FloatArray], Any]:
        layers, d_x, d_initial = self._stack(engine).unroll_backward(
            self._params_by_layer, d_sequence, cache, d_state
        )
        d_params = {
            names[name]: value
            for names, values in zip(self._names_by_layer, layers, strict=True)
            for name, value in values.items()
        }
        return d_params, d_x, d_initial

    def _last_output(self, state: Any, cache: Any) -> FloatArray:
        return self._stack(self.engine).last_output(state, cache)

    def _last_output_backward(self, d_last: FloatArray, cache: Any) -> FloatArray:
        return self._stack(self.engine).last_output_backward(d_last, cache)

    def freeze(self) -> FrozenLSTM:
        """Return a copy for streams and inference, which later updates do not reach."""
        fixed = self.astype(self.dtype)
        for value in fixed.params.values():
            value.setflags(write=False)
        return FrozenLSTM(fixed)

    @property
    def flops_per_step(self) -> int:
        """Floating-point operations in the matrix products of one step of one row, forward."""
        weights: int = sum(
            value.size
            for params in self._params_by_layer
            for name, value in params.items()
            if name in ("W", "U", "W_proj")
        )
        return 2 * (weights + (self.output_size or 0) * self.width)


def _shapes_by_layer(
    variant: LSTMVariant, I: int, H: int, num_layers: int, num_directions: int, merge: str
) -> dict[str, Shapes]:
    """Return the cell's shapes by the ends of their names, layer by layer and direction."""
    if num_layers == num_directions == 1:
        return {"": variant.shapes(I, H)}
    width = _width(variant, H, num_directions, merge)
    return {
        f"_l{layer}{direction}": variant.shapes(width if layer else I, H)
        for layer in range(num_layers)
        for direction in ("", "_reverse")[:num_directions]
    }


def _width(variant: LSTMVariant, H: int, num_directions: int, merge: str) -> int:
    """Return the features of a layer's output."""
    return (variant.projection_size or H) * (num_directions if merge == "concatenate" else 1)


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
        projection_size = as_size("projection_size", projection_size)
    if clip is not None and not as_number("clip", clip) > 0:
        raise InputError(f"clip is {clip!r}; give a limit above 0")
    if not isinstance(activations, list | tuple) or len(activations) != 3:
        raise InputError(
            f"activations is {activations!r}; give three: of gates, candidate and cell state"
        )
    phi, gamma, eta = map(_as_activation, activations)
    return LSTMVariant(
        projection_size,
        bool(peepholes),
        bool(coupled_gates),
        bool(layer_norm),
        bool(bias),
        None if clip is None else float(clip),
        (phi, gamma, eta),
    )


def _as_activation(given: Any) -> GateActivation:
    if isinstance(given, GateActivation):
        return gate_activation(given.name, *given.constants)
    if isinstance(given, str):
        return gate_activation(given)
    if isinstance(given, list | tuple) and given and isinstance(given[0], str):
        return gate_activation(*given)
    raise InputError(
        f'an activation is {given!r}; give a name, or a name and constants as ("leaky_relu", 0.1)'
    )


def _as_names(activations: Sequence[GateActivation]) -> list[Any]:
    """Return what the constructor takes for these activations."""
    return [a.name if a == gate_activation(a.name) else [a.name, *a.constants] for a in activations]
