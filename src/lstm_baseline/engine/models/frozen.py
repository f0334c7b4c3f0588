"""An LSTM that no longer learns: for streams and for inference."""

from typing import Any, Literal, final, overload

import numpy as np
import numpy.typing as npt

from lstm_baseline.engine.cells.lstm import LSTMEquations, LSTMState
from lstm_baseline.engine.core import load_core
from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.inputs import (
    as_lengths,
    as_real,
    as_sequence,
    as_state_parts,
    as_tokens,
    is_tokens,
)
from lstm_baseline.engine.models.embedding import PLAIN
from lstm_baseline.engine.models.options import by_layer
from lstm_baseline.engine.models.sequence_model import SequenceModel, StateLike
from lstm_baseline.engine.shapes import FloatArray, NDArray


@final
class FrozenLSTM:
    """The LSTM of a model at the time of ``freeze()``; made by that method.

    The weights are copied. For a plain LSTM of one layer on the native engine they are also packed
    once; other models run as if they were not frozen. A frozen LSTM cannot change, so any number of
    threads may share it; other processes take it pickled. Without the compiled core the reference
    runs it.
    """

    def __init__(self, model: SequenceModel) -> None:
        for value in model.params.values():
            value.setflags(write=False)
        self.input_size = model.input_size
        self.hidden_size: int = by_layer(model.stack.cells)
        self.output_size = model.output_size
        self.dtype = model.dtype
        self._model = model
        self._core: Any = None
        one_layer = isinstance(model.cell, LSTMEquations) and len(model.suffixes) == 1
        own_start = model.stack.layers.learned_state or model.tokens != PLAIN
        plain = one_layer and not (own_start or model.rates.in_evaluation)
        if model.engine.name == "native" and plain:
            weights = [model.params.get(name) for name in ("W", "U", "b", "W_out", "b_out")]
            self._core = load_core().freeze_lstm(*weights, LSTMState, _Converter(self))
            # The compiled method itself, because a step takes little longer than a Python call.
            vars(self)["step"] = self._core.step

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle the weights; whoever gets them packs them again."""
        return FrozenLSTM, (self._model,)

    def __repr__(self) -> str:
        """Show sizes."""
        return (
            f"<FrozenLSTM(input_size={self.input_size}, hidden_size={self.hidden_size}, "
            f"output_size={self.output_size}, dtype={self.dtype.name})>"
        )

    def step(self, x_t: FloatArray, state: StateLike | None = None) -> tuple[FloatArray, LSTMState]:
        """Advance by one step: streaming.

        Parameters
        ----------
        x_t
            (B, I) input of this step, or tokens (B,).
        state
            State after the previous step, in the model's form: (h, c), each (B, H), for one plain
            layer; zeros when None. It is not changed.

        Returns
        -------
        y_t
            (B, O), or (B, H) without a readout.
        state
            State for the next step.

        Raises
        ------
        InputError
            If a shape or dtype does not fit.
        """
        return self._model.step(x_t, state)

    @overload
    def forward(
        self,
        x: NDArray,
        return_sequences: bool = True,
        return_state: Literal[False] = False,
        *,
        initial_state: StateLike | None = None,
        lengths: npt.ArrayLike | None = None,
    ) -> FloatArray: ...

    @overload
    def forward(
        self,
        x: NDArray,
        return_sequences: bool,
        return_state: Literal[True],
        *,
        initial_state: StateLike | None = None,
        lengths: npt.ArrayLike | None = None,
    ) -> tuple[FloatArray, ...]: ...

    @overload
    def forward(
        self,
        x: NDArray,
        return_sequences: bool = True,
        *,
        return_state: Literal[True],
        initial_state: StateLike | None = None,
        lengths: npt.ArrayLike | None = None,
    ) -> tuple[FloatArray, ...]: ...

    def forward(
        self,
        x: NDArray,
        return_sequences: bool = True,
        return_state: bool = False,
        *,
        initial_state: StateLike | None = None,
        lengths: npt.ArrayLike | None = None,
    ) -> FloatArray | tuple[FloatArray, ...]:
        """Run over a batch of sequences; arguments and returns are those of ``LSTM.forward``."""
        if self._core is None or is_tokens(x):
            y, *state = self._model.forward(
                x, return_sequences, True, initial_state=initial_state, lengths=lengths
            )
            return (y, *state) if return_state else y
        x = np.ascontiguousarray(as_sequence(x, self.input_size, self.dtype, "LSTM"))
        num_rows, num_steps, _ = x.shape
        valid = None if lengths is None else as_lengths(lengths, num_rows, num_steps)
        start = initial_state
        if start is not None:
            start = _as_state("initial_state", start, self, num_rows)
        outputs: FloatArray | tuple[FloatArray, ...] = self._core.forward(
            x, return_sequences, return_state, start, valid
        )
        return outputs


class _Converter:
    """Brings a step's arguments into the form that the core takes, or refuses them."""

    def __init__(self, frozen: FrozenLSTM) -> None:
        self.input_size, self.hidden_size = frozen.input_size, frozen.hidden_size
        self.dtype = frozen.dtype

    def __call__(self, x_t: object, state: object) -> tuple[FloatArray, LSTMState | None]:
        if is_tokens(x_t) and np.ndim(x_t) == 1:
            tokens = as_tokens(np.asarray(x_t)[:, None], self.input_size, None, "LSTM")[:, 0]
            # W is packed for products; a token of one step is a row of them.
            x_t = tokens[:, None] == np.arange(self.input_size)
        rows = as_real("x_t", x_t, self.dtype)
        if rows.ndim != 2:
            raise InputError(
                f"x_t has shape {rows.shape}; give two axes (batch, features), or tokens (batch,)"
            )
        rows = as_sequence(rows[:, None, :], self.input_size, self.dtype, "LSTM")[:, 0]
        start = None if state is None else _as_state("state", state, self, len(rows))
        return np.ascontiguousarray(rows), start


def _as_state(name: str, state: object, sizes: FrozenLSTM | _Converter, num_rows: int) -> LSTMState:
    shapes = [(num_rows, sizes.hidden_size)] * 2
    parts = as_state_parts(name, state, LSTMState._fields, shapes, sizes.dtype)
    return LSTMState(*(np.ascontiguousarray(part) for part in parts))
