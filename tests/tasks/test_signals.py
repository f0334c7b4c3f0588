"""Signals: each against its equation, one step at a time in float64."""

import numpy as np
import pytest

from lstm_baseline import LSTM, InputError
from lstm_baseline.tasks import Lorenz, MackeyGlass, Narma, make_task
from lstm_baseline.tasks.memoryless import memoryless_rungs
from lstm_baseline.testing import check_task
from lstm_baseline.training.loop import predict


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
        apart = np.abs(np.diff(task._iterate(start, 3000), axis=1))
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


def lorenz(state):
    s1, s2, s3 = state
    return np.array([10 * (s2 - s1), s1 * (28 - s3) - s2, s1 * s2 - 8 / 3 * s3])


def runge_kutta(state, h=0.025):
    a = lorenz(state)
    b = lorenz(state + h / 2 * a)
    c = lorenz(state + h / 2 * b)
    return state + h / 6 * (a + 2 * b + 2 * c + lorenz(state + h * c))


class TestLorenz:
    def test_values_follow_from_one_state(self):
        """The state is looked for by another method, over all values of a row."""
        optimize = pytest.importorskip("scipy.optimize")
        task = Lorenz(12, ahead=3)
        batch = task.sample(20, np.random.default_rng(0))
        for x, y in zip(batch.x[..., 0], batch.y[..., 0], strict=True):
            np.testing.assert_array_equal(y[:-3], x[3:])
            shown = 8 * np.concatenate([x, y[-3:]]).astype(float)

            def miss(state, shown=shown):
                found = []
                for _ in shown:
                    found.append(state[0])
                    state = runge_kutta(runge_kutta(state))
                return np.array(found) - shown

            slope = (4 * shown[1] - 3 * shown[0] - shown[2]) / 0.1
            start = np.array([shown[0], shown[0] + slope / 10, 23.5])
            found = optimize.least_squares(miss, start, x_scale=8.0)
            assert np.abs(found.fun).max() < 3e-5

    def test_steps_count_from_the_fourth_on(self):
        mask = Lorenz(10).sample(3, np.random.default_rng(0)).mask
        assert (mask == (np.arange(10) >= 3)).all()

    def test_rows_are_on_the_attractor_from_their_first_step(self):
        x = Lorenz(200).sample(5000, np.random.default_rng(0)).x[..., 0]
        for part in (x[:, :20], x[:, -20:]):
            assert part.mean() == pytest.approx(0, abs=0.03)
            assert part.std() == pytest.approx(0.99, abs=0.02)
        assert np.abs(x).max() < 20 / 8

    @pytest.mark.parametrize("ahead", [1, 2, 5, 20, 40])
    def test_the_oracle_finds_the_state_from_four_values(self, ahead):
        task = Lorenz(8, ahead=ahead)
        batch = task.sample(4000, np.random.default_rng(1))
        assert task.metric.measure(rule(task, "oracle").predict(batch.x), batch) < 1e-8

    def test_it_is_chaotic(self):
        """Two rows that are alike in their first values by 1e-3 end apart."""
        x = Lorenz(300).sample(4000, np.random.default_rng(0)).x[..., 0]
        first = x[:, :4]
        i = np.argsort(first[:, 0])
        i, j = i[:-1], i[1:]
        near = np.abs(first[i] - first[j]).max(axis=1) < 5e-3
        assert near.sum() > 3
        apart = np.abs(x[i] - x[j])[near]
        assert np.median(apart[:, 10]) < 0.1
        assert np.median(apart[:, -100:].max(axis=1)) > 2


CLOSED = [MackeyGlass(40, ahead=1, closed_loop=20), Lorenz(30, ahead=1, closed_loop=20)]


@pytest.mark.parametrize("task", CLOSED, ids=lambda task: task.name)
class TestClosedLoop:
    def test_it_keeps_the_rules_of_tasks(self, task):
        assert check_task(task) == []

    def test_training_is_as_without_and_only_the_loop_is_tested(self, task):
        config = task.config()
        opened = make_task(config.pop("task"), **config | {"closed_loop": 0})
        for one, other in zip(task.train_batch(3, 9, 1), opened.train_batch(3, 9, 1), strict=True):
            np.testing.assert_array_equal(one, other)
        in_loop = np.arange(task.length) >= task.length - task.closed_loop
        for batch in (task.validation(1), task.test(1)):
            assert (batch.mask == in_loop).all()

    def test_a_model_sees_its_own_predictions(self, task):
        """Against a loop that keeps the state from step to step."""
        model = LSTM(1, 8, 1, rng=0)
        batch = task.test(0).rows(slice(0, 300))
        found = predict(model, task, batch)
        x = batch.x.copy()
        shown = task.length - task.closed_loop
        for step in range(shown, task.length):
            x[:, step] = model.forward(x, True)[:, step - 1]
        expected = model.forward(x, True)[:, shown:].reshape(-1, 1)
        np.testing.assert_allclose(found, expected, atol=1e-6)

    def test_what_comes_later_is_never_seen(self, task):
        model = LSTM(1, 8, 1, rng=0)
        batch = task.test(0).rows(slice(0, 5))
        x = batch.x.copy()
        x[:, task.length - task.closed_loop :] = 77
        np.testing.assert_array_equal(
            predict(model, task, batch), predict(model, task, batch._replace(x=x))
        )

    def test_rules_are_run_in_the_loop_too(self, task):
        """Persistence repeats the last value shown."""
        scores = {rung.name: rung.score for rung in task.ladder()}
        batch = task.ladder_samples(0)
        shown = task.length - task.closed_loop
        repeated = np.broadcast_to(batch.x[:, shown - 1 : shown], batch.y[:, shown:].shape)
        wrong = np.mean((repeated - batch.y[:, shown:]) ** 2, dtype=np.float64)
        assert scores["persistence"] == pytest.approx(wrong)
        assert scores["oracle"] < 1e-6 < scores["linear autoregression"]

    def test_models_without_memory_are_not_fitted(self, task):
        assert memoryless_rungs(task) == ()


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda: Lorenz(ahead=2, closed_loop=3), "closed_loop is 3 and ahead 2"),
        (lambda: Lorenz(10, ahead=1, closed_loop=7), "of 10 steps give at most 6"),
        (lambda: MackeyGlass(ahead=1, closed_loop=47), "of 64 steps give at most 46"),
        (lambda: Lorenz(3), "length is 3"),
    ],
)
def test_a_loop_that_cannot_be_closed_is_refused(make, line):
    with pytest.raises(InputError, match=line):
        make()
