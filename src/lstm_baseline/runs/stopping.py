"""Signals that stop a program: Ctrl-C, a kill that can be heeded, a terminal that closes.

This module imports nothing of the package, so that signals are heeded before the rest is loaded.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


class Stopped(BaseException):
    """A signal has come that stops the program."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.exit_code = 128 + number
        """What a shell shows for a program that the signal has killed."""


def handle(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    """Give all signals a handler, except those that the program was started to ignore."""
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def raise_stopped(number: int, _frame: FrameType | None) -> None:
    """Raise ``Stopped``, once: what then ends the program is not to be stopped itself."""
    handle(signal.SIG_IGN)
    raise Stopped(number)


@contextmanager
def unstopped() -> Iterator[None]:
    """Put a signal off until the end of the block, which cannot be left half done.

    Signals come to the main thread; in any other, as on a Dask worker, there is nothing to do.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _: came.append(number)) for number in SIGNALS
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])
