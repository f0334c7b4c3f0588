"""The relational RNN over whole sequences, with an optional readout."""

from typing import ClassVar, Literal, Unpack, final

import numpy as np
import numpy.typing as npt

from lstm_baseline.engine.cells import RelationalEquations
from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.inputs import RandomSource, as_number, as_size
from lstm_baseline.engine.models.dropout import DropoutRates
from lstm_baseline.engine.models.embedding import Tokens
from lstm_baseline.engine.models.options import SequenceKeywords, show_keywords, sort_keywords
from lstm_baseline.engine.models.sequence_model import SequenceModel
from lstm_baseline.engine.models.stack import Layers

_MOST_LAYERS = 256
"""Limit of blocks and MLP layers: each has arrays, so a file must not ask for millions."""


@final
class RelationalRNN(SequenceModel):
    """Relational memory core over (B, T, I).

    ``cells/relational.py`` has the equations R1 to R9. Weights start as in the authors' code:
    normal with deviation 1/√fan_in, cut at two deviations; biases 0, layer-norm gains 1.

    Parameters
    ----------
    input_size
        I.
    output_size
        O of a linear readout of the flattened memory; no readout when None.
    num_slots
        S, rows of the memory.
    num_heads, head_size
        H and V; a slot is F = H·V wide.
    key_size
        K; V when None.
    num_blocks
        Attention blocks in each step.
    mlp_layers
        Layers of the MLP that the blocks share.
    gate
        "unit": F gates a slot; "memory": one.
    forget_bias, input_bias
        Constants b_f and b_i inside the gates.
    dtype
        float32 or float64.
    rng
        Generator or seed of the initial values; fresh entropy when None.
    engine
        "auto", "native" or "reference".
    embedding_size, tied
        How tokens are taken, as for ``LSTM``.
    num_layers, bidirectional, merge, learned_state
        Layers, directions and where they start, as for ``LSTM``; each further layer sees the
        flattened memory of the layer before it.
    dropout, input_dropout, output_dropout, recurrent_dropout, weight_drop, zoneout
        Rates of dropout in training, as for ``LSTM``. Recurrent dropout acts on the memory before
        a step, weight drop on U_g; the reference runs recurrent dropout and zoneout.

    Notes
    -----
    The state is (memory,), (B, S, F); the output without a readout is (B, T, S·F). The number of
    parameters before the readout does not depend on S.
    """

    width_argument: ClassVar[str] = "head_size"

    def __init__(
        self,
        input_size: int,
        output_size: int | None = None,
        *,
        num_slots: int = 4,
        num_heads: int = 4,
        head_size: int = 16,
        key_size: int | None = None,
        num_blocks: int = 1,
        mlp_layers: int = 2,
        gate: Literal["unit", "memory"] = "unit",
        forget_bias: float = 1.0,
        input_bias: float = 0.0,
        dtype: npt.DTypeLike = np.float32,
        rng: RandomSource = None,
        engine: str = "auto",
        **options: Unpack[SequenceKeywords],
    ) -> None:
        if gate not in ("unit", "memory"):
            raise InputError(f"gate is {gate!r}; give 'unit' or 'memory'")
        cell = RelationalEquations(
            num_slots=as_size("num_slots", num_slots),
            num_heads=as_size("num_heads", num_heads),
            head_size=as_size("head_size", head_size),
            key_size=as_size("key_size", head_size if key_size is None else key_size),
            num_blocks=as_size("num_blocks", num_blocks, at_most=_MOST_LAYERS),
            mlp_layers=as_size("mlp_layers", mlp_layers, at_most=_MOST_LAYERS),
            gate=gate,
            forget_bias=as_number("forget_bias", forget_bias),
            input_bias=as_number("input_bias", input_bias),
        )
        layers, rates, tokens = sort_keywords(options, Layers, DropoutRates, Tokens)
        super().__init__(
            cell,
            input_size,
            output_size,
            layers=Layers.checked(**layers),
            rates=DropoutRates.checked(**rates),
            tokens=Tokens.checked(**tokens),
            dtype=dtype,
            rng=rng,
            engine=engine,
        )


show_keywords(RelationalRNN, Layers, DropoutRates, Tokens)
