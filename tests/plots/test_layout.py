"""Labels beside the axes stay apart."""

import numpy as np

from lstm_baseline.plots.layout import spread_out


def test_labels_are_spread_no_further_than_needed():
    assert spread_out([10, 50], [10, 10], 0, 100) == [10, 50]
    assert spread_out([50, 50], [10, 10], 0, 100) == [45, 55]
    assert spread_out([98, 99], [10, 10], 0, 100) == [85, 95]
    assert spread_out([1], [10], 0, 100) == [5]
    assert spread_out([], [], 0, 1) == []


def test_spread_labels_never_overlap():
    rng = np.random.default_rng(0)
    for _ in range(200):
        count = int(rng.integers(1, 9))
        wanted, sizes = np.sort(rng.uniform(0, 100, count)), rng.uniform(1, 12, count)
        places = np.array(spread_out(wanted, sizes, 0, 100))
        assert (np.diff(places) >= (sizes[1:] + sizes[:-1]) / 2 - 1e-9).all()
        assert places[0] - sizes[0] / 2 >= -1e-9
        assert places[-1] + sizes[-1] / 2 <= 100 + 1e-9
