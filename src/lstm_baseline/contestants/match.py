"""Equal size: the widths at which all contestants have as many parameters, or as large a state."""

import math
from collections.abc import Callable, Mapping
from typing import Literal

from lstm_baseline.engine.errors import InputError

Match = Literal["parameters", "state", "flops"]
"""What contestants have equally much of: trainable parameters, numbers carried from step to step,
or operations of a forward step of one row."""

UNITS: Mapping[Match, str] = {
    "parameters": "parameters",
    "state": "numbers of state",
    "flops": "operations a step",
}

TOLERANCE = 0.02
"""Largest relative difference in size between any two contestants that counts as equal."""

_LARGEST_WIDTH = 4096
_LARGEST_FACTOR = 1.5
"""Largest factor between the wanted size and another one that is looked for."""
_MOST_STEPS = 20
"""Sizes tried, the nearest first."""
_PROPOSALS = 25
"""Larger sizes, and smaller ones, that are tried near those that single contestants can meet."""

Count = Callable[[int], int]
"""Size at a width; it grows with the width."""


def match_widths(
    counts: Mapping[str, Count],
    wanted: int,
    by: Match = "parameters",
    parameters: Count | None = None,
) -> dict[str, int]:
    """Return the widths at which all contestants are of one size, close to the wanted one.

    Some models grow in coarse steps. The contestant whose steps miss the wanted size by most sets
    the size: the nearest of its sizes that all others can match. Every other contestant has two
    widths around that size. The widths chosen are those that bring the largest and the smallest
    contestant closest to each other.

    Parameters
    ----------
    counts
        Counting function of each contestant, keyed by name.
    wanted
        Wanted size.
    by
        What is counted.
    parameters
        Number of parameters of the first contestant at a width; without it, they are what is
        counted.

    Raises
    ------
    InputError
        If no widths agree within 2% at a size within a factor of 1.5 of the wanted one. The message
        proposes the nearest size at which they do.
    """
    try:
        return _matched(counts, wanted, UNITS[by])
    except InputError as error:
        raise InputError(f"{error}; {_proposal(counts, wanted, parameters)}") from None


def _proposal(counts: Mapping[str, Count], wanted: int, parameters: Count | None) -> str:
    """Say which size near the wanted one can be met, if any is found."""
    nearest = {count(nearest_width(count, wanted)) for count in counts.values()}
    near = {size * 1.25**k for size in nearest for k in range(-_PROPOSALS, _PROPOSALS + 1)}
    for size in sorted(near, key=lambda size: abs(math.log(size / wanted))):
        try:
            widths = _matched(counts, max(round(size), 1), "")
        except InputError:
            continue
        if parameters is None:
            met = max(counts[name](width) for name, width in widths.items())
        else:
            met = parameters(widths[next(iter(counts))])
        return f"parameters = {met} can be met"
    return "no size near it can be met; choose other arguments or contestants"


def _matched(counts: Mapping[str, Count], wanted: int, unit: str) -> dict[str, int]:
    """Return the widths, or raise an InputError that does not say what to do."""
    nearest = {name: nearest_width(count, wanted) for name, count in counts.items()}
    sizes = {name: counts[name](width) for name, width in nearest.items()}
    coarsest = max(sizes, key=lambda name: abs(sizes[name] - wanted))
    steps = _sizes_near(counts[coarsest], nearest[coarsest], wanted)
    if not steps:
        raise InputError(
            f"{coarsest} has {sizes[coarsest]:,} {unit} at width {nearest[coarsest]}, the "
            f"nearest to the {wanted:,} wanted"
        )
    found = []
    for size, width in steps:
        candidates = {
            name: [(count(near), near) for near in _around(count, size)]
            for name, count in counts.items()
        } | {coarsest: [(size, width)]}
        found.append(chosen := _closest(candidates))
        if _spread(chosen) <= 1 + TOLERANCE:
            return {name: width for name, (_, width) in chosen.items()}
    chosen = min(found, key=_spread)
    smallest, largest = (end(chosen, key=lambda name: chosen[name][0]) for end in (min, max))
    (few, narrow), (many, wide) = chosen[smallest], chosen[largest]
    raise InputError(
        f"{smallest} has {few:,} {unit} at width {narrow} and {largest} {many:,} at width "
        f"{wide}: no widths near {wanted:,} {unit} bring all contestants within "
        f"{TOLERANCE:.0%}"
    )


def _sizes_near(count: Count, nearest: int, wanted: int) -> list[tuple[int, int]]:
    """Return the sizes near the wanted one with their widths, nearest first."""
    found = []
    for direction in (range(nearest, 0, -1), range(nearest + 1, _LARGEST_WIDTH + 1)):
        for width in direction:
            size = count(width)
            if not wanted / _LARGEST_FACTOR <= size <= wanted * _LARGEST_FACTOR:
                break
            found.append((size, width))
    return sorted(found, key=lambda step: abs(step[0] - wanted))[:_MOST_STEPS]


def nearest_width(count: Count, target: int) -> int:
    """Return the width at which a count is nearest to a target."""
    return min(_around(count, target), key=lambda width: abs(count(width) - target))


def _around(count: Count, target: int) -> tuple[int, int]:
    """Return two neighbouring widths; the target lies between their counts if widths reach it."""
    low, high = 1, 2
    while count(high) < target and high < _LARGEST_WIDTH:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) < target else (low, middle)
    return low, high


def _closest(candidates: Mapping[str, list[tuple[int, int]]]) -> dict[str, tuple[int, int]]:
    """Return one candidate (size, width) for each name, with sizes as close as possible."""
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
