"""What all recurrent models share: a cell run over time, a readout, parameters, files."""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from jaxtyping import Float

from lstm_baseline.engine.backend import Engine, select_engine
from lstm_baseline.engine.cells.blocks import affine, affine_backward
from lstm_baseline.engine.cells.recurrence import Cell
from lstm_baseline.engine.errors import FileError, InputError
from lstm_baseline.engine.initializers import xavier_initializer
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
)
from lstm_baseline.engine.recomputation import recomputing
from lstm_baseline.engine.shapes import FloatArray, IntArray, NDArray, Params
from lstm_baseline.engine.storage import check_arrays, read_tensors, write_tensors

Shapes = dict[str, tuple[int, ...]]
"""Shape of every parameter by name."""

FORMAT = "lstm-baseline model 1"


def readout_shapes(width: int, output_size: int | None) -> Shapes:
    """Return the shapes of a linear readout's parameters; none without a readout."""
    if output_size is None:
        return {}
    return {"W_out": (as_size("output_size", output_size), width), "b_out": (output_size,)}


class Gradients:
    """Gradients of a loss."""

    params: Params
    """By the names and shapes of ``model.params``."""
    initial_state: Any
    """A state of the model's own type."""

    def __init__(
        self, params: Params, gradient_of_x: Callable[[], FloatArray], initial_state: Any
    ) -> None:
        self.params = params
        self.initial_state = initial_state
        self._gradient_of_x = gradient_of_x

    @cached_property
    def x(self) -> FloatArray:
        """(B, T, I), zero in the padding; computed when it is first asked for."""
        return self._gradient_of_x()


class ModelCache(NamedTuple):
    """What ``backward`` needs of a ``forward_with_cache``."""

    cell: Any
    """The engine's own, with ``x``, the last ``state`` and, unless gates are to be recomputed,
    ``gate(field)``."""
    hidden: FloatArray
    """What the readout saw, (B, T, H) or (B, H)."""
    live: NDArray | None
    """Which steps a readout's gradient counts, (B, T, 1); None for all."""
    return_sequences: bool
    engine: Engine

    @property
    def state(self) -> Any:
        """The state after each row's last step."""
        return self.cell.state


class RecurrentModel(ABC):
    """A recurrent cell run over (B, T, I), with an optional linear readout.

    Subclasses state the cell, the shapes and initial values of its parameters, and their sizes.
    """

    gates: tuple[str, ...] = ()
    """Gates whose rows W, U and b hold one below the other."""
    input_weights: ClassVar[tuple[str, str]] = ("W", "b")
    """The weights and bias that x meets first."""

    width_argument: ClassVar[str] = "hidden_size"
    """The constructor argument that a race solves for equal size."""
    unset: ClassVar[dict[str, Any]] = {}
    """Constructor arguments for a model whose parameters are about to be set."""
    batch_axis: int = 0
    """The axis of the state's arrays that counts rows."""

    params: Params
    """Live arrays by name: what an optimizer updates in place."""
    input_size: int
    output_size: int | None
    """Features of the readout; None without one."""

    def __init__(
        self,
        cell: Cell,
        cell_params: Params,
        input_size: int,
        width: int,
        output_size: int | None,
        *,
        dtype: npt.DTypeLike,
        rng: np.random.Generator,
        engine: str,
    ) -> None:
        self.cell = cell
        self.input_size = as_size("input_size", input_size)
        self.output_size = None if output_size is None else as_size("output_size", output_size)
        self.width = width
        self.dtype = as_dtype(dtype)
        self.engine = select_engine(engine)
        self.params = {name: value.astype(self.dtype) for name, value in cell_params.items()}
        for name, shape in readout_shapes(width, output_size).items():
            value = xavier_initializer(shape, rng=rng) if name == "W_out" else np.zeros(shape)
            self.params[name] = value.astype(self.dtype)

    @property
    @abstractmethod
    def config(self) -> dict[str, Any]:
        """Constructor arguments that give a model of the same shape, as plain JSON values."""

    @property
    @abstractmethod
    def flops_per_step(self) -> int:
        """Floating-point operations in the matrix products of one step of one row, forward."""

    @classmethod
    @abstractmethod
    def shapes(cls, *args: Any, **options: Any) -> Shapes:
        """Return the shape of every parameter, without making any."""

    def __repr__(self) -> str:
        """Show sizes and the number of parameters."""
        sizes = ", ".join(f"{name}={value!r}" for name, value in self.config.items())
        return f"<{type(self).__name__}({sizes}): {self.num_params:,} parameters>"

    @property
    def num_params(self) -> int:
        """Number of trainable parameters."""
        return sum(value.size for value in self.params.values())

    @property
    def state_size(self) -> int:
        """Numbers that one row carries from step to step."""
        return sum(part.size for part in self.initial_state(1))

    def initial_state(self, num_rows: int) -> Any:
        """Return the state before the first step, for ``num_rows`` rows."""
        return self.cell.initial_state(self.params, num_rows)

    def forward(
        self,
        x: Float[NDArray, "B T I"],
        return_sequences: bool = True,
        return_state: bool = False,
        *,
        initial_state: Any = None,
        lengths: Any = None,
    ) -> Any:
        """Run the model over a batch of sequences.

        Parameters
        ----------
        x
            (B, T, I), real numbers.
        return_sequences
            True for the output at every step, False for each row's last one.
        return_state
            True to get the state after each row's last step as well.
        initial_state
            State to start from, as ``return_state`` gives it; the cell's own when None.
        lengths
            (B,) valid steps of each row, 0 to T. Steps beyond do not count: outputs there are 0.

        Returns
        -------
        (B, T, O) or (B, O), with H for O where there is no readout; with ``return_state`` a tuple
        of that and the arrays of the state, each with B rows. The last output of a row of length 0
        is that of its initial state.

        Raises
        ------
        InputError
            If a shape, dtype or length does not fit; nothing has happened then.
        """
        outputs, state, _ = self._run(
            x, return_sequences, initial_state, lengths, self.engine, keep=False
        )
        return (outputs, *state) if return_state else outputs

    def forward_with_cache(
        self,
        x: Float[NDArray, "B T I"],
        return_sequences: bool = True,
        *,
        initial_state: Any = None,
        lengths: Any = None,
        rng: RandomSource = None,
        recompute: bool = False,
    ) -> tuple[FloatArray, ModelCache]:
        """Run the model and keep what ``backward`` needs.

        Arguments are those of ``forward``, and:

        Parameters
        ----------
        rng
            Generator, or seed of one, that draws what the model drops out in training; without it
            the outputs are those of ``forward``.
        recompute
            Whether ``backward`` is to compute again what would else be kept: a third more time, and
            memory that grows with √T beside each layer's inputs and masks; see
            ``recomputation.py``.
        """
        rng = None if rng is None else as_generator(rng)
        engine = recomputing(self.engine) if recompute else self.engine
        outputs, _, cache = self._run(
            x, return_sequences, initial_state, lengths, engine, keep=True, rng=rng
        )
        assert cache is not None
        return outputs, cache

    def backward(self, d_outputs: FloatArray, cache: ModelCache, d_state: Any = None) -> Gradients:
        """Differentiate ``forward_with_cache``.

        Parameters
        ----------
        d_outputs
            Gradient of the loss with respect to the outputs, in their shape.
        cache
            From ``forward_with_cache``; neither x nor the parameters may have changed since.
        d_state
            Gradient with respect to the state after the last step, where the loss uses it.
        """
        d_hidden = as_real("d_outputs", d_outputs, self.dtype)
        expected = (*cache.hidden.shape[:-1], self.output_size or self.width)
        if d_hidden.shape != expected:
            raise InputError(f"d_outputs has shape {d_hidden.shape}; expected {expected}")
        if cache.live is not None:
            d_hidden = np.where(cache.live, d_hidden, 0)
        d_readout: Params = {}
        if self.output_size is not None:
            d_readout = {name: np.zeros_like(self.params[name]) for name in ("W_out", "b_out")}
            d_hidden = affine_backward(
                d_hidden, cache.hidden, self.params, d_readout, "W_out", "b_out"
            )
        last = cache.cell.state
        d_last = d_state
        if d_state is not None:
            d_last = self._as_state("d_state", d_state, last[0].shape[self.batch_axis])
        d_sequence: FloatArray | None = d_hidden
        if not cache.return_sequences:
            # Only the last output is in the loss: its gradient is that of the last state.
            d_sequence = None
            first = self._last_output_backward(d_hidden, cache.cell)
            if d_last is None:
                d_last = type(last)(first, *(np.zeros_like(part) for part in last[1:]))
            else:
                d_last = type(last)(d_last[0] + first, *d_last[1:])
        d_params, d_x, d_initial = self._unroll_backward(
            cache.engine, d_sequence, cache.cell, d_last
        )
        return Gradients(d_params | d_readout, d_x, d_initial)

    def step(self, x_t: Float[NDArray, "B I"], state: Any = None) -> tuple[FloatArray, Any]:
        """Advance by one step: streaming.

        Parameters
        ----------
        x_t
            (B, I) this step's input.
        state
            From the step before; the initial state when None. It is not changed.

        Returns
        -------
        y_t
            (B, O) or (B, H).
        state
            For the step after.
        """
        x_t = as_real("x_t", x_t, self.dtype)
        if x_t.ndim != 2:
            raise InputError(f"x_t has shape {x_t.shape}; give two axes (batch, features)")
        outputs, new_state, _ = self._run(
            x_t[:, None, :], True, state, None, self.engine, keep=False
        )
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
            If a name is missing or unknown or a shape does not fit; nothing has changed then.
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

        A model trained on (x − mean) / scale gives the same outputs on x afterwards, as
        W (x − mean) / scale + b = (W / scale) x + (b − (W / scale) mean).

        Parameters
        ----------
        mean, scale
            (I,) of each input feature.
        """
        self._fold_inputs(*self.input_weights, mean, scale)

    def _fold_inputs(self, weights: str, bias: str, mean: FloatArray, scale: FloatArray) -> None:
        W, b = self.params[weights], self.params[bias]
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
        write_tensors(
            path,
            self.params,
            {"format": FORMAT, "model": type(self).__name__, "config": self.config},
        )

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what ``save`` wrote.

        Raises
        ------
        FileError
            If the file is missing, damaged, of another model, or holds other arrays than its
            configuration says.
        """
        arrays, about = read_tensors(path, FORMAT)
        if about.get("model") != cls.__name__:
            raise FileError(f"{path} holds a model {about.get('model')!r}; expected {cls.__name__}")
        try:
            config = dict(about["config"])
            dtype = as_dtype(config.pop("dtype"))
            shapes = cls.shapes(**config)
        except (InputError, KeyError, TypeError, ValueError) as error:
            raise FileError(f"{path} has an unusable configuration: {error}") from error
        check_arrays(path, arrays, shapes, dtype)
        model = cls(**config, **cls.unset, dtype=dtype)
        for name, value in arrays.items():
            model.params[name][...] = value
        return model

    def _names_of_gates(self, name: str) -> list[str]:
        """Return the names of a parameter's gates, W_f and so on for W; none where it has none."""
        return [f"{name}_{gate}" for gate in self.gates] if name in ("W", "U", "b") else []

    @property
    def _cell_params(self) -> Params:
        return {n: v for n, v in self.params.items() if n not in ("W_out", "b_out")}

    def _as_state(self, name: str, state: Any, num_rows: int) -> Any:
        own = self.initial_state(num_rows)
        shapes = [part.shape for part in own]
        return type(own)(*as_state_parts(name, state, own._fields, shapes, self.dtype))

    def _unroll(
        self,
        engine: Engine,
        x: FloatArray,
        state: Any,
        lengths: IntArray | None,
        keep: bool,
        rng: np.random.Generator | None,
    ) -> tuple[FloatArray, Any, Any]:
        """Run the cell over time, as an engine does; ``rng`` is for what is dropped out."""
        return engine.unroll(self.cell, self._cell_params, x, state, lengths, keep)

    def _unroll_backward(
        self, engine: Engine, d_sequence: FloatArray | None, cache: Any, d_state: Any
    ) -> tuple[Params, Callable[[], FloatArray], Any]:
        """Differentiate ``_unroll``."""
        return engine.unroll_backward(self.cell, self._cell_params, d_sequence, cache, d_state)

    def _last_output(self, state: Any, cache: Any) -> FloatArray:
        """Return each row's last output, (B, width), from the state after it."""
        last: FloatArray = state[0].reshape(len(state[0]), self.width).copy()
        return last

    def _last_output_backward(self, d_last: FloatArray, cache: Any) -> FloatArray:
        """Return the gradient of the state's first array."""
        return d_last.reshape(cache.state[0].shape)

    def _run(
        self,
        x: Any,
        return_sequences: bool,
        initial_state: Any,
        lengths: Any,
        engine: Engine,
        *,
        keep: bool,
        rng: np.random.Generator | None = None,
    ) -> tuple[FloatArray, Any, ModelCache | None]:
        x = as_sequence(x, self.input_size, self.dtype, type(self).__name__)
        num_rows, num_steps, _ = x.shape
        if lengths is not None:
            lengths = as_lengths(lengths, num_rows, num_steps)
            if (lengths == num_steps).all():
                lengths = None
        state = None
        if initial_state is not None:
            state = self._as_state("initial_state", initial_state, num_rows)
        sequence, last, cell_cache = self._unroll(engine, x, state, lengths, keep, rng)
        hidden = sequence if return_sequences else self._last_output(last, cell_cache)
        outputs = hidden
        if self.output_size is not None:
            outputs = _read_out(hidden, self.params["W_out"], self.params["b_out"])
        live = None
        if lengths is not None and return_sequences and self.output_size is not None:
            # Without a readout the engine has left the padding at 0, and does not read it.
            live = (np.arange(num_steps) < lengths[:, None])[:, :, None]
            outputs = np.where(live, outputs, 0)
        if not keep:
            return outputs, last, None
        return outputs, last, ModelCache(cell_cache, hidden, live, return_sequences, engine)


def _read_out(hidden: FloatArray, W: FloatArray, b: FloatArray) -> FloatArray:
    """Return W h + b of every step, or of the last one."""
    outputs: FloatArray
    if hidden.ndim == 2:
        outputs = affine(hidden, W, b)
        return outputs
    # Step by step, as the bits of a product of all steps would depend on their number.
    outputs = np.empty((*hidden.shape[:2], len(W)), hidden.dtype)
    np.matmul(hidden.swapaxes(0, 1), W.T, out=outputs.swapaxes(0, 1))
    outputs += b
    return outputs
