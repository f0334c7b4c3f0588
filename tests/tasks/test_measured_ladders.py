"""The ladders that `lstm-baseline tasks` shows are those of the tasks."""

import json

import pytest

from lstm_baseline.tasks import TASKS, make_task
from lstm_baseline.tasks.measured_ladders import measure, read


def test_every_task_is_there_with_its_rules():
    measured = read()
    assert list(measured) == list(TASKS)
    for name, found in measured.items():
        rules = {rule.name for rule in make_task(name).predictors()}
        assert {rung for rung, _ in found["ladder"]} == rules


@pytest.mark.slow
def test_measured_again_they_are_the_same():
    """To the digits shown; if not, run tools/measure_ladders.py."""
    again, written = json.loads(json.dumps(measure())), read()
    for name in TASKS:
        assert again[name]["steps"] == written[name]["steps"]
        for (rung, score), (known, known_score) in zip(
            again[name]["ladder"], written[name]["ladder"], strict=True
        ):
            assert rung == known
            assert score == pytest.approx(known_score, abs=1e-6)
