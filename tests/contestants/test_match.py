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


def test_a_size_that_some_contestant_cannot_meet_is_refused():
    with pytest.raises(InputError, match="choose another size"):
        match_widths({"lstm": lstm, "two": lambda width: 10**width}, 3000)
