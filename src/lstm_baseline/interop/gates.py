"""Gates in the order of another library."""

from collections.abc import Sequence

import numpy as np

from lstm_baseline.engine.shapes import FloatArray


def reorder(rows: FloatArray, given: Sequence[str], wanted: Sequence[str]) -> FloatArray:
    """Return rows (nH, ·) of the gates ``given`` in the order ``wanted``."""
    parts = dict(zip(given, np.split(rows, len(given)), strict=True))
    return np.concatenate([parts[gate] for gate in wanted])
