"""Published numbers beside ours: each definition can be run, and says what agrees and what not."""

import json
import shutil
from pathlib import Path

import pytest

from lstm_baseline import challengers
from lstm_baseline.engine.errors import FileError, InputError
from lstm_baseline.race.plan import FurtherTest, Plan
from lstm_baseline.race.reproduction import (
    JSON,
    NAMES,
    TEXT,
    Published,
    Reproduction,
    check_file,
    core_hours,
    hold_against,
    read_reproduction,
    row,
    summary,
    write_reproduction,
)
from lstm_baseline.runs.run import FurtherResult
from lstm_baseline.tasks import make_task
from tests.support.processes import run as run_command
from tests.support.races import ERROR_LADDER, LadderTask, race, run

PUBLISHED_RACE = Path(__file__).parents[2] / "measurements" / "results" / "nth-farthest"


def stated(*published, **values):
    """Return a reproduction of some numbers."""
    given = {"title": "it", "paper": "Somebody 2020", "setting": "small", "differs": ("much",)}
    return Reproduction(race={}, published=published, **given | values)


def held(scores, published, task=None):
    """Return a published number beside scores of the LSTM, seed by seed."""
    outcome = race({"lstm": [run(score) for score in scores]}, task or LadderTask())
    number = Published(task="made-up", contestant="lstm", **published)
    (found,) = hold_against(stated(number), outcome)
    assert found.contestant == "lstm"
    return found


class TestDefinitions:
    @pytest.mark.parametrize("name", NAMES)
    def test_each_is_a_race_that_has_every_number_s_task_and_contestant(self, name):
        each = read_reproduction(name)
        for full in (False, True) if each.full else (False,):
            race_file = each.race_file(full=full)
            names = {contestant.name for contestant in race_file.contestants}
            tasks = {entry.task or entry.data.stem for entry in race_file.tasks}
            tested = [
                {key: _plain(value) for key, value in test.arguments.items()}
                for entry in race_file.tasks
                if entry.task
                for test in entry.further_tests(entry.make(Path()))
            ]
            for published in each.published:
                assert published.contestant in names
                assert published.task in tasks
                assert not published.test or published.test in tested
            assert race_file.seeds >= 6  # fewer give no interval
            assert each.differences(full=full)

    @pytest.mark.parametrize("name", [name for name in NAMES if not read_reproduction(name).file])
    def test_each_has_contestants_of_one_size(self, name):
        each = read_reproduction(name)
        if {c.model for c in each.race_file().contestants} & {*challengers.NAMES}:
            pytest.importorskip("torch")
        for full in (False, True) if each.full else (False,):
            plan = each.race_file(full=full).plan()
            assert isinstance(plan, Plan)
            assert plan.hash

    def test_unknown_names_files_that_are_not_there_and_one_size(self, tmp_path):
        with pytest.raises(InputError, match=r"called 'walker'; .*did you mean 'walker2025'"):
            read_reproduction("walker")
        music = read_reproduction("chung2014")
        with pytest.raises(FileError, match=r"JSB_Chorales\.mat, which is not shipped .* --data"):
            check_file(music, tmp_path)
        (tmp_path / "JSB_Chorales.mat").touch()
        check_file(music, tmp_path)
        with pytest.raises(InputError, match="has one size; leave --full out"):
            music.race_file(full=True)


def _plain(value):
    return list(value) if isinstance(value, tuple) else value


class TestFindings:
    def test_a_mean_agrees_within_our_interval_or_very_near_it(self):
        scores = [0.70, 0.72, 0.74, 0.76, 0.78, 0.80]  # mean 0.75, interval 0.71 to 0.79
        assert held(scores, {"score": 0.79}).finding == "agrees"
        assert held(scores, {"score": 0.85}).finding == "lower"
        assert held(scores, {"score": 0.65}).finding == "higher"
        # Five seeds give no interval.
        assert held([0.75] * 5, {"score": 0.755}).finding == "agrees"
        assert held(scores[:5], {"score": 0.77}).finding == "lower"

    def test_a_published_spread_is_its_own_doubt(self):
        scores = [0.75] * 6
        assert held(scores, {"score": 0.80}).finding == "lower"
        assert held(scores, {"score": 0.80, "spread": 0.05, "seeds": 4}).finding == "agrees"
        assert held(scores, {"score": 0.80, "spread": 0.05, "seeds": 100}).finding == "lower"

    def test_the_best_run_and_bounds(self):
        scores = [0.5] * 5 + [0.9]
        assert held(scores, {"score": 0.895, "kind": "best"}).finding == "agrees"
        assert held(scores, {"score": 0.7, "kind": "best"}).finding == "higher"
        assert held(scores, {"score": 0.5, "kind": "at least"}).finding == "agrees"
        assert held(scores, {"score": 0.6, "kind": "at least"}).finding == "lower"
        assert held(scores, {"score": 0.6, "kind": "below"}).finding == "agrees"
        assert held(scores, {"score": 0.5, "kind": "below"}).finding == "higher"
        errors = LadderTask(ERROR_LADDER, higher_is_better=False)
        assert held([0.3, 0.1], {"score": 0.1, "kind": "best"}, errors).finding == "agrees"

    def test_accuracy_above_chance_and_failed_runs(self):
        found = held([0.8] * 6, {"score": 0.75, "chance": 0.2})
        assert found.finding == "agrees"
        assert found.scores == pytest.approx([0.75] * 6)
        found = held([0.9, None], {"score": 0.9})
        assert found.failed == 1
        assert found.scores[1] == LadderTask().ladder()[0].score
        assert "1 failed" in row(found)[3]

    def test_a_number_of_a_further_test_is_held_against_that(self):
        published = [
            Published(task="parity", contestant="lstm", score=0.5, test=test)
            for test in ({}, {"lengths": [20, 30]}, {"lengths": [7, 8]})
        ]
        outcome = _parity()
        found = hold_against(stated(*published[:2]), outcome)
        assert [each.title for each in found] == [task.title for task in outcome.tasks]
        with pytest.raises(InputError, match="has no parity tested with"):
            hold_against(stated(published[2]), outcome)

    def test_who_is_not_in_the_race_is_left_out_and_who_has_no_number_stands_below(self):
        absent = Published(task="made-up", contestant="gru", score=0.5)
        assert hold_against(stated(absent), race({"lstm": [run(0.5)]})) == []
        there = Published(task="made-up", contestant="gru", score=0.5, chance=0.2)
        outcome = race({"lstm": [run(0.6)] * 6, "gru": [run(0.5)] * 6})
        number, alone = hold_against(stated(there), outcome)
        assert (number.contestant, alone.contestant) == ("gru", "lstm")
        assert alone.scores == pytest.approx([0.5] * 6)  # above chance, as the numbers beside it
        assert alone.finding is None
        assert row(alone) == ("made-up", "LSTM", "–", "0.500 (0.500 to 0.500; 6 seeds)", "", "")
        assert summary([number, alone]).startswith("0 of 1 published number ")


def _parity():
    task = make_task("parity", lengths=[3, 10])
    further = FurtherTest(task, {"lengths": [20, 30]})
    results = [run(0.9, further_tests=(FurtherResult(score=0.5),)) for _ in range(2)]
    return race({"lstm": results}, task, further_tests=(further,), parameters=1000)


def test_what_is_written(tmp_path):
    outcome = race({"lstm": [run(0.75)] * 6})
    each = stated(
        Published(
            task="made-up", contestant="lstm", score=0.75, spread=0.01, seeds=3, note="a | b"
        ),
        Published(task="made-up", contestant="lstm", score=0.2, kind="below"),
    )
    found = hold_against(each, outcome)
    assert summary(found) == "1 of 2 published numbers agrees; 1 is higher here."
    path = write_reproduction("it", each, outcome, found, each.differences(), tmp_path)
    assert path.name == TEXT
    text = path.read_text()
    assert "| made-up | LSTM | 0.750 ± 0.010 (3 seeds) | 0.750 (0.750 to 0.750; 6 seeds) |" in text
    assert "| a \\| b |" in text
    assert "- much.\n" in text
    assert "| below 0.200 |" in text
    data = json.loads((tmp_path / JSON).read_text())
    assert data["plan"] == outcome.plan.hash
    assert data["core_hours"] == core_hours(outcome) == pytest.approx(6 * 3 / 3600)
    assert [number["finding"] for number in data["numbers"]] == ["agrees", "higher"]


class TestCommand:
    def test_the_list_names_every_paper(self):
        shown = run_command("reproduce", "--list")
        assert shown.returncode == 0
        for name in NAMES:
            assert name in shown.stdout

    def test_what_cannot_be_run_is_said_in_a_line(self, tmp_path):
        shown = run_command("reproduce", "chung2014", cwd=tmp_path)
        assert shown.returncode != 0
        assert "JSB_Chorales.mat" in shown.stderr
        assert not list(tmp_path.iterdir())
        assert "name a paper" in run_command("reproduce").stderr

    @pytest.mark.slow
    def test_the_published_race_beside_the_paper_s_numbers(self, tmp_path):
        folder = tmp_path / "reproduction" / "santoro2018"
        folder.mkdir(parents=True)
        shutil.copy(PUBLISHED_RACE / "plan.json", folder)
        shutil.copytree(PUBLISHED_RACE / "runs", folder / "runs")
        shown = run_command("reproduce", "chung2014", "santoro2018", cwd=tmp_path)
        assert "chung2014 cannot be run here: " in shown.stdout
        assert "0 of 2 published numbers agree; 2 are higher here." in shown.stdout
        assert "chung2014 could not be run here" in shown.stderr
        numbers = json.loads((folder / JSON).read_text())["numbers"]
        means = [sum(each["scores"]) / 20 for each in numbers]
        assert means == pytest.approx([0.990, 0.873], abs=5e-4)
