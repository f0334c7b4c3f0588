"""A recurrent model: cells run over sequences in layers, with an optional readout."""

import copy
import inspect
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, overload

import numpy as np
import numpy.typing as npt
from jaxtyping import Float

from lstm_baseline.engine.backend import Engine, engine_here, select_engine
from lstm_baseline.engine.cells import Cell, State
from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.initializers import NO_DRAWS
from lstm_baseline.engine.inputs import (
    RandomSource,
    as_dtype,
    as_generator,
    as_lengths,
    as_named_arrays,
    as_real,
    as_sequence,
    as_size,
    as_state_parts,
    as_steps,
    as_tokens,
    is_tokens,
)
from lstm_baseline.engine.models.dropout import NO_DROPOUT, DropoutRates, Masks
from lstm_baseline.engine.models.embedding import (
    PLAIN,
    TABLE,
    Tokens,
    initial_table,
    look_up,
    look_up_backward,
)
from lstm_baseline.engine.models.gradients import Gradients, ModelCache
from lstm_baseline.engine.models.model_file import (
    check_configuration,
    read_model,
    refusing_configuration,
    write_model,
)
from lstm_baseline.engine.models.options import changed
from lstm_baseline.engine.models.readout import (
    initial_readout,
    read_out,
    read_out_backward,
    readout_shapes,
)
from lstm_baseline.engine.models.stack import ONE_LAYER, Layers, Stack
from lstm_baseline.engine.recomputation import recomputing
from lstm_baseline.engine.shapes import (
    FloatArray,
    IntArray,
    NDArray,
    Params,
    Sequences,
    Shapes,
)
from lstm_baseline.engine.storage import check_arrays

StateLike = State | list[FloatArray] | FloatArray
"""A state as a user gives it: its arrays in order, or one array bare."""


class SequenceModel:
    """Recurrent cells over numbers (B, T, I) or tokens (B, T), in layers, with a linear readout.

    Parameters
    ----------
    cell
        One cell for all layers, or a sequence with one for each.
    input_size
        I, or V where x holds tokens 0 … V − 1.
    output_size
        O of a linear readout y = W_out h + b_out; no readout when None.
    layers
        Number and directions of the layers.
    rates
        Rates of dropout in training.
    tokens
        How tokens are taken: as one-hot rows, or looked up in a table.
    dtype
        float32 or float64.
    rng
        Generator or seed of the initial values; fresh entropy when None.
    engine
        "auto", "native" or "reference".

    Notes
    -----
    ``params`` holds the parameters of the cell by the cell's names. With several layers or both
    directions, names end in layer and direction: W_l0, W_l0_reverse, W_l1. The state's arrays then
    are (LD, B, ·), the D directions of each layer in turn. Layers of different sizes have separate
    states, h_l0, h_l1.
    """

    width_argument: ClassVar[str] = "hidden_size"
    """The constructor argument that a race solves for equal size."""

    params: Params
    """Live arrays by name: what an optimizer updates in place."""

    def __init__(
        self,
        cell: Cell[Any, Any] | Sequence[Cell[Any, Any]],
        input_size: int,
        output_size: int | None = None,
        *,
        layers: Layers = ONE_LAYER,
        rates: DropoutRates = NO_DROPOUT,
        tokens: Tokens = PLAIN,
        dtype: npt.DTypeLike = np.float32,
        rng: RandomSource = None,
        engine: str = "auto",
    ) -> None:
        cells = [cell] * layers.num_layers if isinstance(cell, Cell) else list(cell)
        if len(cells) != layers.num_layers:
            raise InputError(f"there are {len(cells)} cells for {layers.num_layers} layers")
        self.cell = cells[0]
        """The first layer's."""
        if len(self.cell.state_type._fields) == 1 and len(set(rates.zoneout)) > 1:
            raise InputError(
                f"zoneout is {rates.zoneout}; the state is one array, so give one rate"
            )
        if rates.weight_drop and not self.cell.recurrent_weights:
            raise InputError(
                f"weight_drop is {rates.weight_drop}, and this cell has no weights of the state"
            )
        self.input_size = as_size("input_size", input_size)
        self.output_size = None if output_size is None else as_size("output_size", output_size)
        self.stack, self.rates, self.tokens = Stack(cells, layers), rates, tokens
        tokens.check(self.input_size, self.width, self.output_size)
        self.dtype = as_dtype(dtype)
        self.engine = select_engine(engine)
        cell_shapes = [own.shapes(size) for own, size in self.stack.inputs(self._seen_size)]
        self._names_by_layer = [
            {name: f"{name}{suffix}" for name in shapes}
            for suffix, shapes in zip(self.suffixes, cell_shapes, strict=True)
        ]
        """Every name as the cell has it, and as ``params`` has it."""
        self._shapes: Shapes = {
            names[name]: shape
            for names, shapes in zip(self._names_by_layer, cell_shapes, strict=True)
            for name, shape in shapes.items()
        }
        if layers.learned_state:
            self._shapes |= self._state_shapes()
        self._readout_shapes = readout_shapes(self.width, self.output_size)
        if tokens.tied:
            del self._readout_shapes["W_out"]
        self._shapes |= self._readout_shapes
        if tokens.embedding_size is not None:
            self._shapes[TABLE] = (self.input_size, tokens.embedding_size)
        self.params = {}
        if rng is not NO_DRAWS:
            self._draw(as_generator(rng))

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take what was copied or pickled, perhaps where there was a compiled core."""
        vars(self).update(state)
        self.engine = engine_here(self.engine)

    def _draw(self, rng: np.random.Generator) -> None:
        inputs = self.stack.inputs(self._seen_size)
        for names, (cell, size) in zip(self._names_by_layer, inputs, strict=True):
            for name, value in cell.initial_params(size, rng).items():
                self.params[names[name]] = value.astype(self.dtype)
        if self.stack.layers.learned_state:
            start = self.stack.initial_state(self._params_by_layer, 1)
            for fields, own in zip(self._state_names, self.stack.split(start), strict=True):
                self.params |= {n: part[0].copy() for n, part in zip(fields, own, strict=True)}
        for name, value in initial_readout(self._readout_shapes, rng).items():
            self.params[name] = value.astype(self.dtype)
        if TABLE in self._shapes:
            table = initial_table(self.input_size, self.tokens, rng)
            self.params[TABLE] = table.astype(self.dtype)

    @property
    def _seen_size(self) -> int:
        """Features that the first layer sees."""
        return self.tokens.embedding_size or self.input_size

    @property
    def _state_names(self) -> list[list[str]]:
        """Names of the learned state's arrays, by layer and direction."""
        fields = self.cell.state_type._fields
        return [[f"{field}_0{suffix}" for field in fields] for suffix in self.suffixes]

    def _state_shapes(self) -> Shapes:
        """Return the shapes of the learned state's arrays."""
        shapes: Shapes = {}
        for names, (cell, size) in zip(
            self._state_names, self.stack.inputs(self._seen_size), strict=True
        ):
            blank = {
                name: np.broadcast_to(self.dtype.type(0), shape)
                for name, shape in cell.shapes(size).items()
            }
            start = cell.initial_state(blank, 1)
            shapes |= {n: part.shape[1:] for n, part in zip(names, start, strict=True)}
        return shapes

    @property
    def _readout_weights(self) -> str:
        return TABLE if self.tokens.tied else "W_out"

    @classmethod
    def shapes(cls, *sizes: Any, **options: Any) -> Shapes:
        """Return the shape of every parameter for a constructor's arguments, without making any."""
        return cls(*sizes, **options, rng=NO_DRAWS)._shapes

    @property
    def config(self) -> dict[str, Any]:
        """Constructor arguments that give a model of the same shape, as plain JSON values."""
        cells = [cell.config for cell in self.stack.cells]
        options: dict[str, Any] = {
            "input_size": self.input_size,
            "output_size": self.output_size,
            "dtype": self.dtype.name,
            **changed(self.stack.layers),
            **{
                name: value
                if all(own[name] == value for own in cells)
                else [c[name] for c in cells]
                for name, value in cells[0].items()
            },
            **changed(self.rates),
            **changed(self.tokens),
        }
        if not self.stack.is_uniform:
            del options["num_layers"]  # the sizes of the layers tell it
        order = inspect.signature(type(self)).parameters
        return {
            name: list(options[name]) if isinstance(options[name], tuple) else options[name]
            for name in order
            if name in options
        }

    @property
    def flops_per_step(self) -> int:
        """Floating-point operations in the matrix products of one step of one row, forward."""
        inputs = self.stack.inputs(self._seen_size)
        readout = 2 * (self.output_size or 0) * self.width
        return sum(cell.flops_per_step(size) for cell, size in inputs) + readout

    def __repr__(self) -> str:
        """Show sizes and the number of parameters."""
        sizes = ", ".join(f"{name}={value!r}" for name, value in self.config.items())
        return f"<{type(self).__name__}({sizes}): {self.num_params:,} parameters>"

    @property
    def num_params(self) -> int:
        """Number of trainable parameters."""
        return sum(math.prod(shape) for shape in self._shapes.values())

    @property
    def num_fixed(self) -> int:
        """Number of numbers that are held and never trained: none."""
        return 0

    @property
    def num_layers(self) -> int:
        """L."""
        return self.stack.layers.num_layers

    @property
    def bidirectional(self) -> bool:
        """True if every layer runs from both ends of each row."""
        return self.stack.layers.bidirectional

    @property
    def merge(self) -> str:
        """Rule by which the outputs of both directions become one."""
        return self.stack.layers.merge

    @property
    def suffixes(self) -> list[str]:
        """Endings of the names of parameters, by layer and direction."""
        return self.stack.suffixes

    @property
    def batch_axis(self) -> int:
        """The axis of the state's arrays that counts rows."""
        return self.stack.batch_axis

    @property
    def width(self) -> int:
        """Features that the readout sees."""
        return self.stack.widths[-1]

    @property
    def gates(self) -> tuple[str, ...]:
        """Short names of the cell's gates."""
        return self.cell.gates

    @property
    def state_size(self) -> int:
        """Numbers that one row carries from step to step."""
        return sum(part.size for part in self.initial_state(1))

    def initial_state(self, num_rows: int) -> Any:
        """Return the state before the first step, for ``num_rows`` rows."""
        if not self.stack.layers.learned_state:
            return self.stack.initial_state(self._params_by_layer, num_rows)
        return self.stack.join(
            [
                self.cell.state_type(*(self._for_rows(name, num_rows) for name in names))
                for names in self._state_names
            ]
        )

    def _for_rows(self, name: str, num_rows: int) -> FloatArray:
        value = self.params[name]
        return np.repeat(value[None], num_rows, axis=0)

    @overload
    def forward(
        self,
        x: Float[NDArray, "B T I"],
        return_sequences: bool = True,
        return_state: Literal[False] = False,
        *,
        initial_state: StateLike | None = None,
        lengths: npt.ArrayLike | None = None,
        at: npt.ArrayLike | None = None,
    ) -> FloatArray: ...

    @overload
    def forward(
        self,
        x: Float[NDArray, "B T I"],
        return_sequences: bool,
        return_state: Literal[True],
        *,
        initial_state: StateLike | None = None,
        lengths: npt.ArrayLike | None = None,
        at: npt.ArrayLike | None = None,
    ) -> tuple[FloatArray, ...]: ...

    @overload
    def forward(
        self,
        x: Float[NDArray, "B T I"],
        return_sequences: bool = True,
        *,
        return_state: Literal[True],
        initial_state: StateLike | None = None,
        lengths: npt.ArrayLike | None = None,
        at: npt.ArrayLike | None = None,
    ) -> tuple[FloatArray, ...]: ...

    def forward(
        self,
        x: Float[NDArray, "B T I"],
        return_sequences: bool = True,
        return_state: bool = False,
        *,
        initial_state: StateLike | None = None,
        lengths: npt.ArrayLike | None = None,
        at: npt.ArrayLike | None = None,
    ) -> FloatArray | tuple[FloatArray, ...]:
        """Run the model over a batch of sequences.

        Parameters
        ----------
        x
            (B, T, I), real numbers; or tokens (B, T), whole numbers 0 … I − 1.
        return_sequences
            True for the output at every step, False for each row's last one.
        return_state
            True to get the state after each row's last step as well.
        initial_state
            State to start from, as ``return_state`` gives it; the cell's initial state when None.
        lengths
            (B,) valid steps of each row, 0 to T. Later steps do not count: their outputs are 0.
        at
            (B, T) booleans: only the outputs at these steps are computed and returned, (N, O), row
            by row. It goes with ``return_sequences``.

        Returns
        -------
        (B, T, O), (B, O) or (N, O), with H in place of O if there is no readout. With
        ``return_state``, a tuple of the outputs and the arrays of the state, each with B rows. The
        last output of a row of length 0 is that of its initial state.

        Raises
        ------
        InputError
            If a shape, dtype or length does not fit; then nothing is computed.
        """
        outputs, state, _ = self._run(
            x, return_sequences, initial_state, lengths, self.engine, keep=False, at=at
        )
        return (outputs, *state) if return_state else outputs

    def forward_with_cache(
        self,
        x: Float[NDArray, "B T I"],
        return_sequences: bool = True,
        *,
        initial_state: StateLike | None = None,
        lengths: npt.ArrayLike | None = None,
        at: npt.ArrayLike | None = None,
        rng: RandomSource = None,
        recompute: bool = False,
    ) -> tuple[FloatArray, ModelCache]:
        """Run the model and keep what ``backward`` needs.

        Arguments are those of ``forward``, and:

        Parameters
        ----------
        rng
            Generator, or its seed, that draws the dropout masks of training; without it the outputs
            are those of ``forward``.
        recompute
            Whether ``backward`` computes again what would otherwise be kept. This takes a third
            more time, and memory, apart from each layer's inputs and masks, grows with √T; see
            ``recomputation.py``.
        """
        rng = None if rng is None else as_generator(rng)
        engine = recomputing(self.engine) if recompute else self.engine
        outputs, _, cache = self._run(
            x, return_sequences, initial_state, lengths, engine, keep=True, at=at, rng=rng
        )
        assert cache is not None
        return outputs, cache

    def backward(
        self, d_outputs: FloatArray, cache: ModelCache, d_state: StateLike | None = None
    ) -> Gradients:
        """Differentiate ``forward_with_cache``.

        Parameters
        ----------
        d_outputs
            Gradient of the loss with respect to the outputs, in their shape.
        cache
            From ``forward_with_cache``; neither x nor the parameters may have changed since.
        d_state
            Gradient with respect to the state after the last step, where the loss uses it.

        Raises
        ------
        InputError
            If the cache is of another model, or a shape or dtype does not fit.
        """
        if cache.cell.stack is not self.stack:
            raise InputError(
                "cache is of another model; give that of this one's forward_with_cache"
            )
        d_hidden = as_real("d_outputs", d_outputs, self.dtype)
        expected = (*cache.hidden.shape[:-1], self.output_size or self.width)
        if d_hidden.shape != expected:
            raise InputError(f"d_outputs has shape {d_hidden.shape}; expected {expected}")
        if cache.live is not None:
            d_hidden = np.where(cache.live, d_hidden, 0)
        d_readout: Params = {}
        if self.output_size is not None:
            d_hidden, d_readout = read_out_backward(
                d_hidden, cache.hidden, self.params, self._readout_weights
            )
        state, d_last = cache.state, None
        if d_state is not None:
            d_last = self._as_state("d_state", d_state, state[0].shape[self.batch_axis])
        if cache.at is not None:
            d_steps = np.zeros((*cache.at.shape, self.width), self.dtype)
            d_steps[cache.at] = d_hidden
            d_hidden = d_steps
        d_sequence: FloatArray | None = d_hidden
        if not cache.return_sequences:
            # Only the last output is in the loss: its gradient is that of the last state.
            d_sequence = None
            d_last = self.stack.last_output_backward(
                d_hidden, state, cache.cell.output_mask, d_last
            )
        by_layer, d_x, d_initial = cache.cell.backward(d_sequence, d_last)
        d_params = {
            names[name]: value
            for names, values in zip(self._names_by_layer, by_layer, strict=True)
            for name, value in values.items()
        }
        if self.stack.layers.learned_state:
            d_starts = self.stack.split(d_initial)
            for own_names, own in zip(self._state_names, d_starts, strict=True):
                for name, part in zip(own_names, own, strict=True):
                    # A pass from a state that was given does not depend on the learned one.
                    d_part = part.sum(axis=0) if cache.from_learned_state else 0 * part[0]
                    d_params[name] = np.asarray(d_part, self.dtype)
        d_params |= d_readout
        if cache.tokens is None:
            return Gradients(d_params, d_x, d_initial)
        d_rows = d_x()
        assert d_rows is not None
        d_table = look_up_backward(d_rows, cache.tokens, self.input_size)
        d_params[TABLE] = d_table + d_params[TABLE] if TABLE in d_params else d_table
        return Gradients(d_params, lambda: None, d_initial)

    def step(
        self, x_t: Float[NDArray, "B I"], state: StateLike | None = None
    ) -> tuple[FloatArray, Any]:
        """Advance by one step: streaming.

        Parameters
        ----------
        x_t
            (B, I) input of this step, or tokens (B,).
        state
            State after the previous step; the initial state when None. It is not changed.

        Returns
        -------
        y_t
            (B, O) or (B, H).
        state
            State for the next step.

        Raises
        ------
        InputError
            If the model is bidirectional, or a shape or dtype does not fit.
        """
        if self.bidirectional:
            raise InputError(
                f"a bidirectional {type(self).__name__} has no step: it needs the whole sequence; "
                "call forward"
            )
        if not (is_tokens(x_t) and x_t.ndim == 1):
            x_t = as_real("x_t", x_t, self.dtype)
            if x_t.ndim != 2:
                raise InputError(
                    f"x_t has shape {x_t.shape}; give two axes (batch, features), or tokens "
                    "(batch,)"
                )
        outputs, new_state, _ = self._run(x_t[:, None], True, state, None, self.engine, keep=False)
        return outputs[:, 0, :], new_state

    def get_params(self) -> Params:
        """Return copies of all parameters, one for each gate, biases as columns (·, 1)."""
        named: Params = {}
        for name, value in self.params.items():
            column = value[:, None] if value.ndim == 1 else value
            names = self._names_of_gates(name)
            if names:
                parts = np.split(column, len(names))
                named |= {n: part.copy() for n, part in zip(names, parts, strict=True)}
            else:
                named[name] = column.copy()
        return named

    def set_params(self, params: Params) -> None:
        """Set all parameters, by the names and shapes of ``get_params``.

        Raises
        ------
        InputError
            If a name is missing or unknown or a shape does not fit; then nothing is changed.
        """
        arrays = as_named_arrays("params", params, self.get_params(), self.dtype)
        for name, live in self.params.items():
            names = self._names_of_gates(name)
            value = np.concatenate([arrays[n] for n in names]) if names else arrays[name]
            live[...] = value.reshape(live.shape)

    def astype(self, dtype: npt.DTypeLike) -> Self:
        """Return a copy of the model with its parameters in another dtype."""
        model = copy.copy(self)
        model.dtype = as_dtype(dtype)
        model.params = {name: value.astype(model.dtype) for name, value in self.params.items()}
        return model

    def take_raw_inputs(self, mean: FloatArray, scale: FloatArray) -> None:
        """Fold the standardisation of inputs into the first weights.

        Afterwards a model trained on (x − mean) / scale gives the same outputs on x, because
        W (x − mean) / scale + b = (W / scale) x + (b − (W / scale) mean).

        Parameters
        ----------
        mean, scale
            (I,) of each input feature.

        Raises
        ------
        InputError
            If the weights of this cell cannot express another mean and scale of x.
        """
        weights, bias = self.cell.input_weights
        for suffix in self.suffixes[: self.stack.num_directions]:
            W, b = self.params[f"{weights}{suffix}"], self.params[f"{bias}{suffix}"]
            folded = W.astype(np.float64) / scale
            b[...] = b - folded @ mean
            W[...] = folded

    def give_raw_outputs(self, mean: FloatArray, scale: FloatArray) -> None:
        """Fold the standardisation of targets into the readout: y becomes scale · y + mean.

        Parameters
        ----------
        mean, scale
            (O,) of each output feature.
        """
        W_out, b_out = self.params["W_out"], self.params["b_out"]
        W_out[...] = scale[:, None] * W_out
        b_out[...] = scale * b_out + mean

    def save(self, path: str | Path) -> None:
        """Write parameters and configuration as safetensors, whole or not at all."""
        write_model(path, type(self).__name__, self.config, self.params)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what ``save`` wrote.

        Raises
        ------
        FileError
            If the file is missing, damaged, of another model, or holds other arrays than its
            configuration says.
        """
        config, arrays = read_model(path, cls.__name__)
        with refusing_configuration(path):
            model = cls(**config, rng=NO_DRAWS)
            check_configuration(config, model.config)
        check_arrays(path, arrays, model._shapes, model.dtype)
        model.params = {name: np.array(arrays[name]) for name in model._shapes}
        return model

    def _names_of_gates(self, name: str) -> list[str]:
        """Return the names of a parameter's gates, W_f and so on for W; none where it has none."""
        for suffix in self.suffixes if self.gates else ():
            for own in self.cell.gated_params:
                if name == f"{own}{suffix}":
                    return [f"{own}_{gate}{suffix}" for gate in self.gates]
        return []

    @property
    def _params_by_layer(self) -> list[Params]:
        params = self.params
        return [{k: params[name] for k, name in names.items()} for names in self._names_by_layer]

    def _as_state(self, name: str, state: StateLike, num_rows: int) -> State:
        own = self.initial_state(num_rows)
        shapes = [part.shape for part in own]
        found: State = type(own)(*as_state_parts(name, state, own._fields, shapes, self.dtype))
        return found

    def _as_tokens_or_numbers(self, x: npt.ArrayLike) -> NDArray:
        """Return x as numbers (B, T, I), or as tokens (B, T) that are still to be checked."""
        name = type(self).__name__
        if is_tokens(x) and np.ndim(x) == 2:
            return np.asarray(x)
        if TABLE in self._shapes:
            raise InputError(
                f"x has dtype {np.asarray(x).dtype} and shape {np.shape(x)}; this {name} has an "
                "embedding, so give tokens, whole numbers (batch, time)"
            )
        return as_sequence(x, self.input_size, self.dtype, name)

    def _run(
        self,
        x: npt.ArrayLike,
        return_sequences: bool,
        initial_state: StateLike | None,
        lengths: npt.ArrayLike | None,
        engine: Engine,
        *,
        keep: bool,
        at: npt.ArrayLike | None = None,
        rng: np.random.Generator | None = None,
    ) -> tuple[FloatArray, State, ModelCache | None]:
        given = self._as_tokens_or_numbers(x)
        num_rows, num_steps = given.shape[:2]
        valid: IntArray | None = None
        if lengths is not None:
            valid = as_lengths(lengths, num_rows, num_steps)
            if (valid == num_steps).all():
                valid = None
        array: Sequences = given
        looked_up: IntArray | None = None
        if given.ndim == 2:
            array = as_tokens(given, self.input_size, valid, type(self).__name__)
            if TABLE in self._shapes:
                looked_up, array = array, look_up(self.params, array)
        chosen = None
        if at is not None:
            if not return_sequences:
                raise InputError("at is given; it chooses steps, so set return_sequences")
            chosen = as_steps(at, num_rows, num_steps, valid)
        state = None
        if initial_state is not None:
            state = self._as_state("initial_state", initial_state, num_rows)
        elif self.stack.layers.learned_state:
            state = self.initial_state(num_rows)
        drops = self.rates.in_evaluation if rng is None else self.rates != NO_DROPOUT
        masks = Masks(self.rates, rng) if drops else None
        sequence, last, cache = self.stack.unroll(
            engine, self._params_by_layer, array, state, valid, keep, masks
        )
        hidden = sequence
        if not return_sequences:
            hidden = self.stack.last_output(last, None if cache is None else cache.output_mask)
        elif chosen is not None:
            hidden = sequence[chosen]
        outputs = hidden
        if self.output_size is not None:
            outputs = read_out(hidden, self.params[self._readout_weights], self.params["b_out"])
        live = None
        all_steps = return_sequences and chosen is None
        if valid is not None and all_steps and self.output_size is not None:
            # Without a readout the engine has left the padding at 0, and does not read it.
            live = (np.arange(num_steps) < valid[:, None])[:, :, None]
            outputs = np.where(live, outputs, 0)
        if cache is None:
            return outputs, last, None
        return (
            outputs,
            last,
            ModelCache(
                cache, hidden, live, return_sequences, chosen, looked_up, initial_state is None
            ),
        )
