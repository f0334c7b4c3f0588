"""One LSTM step by hand: the six equations on column vectors, each gate with its own weights."""

from typing import final

import numpy as np
import numpy.typing as npt

from lstm_baseline.engine.activations import sigmoid, tanh
from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.initializers import orthogonal_initializer, xavier_initializer
from lstm_baseline.engine.inputs import (
    RandomSource,
    as_dtype,
    as_generator,
    as_named_arrays,
    as_real,
    as_size,
)
from lstm_baseline.engine.shapes import LSTM_GATES, FloatArray, Params


def _parameter(name: str) -> property:
    """Return an attribute that is the live array in ``params``; assigning fills the array."""

    def get(cell: "LSTMCell") -> FloatArray:
        value: FloatArray = cell.params[name]
        return value

    def fill(cell: "LSTMCell", value: npt.ArrayLike) -> None:
        cell.set_params({**cell.params, name: value})

    return property(get, fill)


@final
class LSTMCell:
    """One time step of an LSTM, for reading and for stepping by hand.

        f = σ(W_f x + U_f h' + b_f)      i = σ(W_i x + U_i h' + b_i)
        c̃ = tanh(W_c x + U_c h' + b_c)   o = σ(W_o x + U_o h' + b_o)
        c = f ⊙ c' + i ⊙ c̃               h = o ⊙ tanh(c)

    States are columns, (H, B), as in the equations; `LSTM` runs whole sequences, batch first.

    Parameters
    ----------
    input_size, hidden_size
        I and H.
    dtype
        float32 or float64.
    rng
        Generator or seed of the initial values; fresh entropy when None.

    Attributes
    ----------
    params
        By name, for each gate g of f, i, c, o: W_g (H, I) Xavier-uniform, U_g (H, H) orthogonal,
        b_g (H, 1), 1 for the forget gate and 0 for the others. Each is an attribute too,
        ``cell.W_f`` and so on.

    Source: Hochreiter and Schmidhuber 1997; forget gate by Gers, Schmidhuber and Cummins 2000.
    """

    W_f = _parameter("W_f")
    U_f = _parameter("U_f")
    b_f = _parameter("b_f")
    W_i = _parameter("W_i")
    U_i = _parameter("U_i")
    b_i = _parameter("b_i")
    W_c = _parameter("W_c")
    U_c = _parameter("U_c")
    b_c = _parameter("b_c")
    W_o = _parameter("W_o")
    U_o = _parameter("U_o")
    b_o = _parameter("b_o")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        dtype: npt.DTypeLike = np.float32,
        rng: RandomSource = None,
    ) -> None:
        self.input_size = as_size("input_size", input_size)
        self.hidden_size = as_size("hidden_size", hidden_size)
        self.dtype = as_dtype(dtype)
        rng = as_generator(rng)
        self.params: Params = {}
        for gate in LSTM_GATES:
            bias = 1.0 if gate == "f" else 0.0
            self.params |= {
                f"W_{gate}": xavier_initializer((hidden_size, input_size), rng=rng, dtype=dtype),
                f"U_{gate}": orthogonal_initializer(
                    (hidden_size, hidden_size), rng=rng, dtype=dtype
                ),
                f"b_{gate}": np.full((hidden_size, 1), bias, dtype),
            }

    @property
    def num_params(self) -> int:
        """Number of trainable parameters, 4 H (I + H + 1)."""
        return sum(value.size for value in self.params.values())

    def forward(
        self, x: npt.ArrayLike, h_prev: npt.ArrayLike, c_prev: npt.ArrayLike
    ) -> tuple[FloatArray, FloatArray]:
        """Advance by one time step.

        Parameters
        ----------
        x
            (B, I) or (I, B); (B, I) if both fit. An array with one axis is one column.
        h_prev, c_prev
            (H, B) states of the step before. An array with one axis is one column.

        Returns
        -------
        h, c
            (H, B) states after the step; the arguments are not changed.

        Raises
        ------
        InputError
            If a shape or dtype does not fit.
        """
        x = self._columns_of_x(x)
        h_prev = self._state("h_prev", h_prev, x.shape[1])
        c_prev = self._state("c_prev", c_prev, x.shape[1])

        f = sigmoid(self.W_f @ x + self.U_f @ h_prev + self.b_f)
        i = sigmoid(self.W_i @ x + self.U_i @ h_prev + self.b_i)
        c_tilde = tanh(self.W_c @ x + self.U_c @ h_prev + self.b_c)
        o = sigmoid(self.W_o @ x + self.U_o @ h_prev + self.b_o)
        c = f * c_prev + i * c_tilde
        h = o * tanh(c)
        return h, c

    def get_params(self) -> Params:
        """Return copies of all parameters by name."""
        return {name: value.copy() for name, value in self.params.items()}

    def set_params(self, params: Params) -> None:
        """Set all parameters by name.

        Raises
        ------
        InputError
            If a name is missing or unknown or a shape does not fit; then nothing is changed.
        """
        arrays = as_named_arrays("params", params, self.params, self.dtype)
        for name, live in self.params.items():
            live[...] = arrays[name]

    def _columns_of_x(self, x: npt.ArrayLike) -> FloatArray:
        """Return x as (I, B)."""
        array = as_real("x", x, self.dtype)
        if array.ndim == 1:
            array = array[:, None]
        elif array.ndim == 2 and array.shape[1] == self.input_size:
            array = array.T
        if array.ndim != 2 or array.shape[0] != self.input_size:
            raise InputError(
                f"x has shape {np.shape(x)}; give (batch, {self.input_size}), "
                f"({self.input_size}, batch) or ({self.input_size},)"
            )
        return array

    def _state(self, name: str, value: npt.ArrayLike, num_columns: int) -> FloatArray:
        """Return a state as (H, B)."""
        array = as_real(name, value, self.dtype)
        if array.ndim == 1:
            array = array[:, None]
        if array.shape != (self.hidden_size, num_columns):
            raise InputError(
                f"{name} has shape {np.shape(value)}; expected {(self.hidden_size, num_columns)}"
            )
        return array
