"""The command line as a real process, for tests in several folders."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

PROGRAM = "from lstm_baseline.__main__ import main; main()"
COMMAND = [sys.executable, "-W", "error", "-c", PROGRAM]
# If the tests run in the background, Ctrl-C is ignored, and child processes inherit that.
HEEDS_CTRL_C = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"


def run(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run ``lstm-baseline`` to its end."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], capture_output=True, text=True, cwd=cwd, check=False
    )


def start(*arguments: object, cwd: Path | None = None) -> subprocess.Popen[str]:
    """Start ``lstm-baseline`` in a process group of its own, as a shell does."""
    return subprocess.Popen(
        [*COMMAND[:-1], f"{HEEDS_CTRL_C}; {PROGRAM}", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        start_new_session=True,
    )


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait until a condition is true, for at most a minute, while the process lives."""
    deadline = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, f"ended early: {process.communicate()}"
        assert time.monotonic() < deadline, "waited a minute in vain"
        time.sleep(0.005)


def interrupt(process: subprocess.Popen[str]) -> None:
    """Press Ctrl-C: the whole process group gets SIGINT."""
    os.killpg(process.pid, signal.SIGINT)


def kill(process: subprocess.Popen[str]) -> None:
    """Kill the whole process group, which cannot react."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
