"""Timing: entrants take turns, round by round, and medians are kept.

A machine's speed wanders with its temperature and its neighbours. Whoever is timed in turns meets
the same weather, so ratios hold where times alone do not.
"""

import gc
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from lstm_baseline.benchmarks.entrants import Entrant


class Pace(NamedTuple):
    """Length of a measurement."""

    batch_seconds: float = 2e-3
    """A batch makes as many calls as fit in this, so that the clock's own cost vanishes."""
    warm_seconds: float = 0.05
    """A call that is shorter is made once untimed before each batch."""
    seconds: float = 4.0
    """No round begins later than this, once there are enough."""
    min_rounds: int = 5
    max_rounds: int = 25


QUICK = Pace(seconds=0.4, min_rounds=3, max_rounds=9)


class Timing(NamedTuple):
    """Seconds of one call, over all rounds."""

    median: float
    low: float
    """First quartile."""
    high: float
    """Third quartile."""
    rounds: int
    calls: int
    """Calls in a round."""


def wait_until_quiet() -> None:
    """Wait until this process uses hardly any time: threads of some pools go on spinning a while.

    They would take a core from whoever comes next, for a tenth of a second and more. What another
    thread has used is known to the kernel only as of its last tick, so a look takes 10 ms.
    """
    deadline = time.perf_counter() + 0.5
    while (started := time.perf_counter()) < deadline:
        used = time.process_time()
        time.sleep(0.01)
        if time.process_time() - used < 0.2 * (time.perf_counter() - started):
            return


def time_in_turns(
    entrants: Sequence[Entrant],
    pace: Pace,
    *,
    settle: Callable[[], None] = lambda: None,
    on_round: Callable[[], None] = lambda: None,
    now: Callable[[], float] = time.perf_counter,
) -> list[Timing]:
    """Time some entrants against each other.

    In every round each makes one batch of calls, in an order that is drawn anew, so that nobody
    always follows the same neighbour. Garbage collection waits until the end.

    Parameters
    ----------
    entrants
        Each has been called before.
    pace
        How long to measure.
    settle
        Called before each batch.
    on_round
        Called after each round.
    now
        The time of day; tests have a clock of their own.

    Returns
    -------
    A timing for each entrant, in their order.
    """
    order = np.random.default_rng(0)
    samples: list[list[float]] = [[] for _ in entrants]
    with _no_garbage_collection():
        guesses = [_guess(c, pace, settle, now) for c in entrants]
        calls = [max(1, math.ceil(pace.batch_seconds / guess)) for guess in guesses]
        started = now()
        for done in range(pace.max_rounds):
            if done >= pace.min_rounds and now() - started >= pace.seconds:
                break
            for k in order.permutation(len(entrants)):
                settle()
                warm_up = guesses[k] < pace.warm_seconds
                samples[k].append(_time_batch(entrants[k], calls[k], warm_up, now))
            on_round()
    return [_summarise(values, calls[k]) for k, values in enumerate(samples)]


def _guess(
    entrant: Entrant, pace: Pace, settle: Callable[[], None], now: Callable[[], float]
) -> float:
    """Return about how many seconds a call takes, the best of three where it is short.

    Too long a guess, from a call that was the first or was disturbed, would give too small batches.
    """
    settle()
    calls = 1
    while True:
        seconds = _time_batch(entrant, calls, False, now)
        if seconds >= pace.warm_seconds:
            return seconds
        seconds = min(seconds, *(_time_batch(entrant, calls, False, now) for _ in range(2)))
        if calls * seconds >= pace.batch_seconds / 4:
            return seconds
        calls *= 4  # too short to tell by


def _time_batch(entrant: Entrant, calls: int, warm_up: bool, now: Callable[[], float]) -> float:
    """Return the seconds of one call, on average."""
    call = entrant.call
    with entrant.during():
        if warm_up:
            call()
        started = now()
        for _ in range(calls):
            call()
        return (now() - started) / calls


def _summarise(values: Sequence[float], calls: int) -> Timing:
    low, median, high = np.quantile(values, [0.25, 0.5, 0.75])
    return Timing(float(median), float(low), float(high), len(values), calls)


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
