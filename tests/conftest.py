"""Shape checks of the equations, in the tests only.

Every function of the hooked modules is held to the shapes in its signature. The models and what
is above them convert or refuse what users give, with messages of their own, so they stay unhooked.
"""

import jaxtyping

jaxtyping.install_import_hook(
    ["lstm_baseline.cells", "lstm_baseline.training.losses"], "beartype.beartype"
)
