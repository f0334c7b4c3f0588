"""Targets that do not count: the loss, the gradients and the score are those of the others."""

import numpy as np
import pytest

from lstm_baseline import GRU, LSTM, InputError, RelationalRNN
from lstm_baseline.tasks import ACCURACY, Batch, Task
from lstm_baseline.tasks.metrics import CROSS_ENTROPY, MEAN_SQUARED_ERROR
from lstm_baseline.training import TrainingSettings, cross_entropy, mean_squared_error, train
from lstm_baseline.training.counted_outputs import counted_outputs, forward_where_it_counts
from lstm_baseline.training.truncation import truncated_gradients

B, T, I, O = 5, 7, 3, 4


def rng():
    return np.random.default_rng(3)


def some(lengths=None):
    draws = rng()
    mask = draws.random((B, T)) < 0.5
    mask[:, 1] = True
    if lengths is not None:
        mask &= np.arange(T) < lengths[:, None]
    x = draws.standard_normal((B, T, I))
    return Batch(x, draws.integers(O, size=(B, T)), lengths, mask=mask)


LENGTHS = np.array([7, 4, 2, 6, 7])


class Plain:
    """A model of somebody's, which knows nothing of ``at``."""

    def __init__(self, model):
        self.model, self.params = model, model.params

    def forward(self, x, return_sequences=True, *, lengths=None):
        return self.model.forward(x, return_sequences, lengths=lengths)

    def forward_with_cache(self, x, return_sequences=True, *, lengths=None, rng=None):
        return self.model.forward_with_cache(x, return_sequences, lengths=lengths, rng=rng)

    def backward(self, d_outputs, cache):
        return self.model.backward(d_outputs, cache)


MODELS = [
    LSTM(I, 6, O, rng=0, dtype=np.float64),
    LSTM(I, 5, O, num_layers=2, bidirectional=True, rng=0, dtype=np.float64),
    GRU(I, 6, O, rng=0, dtype=np.float64),
    RelationalRNN(I, O, num_slots=2, num_heads=2, head_size=3, rng=0, dtype=np.float64),
]


def kind(model):
    return f"{type(model).__name__}{model.num_layers}"


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole rows", "lengths"])
@pytest.mark.parametrize("model", MODELS, ids=kind)
def test_outputs_at_steps_are_those_of_all_steps(model, lengths):
    batch = some(lengths)
    everything = model.forward(batch.x, lengths=lengths)
    chosen = model.forward(batch.x, lengths=lengths, at=batch.mask)
    np.testing.assert_allclose(chosen, everything[batch.mask], rtol=1e-12, atol=1e-14)
    assert chosen.shape == (batch.mask.sum(), O)


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole rows", "lengths"])
@pytest.mark.parametrize("model", MODELS, ids=kind)
def test_the_loss_of_some_targets_has_the_gradients_of_central_differences(model, lengths):
    batch = some(lengths)

    def loss():
        found = counted_outputs(model, batch, per_step=True)
        return cross_entropy(found.outputs, found.targets, found.lengths)[0]

    found = counted_outputs(model, batch, per_step=True)
    _, d_outputs = cross_entropy(found.outputs, found.targets, found.lengths)
    gradients, draws = found.backward(d_outputs), rng()
    for name, value in model.params.items():
        for k in draws.integers(value.size, size=3):
            entry, kept = value.reshape(-1), value.reshape(-1)[k]
            losses = []
            for moved in (kept + 1e-5, kept - 1e-5):
                entry[k] = moved
                losses.append(loss())
            entry[k] = kept
            slope = (losses[0] - losses[1]) / 2e-5
            assert gradients[name].reshape(-1)[k] == pytest.approx(slope, rel=1e-5, abs=1e-9), name


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole rows", "lengths"])
def test_a_model_without_the_argument_gets_the_same(lengths):
    batch, own = some(lengths), MODELS[0]
    results = []
    for model in (own, Plain(own)):
        found = counted_outputs(model, batch, per_step=True)
        loss, d_outputs = cross_entropy(found.outputs, found.targets, found.lengths)
        outputs = forward_where_it_counts(model, batch, per_step=True)
        results.append((loss, outputs, found.backward(d_outputs)))
    (loss, outputs, gradients), (other_loss, other_outputs, other_gradients) = results
    assert loss == pytest.approx(other_loss, rel=1e-13)
    np.testing.assert_allclose(outputs, other_outputs, rtol=1e-12, atol=1e-14)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(gradient, other_gradients[name], rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole rows", "lengths"])
def test_one_window_over_all_steps_is_no_truncation(lengths):
    batch, model = some(lengths), MODELS[0]
    found = counted_outputs(model, batch, per_step=True)
    loss, d_outputs = cross_entropy(found.outputs, found.targets)
    wanted = found.backward(d_outputs)
    for steps in (T, T + 3):
        value, gradients = truncated_gradients(model, cross_entropy, batch, steps, per_step=True)
        assert value == pytest.approx(loss, rel=1e-13)
        for name, gradient in gradients.items():
            np.testing.assert_allclose(gradient, wanted[name], rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_windows_add_up_to_the_whole_loss(steps):
    batch, model = some(LENGTHS), MODELS[0]
    outputs = forward_where_it_counts(model, batch, per_step=True)
    loss, _ = cross_entropy(outputs, batch.y[batch.mask])
    value, _ = truncated_gradients(model, cross_entropy, batch, steps, per_step=True)
    assert value == pytest.approx(loss, rel=1e-13)


class TestMetrics:
    def test_targets_that_do_not_count_may_be_anything(self):
        batch = some(LENGTHS)
        outputs = MODELS[0].forward(batch.x, lengths=LENGTHS)
        spoilt = batch._replace(y=np.where(batch.mask, batch.y, -100))
        garbage = np.where(batch.mask[..., None], outputs, np.nan)
        for metric in (ACCURACY, CROSS_ENTROPY):
            score = metric.measure(outputs, batch)
            assert metric.measure(garbage, spoilt) == score
            assert metric.measure(outputs[batch.mask], spoilt) == score
            assert metric.standard_error(garbage, spoilt) == metric.standard_error(outputs, batch)

    def test_the_score_is_the_mean_over_targets_and_not_over_rows(self):
        mask = np.array([[True, False, False], [True, True, True]])
        batch = Batch(np.zeros((2, 3, 1)), np.array([[0, 0, 0], [1, 1, 1]]), mask=mask)
        always_0 = np.broadcast_to([1.0, 0.0], (2, 3, 2))
        assert ACCURACY.measure(always_0, batch) == 0.25

    def test_a_mask_of_whole_rows_is_the_same_as_none(self):
        batch = some(LENGTHS)
        whole = np.arange(T) < LENGTHS[:, None]
        values = rng().standard_normal((B, T, O))
        outputs = values + 0.1 * rng().standard_normal((B, T, O))
        for metric, y in ((ACCURACY, batch.y), (MEAN_SQUARED_ERROR, values)):
            plain = Batch(batch.x, y, LENGTHS)
            masked = plain._replace(mask=whole)
            assert metric.measure(outputs, masked) == metric.measure(outputs, plain)
            assert metric.standard_error(outputs, masked) == metric.standard_error(outputs, plain)
            drops = [metric.drop(outputs, values, each) for each in (plain, masked)]
            assert drops[0] == drops[1]


class Echo(Task):
    """Say, at marked steps alone, what was shown two steps before."""

    name, per_step, loss, metric = "echo", True, "cross_entropy", ACCURACY
    input_size, output_size = 5, 4

    def config(self):
        return {"task": self.name}

    def sample(self, size, draws):
        symbols = draws.integers(4, size=(size, 8))
        mask = draws.random((size, 8)) < 0.4
        mask[:, :2], mask[:, 7] = False, True
        x = np.concatenate([np.eye(4)[symbols], mask[..., None]], axis=-1).astype(np.float32)
        y = np.full((size, 8), -100)
        y[:, 2:] = np.where(mask[:, 2:], symbols[:, :-2], -100)
        return Batch(x, y, mask=mask)

    def train_batch(self, step, size, seed):
        return self.sample(size, np.random.default_rng([seed, 1, step]))

    def validation(self, seed):
        return self.sample(300, np.random.default_rng([seed, 2]))

    def test(self, seed):
        return self.sample(300, np.random.default_rng([seed, 3]))

    def ladder(self, seed=0):
        return []


@pytest.mark.parametrize("truncate", [None, 4])
def test_a_masked_task_is_learned(truncate):
    task = Echo()
    settings = TrainingSettings(
        num_steps=400, learning_rate=0.01, evaluate_every=100, truncate=truncate
    )
    result = train(LSTM(5, 24, 4, rng=0), task, settings, seed=0)
    assert result.history[0].metric < 0.4
    assert result.history[-1].metric > 0.9
    assert result.history[-1].loss < 0.5


def test_values_count_where_the_mask_says():
    batch, model = some(), MODELS[0]
    values = rng().standard_normal((B, T, O))
    values[~batch.mask] = np.nan
    found = counted_outputs(model, batch._replace(y=values), per_step=True)
    loss, _ = mean_squared_error(found.outputs, found.targets, found.lengths)
    assert np.isfinite(loss)


class TestRefusals:
    def test_steps_beyond_a_row(self):
        with pytest.raises(InputError, match="at is True beyond a row's length"):
            MODELS[0].forward(some().x, lengths=LENGTHS, at=np.ones((B, T), bool))

    @pytest.mark.parametrize("at", [np.ones((B, T), int), np.ones((B, T + 1), bool), [True]])
    def test_what_is_not_one_boolean_a_step(self, at):
        with pytest.raises(InputError, match="give booleans, one a step, "):
            MODELS[0].forward(some().x, at=at)

    def test_the_last_output_alone(self):
        with pytest.raises(InputError, match="set return_sequences"):
            MODELS[0].forward(some().x, False, at=np.ones((B, T), bool))
