"""The races that this project publishes are what their runs say; a changed copy is found out."""

import json
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from lstm_baseline.race.plan import PLAN
from lstm_baseline.race.report.exports import VERDICT
from lstm_baseline.race.verify import verify_race
from lstm_baseline.runs.run import RESULT

RESULTS = Path(__file__).parents[2] / "measurements" / "results"
PUBLISHED = RESULTS / "nth-farthest"


def problems(folder):
    checks = verify_race(folder, data=folder, sample=0, console=Console(quiet=True))
    return {check.name for check in checks if check.problems}


def change(path, function):
    content = json.loads(path.read_text())
    function(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("name", ["nth-farthest", "standard-race-2"])
def test_it_is_verified(name):
    assert problems(RESULTS / name) == set()


@pytest.mark.slow
class TestChanged:
    @pytest.fixture
    def folder(self, tmp_path):
        return shutil.copytree(PUBLISHED, tmp_path / "race")

    def test_a_score(self, folder):
        run = next(folder.glob(f"runs/*--lstm--seed1--*/{RESULT}"))
        change(run, lambda result: result.update(score=0.97))
        assert problems(folder) >= {"verdict", "table"}

    def test_the_plan(self, folder):
        change(folder / PLAN, lambda file: file["plan"]["training"].update(patience=200))
        assert "plan" in problems(folder)

    def test_a_verdict(self, folder):
        change(folder / VERDICT, lambda verdict: verdict["duels"][0].update(verdict="open"))
        assert problems(folder) == {"verdict"}

    def test_a_run_that_is_left_out(self, folder):
        shutil.rmtree(next(folder.glob("runs/*--relational--seed3--*")))
        assert problems(folder) == {"runs"}
