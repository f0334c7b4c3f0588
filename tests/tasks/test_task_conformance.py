"""What every generated task promises, held against each of them."""

import json
import pickle
import time

import numpy as np
import pytest

from lstm_baseline.engine.errors import InputError
from lstm_baseline.tasks import TASKS, GeneratedTask, make_task
from lstm_baseline.tasks.measured_ladders import read
from lstm_baseline.testing import check_task


@pytest.fixture(params=sorted(TASKS))
def task(request):
    return make_task(request.param)


def same(a, b):
    return all(np.array_equal(p, q) for p, q in zip(a[:2], b[:2], strict=True))


@pytest.fixture
def few_samples(monkeypatch):
    """Make validation, test and ladder smaller, of tasks that leave their sizes as they are."""
    for size in ("validation_size", "test_size", "ladder_size"):
        monkeypatch.setattr(GeneratedTask, size, 2000)


@pytest.mark.slow
def test_it_keeps_the_rules_that_tasks_of_users_must_keep(few_samples, task):
    assert check_task(task) == []


def test_shapes_and_dtypes(task):
    batch = task.sample(7, np.random.default_rng(0))
    size, steps = batch.x.shape[:2]
    if task.tokens:
        assert batch.x.ndim == 2
        assert batch.x.dtype == np.int64
        assert batch.x.min() >= 0
        assert batch.x.max() < task.input_size
    else:
        assert batch.x.shape == (7, steps, task.input_size)
        assert batch.x.dtype == np.float32
    assert size == 7
    assert batch.lengths is None
    target_shape = (size, steps) if task.per_step else (size,)
    if task.loss == "cross_entropy":
        assert batch.y.shape == target_shape
        assert batch.y.dtype == np.int64
        assert batch.y.min() >= 0
        assert batch.y.max() < task.output_size
    else:
        assert batch.y.shape == (*target_shape, task.output_size)
        assert batch.y.dtype == np.float32


def test_predictions_have_the_form_of_a_model_s_output(task):
    batch = task.sample(7, np.random.default_rng(0))
    before = batch.x.copy()
    steps = batch.x.shape[1:2] if task.per_step else ()
    for rule in task.predictors():
        assert rule.predict(batch.x).shape == (7, *steps, task.output_size)
        assert rule.predict(batch.x).dtype == np.float32
    assert np.array_equal(batch.x, before)


def test_name_is_the_registered_one(task):
    assert TASKS[task.name]().name == task.name
    assert task.summary


def test_same_seed_same_data(task):
    assert same(task.train_batch(3, 5, seed=1), task.train_batch(3, 5, seed=1))
    assert same(task.validation(1), task.validation(1))
    assert same(task.test(1), task.test(1))


def test_streams_differ(task):
    # One size for all, or two streams would differ for that alone.
    size = task.validation_size = task.test_size = 500
    streams = [
        task.train_batch(0, size, seed=0),
        task.train_batch(1, size, seed=0),
        task.train_batch(0, size, seed=1),
        task.validation(0),
        task.validation(1),
        task.test(0),
        task.test(1),
    ]
    for i, a in enumerate(streams):
        for b in streams[:i]:
            assert not same(a, b)


def test_oracle_is_perfect(task):
    oracle = task.predictors()[-1]
    assert oracle.kind == "oracle"
    batch = task.sample(task.ladder_size, np.random.default_rng(4))
    predictions = oracle.predict(batch.x)
    score = task.metric.measure(predictions, batch)
    if task.noisy:  # the best that can be had is known in closed form
        error = task.metric.standard_error(predictions, batch)
        assert abs(score - task.optimum) < 4 * error
        assert error < 0.005
    elif task.name == "lorenz":  # its state is found from values that are rounded
        assert 0 < score < 1e-12
    else:
        assert score == task.metric.perfect


def test_ladder_goes_from_chance_up_to_the_oracle(task):
    """As it was measured on all samples; test_measured_ladders.py has that it is so."""
    ladder = read()[task.name]["ladder"]
    kind = {rule.name: rule.kind for rule in task.predictors()}
    kinds = [kind[rung] for rung, _ in ladder]
    assert kinds == ["chance", *["heuristic"] * (len(ladder) - 2), "oracle"]
    scores = [score for _, score in ladder]
    gains = np.diff(scores) if task.metric.higher_is_better else -np.diff(scores)
    assert (gains > 0).all()


def test_ladder_is_a_function_of_the_seed(few_samples, task):
    task.ladder_size = 200
    assert task.ladder() == task.ladder(0)


def test_config_defines_the_task(task):
    config = json.loads(json.dumps(task.config()))
    assert config["task"] == task.name
    again = make_task(config.pop("task"), **config)
    assert again.config() == task.config()
    assert same(again.test(0), task.test(0))


def test_pickle_round_trip(task):
    again = pickle.loads(pickle.dumps(task))
    assert again.config() == task.config()
    assert same(again.train_batch(2, 4, seed=3), task.train_batch(2, 4, seed=3))


def best_seconds(action, repeats):
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def test_speed(task):
    rng = np.random.default_rng(0)
    large = best_seconds(lambda: task.sample(100_000, rng), repeats=2)
    small = best_seconds(lambda: task.train_batch(0, 64, 0), repeats=50)
    print(f"{task.name}: 100,000 samples {large:.2f} s, batch of 64 {1e6 * small:.0f} µs")
    assert large < 2
    assert small < 1e-3


def test_unknown_task_is_refused_with_a_suggestion():
    with pytest.raises(InputError, match=r"'pair-machting'.*copy-memory.*mean 'pair-matching'"):
        make_task("pair-machting")
    with pytest.raises(InputError, match="qa") as error:
        make_task("zzz")
    assert "did you mean" not in str(error.value)


def test_unknown_argument_is_refused_with_a_suggestion():
    with pytest.raises(InputError, match=r"adding has no 'lenght'.*mean 'length'"):
        make_task("adding", lenght=3)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("object-tracking", {"num_objects": 1}, "num_objects is 1; give a whole number from 2"),
        ("object-tracking", {"num_objects": 2.0}, "num_objects is 2.0; give a whole number"),
        ("object-tracking", {"grid": True}, "grid is True; give a whole number"),
        ("object-tracking", {"num_sightings": 2}, r"num_sightings is 2; .* from 3 to \d+ \(every"),
        ("object-tracking", {"target": "row"}, "target is 'row'; give one of: cell, position"),
        ("pair-matching", {"num_pairs": 1}, "num_pairs is 1"),
        ("pair-matching", {"num_pairs": 9}, "num_symbols is 16; give a whole number from 18"),
        ("qa", {"num_persons": 1}, "num_persons is 1"),
        ("qa", {"num_objects": 0}, "num_objects is 0"),
        ("qa", {"num_places": 1}, "num_places is 1"),
        ("qa", {"num_facts": 7}, "num_facts is 7; give a whole number from 8"),
        ("nth-farthest", {"num_vectors": 2}, "num_vectors is 2"),
        ("nth-farthest", {"dimensions": 0}, "dimensions is 0"),
        ("adding", {"length": 1}, "length is 1"),
        ("parity", {"lengths": 0}, "lengths is 0"),
        ("parity", {"lengths": [5, 3]}, r"lengths is \[5, 3\]; give the least first"),
        ("parity", {"lengths": [1, 2, 3]}, "give a number, or the least and the most"),
        ("parity", {"lengths": [0, 3]}, "lengths is 0"),
        ("flip-flop", {"length": 7}, "length is 7; give an even number"),
        ("flip-flop", {"ignore": 1.0}, "ignore is 1.0; give a probability between 0 and 1"),
        ("mqar", {"length": 15}, "length is 15; give a whole number from 16"),
        ("mqar", {"length": 17}, "length is 17; give an even number"),
        ("mqar", {"vocabulary": 9}, "vocabulary is 9; give a whole number from 10"),
        ("mqar", {"power": 0}, "power is 0; give a number above 0"),
        ("selective-copying", {"length": 3}, "length is 3; give a whole number from 4"),
        ("induction-heads", {"vocabulary": 2}, "vocabulary is 2; give a whole number from 3"),
        ("induction-heads", {"length": 3}, "length is 3; give a whole number from 4"),
        ("noisy-recall", {"vocabulary": 7}, "vocabulary is 7; give an even number"),
        ("noisy-recall", {"vocabulary": 2}, "vocabulary is 2; give a whole number from 4"),
        ("noisy-recall", {"length": 17}, "length is 17; give a whole number from 18"),
        ("noisy-recall", {"noise": 1}, "noise is 1; give a probability of at least 0 and below 1"),
        ("noisy-recall", {"noise": -0.1}, "noise is -0.1; give a probability"),
        ("noisy-recall", {"noise_vocabulary": 0}, "noise_vocabulary is 0"),
        ("reverse", {"lengths": 0}, "lengths is 0"),
        ("reverse", {"num_symbols": 1}, "num_symbols is 1; give a whole number from 2"),
        ("bucket-sort", {"num_symbols": 2.5}, "num_symbols is 2.5"),
        ("stack", {"lengths": 1}, "lengths is 1; give a whole number from 2"),
        ("stack", {"lengths": [1, 4]}, "lengths is 1; give a whole number from 2"),
        ("dyck", {"max_depth": 1}, "max_depth is 1; give a whole number from 2"),
        ("dyck", {"num_kinds": 0}, "num_kinds is 0"),
        ("anbncn", {"n": [4, 4]}, "n is .4, 4.; give the least first"),
        ("anbncn", {"length": 20}, "length is 20; give a whole number from 32"),
        ("word-problem", {"group": "A4"}, "group is 'A4'; give one of: A5, S5, Z60"),
        ("copy-memory", {"delay": 0}, "delay is 0"),
        ("copy-memory", {"num_recalled": 0}, "num_recalled is 0"),
        ("copy-memory", {"num_symbols": "8"}, "num_symbols is '8'"),
    ],
)
def test_difficulty_out_of_range_is_refused(name, arguments, message):
    with pytest.raises(InputError, match=message) as error:
        make_task(name, **arguments)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("object-tracking", {"num_objects": 2, "grid": 2, "num_sightings": 2}),
        ("object-tracking-position", {"num_objects": 6, "grid": 9, "num_sightings": 30}),
        ("pair-matching", {"num_pairs": 2, "num_symbols": 4}),
        ("pair-matching", {"num_pairs": 20, "num_symbols": 50}),
        ("qa", {"num_persons": 2, "num_objects": 1, "num_places": 2, "num_facts": 3}),
        ("qa", {"num_persons": 7, "num_objects": 9, "num_places": 12, "num_facts": 40}),
        ("nth-farthest", {"num_vectors": 3, "dimensions": 1}),
        ("adding", {"length": 2}),
        ("adding", {"length": 7}),
        ("parity", {"lengths": 1}),
        ("parity", {"lengths": 301}),
        ("parity", {"lengths": [1, 9], "every_step": True}),
        ("even-pairs", {"lengths": [2, 40]}),
        ("even-pairs", {"lengths": 3, "every_step": True}),
        ("cycle-navigation", {"lengths": [3, 40]}),
        ("cycle-navigation", {"lengths": 50, "every_step": True}),
        ("word-problem", {"group": "S5", "lengths": [3, 30]}),
        ("flip-flop", {"length": 6, "ignore": 0.5}),
        ("flip-flop", {"length": 128, "ignore": 0.98}),
        ("flip-flop", {"length": 30, "ignore": 0.1}),
        ("mqar", {"vocabulary": 6, "length": 8, "num_pairs": 2}),
        ("mqar", {"vocabulary": 512, "length": 128, "num_pairs": 16, "power": 1}),
        ("selective-copying", {"length": 1, "num_recalled": 1, "num_symbols": 2}),
        ("selective-copying", {"length": 100, "num_recalled": 16, "num_symbols": 16}),
        ("induction-heads", {"vocabulary": 3, "length": 4}),
        ("induction-heads", {"vocabulary": 60, "length": 256}),
        ("noisy-recall", {"vocabulary": 4, "length": 6, "noise": 0}),
        ("noisy-recall", {"vocabulary": 30, "length": 131, "noise": 0.5, "noise_vocabulary": 1}),
        ("reverse", {"lengths": 1, "num_symbols": 3}),
        ("reverse", {"lengths": [1, 40], "num_symbols": 2}),
        ("bucket-sort", {"lengths": 1}),
        ("bucket-sort", {"lengths": [1, 60], "num_symbols": 9}),
        ("stack", {"lengths": 2}),
        ("stack", {"lengths": [2, 41]}),
        ("word-problem", {"group": "Z60", "lengths": 9, "every_step": False}),
        ("copy-memory", {"delay": 1, "num_recalled": 1, "num_symbols": 2}),
        ("copy-memory", {"delay": 100, "num_recalled": 3, "num_symbols": 20}),
    ],
)
def test_oracle_alone_is_perfect_at_any_difficulty(name, arguments):
    task = make_task(name, **arguments)
    batch = task.sample(3000, np.random.default_rng(5))
    scores = [task.metric.measure(rule.predict(batch.x), batch) for rule in task.predictors()]
    assert scores[-1] == task.metric.perfect
    # A heuristic that is perfect would leave nothing to learn.
    for rule, score in zip(task.predictors()[:-1], scores[:-1], strict=True):
        assert abs(score - task.metric.perfect) > 0.02, rule.name
