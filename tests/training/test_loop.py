"""The training loop: learns, stops early, restores the best weights, refuses what is not finite."""

import math
from typing import Any

import numpy as np
import pytest

from lstm_baseline import GRU, LSTM, DivergenceError, FileError, RelationalRNN
from lstm_baseline.tasks import ArrayFile, Batch, make_task
from lstm_baseline.training import TrainingSettings, cross_entropy, evaluate, train
from lstm_baseline.training.loop import CHECKPOINT, METRICS
from tests.support.labels import Echo

TASK = make_task("pair-matching", num_pairs=2, num_symbols=6)
SHORT = TrainingSettings(num_steps=40, batch_size=16, learning_rate=1e-2, evaluate_every=10)


def lstm(seed: int = 0, **options: Any) -> LSTM:
    return LSTM(TASK.input_size, 24, TASK.output_size, rng=seed, **options)


def without_seconds(history: list[Any]) -> list[Any]:
    return [record._replace(seconds=0.0) for record in history]


def test_lstm_learns_what_no_heuristic_can() -> None:
    model = lstm()
    untrained = evaluate(model, TASK, TASK.test(0))
    settings = TrainingSettings(num_steps=600, batch_size=64, learning_rate=1e-2)
    train(model, TASK, settings, seed=0)
    best_heuristic = max(rung.score for rung in TASK.ladder() if rung.kind != "oracle")
    assert untrained < 0.3
    assert evaluate(model, TASK, TASK.test(0)) > best_heuristic + 0.3


@pytest.mark.parametrize("model_class", [LSTM, GRU, RelationalRNN])
@pytest.mark.parametrize("optimizer", ["adam", "adamw", "rmsprop", "sgd"])
def test_loss_falls_for_every_model_and_optimizer(model_class: Any, optimizer: str) -> None:
    task = make_task("adding", length=6)
    if model_class is RelationalRNN:
        model = RelationalRNN(2, 1, num_heads=2, head_size=4, rng=0)
    else:
        model = model_class(2, 16, 1, rng=0)
    settings = TrainingSettings(
        num_steps=200, optimizer=optimizer, learning_rate=0.02, evaluate_every=50
    )
    history = train(model, task, settings, seed=0).history
    assert history[-1].metric < history[0].metric
    assert history[-1].loss < history[1].loss


def test_weight_decay_is_that_of_the_settings(tmp_path: Any) -> None:
    found = {}
    for decay in (0.0, 0.0, 0.5):
        model = lstm()
        settings = SHORT.model_copy(update={"optimizer": "adamw", "weight_decay": decay})
        train(model, TASK, settings, seed=0, folder=tmp_path / str(decay))
        found[decay] = model.params
    adam = lstm()
    train(adam, TASK, SHORT, seed=0)
    for name, value in adam.params.items():
        np.testing.assert_array_equal(found[0.0][name], value)
    assert np.linalg.norm(found[0.5]["U"]) < 0.95 * np.linalg.norm(found[0.0]["U"])
    with pytest.raises(FileError, match=r"another run \(it differs in settings\)"):
        train(lstm(), TASK, settings, seed=0, folder=tmp_path / "0.0")


def test_several_labels_are_learned_at_every_step() -> None:
    task = Echo(length=5)
    model = LSTM(task.input_size, 16, task.output_size, rng=0)
    chance = task.ladder()[0].score
    assert chance == pytest.approx(task.output_size * math.log(2))
    settings = TrainingSettings(num_steps=400, learning_rate=0.02, optimizer="rmsprop")
    result = train(model, task, settings, seed=0)
    assert evaluate(model, task, task.test(0)) < 0.2 * chance
    # The loss on validation samples is what the metric measures there.
    assert result.history[-1].metric == pytest.approx(result.history[-1].validation_loss, rel=1e-5)


def test_history_has_a_line_at_every_validation() -> None:
    history = train(lstm(), TASK, SHORT, seed=0).history
    assert [record.step for record in history] == [0, 10, 20, 30, 40]
    assert history[0].loss is None
    for record in history[1:]:
        assert record.loss > 0
        assert record.gradient_norm > 0
        assert 0 < record.learning_rate <= SHORT.learning_rate
        assert 0 <= record.metric <= 1
    seconds = [record.seconds for record in history]
    assert seconds == sorted(seconds)


def test_same_seed_same_bits_and_other_seed_other_bits() -> None:
    models = [lstm(), lstm(), lstm()]
    for model, seed in zip(models, (0, 0, 1), strict=True):
        train(model, TASK, SHORT, seed=seed)
    same, again, other = (model.params["U"] for model in models)
    np.testing.assert_array_equal(same, again)
    assert (same != other).any()


def test_best_weights_are_restored() -> None:
    """A learning rate that rises until it ruins the weights leaves the ones before."""
    model = lstm()
    settings = SHORT.model_copy(
        update={"num_steps": 200, "learning_rate": 3.0, "warmup_steps": 200, "clip_norm": None}
    )
    result = train(model, TASK, settings, seed=0)
    metrics = {record.step: record.metric for record in result.history}
    assert result.best_step < 200
    assert metrics[result.best_step] == max(metrics.values()) > metrics[200]
    assert evaluate(model, TASK, TASK.validation(0)) == metrics[result.best_step]


def test_patience_stops_early() -> None:
    still = {"num_steps": 1000, "patience": 3, "learning_rate": 1e-30}
    result = train(lstm(), TASK, SHORT.model_copy(update=still), seed=0)
    assert [record.step for record in result.history] == [0, 10, 20, 30]
    assert (result.best_step, result.selected_by) == (0, "untrained")


def test_a_tie_in_accuracy_is_decided_by_the_loss_and_never_for_the_untrained_network(
    tmp_path: Any,
) -> None:
    """On three validation rows of easy data some untrained networks are right by chance."""
    rng = np.random.default_rng(0)
    y = np.arange(20) % 2
    np.savez(tmp_path / "d.npz", X=rng.standard_normal((20, 4, 2)) + 4 * y[:, None, None], y=y)
    task = ArrayFile(tmp_path / "d.npz")
    settings = SHORT.model_copy(update={"num_steps": 60, "evaluate_every": 20})
    at_start = set()
    for seed in range(8):
        model = LSTM(2, 8, 2, rng=seed)
        result = train(model, task, settings, seed=seed)
        start, *trained = result.history
        at_start.add(start.metric)
        best = max(trained, key=lambda r: (r.metric, -r.validation_loss, r.step))
        assert best.validation_loss < start.validation_loss
        assert result.best_step == best.step
        batch = task.validation(seed)
        loss, _ = cross_entropy(model.forward(batch.x, False), batch.y)
        assert loss == best.validation_loss
    assert 1.0 in at_start


class PoisonedTask(type(TASK)):  # type: ignore[misc]
    """A task that is as usual until step 25, when its input holds an infinity."""

    def config(self) -> dict[str, Any]:
        """Pass for the sound task."""
        return {**super().config(), "task": TASK.name}

    def train_batch(self, step: int, size: int, seed: int) -> Batch:
        batch = super().train_batch(step, size, seed)
        if step >= 25:
            batch.x[0, 0, 0] = math.nan
        return batch


def test_non_finite_loss_stops_and_keeps_the_last_good_checkpoint(tmp_path: Any) -> None:
    poisoned = PoisonedTask(num_pairs=2, num_symbols=6)
    with pytest.raises(DivergenceError, match=r"loss is nan at step 25.*step 20.*learning rate"):
        train(lstm(), poisoned, SHORT, seed=0, folder=tmp_path)
    until_20 = lstm(seed=1)
    # Continued on sound data, the checkpoint is as good as new.
    result = train(until_20, TASK, SHORT, seed=0, folder=tmp_path)
    undisturbed = lstm()
    assert without_seconds(result.history) == without_seconds(
        train(undisturbed, TASK, SHORT, seed=0).history
    )
    np.testing.assert_array_equal(until_20.params["W"], undisturbed.params["W"])


def test_divergence_under_a_huge_learning_rate_is_one_clear_error(tmp_path: Any) -> None:
    task = make_task("adding", length=5)
    settings = TrainingSettings(
        num_steps=500, optimizer="sgd", learning_rate=1e30, clip_norm=None, evaluate_every=100
    )
    with pytest.raises(DivergenceError, match="lower the learning rate"):
        train(LSTM(2, 8, 1, rng=0), task, settings, seed=0, folder=tmp_path)
    assert (tmp_path / CHECKPOINT).exists()


def test_checkpoint_of_another_run_is_refused(tmp_path: Any) -> None:
    train(lstm(), TASK, SHORT, seed=0, folder=tmp_path)
    before = (tmp_path / CHECKPOINT).read_bytes()
    with pytest.raises(FileError, match=r"another run \(it differs in seed\)"):
        train(lstm(), TASK, SHORT, seed=1, folder=tmp_path)
    with pytest.raises(FileError, match="settings"):
        train(lstm(), TASK, SHORT.model_copy(update={"batch_size": 8}), seed=0, folder=tmp_path)
    assert (tmp_path / CHECKPOINT).read_bytes() == before


def test_damaged_checkpoint_is_refused(tmp_path: Any) -> None:
    train(lstm(), TASK, SHORT, seed=0, folder=tmp_path)
    content = (tmp_path / CHECKPOINT).read_bytes()
    (tmp_path / CHECKPOINT).write_bytes(content[: len(content) // 2])
    model = lstm()
    before = model.get_params()
    with pytest.raises(FileError, match="damaged"):
        train(model, TASK, SHORT, seed=0, folder=tmp_path)
    for name, value in model.get_params().items():
        np.testing.assert_array_equal(value, before[name])


class Spy:
    """A model that keeps what ``forward_with_cache`` is given."""

    def __init__(self, model: Any) -> None:
        self.model, self.params = model, model.params
        self.forward, self.backward = model.forward, model.backward
        self.given: list[dict[str, Any]] = []

    def forward_with_cache(self, x: Any, *args: Any, **options: Any) -> Any:
        self.given.append(options | {"drawn": options["rng"].random(), "num_steps": x.shape[1]})
        return self.model.forward_with_cache(x, *args, **options)


@pytest.mark.parametrize("options", [{}, {"recompute": True}, {"truncate": 2}])
def test_a_model_is_given_numbers_of_its_own_at_every_step(options: dict[str, Any]) -> None:
    runs = []
    for seed in (0, 0, 1):
        spy = Spy(lstm(recurrent_dropout=0.5))
        train(spy, TASK, SHORT.model_copy(update=options), seed=seed)
        runs.append([given["drawn"] for given in spy.given])
        assert len(set(runs[-1])) == len(runs[-1])
        for given in spy.given:
            assert given.get("recompute", False) == options.get("recompute", False)
            assert given["num_steps"] <= options.get("truncate", given["num_steps"])
    assert runs[0] == runs[1] != runs[2]


DROPS = {"recurrent_dropout": 0.2, "zoneout": 0.1, "weight_drop": 0.1, "output_dropout": 0.1}


@pytest.mark.parametrize("options", [{}, DROPS], ids=["plain", "with masks"])
@pytest.mark.parametrize("step", [10, 20, 30])
def test_resumed_at_any_checkpoint_ends_with_the_same_bits(
    tmp_path: Any, step: int, options: dict[str, Any]
) -> None:
    class Stop(Exception):
        pass

    def stop(record: Any) -> None:
        if record.step == step:
            raise Stop

    whole, resumed = lstm(**options), lstm(**options)
    expected = train(whole, TASK, SHORT, seed=3)
    with pytest.raises(Stop):
        train(lstm(**options), TASK, SHORT, seed=3, folder=tmp_path, on_validation=stop)
    result = train(resumed, TASK, SHORT, seed=3, folder=tmp_path)
    assert without_seconds(result.history) == without_seconds(expected.history)
    assert len((tmp_path / METRICS).read_text().splitlines()) == len(expected.history)
    for name, value in whole.params.items():
        np.testing.assert_array_equal(resumed.params[name], value)


def ragged_file(tmp_path: Any, per_step: bool, regression: bool) -> ArrayFile:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((300, 7, 3))
    lengths = rng.integers(1, 8, 300)
    valid = np.arange(7) < lengths[:, None]
    sums = np.cumsum(np.where(valid, x[:, :, 0], 0), axis=1)
    last = sums[np.arange(300), lengths - 1]
    y = sums[:, :, None] if per_step else last
    if not regression:
        y = ((sums if per_step else last) > 0).astype(int)
    x[~valid] = np.nan  # padding must reach nothing
    np.savez(tmp_path / "ragged.npz", X=x, y=y, lengths=lengths)
    return ArrayFile(tmp_path / "ragged.npz")


@pytest.mark.parametrize("per_step", [False, True])
@pytest.mark.parametrize("regression", [False, True])
def test_ragged_rows_are_learned(tmp_path: Any, per_step: bool, regression: bool) -> None:
    task = ragged_file(tmp_path, per_step, regression)
    model = LSTM(task.input_size, 16, task.output_size, rng=0)
    settings = TrainingSettings(num_steps=300, learning_rate=1e-2, evaluate_every=50)
    train(model, task, settings, seed=0)
    score = evaluate(model, task, task.test(0))
    rungs = [rung.score for rung in task.ladder()]
    assert score < min(rungs) / 3 if regression else score > max(rungs) + 0.15
