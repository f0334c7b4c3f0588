"""Who gets tokens and who gets one-hot rows, on a task of tokens."""

import copy
import pickle

import numpy as np
import pytest

from lstm_baseline import LSTM
from lstm_baseline.contestants.challenger import check_challenger
from lstm_baseline.contestants.contestant import Contestant
from lstm_baseline.contestants.one_hot_inputs import OneHotInputs, takes_tokens
from lstm_baseline.training import TrainingSettings, evaluate, train
from tests.support.token_tasks import FirstToken


class Numbers:
    """A challenger that knows nothing of tokens."""

    def __init__(self, input_size, output_size, hidden_size, rng=None):
        self.inner = LSTM(input_size, hidden_size, output_size, rng=rng)
        self.params = self.inner.params
        self.seen = set()

    def forward(self, x, return_sequences=True, *, lengths=None):
        self.seen.add((x.dtype.kind, x.ndim))
        return self.inner.forward(x, return_sequences, lengths=lengths)

    def forward_with_cache(self, x, return_sequences=True, *, lengths=None, rng=None):
        self.seen.add((x.dtype.kind, x.ndim))
        return self.inner.forward_with_cache(x, return_sequences, lengths=lengths, rng=rng)

    def backward(self, d_outputs, cache):
        return self.inner.backward(d_outputs, cache)


class Takes(Numbers):
    takes_tokens = True


TASK = FirstToken()
SETTINGS = TrainingSettings(num_steps=150, learning_rate=0.02, evaluate_every=50)


def built(name):
    module = f"{__name__}:{name}"
    return Contestant.model_validate({"name": "mine", "model": module}).build(TASK, 12, 0)


def test_a_class_that_says_so_gets_tokens():
    model = built("Takes")
    train(model, TASK, SETTINGS, seed=0)
    assert model.seen == {("i", 2)}
    assert evaluate(model, TASK, TASK.test(0)) > 0.9


def test_any_other_gets_one_hot_rows_and_ends_the_same():
    model, its = built("Numbers"), built("Takes")
    assert isinstance(model, OneHotInputs)
    for each in (model, its):
        train(each, TASK, SETTINGS, seed=0)
    assert model.model.seen == {("f", 3)}
    for name, value in its.params.items():
        np.testing.assert_allclose(model.params[name], value, rtol=2e-3, atol=2e-4)


def test_it_passes_for_the_model_inside():
    model = built("Numbers")
    assert model.inner is model.model.inner
    assert not hasattr(model, "no_such_thing")
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        x = TASK.test(0).x
        np.testing.assert_array_equal(again.forward(x, False), model.forward(x, False))


@pytest.mark.parametrize("name", ["Numbers", "Takes"])
def test_the_checks_take_both(name):
    contestant = Contestant.model_validate({"name": "mine", "model": f"{__name__}:{name}"})
    check_challenger(lambda seed: contestant.build(TASK, 6, seed), TASK, "mine")


def test_the_package_s_own_get_tokens():
    for name in ("lstm", "gru", "relational", "mingru"):
        model = Contestant.model_validate(name).build(TASK, 4, 0)
        assert takes_tokens(model)
        assert not isinstance(model, OneHotInputs)
