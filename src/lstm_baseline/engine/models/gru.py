"""The GRU over whole sequences, with an optional readout."""

from typing import Any, final

import numpy as np
import numpy.typing as npt

from lstm_baseline.engine.cells.gru import GRUEquations
from lstm_baseline.engine.initializers import gated_initializer
from lstm_baseline.engine.inputs import RandomSource, as_generator, as_size
from lstm_baseline.engine.models.base import RecurrentModel, Shapes, readout_shapes
from lstm_baseline.engine.shapes import GRU_GATES


@final
class GRU(RecurrentModel):
    """Gated recurrent unit over (B, T, I).

    The four equations stand in ``cells/gru.py``. Recurrent weights start orthogonal and input
    weights Xavier-uniform, each gate on its own; all biases start at 0.

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
    ``params`` holds W (3H, I), U (3H, H), b (3H) in gate order r, z, n, b_u (H), and W_out (O, H),
    b_out (O); ``get_params`` gives each gate apart. The state is (h,), (B, H).
    """

    gates = GRU_GATES

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
            len(GRU_GATES), as_size("input_size", input_size), self.hidden_size, rng
        )
        cell_params["b_u"] = np.zeros(self.hidden_size)
        super().__init__(
            GRUEquations(),
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
        cell = {"W": (3 * H, I), "U": (3 * H, H), "b": (3 * H,), "b_u": (H,)}
        return cell | readout_shapes(H, output_size)

    @property
    def config(self) -> dict[str, Any]:
        """Constructor arguments that give a model of the same shape, as plain JSON values."""
        return {
            "input_size": self.input_size,
            "hidden_size": self.hidden_size,
            "output_size": self.output_size,
            "dtype": self.dtype.name,
        }

    @property
    def flops_per_step(self) -> int:
        """Floating-point operations in the matrix products of one step of one row, forward."""
        H = self.hidden_size
        return 2 * (3 * H * (self.input_size + H) + (self.output_size or 0) * H)
