"""Taking turns, by a clock that only the entrants move."""

import gc
from contextlib import contextmanager

import pytest

from lstm_baseline.benchmarks import timing
from lstm_baseline.benchmarks.timing import Pace, time_in_turns
from tests.support.bench_fakes import fake


class Stage:
    """A clock, and entrants that take time by it and leave a record."""

    def __init__(self):
        self.time, self.played = 0.0, []

    def now(self):
        return self.time

    def entrant(self, name, *seconds):
        """Return one whose calls take these times in turn, the last one for ever."""
        left = list(seconds)

        def call():
            self.played.append(name)
            self.time += left.pop(0) if len(left) > 1 else left[0]

        return fake(name, call)

    def perform(self, *entrants, **pace):
        pace = Pace(**{"batch_seconds": 1.0, "seconds": 1e9, "warm_seconds": 0.0, **pace})
        return time_in_turns(entrants, pace, now=self.now)


def test_each_plays_once_a_round_in_changing_order():
    stage = Stage()
    names = "abc"
    stage.perform(*(stage.entrant(name, 1.0) for name in names), max_rounds=20)
    rounds = [stage.played[k : k + 3] for k in range(3, len(stage.played), 3)]
    assert len(rounds) == 20
    assert all(sorted(played) == list(names) for played in rounds)
    assert len({tuple(played) for played in rounds}) > 3


def test_median_and_quartiles_are_of_single_calls():
    stage = Stage()
    # The first call is the guess, of 1 s, so a batch is one call.
    times = [1.0, 5.0, 1.0, 3.0, 2.0, 4.0]
    (found,) = stage.perform(stage.entrant("a", *times), max_rounds=5, min_rounds=5)
    assert found == (3.0, 2.0, 4.0, 5, 1)


def test_short_calls_are_made_in_batches():
    stage = Stage()
    (found,) = stage.perform(stage.entrant("a", 0.01), max_rounds=3, min_rounds=3)
    assert found.calls == 100
    assert found.median == pytest.approx(0.01)


def test_a_slow_first_call_does_not_make_batches_small():
    stage = Stage()
    entrant = stage.entrant("a", 0.5, 0.01)
    (found,) = stage.perform(entrant, warm_seconds=1.0, max_rounds=3, min_rounds=3)
    assert found.calls in (100, 101)


def test_short_calls_are_warmed_up_untimed():
    stage = Stage()
    # Three guesses; then each of two rounds has a slow first call, which must not count.
    entrant = stage.entrant("a", 1.0, 1.0, 1.0, 50.0, 1.0, 50.0, 1.0)
    (found,) = stage.perform(entrant, warm_seconds=2.0, max_rounds=2, min_rounds=2)
    assert found.median == 1.0
    assert len(stage.played) == 7


def test_rounds_end_when_time_is_up_but_not_before_there_are_enough():
    stage = Stage()
    (found,) = stage.perform(stage.entrant("a", 1.0), seconds=7.0, min_rounds=2, max_rounds=99)
    assert found.rounds == 7
    stage = Stage()
    (found,) = stage.perform(stage.entrant("a", 9.0), seconds=7.0, min_rounds=3, max_rounds=99)
    assert found.rounds == 3


def test_calls_are_made_inside_the_context_that_was_asked_for():
    inside, seen = [], []

    @contextmanager
    def context():
        inside.append(True)
        yield
        inside.pop()

    entrant = fake("a", lambda: seen.append(bool(inside)))._replace(during=context)
    time_in_turns([entrant], Pace(max_rounds=2, min_rounds=2))
    assert all(seen)


def test_settles_before_each_batch():
    stage, log = Stage(), []
    entrants = [stage.entrant(name, 1.0) for name in "ab"]
    pace = Pace(batch_seconds=1.0, warm_seconds=0.0, min_rounds=3, max_rounds=3)
    time_in_turns(entrants, pace, now=stage.now, settle=lambda: log.append(len(stage.played)))
    assert log == list(range(len(stage.played)))


def test_no_garbage_collection_meanwhile_and_again_afterwards():
    seen = []

    def fail():
        seen.append(gc.isenabled())
        if len(seen) > 2:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        time_in_turns([fake("a", fail)], Pace(batch_seconds=0.0))
    assert not any(seen)
    assert gc.isenabled()


@pytest.mark.parametrize(("spins_until", "waited"), [(0.0, 0.01), (0.085, 0.1), (9.0, 0.5)])
def test_waits_until_threads_no_longer_spin_but_not_for_ever(spins_until, waited, monkeypatch):
    class Time:
        now = used = 0.0

        def sleep(self, seconds):
            self.used += max(0.0, min(self.now + seconds, spins_until) - self.now)
            self.now += seconds

        def perf_counter(self):
            return self.now

        def process_time(self):
            return self.used

    clock = Time()
    monkeypatch.setattr(timing, "time", clock)
    timing.wait_until_quiet()
    assert clock.now == pytest.approx(waited, abs=0.0101)
