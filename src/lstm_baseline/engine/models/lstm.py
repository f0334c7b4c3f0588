"""The LSTM over whole sequences, with an optional readout."""

from collections.abc import Sequence
from typing import Any, Unpack, final

import numpy as np
import numpy.typing as npt

from lstm_baseline.engine.cells import LSTMVariant, LSTMVariantEquations
from lstm_baseline.engine.cells.initial_values import Start
from lstm_baseline.engine.inputs import RandomSource
from lstm_baseline.engine.models.dropout import DropoutRates
from lstm_baseline.engine.models.embedding import Tokens
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
    """Long short-term memory over numbers (B, T, I), or tokens (B, T).

    ``cells/lstm.py`` has the six equations, ``cells/lstm_variants.py`` those of the variants. By
    default recurrent weights start orthogonal and input weights Xavier-uniform, each gate on its
    own; the forget bias starts at 1 and all other biases at 0.

    Parameters
    ----------
    input_size, hidden_size
        I and H; for layers of different sizes, a sequence with one H for each.
    output_size
        O of a linear readout y = W_out h + b_out; no readout when None.
    num_layers
        L layers; each sees the outputs of the layer before it.
    bidirectional
        Whether every layer runs from both ends of each row. The last output then holds the last
        output of each direction, and there is no ``step``: a stream has no end to begin from.
    merge
        How the outputs of both directions become one: "concatenate" puts them side by side,
        (B, T, 2H); "sum" and "mean" give (B, T, H).
    learned_state
        Whether the state before the first step is learned, one for all rows: h_0 and c_0 (H). It
        starts at 0.
    embedding_size
        D of a table E (V, D) of tokens: x is (B, T), whole numbers 0 … V − 1, V = input_size, and
        the first layer sees E's rows. Without it x may be tokens too: they count as one-hot rows,
        and W x is a column of W.
    tied
        Whether the readout's weights are the table: y = E h + b_out.
    projection_size
        P of a projection h = W_proj m, so that h is (B, P) while c is (B, H); none when None.
    peepholes
        Whether each gate sees the cell state of its own unit: forget and input gate the state
        before the step, the output gate the state after it.
    coupled_gates
        Whether f = 1 − i, so that there is no separate forget gate.
    layer_norm
        Whether W x, U h' and c are normalised over their features.
    bias
        Whether gates have biases.
    clip
        Limit of the absolute value of the pre-activations of gates and candidate; none when None.
    activations
        Activations of gates, candidate and cell state: names of ``cells.gate_activations``, or
        tuples of a name and its constants, such as ("leaky_relu", 0.1).
    dropout, input_dropout, output_dropout, recurrent_dropout, weight_drop, zoneout
        Rates of dropout in training, in [0, 1); training is ``forward_with_cache`` with an ``rng``.
        ``models/dropout.py`` says what each rate means. zoneout may be a pair, for h and for c.
    initialization
        How parameters start: "baseline", "torch", "keras", "flax", ("chrono", T) for memories of up
        to T steps, or "zeros"; ``cells/initial_values.py`` says what each means.
    forget_bias
        Initial value of the forget gate's bias; that of the initialization when None.
    dtype
        float32 or float64.
    rng
        Generator or seed of the initial values; fresh entropy when None.
    engine
        "auto", "native" or "reference".

    Raises
    ------
    InputError
        If a size, limit or activation is not valid.

    Notes
    -----
    ``params`` holds W (4H, I), U (4H, H), b (4H) in gate order f, i, c, o, and W_out (O, H),
    b_out (O); ``get_params`` gives each gate separately: W_f, U_f, b_f and so on. There are
    4 H (I + H + 1) + O (H + 1) numbers. The state is (h, c), each (B, H); h is (B, P) with a
    projection. ``LSTM.shapes`` gives the parameters of a variant; coupled gates have the order
    i, c, o. With several layers or both directions, names end in layer and direction: W_l0,
    W_l0_reverse, W_l1. The state's arrays then are (LD, B, ·), the D directions of each layer in
    turn. Layers of different sizes have separate states, h_l0, c_l0, h_l1, c_l1, each (B, ·).
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
        layers, variant, rates, tokens = LSTMOptions.checked({**options, "num_layers": len(sizes)})
        start = Start(initialization, forget_bias)
        super().__init__(
            [variant.cell(size, start) for size in sizes],
            input_size,
            output_size,
            layers=layers,
            rates=rates,
            tokens=tokens,
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
        return LSTMOptions(self.stack.layers, self.variant, self.rates, self.tokens)

    def freeze(self) -> FrozenLSTM:
        """Return a copy for streams and inference, which later updates do not reach."""
        return FrozenLSTM(self.astype(self.dtype))


show_keywords(LSTM, Layers, LSTMVariant, DropoutRates, Tokens)
