"""What other programs read: every run as CSV, figures as files."""

import csv
import io
import json
import math
import re
import xml.etree.ElementTree as ET

import pytest
from matplotlib.image import imread

from lstm_baseline.contestants.contestant import Contestant
from lstm_baseline.plots.drawing import to_pdf
from lstm_baseline.race.report.exports import (
    COLUMNS,
    results_csv,
    write_exports,
)
from lstm_baseline.race.report.page import draw_all
from lstm_baseline.race.report.sections import section
from lstm_baseline.race.report.sections.section import file_name
from lstm_baseline.race.verdict import VerdictRule
from lstm_baseline.runs.saved_model import MODEL
from tests.support.raced import hostile, swept
from tests.support.races import LadderTask, race, run

QUICK = VerdictRule(num_resamples=500)


def rows(outcome):
    return list(csv.DictReader(io.StringIO(results_csv(outcome))))


class TestCSV:
    def test_every_run_is_a_line_of_its_stage(self):
        found = rows(swept())
        assert tuple(found[0]) == COLUMNS
        assert [row["stage"] for row in found] == (
            ["trial"] * 2 + ["final"] * 2 + ["sweep test"] * 4 + ["sweep"] * 2
        )

    def test_numbers_are_those_of_the_run(self):
        outcome = race({"lstm": [run(0.9, history=[0.2, 0.5, 0.8], standard_error=0.01)]})
        (row,) = rows(outcome)
        seed = outcome.tasks[0].contestants[0].seeds[0]
        for name, value in {
            "seed": 0,
            "score": 0.9,
            "normalised": seed.normalised,
            "standard_error": 0.01,
            "untrained_score": 0.2,
            "best_step": 100,
            "seconds": 3.0,
            "steps_to_threshold": 200,
            "seconds_to_threshold": 2.0,
            "parameters": 1000,
            "width": seed.spec.width,
            "state_size": 20,
            "flops_per_step": 4000,
            "peak_memory": 3 * 2**20,
        }.items():
            assert float(row[name]) == value, name
        assert (row["learned"], row["status"], row["trial"]) == ("yes", "finished", "")
        assert (row["task_arguments"], row["metric"]) == ('{"level": 1}', "accuracy")

    def test_settings_are_those_of_the_run_s_specification(self):
        (row,) = rows(race({"lstm": [run(0.9)]}))
        settings = json.loads(row["settings"])
        assert (settings["num_steps"], settings["optimizer"]) == (300, "adam")
        # Results that were written before there was one are checked against these.
        assert "weight_decay" not in settings

    def test_trials_failures_and_what_was_never_reached(self):
        tuned, failed_trial, final, failed, *tests, at_5, at_7 = rows(swept())
        assert (tuned["trial"], tuned["validation_score"], tuned["score"]) == ("0", "0.3", "")
        assert (failed_trial["status"], failed_trial["reason"]) == ("failed", "loss is nan")
        assert final["learned"] == "yes"
        assert (failed["score"], failed["learned"], failed["status"]) == ("", "no", "failed")
        assert failed["steps_to_threshold"] == "inf"
        assert math.isinf(float(failed["seconds_to_threshold"]))
        assert [(row["score"], row["status"], row["seed"]) for row in tests] == [
            ("0.2", "finished", "0"),
            ("", "failed", "1"),
            ("", "failed", "0"),
            ("", "failed", "1"),
        ]
        assert [row["reason"] for row in tests] == [
            "",
            "loss is nan at step 7",
            "no finite score",
            "loss is nan at step 7",
        ]
        assert (at_5["task_arguments"], at_5["score"]) == ('{"length": 5}', "0.05")
        assert at_7["task_arguments"] == '{"length": 7}'

    @pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t=", "\r=", " =", "\n="])
    def test_no_text_is_a_formula(self, start):
        text = f'{start}HYPERLINK("http://x","y")'
        outcome = race({"lstm": [run(None, reason=text)]}, LadderTask(name=text, level=text))
        (row,) = rows(outcome)
        assert row["reason"] == f"'{text}"
        assert row["task"] == f"'{text}"
        assert float(row.pop("value")) < 0  # a number may begin with a minus
        for value in row.values():
            assert not value.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))

    def test_negative_numbers_stay_numbers(self):
        assert float(rows(race({"lstm": [run(0.25)]}))[0]["normalised"]) == -0.5

    def test_whatever_is_named_comes_back_as_it_was(self):
        name = 'a, "b"\n; c'
        given = rows(hostile(name))
        assert {row["contestant"] for row in given} == {"lstm", name}
        assert name in {row["reason"] for row in given}


class TestFigures:
    def test_each_is_a_png_a_pdf_and_an_svg_on_white(self, tmp_path, monkeypatch):
        monkeypatch.setattr(section, "to_pdf", to_pdf)
        outcome = hostile()
        pictures = draw_all(outcome, tmp_path / "runs")
        write_exports(outcome, pictures, tmp_path)
        names = {path.name for path in (tmp_path / "figures").iterdir()}
        drawn = [picture.name for picture in pictures if not picture.problem]
        assert len(names) == 3 * len(drawn) == 3 * len(set(drawn))
        for name in names:
            assert re.fullmatch(r"[a-z0-9][a-z0-9-]{0,150}\.(png|pdf|svg)", name)
        for path in (tmp_path / "figures").iterdir():
            if path.suffix == ".png":
                pixels = imread(path)
                assert min(pixels.shape[:2]) > 300
                assert pixels[0, 0, :3].tolist() == [1, 1, 1]
                assert pixels.std() > 0.02
            elif path.suffix == ".pdf":
                assert path.read_bytes().startswith(b"%PDF-")
                assert path.read_bytes().rstrip().endswith(b"%%EOF")
            else:
                root = ET.fromstring(path.read_bytes())
                assert root[0].get("fill") == "#ffffff"
                assert b"var(" not in path.read_bytes()
        assert {path.name for path in tmp_path.iterdir()} == {
            "results.csv",
            "results.tex",
            "verdict.json",
            "figures",
        }

    @pytest.mark.parametrize(
        ("parts", "name"),
        [
            (("task", 1, "Über Größe"), "task-1-uber-gro-e"),
            (("task", 1, "../../etc/passwd\0"), "task-1-etc-passwd"),
            (("task", 1, "模型"), "task-1"),
            (("CON", "x" * 100), f"con-{'x' * 40}"),
        ],
    )
    def test_file_names_are_plain(self, parts, name):
        assert file_name(*parts) == name


@pytest.mark.slow
@pytest.mark.usefixtures("svg_only")
def test_names_that_come_out_the_same_are_told_apart(tmp_path):
    contestants = [Contestant(name=name, model="lstm") for name in ("a b", "a-b", "模", "型")]
    outcome = race(
        {c.name: [run(0.8), run(0.7)] for c in contestants},
        LadderTask(name="x y"),
        LadderTask(name="x-y"),
        contestants=contestants,
        rule=QUICK,
    )
    for seed in [seed for task in outcome.tasks for c in task.contestants for seed in c.seeds]:
        seed.spec.build_model().save(tmp_path / "runs" / seed.spec.name / MODEL)
    names = [picture.name for picture in draw_all(outcome, tmp_path / "runs")]
    assert sum("-gates-" in name for name in names) == 2 * 4
    assert len({name.lower() for name in names}) == len(names)
