"""The minGRU over whole sequences, with an optional readout."""

from typing import final

from lstm_baseline.engine.cells.min_gru import MinGRUEquations
from lstm_baseline.engine.models.gated_model import GatedModel


@final
class MinGRU(GatedModel):
    """minGRU over (B, T, I); arguments are those of ``GatedModel``.

    ``cells/min_gru.py`` has the three equations. Weights start Xavier-uniform, each gate on its
    own; biases start at 0. There are no recurrent weights, so there is no ``weight_drop``. There is
    no kernel yet, so the reference runs the model.

    Notes
    -----
    ``params`` holds W (2H, I), b (2H) in gate order z, h, and W_out (O, H), b_out (O);
    ``get_params`` gives each gate separately. The state is (h,), (B, H).
    """

    cell_type = MinGRUEquations
