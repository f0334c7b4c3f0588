"""The verdict's figure: its numbers, its reasons, and rows of any length."""

import math
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from lstm_baseline.plots.svg import to_svg
from lstm_baseline.race.report.sections.scores import overall_scores, overall_scores_figure
from lstm_baseline.race.report.sections.verdict import differences, differences_figure
from tests.support.figure_checks import assert_nothing_overlaps
from tests.support.figure_races import HOSTILE, mixed_race, race, runs_about, tasks_named
from tests.support.races import CHANCE, HEURISTIC, ORACLE, LadderTask, run

FAR = (CHANCE._replace(score=-5e5), HEURISTIC, ORACLE)


@pytest.fixture(scope="module")
def mixed():
    return mixed_race()


def texts(axes):
    return [text.get_text() for text in axes.texts]


class TestDifferences:
    def test_numbers_are_those_of_the_judgement(self, mixed):
        data = differences(mixed, "relational")
        duel = mixed.duels[0]
        assert (data.challenger, data.baseline) == ("relational", "lstm")
        assert (data.margin, data.confidence) == (0.02, 0.95)
        for given, task in zip(data.tasks, duel.tasks, strict=True):
            assert given.title == task.title
            if task.evidence is not None:
                assert given.difference == task.evidence.difference
                assert given.probability == task.evidence.probability
        assert [task.verdict for task in data.tasks] == [
            "challenger better",
            "baseline better",
            "undecided",
            "baseline better",
            None,
        ]
        assert data.overall.difference == duel.overall.mean
        assert (data.overall.title, data.overall.verdict) == ("mean of 4 tasks", None)

    def test_all_challengers_have_one_scale(self):
        found = race([(LadderTask(), runs_about(0.6, 0.9, 0.61))])
        axes = [
            differences_figure(differences(found, duel.challenger)).axes[0] for duel in found.duels
        ]
        assert len(axes) == 2
        (low, high), other = (each.get_xlim() for each in axes)
        assert (low, high) == other
        ends = found.duels[0].tasks[0].evidence.difference
        assert high > max(map(abs, ends)) or low < -max(map(abs, ends))

    def test_a_task_that_is_not_compared_has_a_reason(self, mixed):
        reasons = [task.reason for task in differences(mixed, "relational").tasks]
        assert reasons == ["", "", "", "", "neither learned"]

    def test_too_few_seeds_are_drawn_without_an_interval(self):
        found = race([(LadderTask(), runs_about(0.6, 0.9, 0.6, num_seeds=4))])
        data = differences(found, "relational")
        assert data.tasks[0].difference.high == math.inf
        for figure in (differences_figure(data), overall_scores_figure(overall_scores(found))):
            assert_nothing_overlaps(figure)
            for line in figure.axes[0].lines:
                assert np.isfinite(line.get_xdata()).all()

    def test_one_seed_is_no_comparison(self):
        data = differences(race([(LadderTask(), runs_about(0.8, 0.9, 0.7, num_seeds=1))]), "gru")
        for row in (*data.tasks, data.overall):
            assert row.difference is None
            assert row.reason == "one seed is no comparison"
        assert data.overall.title == "mean of all"

    def test_nothing_to_compare(self):
        data = differences(race([(LadderTask(), runs_about(None, None, None))]), "gru")
        assert data.tasks[0].reason == "neither learned"
        assert data.overall.reason == "there is no task to compare on"

    def test_one_task_compared_has_no_mean(self):
        one, other = tasks_named("one", "other")
        found = race([(one, runs_about(0.7, 0.9, 0.7)), (other, runs_about(0.3, 0.3, 0.3))])
        data = differences(found, "relational")
        assert data.overall is None
        figure = differences_figure(data)
        labels = figure.axes[0].get_yticklabels()
        assert [text.get_text() for text in labels] == ["one", "other"]
        assert {text.get_fontweight() for text in labels} == {"normal"}
        assert_nothing_overlaps(figure)

    def test_drawing_shows_the_data(self, mixed):
        data = differences(mixed, "relational")
        axes = differences_figure(data).axes[0]
        points = [
            (line.get_xdata()[0], line.get_marker())
            for line in axes.lines
            if line.get_marker() != "None" and len(line.get_xdata()) == 1
        ]
        compared = [*data.tasks[:4], data.overall]
        markers = {
            **{"challenger better": ">", "baseline better": "<", "equivalent": "s"},
            **{"undecided": "o", None: "|"},
        }
        assert points == [(row.difference.estimate, markers[row.verdict]) for row in compared]
        drawn = [tuple(line.get_xdata()) for line in axes.lines]
        for row in compared:
            assert (row.difference.low, row.difference.high) in drawn
        assert [text.get_text() for text in axes.get_yticklabels()] == [
            *("won", "lost", "even", "missed", "failed", "mean of 4 tasks")
        ]
        shown = texts(axes)
        assert "neither learned" in shown
        assert shown.count("1.00") == 1
        low, high = axes.get_xlim()
        assert low == -high
        *bands, _ = axes.collections  # the last one is the legend's
        assert len(bands) == len(compared)
        for band in bands:
            limits = band.get_datalim(axes.transData)
            assert (limits.x0, limits.x1) == (-data.margin, data.margin)

    def test_a_win_points_to_the_winner(self, mixed):
        legend = differences_figure(differences(mixed, "relational")).axes[0].get_legend()
        names = ["challenger better", "baseline better", "undecided", "margin ±0.02"]
        assert [text.get_text() for text in legend.get_texts()] == names

    def test_values_far_away_leave_the_others_apart(self):
        far, near = LadderTask(FAR, name="far"), LadderTask(name="near")
        low = runs_about(0.9, 0.95, 0.9)
        low["lstm"][:3] = [run(-1e5), run(-2e5), run(-4e5)]
        found = race([(far, low), (near, runs_about(0.7, 0.9, 0.7))])
        figure = differences_figure(differences(found, "relational"))
        axes = figure.axes[0]
        assert axes.get_xscale() == "symlog"
        assert axes.get_xlabel().endswith("logarithmic beyond ±1")
        assert_nothing_overlaps(figure)
        figure = overall_scores_figure(overall_scores(found))
        assert_nothing_overlaps(figure)

    def test_nothing_overlaps(self, mixed):
        for challenger in ("relational", "gru"):
            assert_nothing_overlaps(differences_figure(differences(mixed, challenger)))
        for scores in ((0.7, 0.9, 0.7), (None, None, None)):
            for num_seeds in (1, 2, 10):
                found = race([(LadderTask(), runs_about(*scores, num_seeds=num_seeds))])
                assert_nothing_overlaps(differences_figure(differences(found, "relational")))

    def test_any_names_fit(self):
        many = [
            (task, runs_about(0.7, 0.9, 0.8, 0.6, None, 0.3, names=HOSTILE))
            for task in tasks_named(*HOSTILE, "a", "b", "c")
        ]
        found = race(many)
        for challenger in HOSTILE[1:]:
            figure = differences_figure(differences(found, challenger))
            assert_nothing_overlaps(figure)
            ET.fromstring(to_svg(figure))
        figure = overall_scores_figure(overall_scores(found))
        assert_nothing_overlaps(figure)
        ET.fromstring(to_svg(figure))
