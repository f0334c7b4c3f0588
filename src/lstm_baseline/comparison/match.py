"""Equal size: the width at which a model has as many parameters as another."""

import math
from collections.abc import Callable

from lstm_baseline.errors import InputError
from lstm_baseline.inputs import RandomSource
from lstm_baseline.models import GRU, LSTM, MODELS, RecurrentModel, RelationalRNN

TOLERANCE = 0.02
"""Largest relative difference in trainable parameters that counts as equal."""

_LARGEST_WIDTH = 4096


def build_model(
    name: str, input_size: int, output_size: int, width: int, rng: RandomSource = None
) -> RecurrentModel:
    """Make a model by name; width is the hidden size, or the head size of a relational RNN."""
    if name == "lstm":
        return LSTM(input_size, width, output_size, rng=rng)
    if name == "gru":
        return GRU(input_size, width, output_size, rng=rng)
    return RelationalRNN(input_size, output_size, head_size=width, rng=rng)


def count_params(name: str, input_size: int, output_size: int, width: int) -> int:
    """Return how many parameters `build_model` would make."""
    if name == "relational":
        return build_model(name, input_size, output_size, width, 0).num_params
    # An orthogonal start is too dear to be made for its size alone.
    shapes = MODELS[name].shapes(input_size, width, output_size)
    return sum(math.prod(shape) for shape in shapes.values())


def match_width(name: str, count: Callable[[int], int], target: int) -> int:
    """Return the width whose parameter count is nearest to a target.

    Parameters
    ----------
    name
        The model's, for the message.
    count
        Parameters at a width; grows with the width.
    target
        Parameters wanted.

    Raises
    ------
    InputError
        If no width comes within 2%.
    """
    low, high = 1, 2
    while count(high) < target and high < _LARGEST_WIDTH:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) < target else (low, middle)
    width = min((low, high), key=lambda w: abs(count(w) - target))
    if abs(count(width) - target) > TOLERANCE * target:
        raise InputError(
            f"{name} has {count(low)} or {count(high)} parameters at widths {low} and {high}, "
            f"neither within {TOLERANCE:.0%} of {target}; choose another size"
        )
    return width
