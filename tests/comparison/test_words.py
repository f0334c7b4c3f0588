"""Numbers as they are read."""

import pytest
from races import contestant, run

from lstm_baseline.comparison import words
from lstm_baseline.comparison.results import Spread


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.0, "0.000"),
        (1.0, "1.000"),
        (0.8675, "0.868"),
        (0.055, "0.055"),
        (0.00123, "0.0012"),
        (0.00004, "0.000040"),
        (0.0000012, "1.20e-06"),
        (2.3456, "2.346"),
        (23.456, "23.46"),
        (1234.5, "1,234"),
        (1.5e9, "1.50e+09"),
        (-0.116, "−0.116"),
        (-0.0001, "−0.00010"),
    ],
)
def test_number(value, text):
    assert words.number(value) == text


def test_no_negative_zero():
    assert words.number(-0.0001, like=1.0) == "0.000"


def test_a_deviation_has_the_decimals_of_its_mean():
    assert words.spread(Spread(0.00051, 0.0000412, 3)) == "0.00051 ± 0.00004"
    assert words.spread(Spread(0.9, 0.00001, 3)) == "0.900 ± 0.000"
    assert words.spread(Spread(0.9, None, 1)) == "0.900"
    assert words.spread(None) == "–"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0.0, "0 s"),
        (0.123, "0.12 s"),
        (9.96, "10.0 s"),
        (59.6, "60 s"),
        (600, "10 min"),
        (3599, "1 h 00 min"),
        (7260, "2 h 01 min"),
    ],
)
def test_duration(seconds, text):
    assert words.duration(seconds) == text


def test_learned():
    assert words.learned(contestant([run(0.9), run(0.9)])) == "learned"
    assert words.learned(contestant([run(0.9), run(0.1)])) == "learned in 1 of 2 seeds"
    assert words.learned(contestant([run(0.1), run(None)])) == "did not learn"


def test_enumerations():
    assert words.listing(["a"]) == "a"
    assert words.listing(["a", "b", "c"]) == "a, b and c"
    assert words.count_range([1000, 2000, 1500]) == "1,000 to 2,000"
    assert words.count_range([1000, 1000]) == "1,000"
