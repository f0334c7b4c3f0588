"""Signals: each against its equation, one step at a time in float64."""

import numpy as np
import pytest

from lstm_baseline import InputError
from lstm_baseline.tasks import MackeyGlass, Narma
from lstm_baseline.testing import check_task


def rule(task, name):
    return next(rule for rule in task.predictors() if rule.name == name)


class TestMackeyGlass:
    @pytest.mark.parametrize(("delay", "ahead"), [(17, 1), (17, 6), (19, 20), (30, 31)])
    def test_values_follow_the_equation(self, delay, ahead):
        task = MackeyGlass(delay + 20, delay, ahead)
        batch = task.sample(50, np.random.default_rng(0))
        assert batch.x.shape == batch.y.shape == (50, delay + 20, 1)
        for x, y in zip(batch.x[..., 0], batch.y[..., 0], strict=True):
            np.testing.assert_array_equal(y[:-ahead], x[ahead:])
            series = [*x.astype(float), *y[-ahead:].astype(float)]
            for t in range(delay, len(series) - 1):
                s = series[t - delay]
                expected = 0.9 * series[t] + 0.2 * s / (1 + s**10)
                assert series[t + 1] == pytest.approx(expected, abs=1e-6)

    def test_only_steps_with_a_whole_history_count(self):
        mask = MackeyGlass(40, 17).sample(3, np.random.default_rng(0)).mask
        assert (mask == (np.arange(40) >= 17)).all()

    def test_it_is_chaotic(self):
        """Two rows that begin close by end far apart, as far as any two."""
        task = MackeyGlass(1000)
        start = task.sample(1, np.random.default_rng(0)).x[0, :18].repeat(2, axis=1)
        start[-1, 1] += 1e-3
        apart = np.abs(np.diff(task._go_on(start, 3000), axis=1))
        assert apart[100:200].max() < 0.05
        assert apart[-500:].max() > 0.3

    def test_rows_are_on_the_attractor_from_their_first_step(self):
        x = MackeyGlass(200).sample(5000, np.random.default_rng(0)).x[..., 0]
        for part in (x[:, :20], x[:, -20:]):
            assert part.mean() == pytest.approx(x.mean(), abs=0.01)
            assert part.std() == pytest.approx(x.std(), abs=0.01)

    def test_the_linear_rule_is_the_best_linear_one(self):
        task = MackeyGlass()
        fresh = task.sample(3000, np.random.default_rng(5))
        windows = task._windows(fresh.x)[fresh.mask].astype(float)
        a = np.concatenate([windows, np.ones((len(windows), 1))], axis=1)
        y = fresh.y[fresh.mask][:, 0]
        best = np.mean((a @ np.linalg.lstsq(a, y, rcond=None)[0] - y) ** 2)
        found = task.metric.measure(rule(task, "linear autoregression").predict(fresh.x), fresh)
        assert best <= found < 1.15 * best

    def test_what_a_row_does_not_determine_is_refused(self):
        with pytest.raises(InputError, match="ahead is 19; give at most 18"):
            MackeyGlass(ahead=19)
        with pytest.raises(InputError, match="delay is 16"):
            MackeyGlass(delay=16)
        with pytest.raises(InputError, match="length"):
            MackeyGlass(length=17)


class TestNarma:
    @pytest.mark.parametrize("length", [20, 50, 131])
    def test_values_follow_the_equation(self, length):
        batch = Narma(length).sample(40, np.random.default_rng(0))
        for u, outputs in zip(batch.x[..., 0].astype(float), batch.y[..., 0], strict=True):
            y = [0.0]
            for t in range(length):
                before = u[t - 9] if t >= 9 else 0.0
                tens = sum(y[max(0, t - 9) : t + 1])
                y.append(0.3 * y[t] + 0.05 * y[t] * tens + 1.5 * before * u[t] + 0.1)
            np.testing.assert_allclose(outputs, y[1:], atol=1e-5)

    def test_inputs_are_uniform_and_no_row_runs_away(self):
        batch = Narma(200).sample(5000, np.random.default_rng(0))
        assert 0 <= batch.x.min() < batch.x.max() < 0.5
        assert batch.x.mean() == pytest.approx(0.25, abs=0.002)
        assert batch.y.max() <= 1

    def test_a_row_that_runs_away_is_drawn_anew(self):
        """Without it, some of so many rows leave the range."""
        from lstm_baseline.tasks import narma

        u = np.random.default_rng(0).random((20_000, 200), dtype=np.float32) / 2
        assert not (narma._respond(u).max(axis=1) <= 1).all()

    def test_the_mean_is_that_of_each_step(self):
        task = Narma(30)
        fresh = task.sample(20_000, np.random.default_rng(7))
        found = rule(task, "mean").predict(fresh.x)[0, :, 0]
        np.testing.assert_allclose(found, fresh.y[..., 0].mean(axis=0), atol=0.004)


@pytest.mark.parametrize("task", [MackeyGlass(23, 19, 4), Narma(20)], ids=lambda task: task.name)
def test_other_sizes_keep_the_rules_of_tasks(task):
    assert check_task(task) == []
