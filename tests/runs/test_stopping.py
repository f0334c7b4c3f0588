"""A race that a signal stops leaves no process, and prints one line of its own."""

import os
import secrets
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.support.processes import start, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")

RACE = ("compare", "--tasks", "pair-matching", "--seeds", "2", "--steps", "100000", "--out", "r")
STOPPED = "lstm-baseline: stopped; given again, the same command goes on from here\n"


def marked(mark):
    """Return the processes that have a mark in their environment, but for those that are dead."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            is_dead = (folder / "stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
            if mark.encode() in (folder / "environ").read_bytes() and not is_dead:
                found.append(int(folder.name))
        except OSError:
            continue
    return found


@pytest.mark.parametrize(
    ("number", "whole_group", "code", "line"),
    [
        (signal.SIGINT, True, 130, STOPPED),  # as Ctrl-C
        (signal.SIGINT, False, 130, STOPPED),
        (signal.SIGTERM, False, 143, STOPPED),
        (signal.SIGTERM, True, 143, STOPPED),
        (signal.SIGHUP, True, 129, STOPPED),
        (signal.SIGKILL, False, -9, ""),
    ],
)
@pytest.mark.slow
def test_nothing_is_left_of_a_race_that_is_stopped(
    tmp_path, monkeypatch, number, whole_group, code, line
):
    mark = f"MARK_{secrets.token_hex(8)}"
    monkeypatch.setenv("LSTM_BASELINE_TEST_MARK", mark)
    race = start(*RACE, cwd=tmp_path)
    try:
        wait_until(lambda: any(tmp_path.glob("r/runs/*/metrics.jsonl")), race)
        assert len(marked(mark)) >= 2  # the race and a worker
        (os.killpg if whole_group else os.kill)(race.pid, number)
        _, printed = race.communicate(timeout=3)
        assert (race.returncode, printed) == (code, line)
        end = time.monotonic() + 3
        while marked(mark):
            assert time.monotonic() < end
            time.sleep(0.02)
    finally:
        for pid in marked(mark):
            os.kill(pid, signal.SIGKILL)
        race.wait()
