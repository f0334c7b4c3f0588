"""Equal size: the widths at which all contestants have as many parameters."""

from collections.abc import Callable, Mapping

from lstm_baseline.errors import InputError

TOLERANCE = 0.02
"""Largest relative difference in trainable parameters, between any two, that counts as equal."""

_LARGEST_WIDTH = 4096

Count = Callable[[int], int]
"""Parameters at a width; grows with the width."""


def match_widths(counts: Mapping[str, Count], parameters: int) -> dict[str, int]:
    """Return the width of each contestant at which all are of one size, about the one wanted.

    Some models grow in coarse steps. The one whose steps miss the wanted size by most sets the
    size; of the two widths around it that every other one has, those are taken that bring the
    largest and the smallest contestant nearest to each other.

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
    candidates = {
        name: [(count(width), width) for width in _around(count, target)]
        for name, count in counts.items()
    } | {coarsest: [(target, nearest[coarsest])]}
    chosen = _closest(candidates)
    smallest, largest = (end(chosen, key=lambda name: chosen[name][0]) for end in (min, max))
    if chosen[largest][0] > (1 + TOLERANCE) * chosen[smallest][0]:
        (few, narrow), (many, wide) = chosen[smallest], chosen[largest]
        raise InputError(
            f"{smallest} has {few:,} parameters at width {narrow} and {largest} {many:,} at width "
            f"{wide}, and no widths bring them within {TOLERANCE:.0%}; choose another size"
        )
    return {name: width for name, (_, width) in chosen.items()}


def nearest_width(count: Count, target: int) -> int:
    """Return the width at which a count is nearest to a target."""
    return min(_around(count, target), key=lambda width: abs(count(width) - target))


def _around(count: Count, target: int) -> tuple[int, int]:
    """Return two neighbouring widths, a target between their counts if widths reach it."""
    low, high = 1, 2
    while count(high) < target and high < _LARGEST_WIDTH:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) < target else (low, middle)
    return low, high


def _closest(candidates: Mapping[str, list[tuple[int, int]]]) -> dict[str, tuple[int, int]]:
    """Return a candidate (size, width) of each name, their sizes as close together as can be."""
    best: dict[str, tuple[int, int]] = {}
    for start in sorted({size for of_name in candidates.values() for size, _ in of_name}):
        above = {name: [c for c in each if c[0] >= start] for name, each in candidates.items()}
        if not all(above.values()):
            break
        found = {name: min(each) for name, each in above.items()}
        if not best or _spread(found) < _spread(best):
            best = found
    return best


def _spread(chosen: Mapping[str, tuple[int, int]]) -> float:
    sizes = [size for size, _ in chosen.values()]
    return max(sizes) / min(sizes)
