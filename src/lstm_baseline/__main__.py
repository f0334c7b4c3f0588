"""``lstm-baseline`` and ``python -m lstm_baseline`` are the command line.

What must hold from the first moment is seen to here, before the rest is loaded.
"""

import os
import signal
import sys
from types import FrameType

from lstm_baseline.runs import stopping


def main() -> None:
    """Run the command line; a signal ends it with one line on standard error."""
    stopping.handle(_end_at_once)
    _open_what_is_closed()
    if sys.stdout is None:
        _say("standard output is closed; give it a place to go, /dev/null say")
        sys.exit(1)
    try:
        from lstm_baseline.cli import main as run
    except (ImportError, MemoryError, OSError) as error:
        _say(f"cannot be loaded: {error or 'out of memory'}")
        sys.exit(1)
    try:
        stopping.handle(stopping.raise_stopped)
        run()
    except stopping.Stopped as stopped:
        _say("stopped")
        sys.exit(stopped.exit_code)
    finally:
        stopping.handle(signal.SIG_DFL)  # nothing is left to be put in order


def _end_at_once(number: int, _frame: FrameType | None) -> None:
    """End while modules are loaded: an error raised in one of them would not always come out."""
    _say("stopped")
    os._exit(128 + number)


def _open_what_is_closed() -> None:
    """Open /dev/null where a standard stream is closed: no other file may take its number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115


def _say(text: str) -> None:
    line = " ".join(f"lstm-baseline: {text}".split())
    os.write(2, f"{line}\n".encode(errors="backslashreplace"))


if __name__ == "__main__":
    main()
