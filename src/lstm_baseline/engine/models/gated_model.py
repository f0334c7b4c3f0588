"""Models of a cell that is made from a hidden size alone."""

from collections.abc import Sequence
from typing import Any, ClassVar, Unpack

import numpy as np
import numpy.typing as npt

from lstm_baseline.engine.inputs import RandomSource
from lstm_baseline.engine.models.dropout import DropoutRates
from lstm_baseline.engine.models.embedding import Tokens
from lstm_baseline.engine.models.options import (
    SequenceKeywords,
    by_layer,
    hidden_sizes,
    show_keywords,
    sort_keywords,
)
from lstm_baseline.engine.models.sequence_model import SequenceModel
from lstm_baseline.engine.models.stack import Layers


class GatedModel(SequenceModel):
    """A model whose cell takes H and nothing else; a subclass names the cell.

    Parameters
    ----------
    input_size, hidden_size
        I and H; for layers of different sizes, a sequence with one H for each.
    output_size
        O of a linear readout y = W_out h + b_out; no readout when None.
    dtype
        float32 or float64.
    rng
        Generator or seed of the initial values; fresh entropy when None.
    engine
        "auto", "native" or "reference".
    num_layers, bidirectional, merge, learned_state
        Layers, directions and where they start, as for ``LSTM``.
    embedding_size, tied
        How tokens are taken, as for ``LSTM``.
    dropout, input_dropout, output_dropout, recurrent_dropout, weight_drop, zoneout
        Rates of dropout in training, as for ``LSTM``; the reference runs a cell with recurrent
        dropout or zoneout.
    """

    cell_type: ClassVar[type[Any]]
    """Made as ``cell_type(H)``."""

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
        layers, rates, tokens = sort_keywords(
            {**options, "num_layers": len(sizes)}, Layers, DropoutRates, Tokens
        )
        super().__init__(
            [self.cell_type(size) for size in sizes],
            input_size,
            output_size,
            layers=Layers.checked(**layers),
            rates=DropoutRates.checked(**rates),
            tokens=Tokens.checked(**tokens),
            dtype=dtype,
            rng=rng,
            engine=engine,
        )

    @property
    def hidden_size(self) -> Any:
        """H, or a tuple of one for each layer where layers differ."""
        return by_layer(self.stack.cells)


show_keywords(GatedModel, Layers, DropoutRates, Tokens)
