"""The Elman network over whole sequences, with an optional readout."""

from typing import final

from lstm_baseline.engine.cells.rnn import RNNEquations
from lstm_baseline.engine.models.gated_model import GatedModel


@final
class RNN(GatedModel):
    """Elman network over (B, T, I); arguments are those of ``GatedModel``.

    ``cells/rnn.py`` has the equation. W starts Xavier-uniform, U orthogonal, b at 0. There is no
    kernel, so the reference runs the model.

    Notes
    -----
    ``params`` holds W (H, I), U (H, H), b (H), and W_out (O, H), b_out (O). The state is (h,),
    (B, H).
    """

    cell_type = RNNEquations
