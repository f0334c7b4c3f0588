"""Equal size: the widths at which all contestants have as many parameters."""

from collections.abc import Callable, Mapping

from lstm_baseline.errors import InputError

TOLERANCE = 0.02
"""Largest relative difference in trainable parameters that counts as equal."""

_LARGEST_WIDTH = 4096

Count = Callable[[int], int]
"""Parameters at a width; grows with the width."""


def match_widths(counts: Mapping[str, Count], parameters: int) -> dict[str, int]:
    """Return the width of each contestant at which all are of one size, about the one wanted.

    Some models grow in coarse steps. The one whose steps miss the wanted size by most sets the
    size for all others.

    Parameters
    ----------
    counts
        By the contestant's name.
    parameters
        Trainable parameters wanted.

    Raises
    ------
    InputError
        If no widths agree within 2%.
    """
    nearest = {name: nearest_width(count, parameters) for name, count in counts.items()}
    sizes = {name: counts[name](width) for name, width in nearest.items()}
    coarsest = max(sizes, key=lambda name: abs(sizes[name] - parameters))
    target = sizes[coarsest]
    if not parameters / 2 <= target <= 2 * parameters:
        raise InputError(
            f"{coarsest} has {target:,} parameters at width {nearest[coarsest]}, the nearest to "
            f"the {parameters:,} wanted; choose another size"
        )
    widths = {}
    for name, count in counts.items():
        widths[name] = width = nearest_width(count, target)
        if abs(count(width) - target) > TOLERANCE * target:
            raise InputError(
                f"{name} has {count(width):,} parameters at width {width}, the nearest to the "
                f"{target:,} that {coarsest} has at width {nearest[coarsest]}, and they are not "
                f"within {TOLERANCE:.0%}; choose another size"
            )
    return widths


def nearest_width(count: Count, target: int) -> int:
    """Return the width at which a count is nearest to a target."""
    low, high = 1, 2
    while count(high) < target and high < _LARGEST_WIDTH:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) < target else (low, middle)
    return min((low, high), key=lambda width: abs(count(width) - target))
