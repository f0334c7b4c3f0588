"""The GRU over whole sequences, with an optional readout."""

from typing import final

from lstm_baseline.engine.cells import GRUEquations
from lstm_baseline.engine.models.gated_model import GatedModel


@final
class GRU(GatedModel):
    """Gated recurrent unit over (B, T, I); arguments are those of ``GatedModel``.

    ``cells/gru.py`` has the four equations. Recurrent weights start orthogonal and input weights
    Xavier-uniform, each gate on its own; all biases start at 0.

    Notes
    -----
    ``params`` holds W (3H, I), U (3H, H), b (3H) in gate order r, z, n, b_u (H), and W_out (O, H),
    b_out (O); ``get_params`` gives each gate separately. The state is (h,), (B, H).
    """

    cell_type = GRUEquations
