"""The ladders of all generated tasks at their default difficulty, as they were measured once.

``tools/measure_ladders.py`` writes ``measured_ladders.json``; a test measures them again.
"""

import json
from pathlib import Path
from typing import TypedDict

from lstm_baseline.tasks.registry import TASKS, make_task

FILE = Path(__file__).with_suffix(".json")


class Measured(TypedDict):
    """What was measured of one task."""

    steps: int
    """Steps of a row."""
    ladder: list[tuple[str, float]]
    """Names and scores of the rungs, worst first."""


def read() -> dict[str, Measured]:
    """Return what was measured, by the names of the tasks."""
    measured: dict[str, Measured] = json.loads(FILE.read_text(encoding="utf-8"))
    return measured


def measure() -> dict[str, Measured]:
    """Measure all tasks, which takes a while."""
    tasks = {name: make_task(name) for name in TASKS}
    return {
        name: {
            "steps": task.train_batch(0, 1, 0).x.shape[1],
            "ladder": [(rung.name, rung.score) for rung in task.ladder()],
        }
        for name, task in tasks.items()
    }
