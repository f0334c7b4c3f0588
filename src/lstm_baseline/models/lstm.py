"""The LSTM over whole sequences, with an optional readout."""

from typing import Any, ClassVar, final

import numpy as np
import numpy.typing as npt

from lstm_baseline.cells.lstm import LSTMEquations
from lstm_baseline.initializers import gated_initializer
from lstm_baseline.inputs import RandomSource, as_generator, as_size
from lstm_baseline.models.base import RecurrentModel, Shapes, readout_shapes
from lstm_baseline.models.frozen import FrozenLSTM
from lstm_baseline.shapes import LSTM_GATES


@final
class LSTM(RecurrentModel):
    """Long short-term memory over (B, T, I).

    The six equations stand in ``cells/lstm.py``. Recurrent weights start orthogonal and input
    weights Xavier-uniform, each gate on its own; the forget bias starts at 1, all others at 0.

    Parameters
    ----------
    input_size, hidden_size
        I and H.
    output_size
        O of a linear readout y = W_out h + b_out; no readout when None.
    dtype
        float32 or float64.
    rng
        Generator or seed of the initial values; fresh entropy when None.
    engine
        "auto", "native" or "reference".

    Notes
    -----
    ``params`` holds W (4H, I), U (4H, H), b (4H) in gate order f, i, c, o, and W_out (O, H),
    b_out (O); ``get_params`` gives each gate apart: W_f, U_f, b_f and so on. There are
    4 H (I + H + 1) + O (H + 1) numbers. The state is (h, c), each (B, H).
    """

    gates: ClassVar[tuple[str, ...]] = LSTM_GATES

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        output_size: int | None = None,
        *,
        dtype: npt.DTypeLike = np.float32,
        rng: RandomSource = None,
        engine: str = "auto",
    ) -> None:
        self.hidden_size = as_size("hidden_size", hidden_size)
        rng = as_generator(rng)
        cell_params = gated_initializer(
            len(LSTM_GATES), as_size("input_size", input_size), self.hidden_size, rng
        )
        # An open forget gate lets the cell state, and its gradient, through from the start.
        cell_params["b"][: self.hidden_size] = 1.0
        super().__init__(
            LSTMEquations(),
            cell_params,
            input_size,
            self.hidden_size,
            output_size,
            dtype=dtype,
            rng=rng,
            engine=engine,
        )

    @classmethod
    def shapes(cls, input_size: int, hidden_size: int, output_size: int | None = None) -> Shapes:
        """Return the shape of every parameter, without making any."""
        I, H = (
            as_size("input_size", input_size),
            as_size("hidden_size", hidden_size),
        )
        return {"W": (4 * H, I), "U": (4 * H, H), "b": (4 * H,)} | readout_shapes(H, output_size)

    @property
    def config(self) -> dict[str, Any]:
        """Constructor arguments that give a model of the same shape, as plain JSON values."""
        return {
            "input_size": self.input_size,
            "hidden_size": self.hidden_size,
            "output_size": self.output_size,
            "dtype": self.dtype.name,
        }

    def freeze(self) -> FrozenLSTM:
        """Return a copy for streams and inference, which later updates do not reach."""
        fixed = self.astype(self.dtype)
        for value in fixed.params.values():
            value.setflags(write=False)
        return FrozenLSTM(fixed)

    @property
    def flops_per_step(self) -> int:
        """Floating-point operations in the matrix products of one step of one row, forward."""
        H = self.hidden_size
        return 2 * (4 * H * (self.input_size + H) + (self.output_size or 0) * H)
