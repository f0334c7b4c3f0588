"""A cell of the user's own, held to what the loop over time and the derivative ask of it."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lstm_baseline.engine.cells import Cell
from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.initializers import NO_DRAWS
from lstm_baseline.engine.inputs import RandomSource
from lstm_baseline.engine.models import SequenceModel
from lstm_baseline.engine.shapes import FloatArray
from lstm_baseline.testing.gradient_check import GradientErrors, check_gradients


def check_cell(
    cell: Cell[Any, Any],
    params: Mapping[str, FloatArray],
    input_size: int,
    *,
    num_rows: int = 3,
    num_steps: int = 4,
    max_entries: int = 20,
    rng: RandomSource = 0,
) -> GradientErrors:
    """Compare a cell's ``step_backward`` and ``input_part_backward`` with central differences.

    The cell is run over random inputs from a random state: all rows of full length, then of lengths
    from 0 to T, with a loss of every output and of the last state.

    Parameters
    ----------
    cell
        Equations and derivatives, as ``cells.Cell`` has them.
    params
        Arrays by name, float64; at no place of symmetry, as where a bias is 0. They are not
        changed.
    input_size
        I.
    num_rows, num_steps
        B and T.
    max_entries
        Entries tried in each array.
    rng
        Generator or seed of inputs, state, weights of the loss and entries.

    Returns
    -------
    The largest error of each parameter, "x" and the arrays of "initial_state", each in parts of the
    array's largest gradient; below 1e-6 if all is right. See ``check_gradients``.

    Raises
    ------
    InputError
        If ``params`` are not those that the cell's ``shapes`` state, or not in float64.
    """
    rng = np.random.default_rng(rng)
    model = SequenceModel(cell, input_size, dtype=np.float64, rng=NO_DRAWS, engine="reference")
    stated = cell.shapes(input_size)
    given = {name: np.array(value) for name, value in params.items()}
    shapes = {name: value.shape for name, value in given.items()}
    if shapes != stated:
        raise InputError(f"params has the shapes {shapes}; the cell states {stated}")
    model.params = given
    x = rng.standard_normal((num_rows, num_steps, input_size))
    own = model.initial_state(num_rows)
    state = tuple(rng.standard_normal(part.shape) for part in own)
    worst: GradientErrors = {}
    for lengths in (None, np.arange(num_rows) * num_steps // max(1, num_rows - 1)):
        errors = check_gradients(
            model,
            x,
            initial_state=state,
            lengths=lengths,
            final_state=True,
            max_entries=max_entries,
            rng=rng,
        )
        worst = {name: max(worst.get(name, 0.0), error) for name, error in errors.items()}
    return worst
