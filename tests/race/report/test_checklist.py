"""Answers to a checklist: what the race took, and which error bars it has."""

import math
import re

import pytest

from lstm_baseline.race.report.checklist import Cost, checklist, costs
from lstm_baseline.race.report.environment import describe_environment
from lstm_baseline.race.verdict import VerdictRule
from tests.support.raced import swept
from tests.support.races import LadderTask, race, run

QUICK = VerdictRule(num_resamples=500)


def answers(outcome, folder):
    """Return the answer to each item, by its number."""
    text = checklist(outcome, describe_environment(folder, "lstm-baseline compare race.toml"))
    _, *parts = re.split(r"^## (\d+)\. ", text, flags=re.MULTILINE)
    return dict(zip(map(int, parts[::2]), parts[1::2], strict=True))


class TestCompute:
    def test_trials_failed_runs_and_sweeps_count_each_once(self):
        found = costs(swept())
        assert [each[:4] for each in found] == [
            ("final run", "lstm", 2, 1),
            ("tuning trial", "lstm", 2, 1),
            ("sweep run", "lstm", 2, 0),
        ]
        for each, seconds in zip(found, (6.0, 4.0, 6.0), strict=True):
            assert each.core_hours == pytest.approx(seconds / 3600, rel=1e-12)

    def test_each_contestant_has_its_own(self):
        runs = {"lstm": [run(0.7, seconds=1800.0)], "mine": [run(None, seconds=5400.0)]}
        assert costs(race(runs)) == [
            Cost("final run", "lstm", 1, 0, 0.5),
            Cost("final run", "mine", 1, 1, 1.5),
        ]

    def test_the_answer(self, tmp_path):
        runs = {"lstm": [run(0.7, seconds=1800.0)], "mine": [run(None, seconds=5400.0)]}
        found = answers(race(runs), tmp_path)[8]
        assert "2.000 core-hours of training in 2 runs" in found
        assert "| final run | mine | 1 | 1 | 1.500 |" in found
        assert "| all | all | 2 | 1 | 2.000 |" in found
        assert "Peak memory of training was at most 3 MiB" in found
        assert describe_environment(tmp_path, "").processor.split()[0].split("(")[0] in found


class TestErrorBars:
    def test_kind_and_method(self, tmp_path):
        runs = {
            "lstm": [run(0.7 + k / 1000) for k in range(8)],
            "mine": [run(0.9 + k / 1000) for k in range(8)],
        }
        found = answers(race(runs, rule=QUICK), tmp_path)[7]
        for part in (
            "Yes, of two kinds.",
            "sample standard deviation (n − 1) over the runs that finished, of 8 seeds",
            "intervals of 95%",
            "sign-flip test",
            "symmetric",
            "a run that failed counts as chance",
            "one set of test rows",
        ):
            assert part in found
        assert "cannot decide" not in found

    def test_too_few_seeds_are_said(self, tmp_path):
        two = race({"lstm": [run(0.7)] * 2, "mine": [run(0.8)] * 2}, rule=QUICK)
        assert "2 seeds cannot decide any task" in answers(two, tmp_path)[7]

    def test_one_seed_has_none(self, tmp_path):
        found = answers(race({"lstm": [run(0.7)], "mine": [run(0.8)]}), tmp_path)[7]
        assert found.partition("\n\n")[2].startswith("No: there is one seed.")

    def test_one_contestant_has_no_differences(self, tmp_path):
        found = answers(race({"lstm": [run(0.7), run(0.8)]}), tmp_path)[7]
        assert "Yes." in found
        assert "Differences" not in found


def test_what_others_need(tmp_path):
    contestants = ["lstm", {"name": "mine", "model": "lstm_baseline.engine.models:LSTM"}]
    outcome = race({"lstm": [run(0.7)], "mine": [run(0.8)]}, contestants=contestants)
    found = answers(outcome, tmp_path)
    assert set(found) == {4, 6, 7, 8}
    assert outcome.plan.hash in found[4]
    assert "lstm-baseline compare race.toml" in found[4]
    assert "code that is not part of lstm-baseline: lstm\\_baseline.engine.models:LSTM" in found[4]
    assert "data that are not part of lstm-baseline: made-up" in found[4]
    assert "Nothing was tuned" in found[6]
    tuned = answers(swept(), tmp_path)
    assert "random search with 2 trials for every contestant" in tuned[6]
    assert "not part of" not in tuned[4]


def test_time_is_added_exactly():
    runs = {"lstm": [run(0.7, seconds=0.1)] * 10}
    (found,) = costs(race(runs, LadderTask()))
    assert found.core_hours == math.fsum([0.1] * 10) / 3600
