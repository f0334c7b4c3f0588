"""The LSTM over whole sequences, with an optional readout."""

from collections.abc import Sequence
from typing import Any, Unpack, final

import numpy as np
import numpy.typing as npt

from lstm_baseline.engine.cells import LSTMVariant, LSTMVariantEquations
from lstm_baseline.engine.cells.initial_values import Start
from lstm_baseline.engine.inputs import RandomSource
from lstm_baseline.engine.models.dropout import DropoutRates
from lstm_baseline.engine.models.frozen import FrozenLSTM
from lstm_baseline.engine.models.options import (
    LSTMKeywords,
    LSTMOptions,
    by_layer,
    hidden_sizes,
    show_keywords,
)
from lstm_baseline.engine.models.sequence_model import SequenceModel
from lstm_baseline.engine.models.stack import Layers


@final
class LSTM(SequenceModel):
    """Long short-term memory over (B, T, I).

    The six equations stand in ``cells/lstm.py``, those of its variants in
    ``cells/lstm_variants.py``. Unless told otherwise recurrent weights start orthogonal and input
    weights Xavier-uniform, each gate on its own, the forget bias at 1 and all other biases at 0.

    Parameters
    ----------
    input_size, hidden_size
        I and H; a sequence of one H for each layer where layers differ in size.
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
        to T steps, or "zeros"; ``cells/initial_values.py`` says what each means.
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
    W_l0, W_l0_reverse, W_l1, and the state's arrays are (LD, B, ·), D directions by layer; layers
    that differ in size have states of their own, h_l0, c_l0, h_l1, c_l1, each (B, ·).
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int | Sequence[int],
        output_size: int | None = None,
        *,
        initialization: str | Sequence[Any] = "baseline",
        forget_bias: float | None = None,
        dtype: npt.DTypeLike = np.float32,
        rng: RandomSource = None,
        engine: str = "auto",
        **options: Unpack[LSTMKeywords],
    ) -> None:
        sizes = hidden_sizes(hidden_size, options)
        layers, variant, rates = LSTMOptions.checked({**options, "num_layers": len(sizes)})
        start = Start(initialization, forget_bias)
        super().__init__(
            [variant.cell(size, start) for size in sizes],
            input_size,
            output_size,
            layers=layers,
            rates=rates,
            dtype=dtype,
            rng=rng,
            engine=engine,
        )

    @property
    def hidden_size(self) -> Any:
        """H, or a tuple of one for each layer where layers differ."""
        return by_layer(self.stack.cells)

    @property
    def hidden_sizes(self) -> tuple[int, ...]:
        """H of each layer."""
        sizes = self.hidden_size
        return sizes if isinstance(sizes, tuple) else (sizes,) * self.num_layers

    @property
    def variant(self) -> LSTMVariant:
        """The pieces that the cell has."""
        return self.cell.variant if isinstance(self.cell, LSTMVariantEquations) else LSTMVariant()

    @property
    def options(self) -> LSTMOptions:
        """All that this LSTM is besides its sizes."""
        return LSTMOptions(self.stack.layers, self.variant, self.rates)

    def freeze(self) -> FrozenLSTM:
        """Return a copy for streams and inference, which later updates do not reach."""
        fixed = self.astype(self.dtype)
        for value in fixed.params.values():
            value.setflags(write=False)
        return FrozenLSTM(fixed)


show_keywords(LSTM, Layers, LSTMVariant, DropoutRates)
