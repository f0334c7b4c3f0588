"""The published race, judged again: what docs/results.md says of it is what comes out."""

import runpy
from pathlib import Path

import pytest

from lstm_baseline.race.report import words

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def race():
    return runpy.run_path(str(ROOT / "measurements" / "standard_race_again.py"))["judged_again"]()


def test_its_verdicts_are_those_of_the_documentation(race):
    documentation = (ROOT / "docs" / "results.md").read_text()
    for duel in race.duels:
        assert f"> {words.verdict(race.plan, duel)}\n" in documentation
    assert [duel.verdict for duel in race.duels] == ["challenger ahead", "mixed"]


def test_qa_was_learned_by_nobody(race):
    learned = {task.title: [each.num_learned for each in task.contestants] for task in race.tasks}
    assert learned["qa"] == learned["nth-farthest"] == [0, 0, 0]
    assert learned["object-tracking"] == [10, 10, 1]
