"""Learning curves carry the data they should, and nothing in them covers anything else."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from lstm_baseline.plots.svg import to_svg
from lstm_baseline.race.report.sections.curves import learning_curves, learning_curves_figure
from lstm_baseline.race.report.sections.scores import final_scores, final_scores_figure
from tests.support.figure_checks import (
    assert_nothing_overlaps,
    ladder_labels,
    shown_ticks,
)
from tests.support.figure_races import CROWDED, HOSTILE, THREE, outcome, two_models
from tests.support.races import (
    CONSTANT,
    ERROR_LADDER,
    LADDER,
    ORACLE,
    ORACLE_ERROR,
    LadderTask,
    run,
)


class TestLearningCurves:
    def test_mean_and_range_over_seeds(self):
        data = learning_curves(two_models())
        lstm, relational = data.curves
        assert (lstm.model, relational.model) == ("lstm", "relational")
        np.testing.assert_array_equal(lstm.x, [0, 100, 200])
        np.testing.assert_allclose(lstm.mean, [0.25, 0.5, 0.8])
        np.testing.assert_allclose(lstm.low, [0.2, 0.4, 0.7])
        np.testing.assert_allclose(lstm.high, [0.3, 0.6, 0.9])
        assert lstm.num_seeds == 2
        assert data.ladder == LADDER
        assert (data.x_label, data.y_label) == (
            "training steps",
            "validation accuracy\nhigher is better",
        )

    def test_seconds_are_read_at_the_same_times(self):
        fast, slow = run(0.8, history=[0.0, 0.4, 0.8]), run(0.8, history=[0.0, 0.4, 0.8])
        slow = slow.model_copy(
            update={"history": [r._replace(seconds=2 * r.seconds) for r in slow.history]}
        )
        (curve,) = learning_curves(outcome({"lstm": [fast, slow]}), "seconds").curves
        np.testing.assert_array_equal(curve.x, [0, 1, 2, 4])
        np.testing.assert_allclose(curve.high, [0, 0.4, 0.8, 0.8])  # the fast one, then it stopped
        np.testing.assert_allclose(curve.low, [0, 0.2, 0.4, 0.8])

    def test_a_seed_that_stopped_early_keeps_its_last_score(self):
        short, long = run(0.4, history=[0.2, 0.4]), run(0.8, history=[0.2, 0.4, 0.6, 0.8])
        (curve,) = learning_curves(outcome({"lstm": [short, long]})).curves
        np.testing.assert_allclose(curve.mean, [0.2, 0.4, 0.5, 0.6])

    def test_a_run_that_failed_is_kept_apart(self):
        runs = [run(0.8, history=[0.2, 0.8]), run(None, history=[0.3, 0.9])]
        (curve,) = learning_curves(outcome({"lstm": runs})).curves
        np.testing.assert_allclose(curve.mean, [0.2, 0.8])
        assert curve.num_seeds == 1
        (failed,) = curve.failed
        np.testing.assert_array_equal(failed.x, [0, 100])
        np.testing.assert_array_equal(failed.score, [0.3, 0.9])

    def test_many_validations_become_a_bounded_number_of_points(self):
        runs = [run(0.8, history=np.linspace(0, 0.8, 3000).tolist())]
        (curve,) = learning_curves(outcome({"lstm": runs})).curves
        assert len(curve.x) == 200
        np.testing.assert_allclose(curve.mean, curve.x / 100 * 0.8 / 2999, atol=1e-12)

    def test_drawing_shows_the_data(self):
        data = learning_curves(two_models())
        figure = learning_curves_figure(data)
        (axes,) = figure.axes
        assert axes.get_ylabel() == data.y_label
        assert axes.get_xlabel() == "training steps\nline and band: mean and range of 2 seeds"
        lines = {line.get_label(): line for line in axes.lines}
        for curve, label in zip(data.curves, ("LSTM", "relational RNN"), strict=True):
            np.testing.assert_array_equal(lines[label].get_ydata(), curve.mean)
        assert len(axes.collections) == 2  # a band each
        levels = {line.get_ydata()[0] for line in axes.lines if len(set(line.get_ydata())) == 1}
        assert levels >= {rung.score for rung in LADDER}

    def test_one_seed_has_no_band(self):
        figure = learning_curves_figure(learning_curves(outcome({"lstm": [run(0.8)]})))
        assert not figure.axes[0].collections
        assert figure.axes[0].get_xlabel() == "training steps\none seed"

    def test_failed_runs_are_thin_lines_to_a_cross(self):
        runs = [run(0.8), run(None, history=[0.2, 0.3]), run(None, history=[])]
        figure = learning_curves_figure(learning_curves(outcome({"lstm": runs})))
        crosses = [line for line in figure.axes[0].lines if line.get_marker() == "x"]
        assert crosses[0].get_xydata().tolist() == [[100, 0.3]]
        assert figure.axes[0].get_xlabel().endswith("one seed; ×: failed")

    def test_nothing_finished(self):
        figure = learning_curves_figure(learning_curves(outcome({"lstm": [run(None, history=[])]})))
        assert "no run finished" in figure.axes[0].get_xlabel()

    @pytest.mark.parametrize("against", ["steps", "seconds"])
    @pytest.mark.parametrize("ladder", [LADDER, CROWDED, ERROR_LADDER, (), (ORACLE,)])
    def test_nothing_overlaps(self, ladder, against):
        task = LadderTask(ladder, higher_is_better=ladder is not ERROR_LADDER)
        runs = {model: [run(0.9), run(0.55), run(0.6)] for model in THREE}
        of_task = outcome(runs | {"gru": [run(0.9), run(0.7), run(None)]}, task)
        figure = learning_curves_figure(learning_curves(of_task, against))
        assert len(ladder_labels(figure)) == len(ladder)
        assert_nothing_overlaps(figure)

    def test_a_rung_s_label_gives_its_name_and_score(self):
        figure = learning_curves_figure(learning_curves(two_models()))
        assert [text.get_text() for text, _ in ladder_labels(figure)] == [
            "chance\n0.250",
            "last one\n0.500",
            "oracle\n1.000",
        ]

    def test_a_wild_score_does_not_squeeze_the_ladder(self):
        rungs = [rung._replace(score=-rung.score) for rung in ERROR_LADDER]
        runs = [run(-0.1, history=[-1e6, -0.3, -0.1])]
        data = learning_curves(outcome({"lstm": runs}, LadderTask(tuple(rungs))))
        figure = learning_curves_figure(data)
        low, high = figure.axes[0].get_ylim()
        assert -0.9 < low < -0.8
        assert 0 < high < 0.1
        notes = [text.get_text() for text in figure.axes[0].texts]
        assert "some values lie beyond this edge" in notes
        assert_nothing_overlaps(figure)

    @pytest.mark.parametrize("oracle", [ORACLE_ERROR, ORACLE_ERROR._replace(score=1e-7)])
    def test_errors_of_any_size_are_all_there(self, oracle):
        task = LadderTask((CONSTANT, oracle), higher_is_better=False)
        runs = [run(0.1, history=[1e6, 0.3, 1e-6]), run(None, history=[1e6, 3e7])]
        figure = learning_curves_figure(learning_curves(outcome({"lstm": runs}, task)))
        (axes,) = figure.axes
        low, high = axes.get_ylim()
        assert high > 3e7
        notes = [text.get_text() for text in axes.texts]
        assert "some values lie beyond this edge" not in notes
        if oracle.score:
            assert axes.get_yscale() == "log"
            assert 0 < low < oracle.score
            assert axes.get_ylabel().endswith("lower is better\nlogarithmic")
        else:
            assert axes.get_yscale() == "symlog"
            assert low < 0
            assert axes.get_ylabel().endswith("lower is better\nlogarithmic, linear below 10⁻⁶")
            assert "0" in [text.get_text() for text in shown_ticks(axes)]
        assert len(ladder_labels(figure)) == 2
        assert_nothing_overlaps(figure)

    def test_scores_in_the_thousands(self):
        ladder = [rung._replace(score=1e6 * rung.score) for rung in ERROR_LADDER]
        task = LadderTask(tuple(ladder), higher_is_better=False)
        runs = [run(1e5, history=[4e5, 2e5, 1e5])]
        figure = learning_curves_figure(learning_curves(outcome({"lstm": runs}, task)))
        assert_nothing_overlaps(figure)
        assert "100,000" in [text.get_text() for text in shown_ticks(figure.axes[0])]

    def test_a_legend_too_long_for_one_row_takes_more(self):
        data = learning_curves(two_models())
        curves = [data.curves[0]._replace(model=f"a cell with a long name, {k}") for k in range(5)]
        figure = learning_curves_figure(data._replace(curves=tuple(curves)))
        assert_nothing_overlaps(figure)


def test_any_six_names_fit():
    of_task = outcome({name: [run(0.9), run(None), run(0.6)] for name in HOSTILE})
    for figure in (
        learning_curves_figure(learning_curves(of_task)),
        final_scores_figure(final_scores(of_task)),
    ):
        assert_nothing_overlaps(figure)
        ET.fromstring(to_svg(figure))
    legend = learning_curves_figure(learning_curves(of_task)).axes[0].get_legend()
    shown = ["".join(text.get_text().split()) for text in legend.get_texts()]
    assert shown == ["".join(name.split()) for name in HOSTILE]
