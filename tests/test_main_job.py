"""The main job as a user runs it, with fewer seeds: both models really learn."""

import json
from pathlib import Path

import pytest

from lstm_baseline.race.race_file import read_preset
from tests.support.processes import run

CLEARLY = 0.1
"""Accuracy above the best heuristic that sampling noise of 6,000 test samples cannot make."""


SEEDS = 4


@pytest.mark.slow
def test_both_models_learn_and_are_reported(tmp_path: Path) -> None:
    ended = run("compare", "--seeds", str(SEEDS), cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    assert (tmp_path / "report" / "index.html").stat().st_size > 100_000

    plan = read_preset("quick").plan()
    tasks = {task.name: task for task in plan.tasks}
    means = {}
    for model in ("lstm", "relational"):
        for name in tasks:
            folders = (tmp_path / "report" / "runs").glob(f"{name}--{model}--*")
            results = [json.loads((folder / "result.json").read_text()) for folder in folders]
            assert [result["status"] for result in results] == ["finished"] * SEEDS
            means[model, name] = sum(result["score"] for result in results) / SEEDS
    for name, task in tasks.items():
        bar = max(rung.score for rung in task.ladder() if rung.kind != "oracle") + CLEARLY
        assert means["lstm", name] > bar
        assert means["relational", name] > bar
