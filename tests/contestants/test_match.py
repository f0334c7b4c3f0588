"""Equal size: widths at which all contestants have as many parameters, within 2%."""

import pytest

from lstm_baseline import InputError
from lstm_baseline.contestants.match import match_widths


def lstm(width):
    return 4 * width * (8 + width + 1) + 4 * (width + 1)


def gru(width):
    return 3 * width * (8 + width + 1) + width + 4 * (width + 1)


def coarse(width):
    return 700 * width + 300


COUNTS = {"lstm": lstm, "gru": gru, "coarse": coarse}


@pytest.mark.parametrize("wanted", range(2000, 20_000, 250))
def test_sizes_differ_by_two_percent_at_most(wanted):
    # At 20 of these sizes the nearest step of the coarsest contestant leaves 2% to 4%.
    widths = match_widths(COUNTS, wanted)
    sizes = [COUNTS[name](width) for name, width in widths.items()]
    assert max(sizes) <= 1.02 * min(sizes)
    assert 1 / 1.5 <= max(sizes) / wanted <= 1.5


@pytest.mark.parametrize(
    ("counts", "wanted"),
    [
        ({"lstm": lstm, "two": lambda width: 10**width}, 3000),  # the nearest steps are too far
        ({"lstm": lstm}, 10),
        ({"lstm": lstm}, 10**12),
        ({"a": lambda width: 1000 * width, "b": lambda width: 1000 * width + 100}, 2000),
    ],
)
def test_a_size_that_some_contestant_cannot_meet_is_refused_with_one_that_can(counts, wanted):
    with pytest.raises(InputError, match=r"; parameters = \d+ can be met$") as refusal:
        match_widths(counts, wanted)
    met = int(str(refusal.value).split()[-4])
    sizes = [counts[name](width) for name, width in match_widths(counts, met).items()]
    assert max(sizes) <= 1.02 * min(sizes)


def test_contestants_that_are_of_one_size_nowhere_are_refused():
    far = {"a": lambda width: 1000 * width, "b": lambda width: 1000 * width + 500}
    with pytest.raises(InputError, match="choose other arguments or contestants"):
        match_widths({**far, "b": lambda width: 10 ** (2 * width + 5)}, 3000)


def test_with_another_measure_the_size_to_give_is_that_of_the_first_in_parameters():
    counts = {"lstm": lambda width: 2 * width, "two": lambda width: 10**width}
    with pytest.raises(InputError, match=r"numbers of state .*; parameters = \d+ can") as refusal:
        match_widths(counts, 300, "state", lstm)
    met = int(str(refusal.value).split()[-4])
    width = next(width for width in range(1000) if lstm(width) == met)
    widths = match_widths(counts, 2 * width, "state", lstm)
    assert widths["lstm"] == width
