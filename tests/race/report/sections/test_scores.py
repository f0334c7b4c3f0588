"""The figures of scores: everyone over all tasks, and every seed of a task."""

import numpy as np
import pytest

from lstm_baseline.plots.drawing import model_style
from lstm_baseline.race.report.sections.scores import (
    final_scores,
    final_scores_figure,
    overall_scores,
    overall_scores_figure,
)
from tests.support.figure_checks import (
    assert_nothing_overlaps,
)
from tests.support.figure_races import (
    CROWDED,
    THREE,
    mixed_race,
    outcome,
    race,
    runs_about,
    two_models,
)
from tests.support.races import CHANCE, HEURISTIC, LADDER, LadderTask, run


@pytest.fixture(scope="module")
def mixed():
    return mixed_race()


def texts(axes):
    return [text.get_text() for text in axes.texts]


class TestOverallScores:
    def test_numbers_are_those_of_the_judgement(self, mixed):
        data = overall_scores(mixed)
        assert [(each.model, each.score) for each in data.scores] == list(mixed.overall.items())
        assert (data.confidence, data.reason) == (0.95, "")

    def test_drawing_shows_the_data(self, mixed):
        data = overall_scores(mixed)
        figure = overall_scores_figure(data)
        axes = figure.axes[0]
        drawn = [(tuple(line.get_xdata()), line.get_color()) for line in axes.lines]
        for model, score in data.scores:
            color = model_style(model, THREE).color
            assert ((score.estimate,), color) in drawn
            assert ((score.low, score.high), color) in drawn
        labels = [text.get_text() for text in axes.get_yticklabels()]
        assert labels == ["LSTM", "relational RNN", "GRU"]
        assert_nothing_overlaps(figure)

    @pytest.mark.parametrize(
        ("ladder", "num_seeds", "reason"),
        [
            (LADDER, 1, "one seed has no interval"),
            ((CHANCE, HEURISTIC._replace(score=1.0)), 2, "no task has room above its heuristics"),
        ],
    )
    def test_without_intervals_it_says_why(self, ladder, num_seeds, reason):
        found = race([(LadderTask(ladder), runs_about(0.8, 0.9, 0.7, num_seeds=num_seeds))])
        data = overall_scores(found)
        assert data.reason == reason
        assert [each.score for each in data.scores] == [None] * 3
        figure = overall_scores_figure(data)
        assert texts(figure.axes[0]) == [reason] * 3
        assert_nothing_overlaps(figure)


class TestFinalScores:
    def test_every_seed_and_its_control(self):
        runs = {"lstm": [run(0.9, untrained=0.1), run(None, untrained=0.2), run(0.7)]}
        data = final_scores(outcome(runs))
        (points,) = data.points
        np.testing.assert_array_equal(points.scores, [0.9, 0.7])
        np.testing.assert_array_equal(points.untrained, [0.1, 0.2, 0.2])
        assert points.mean == pytest.approx(0.8)
        assert points.num_failed == 1
        assert data.y_label == "test accuracy\nhigher is better"

    def test_drawing_shows_the_data(self):
        data = final_scores(two_models())
        figure = final_scores_figure(data)
        (axes,) = figure.axes
        assert axes.get_ylabel() == data.y_label
        assert [t.get_text() for t in axes.get_xticklabels()] == ["LSTM", "relational RNN"]
        drawn = [np.asarray(line.get_ydata()).tolist() for line in axes.lines]
        for points in data.points:
            assert points.scores.tolist() in drawn
            assert points.untrained.tolist() in drawn
            assert [points.mean, points.mean] in drawn

    def test_untrained_dots_are_hollow_and_beside_the_trained_ones(self):
        axes = final_scores_figure(final_scores(two_models())).axes[0]
        filled, hollow = (
            [
                x
                for line in axes.lines[:3]
                if line.get_markerfacecolor() == face and line.get_linestyle() == "None"
                for x in line.get_xdata()
            ]
            for face in (model_style("lstm", THREE).color, "none")
        )
        assert len(filled) == len(hollow) == 2
        assert max(filled) < min(hollow)

    def test_failures_are_named_below(self):
        runs = {"lstm": [run(0.9), run(None)], "gru": [run(None), run(None)]}
        figure = final_scores_figure(final_scores(outcome(runs)))
        labels = [text.get_text() for text in figure.axes[0].get_xticklabels()]
        assert labels == ["LSTM\n(1 seed failed)", "GRU\n(2 seeds failed)"]
        assert_nothing_overlaps(figure)

    @pytest.mark.parametrize("num_seeds", [1, 2, 30])
    @pytest.mark.parametrize("ladder", [LADDER, CROWDED, ()])
    def test_nothing_overlaps(self, ladder, num_seeds):
        runs = {
            model: [run(0.5 + 0.01 * k, untrained=0.2) for k in range(num_seeds)] for model in THREE
        }
        figure = final_scores_figure(final_scores(outcome(runs, LadderTask(ladder))))
        assert_nothing_overlaps(figure)
        # The dots of one model keep clear of the next one's.
        for line in figure.axes[0].lines[:9]:
            assert np.ptp(line.get_xdata()) < 0.5
