"""The GRU over whole sequences, with an optional readout."""

from collections.abc import Sequence
from typing import Any, Unpack, final

import numpy as np
import numpy.typing as npt

from lstm_baseline.engine.cells import GRUEquations
from lstm_baseline.engine.inputs import RandomSource
from lstm_baseline.engine.models.dropout import DropoutRates
from lstm_baseline.engine.models.options import (
    SequenceKeywords,
    by_layer,
    hidden_sizes,
    show_keywords,
    sort_keywords,
)
from lstm_baseline.engine.models.sequence_model import SequenceModel
from lstm_baseline.engine.models.stack import Layers


@final
class GRU(SequenceModel):
    """Gated recurrent unit over (B, T, I).

    The four equations stand in ``cells/gru.py``. Recurrent weights start orthogonal and input
    weights Xavier-uniform, each gate on its own; all biases start at 0.

    Parameters
    ----------
    input_size, hidden_size
        I and H; a sequence of one H for each layer where layers differ in size.
    output_size
        O of a linear readout y = W_out h + b_out; no readout when None.
    dtype
        float32 or float64.
    rng
        Generator or seed of the initial values; fresh entropy when None.
    engine
        "auto", "native" or "reference".
    num_layers, bidirectional, merge
        Layers and directions, as for ``LSTM``.
    dropout, input_dropout, output_dropout, recurrent_dropout, weight_drop, zoneout
        Rates of what is dropped out in training, as for ``LSTM``; the reference runs a GRU with
        something around its steps.

    Notes
    -----
    ``params`` holds W (3H, I), U (3H, H), b (3H) in gate order r, z, n, b_u (H), and W_out (O, H),
    b_out (O); ``get_params`` gives each gate apart. The state is (h,), (B, H).
    ``SequenceModel`` says what names and states are with several layers.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int | Sequence[int],
        output_size: int | None = None,
        *,
        dtype: npt.DTypeLike = np.float32,
        rng: RandomSource = None,
        engine: str = "auto",
        **options: Unpack[SequenceKeywords],
    ) -> None:
        sizes = hidden_sizes(hidden_size, options)
        layers, rates = sort_keywords({**options, "num_layers": len(sizes)}, Layers, DropoutRates)
        super().__init__(
            [GRUEquations(size) for size in sizes],
            input_size,
            output_size,
            layers=Layers.checked(**layers),
            rates=DropoutRates.checked(**rates),
            dtype=dtype,
            rng=rng,
            engine=engine,
        )

    @property
    def hidden_size(self) -> Any:
        """H, or a tuple of one for each layer where layers differ."""
        return by_layer(self.stack.cells)


show_keywords(GRU, Layers, DropoutRates)
