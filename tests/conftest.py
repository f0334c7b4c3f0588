"""Shape checks of the equations, in the tests only.

Every function in ``cells`` is held to the shapes in its signature. The models and the losses refuse
or convert what users give with messages of their own, so they stay unhooked.
"""

import jaxtyping

jaxtyping.install_import_hook("lstm_baseline.engine.cells", "beartype.beartype")
