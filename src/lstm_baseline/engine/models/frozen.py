"""An LSTM that no longer learns: for streams and for inference."""

from typing import Any, final

import numpy as np

from lstm_baseline.engine.cells.lstm import LSTMEquations, LSTMState
from lstm_baseline.engine.core import load_core
from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.inputs import as_lengths, as_real, as_sequence, as_state_parts
from lstm_baseline.engine.shapes import FloatArray


@final
class FrozenLSTM:
    """The LSTM of a model at the time of ``freeze()``; made by that method.

    The weights are copied and, for a plain LSTM of one layer on the native engine, packed once;
    other models run as they would unfrozen. Nothing can change it, so any
    number of threads may share it. Without the compiled core the reference runs it.
    """

    def __init__(self, model: Any) -> None:
        self.input_size: int = model.input_size
        self.hidden_size: int = model.hidden_size
        self.output_size: int | None = model.output_size
        self.dtype: np.dtype[Any] = model.dtype
        self._model = model
        self._core: Any = None
        one_layer = isinstance(model.cell, LSTMEquations) and len(model.suffixes) == 1
        plain = one_layer and not model.rates.in_evaluation
        if model.engine.name == "native" and plain:
            weights = [model.params.get(name) for name in ("W", "U", "b", "W_out", "b_out")]
            self._core = load_core().freeze_lstm(*weights, LSTMState, _Converter(self))
            # The compiled method itself: a step takes little longer than a call from Python.
            vars(self)["step"] = self._core.step

    def __repr__(self) -> str:
        """Show sizes."""
        return (
            f"<FrozenLSTM(input_size={self.input_size}, hidden_size={self.hidden_size}, "
            f"output_size={self.output_size}, dtype={self.dtype.name})>"
        )

    def step(self, x_t: FloatArray, state: Any = None) -> tuple[FloatArray, LSTMState]:
        """Advance by one step: streaming.

        Parameters
        ----------
        x_t
            (B, I) this step's input.
        state
            From the step before, as the model has it: (h, c), each (B, H), for one plain layer;
            zeros when None. It is not changed.

        Returns
        -------
        y_t
            (B, O), or (B, H) without a readout.
        state
            For the step after.

        Raises
        ------
        InputError
            If a shape or dtype does not fit.
        """
        y_t, state = self._model.step(x_t, state)
        return y_t, state

    def forward(
        self,
        x: FloatArray,
        return_sequences: bool = True,
        return_state: bool = False,
        *,
        initial_state: Any = None,
        lengths: Any = None,
    ) -> Any:
        """Run over a batch of sequences; arguments and returns are those of ``LSTM.forward``."""
        if self._core is None:
            return self._model.forward(
                x, return_sequences, return_state, initial_state=initial_state, lengths=lengths
            )
        x = np.ascontiguousarray(as_sequence(x, self.input_size, self.dtype, "LSTM"))
        if lengths is not None:
            lengths = as_lengths(lengths, x.shape[0], x.shape[1])
        if initial_state is not None:
            initial_state = _as_state("initial_state", initial_state, self, x.shape[0])
        return self._core.forward(x, return_sequences, return_state, initial_state, lengths)


class _Converter:
    """Brings a step's arguments into the form that the core takes, or refuses them."""

    def __init__(self, frozen: FrozenLSTM) -> None:
        self.input_size, self.hidden_size = frozen.input_size, frozen.hidden_size
        self.dtype = frozen.dtype

    def __call__(self, x_t: Any, state: Any) -> tuple[FloatArray, Any]:
        x_t = as_real("x_t", x_t, self.dtype)
        if x_t.ndim != 2:
            raise InputError(f"x_t has shape {x_t.shape}; give two axes (batch, features)")
        x_t = as_sequence(x_t[:, None, :], self.input_size, self.dtype, "LSTM")[:, 0]
        if state is not None:
            state = _as_state("state", state, self, x_t.shape[0])
        return np.ascontiguousarray(x_t), state


def _as_state(name: str, state: Any, sizes: FrozenLSTM | _Converter, num_rows: int) -> LSTMState:
    shapes = [(num_rows, sizes.hidden_size)] * 2
    parts = as_state_parts(name, state, LSTMState._fields, shapes, sizes.dtype)
    return LSTMState(*(np.ascontiguousarray(part) for part in parts))
