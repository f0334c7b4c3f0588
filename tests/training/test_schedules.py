import math
from itertools import pairwise

import pytest

from lstm_baseline.training.schedules import learning_rate_at

SCHEDULES = ("constant", "exponential", "cosine")
PEAK, STEPS, WARMUP, FINAL = 0.5, 100, 10, 0.01


def rate(step, schedule, **changes):
    options = {"peak": PEAK, "num_steps": STEPS, "warmup_steps": WARMUP, "final_fraction": FINAL}
    return learning_rate_at(step, schedule=schedule, **(options | changes))


@pytest.mark.parametrize("schedule", SCHEDULES)
class TestEverySchedule:
    def test_the_rate_rises_evenly_to_the_peak(self, schedule):
        rates = [rate(step, schedule) for step in range(WARMUP)]
        assert rates == pytest.approx([PEAK * k / WARMUP for k in range(1, WARMUP + 1)])

    def test_the_peak_comes_right_after_the_rise(self, schedule):
        assert rate(WARMUP, schedule) == pytest.approx(PEAK)

    def test_without_a_rise_it_starts_at_the_peak(self, schedule):
        assert rate(0, schedule, warmup_steps=0) == pytest.approx(PEAK)

    def test_the_rate_never_rises_again_and_stays_positive(self, schedule):
        rates = [rate(step, schedule) for step in range(WARMUP, STEPS)]
        assert all(a >= b > 0 for a, b in pairwise(rates))

    @pytest.mark.parametrize("warmup_steps", [0, 1, 3, 7])
    def test_short_runs_are_no_trouble(self, schedule, warmup_steps):
        for step in range(3):
            assert 0 < rate(step, schedule, num_steps=3, warmup_steps=warmup_steps) <= PEAK


def test_constant_stays():
    assert {rate(step, "constant") for step in range(WARMUP, STEPS)} == {PEAK}


@pytest.mark.parametrize(
    ("schedule", "middle"),
    [("exponential", PEAK * math.sqrt(FINAL)), ("cosine", PEAK * (1 + FINAL) / 2)],
)
def test_the_way_down(schedule, middle):
    assert rate((WARMUP + STEPS) // 2, schedule) == pytest.approx(middle)
    assert rate(STEPS, schedule) == pytest.approx(PEAK * FINAL)


def test_exponential_falls_by_the_same_factor_each_step():
    factor = FINAL ** (1 / (STEPS - WARMUP))
    for step in range(WARMUP, STEPS):
        assert rate(step + 1, "exponential") / rate(step, "exponential") == pytest.approx(factor)
