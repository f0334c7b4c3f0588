"""Models, settings, tasks and gradients go into copies and to other processes."""

import copy
import multiprocessing
import pickle

import numpy as np
import pytest

from lstm_baseline import GRU, LSTM, LSTMCell, MinGRU, RelationalRNN
from lstm_baseline.tasks import TASKS, ArrayFile, TextFile, make_task
from lstm_baseline.training import SGD, Adam, TrainingSettings
from tests.support.models import normal, scatter

MODELS = {
    "LSTM": lambda **o: LSTM(4, 6, 2, rng=0, **o),
    "two layers, both directions": lambda **o: LSTM(
        4, (6, 3), 2, bidirectional=True, dropout=0.1, rng=0, **o
    ),
    "every piece": lambda **o: LSTM(
        4, 6, 2, peepholes=True, layer_norm=True, projection_size=3, rng=0, **o
    ),
    "GRU": lambda **o: GRU(4, 6, 2, rng=0, **o),
    "minGRU": lambda **o: MinGRU(4, 6, 2, rng=0, **o),
    "relational": lambda **o: RelationalRNN(
        4, 2, num_slots=2, num_heads=2, head_size=4, rng=0, **o
    ),
}
WAYS = {"pickle": lambda given: pickle.loads(pickle.dumps(given)), "deepcopy": copy.deepcopy}
X = normal(3, 5, 4)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("engine", ["auto", "reference"])
@pytest.mark.parametrize("name", MODELS)
def test_a_copied_model_is_the_same_and_its_own(name, engine, way):
    model = scatter(MODELS[name](engine=engine))
    expected = model.forward(X)
    copied = WAYS[way](model)
    np.testing.assert_array_equal(copied.forward(X), expected)
    for param in copied.params.values():
        param += 1
    assert (copied.forward(X) != expected).any()  # live
    np.testing.assert_array_equal(model.forward(X), expected)  # and shared with nobody


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("engine", ["auto", "reference"])
@pytest.mark.parametrize("name", list(MODELS)[:3])
def test_a_copied_frozen_model_is_the_same(name, engine, way):
    frozen = scatter(MODELS[name](engine=engine)).freeze()
    copied = WAYS[way](WAYS[way](frozen))
    assert repr(copied) == repr(frozen)
    np.testing.assert_array_equal(copied.forward(X), frozen.forward(X))
    if "directions" not in name:
        for step in (lambda model: model.step(X[:, 0]), lambda model: model.step(X[:, 0], None)):
            np.testing.assert_array_equal(step(copied)[0], step(frozen)[0])


def _forward(model):
    return model.forward(X)


def test_another_process_gets_a_frozen_model():
    frozen = scatter(MODELS["LSTM"]()).freeze()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        np.testing.assert_array_equal(pool.apply(_forward, (frozen,)), frozen.forward(X))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", MODELS)
def test_copied_gradients_have_those_of_x(name, way):
    model = scatter(MODELS[name]())
    outputs, cache = model.forward_with_cache(X)
    found, copied = model.backward(outputs, cache), WAYS[way](model.backward(outputs, cache))
    np.testing.assert_array_equal(copied.x, found.x)
    for key, value in found.params.items():
        np.testing.assert_array_equal(copied.params[key], value)


@pytest.mark.parametrize("way", WAYS)
def test_other_objects_are_copied(tmp_path, way):
    np.savez(tmp_path / "a.npz", X=normal(30, 4, 2), y=np.arange(30) % 2)
    (tmp_path / "a.txt").write_text("abcd " * 200)
    tasks = [make_task(name) for name in TASKS]
    tasks += [ArrayFile(tmp_path / "a.npz"), TextFile(tmp_path / "a.txt")]
    for task in tasks:
        batch, again = task.train_batch(3, 8, 1), WAYS[way](task).train_batch(3, 8, 1)
        np.testing.assert_array_equal(batch.x, again.x)
        np.testing.assert_array_equal(batch.y, again.y)
    assert WAYS[way](TrainingSettings(num_steps=4)).num_steps == 4
    for kind in (Adam, SGD):
        model = MODELS["LSTM"]()
        model, optimizer = WAYS[way]((model, kind(model.params)))
        before = {name: value.copy() for name, value in model.params.items()}
        optimizer.update({name: np.ones_like(value) for name, value in before.items()}, 0.1)
        assert all((model.params[name] != value).all() for name, value in before.items())
    cell = LSTMCell(4, 6)
    h = c = np.zeros((6, 1))
    ours, theirs = (each.forward(X[0, :1], h, c) for each in (cell, WAYS[way](cell)))
    np.testing.assert_array_equal(ours[0], theirs[0])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", MODELS)
def test_a_stream_goes_on_from_a_copied_state(name, way):
    model = scatter(MODELS[name]())
    _, *state = model.forward(X, return_state=True)
    for given in (state, model.initial_state(3)):
        copied = WAYS[way](given)
        assert type(copied) is type(given)
        expected = model.forward(X, initial_state=given)
        np.testing.assert_array_equal(model.forward(X, initial_state=copied), expected)
