"""Public objects are copied and pickled, as worker processes and snapshots need it."""

import copy
import pickle
from itertools import combinations_with_replacement

import numpy as np
import pytest

from lstm_baseline import LSTM, InputError, LSTMCell
from lstm_baseline.analysis import trace
from lstm_baseline.tasks import TASKS, ArrayFile, TextFile, make_task
from lstm_baseline.training import SGD, Adam, AdamW, RMSProp, TrainingSettings, train
from tests.support.engines import NO_CORE, core, run_python
from tests.support.models import INPUT_SIZE, SMALL_MODELS, make_model, normal

WAYS = {
    "pickle": lambda thing: pickle.loads(pickle.dumps(thing)),
    "deepcopy": copy.deepcopy,
}
X = normal(4, 6, INPUT_SIZE)
LENGTHS = np.array([6, 0, 3, 5])
LAYERED = {
    "both directions": {"hidden_size": 5, "num_layers": 2, "bidirectional": True},
    "layers that differ": {"hidden_size": (5, 4)},
    "dropout": {"hidden_size": 5, "recurrent_dropout": 0.3, "zoneout": (0.2, 0.1)},
    "weight drop": {"hidden_size": 5, "num_layers": 2, "weight_drop": 0.3, "input_dropout": 0.2},
}
MODELS = (*SMALL_MODELS, *LAYERED)
ENGINES = ["reference", pytest.param("native", marks=pytest.mark.skipif(not core, reason=NO_CORE))]


@pytest.fixture(params=WAYS)
def copied(request):
    return WAYS[request.param]


def make(name, engine="auto"):
    if name in SMALL_MODELS:
        return make_model(name, 2, engine=engine)
    options = LAYERED[name]
    return LSTM(INPUT_SIZE, **options, output_size=2, rng=0, dtype=np.float64, engine=engine)


def arrays_in(thing, seen):
    """Yield every array that an object of this package holds, however deep."""
    if id(thing) in seen or isinstance(thing, str | type):
        return
    seen[id(thing)] = thing
    if isinstance(thing, np.ndarray):
        yield thing
    elif isinstance(thing, dict):
        for value in thing.values():
            yield from arrays_in(value, seen)
    elif isinstance(thing, list | tuple):
        for value in thing:
            yield from arrays_in(value, seen)
    elif type(thing).__module__.startswith("lstm_baseline"):
        yield from arrays_in(getattr(thing, "__dict__", {}), seen)


def assert_a_copy(given, original):
    """Compare all arrays of two objects: the same numbers, and no memory of the other's."""
    assert type(given) is type(original)
    ours, theirs = (list(arrays_in(thing, {})) for thing in (given, original))
    assert len(ours) == len(theirs) > 0
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b, strict=True)
        assert not np.shares_memory(a, b)


def outputs_of(model):
    return model.forward(X, True, True, lengths=LENGTHS)


def assert_same(given, expected):
    for a, b in zip(given, expected, strict=True):
        np.testing.assert_array_equal(a, b, strict=True)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", MODELS)
class TestModels:
    def test_a_copy_has_the_bits_and_parameters_of_its_own(self, name, engine, copied):
        model = make(name, engine)
        before = outputs_of(model)
        other = copied(model)
        assert_a_copy(other, model)
        assert_same(outputs_of(other), before)
        assert (other.config, other.engine.name) == (model.config, engine)
        for value in other.params.values():
            value += 0.1
        assert not np.array_equal(outputs_of(other)[0], before[0])
        assert_same(outputs_of(model), before)

    @pytest.mark.parametrize("rows", [1, 3])
    def test_a_state(self, name, engine, copied, rows):
        model = make(name, engine)
        state = model.initial_state(rows)
        other = copied(state)
        assert_a_copy(other, state)
        x = X[:rows]
        assert_same(model.forward(x, True, True, initial_state=other), model.forward(x, True, True))

    @pytest.mark.parametrize("recompute", [False, True])
    def test_a_cache_goes_with_its_model(self, name, engine, copied, recompute):
        model = make(name, engine)
        outputs, cache = model.forward_with_cache(X, lengths=LENGTHS, rng=0, recompute=recompute)
        other, its_cache = copied((model, cache))
        assert_a_copy(its_cache, cache)
        d_outputs = normal(*outputs.shape, seed=1)
        expected, given = model.backward(d_outputs, cache), other.backward(d_outputs, its_cache)
        assert_same(given.params.values(), expected.params.values())
        assert_same([given.x, *given.initial_state], [expected.x, *expected.initial_state])

    def test_gradients(self, name, engine, copied):
        model = make(name, engine)
        outputs, cache = model.forward_with_cache(X, lengths=LENGTHS)
        gradients = model.backward(np.ones_like(outputs), cache)
        other = copied(gradients)
        np.testing.assert_array_equal(other.x, gradients.x, strict=True)
        assert_a_copy(other.params, gradients.params)
        assert_a_copy(other.initial_state, gradients.initial_state)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", [name for name in MODELS if isinstance(make(name), LSTM)])
class TestFrozen:
    def test_a_copy_has_the_bits_and_cannot_change_either(self, name, engine, copied):
        model = make(name, engine)
        frozen = model.freeze()
        other = copied(frozen)
        assert repr(other) == repr(frozen)
        assert_same(outputs_of(other), outputs_of(frozen))
        if not model.bidirectional:
            y, state = frozen.step(X[:, 0])
            its_y, its_state = other.step(X[:, 0])
            assert_same([its_y, *its_state], [y, *state])
            assert type(its_state) is type(state)
        for one in (frozen, other):
            assert not any(value.flags.writeable for value in one._model.params.values())
        pairs = combinations_with_replacement((model, frozen._model, other._model), 2)
        for a, b in pairs:
            for name, value in a.params.items():
                assert (a is b) == np.shares_memory(value, b.params[name])


def test_a_cell(copied):
    cell = LSTMCell(INPUT_SIZE, 4, rng=0, dtype=np.float64)
    other = copied(cell)
    assert_a_copy(other, cell)
    start = np.zeros((4, 2)), np.zeros((4, 2))
    x = normal(INPUT_SIZE, 2)
    before = cell.forward(x, *start)
    assert_same(other.forward(x, *start), before)
    other.W_i = np.zeros_like(other.W_i)
    assert_same(cell.forward(x, *start), before)
    assert not np.array_equal(other.forward(x, *start)[1], before[1])


@pytest.mark.parametrize("kind", [Adam, AdamW, RMSProp, SGD])
def test_an_optimizer_goes_with_its_model(kind, copied):
    model = make("lstm")
    optimizer = kind(model.params, 0.9) if kind is SGD else kind(model.params)

    def take_a_step(model, optimizer):
        outputs, cache = model.forward_with_cache(X)
        optimizer.update(model.backward(outputs, cache).params, 0.01)
        return outputs_of(model)

    take_a_step(model, optimizer)
    other, its_optimizer = copied((model, optimizer))
    assert its_optimizer.params is other.params
    before = outputs_of(model)
    given = take_a_step(other, its_optimizer)
    assert_same(outputs_of(model), before)
    assert_same(given, take_a_step(model, optimizer))


@pytest.fixture
def a_file(tmp_path):
    def write(kind):
        if kind == "text":
            path = tmp_path / "text.txt"
            path.write_text("the quick brown fox\n" * 60)
            return TextFile(path, 8)
        rng, path = np.random.default_rng(0), tmp_path / f"{kind}.npz"
        y = rng.standard_normal(40) if kind == "regression" else np.array(["no", "yes"] * 20)
        np.savez(path, X=rng.standard_normal((40, 5, 2)), y=y, lengths=rng.integers(1, 6, 40))
        return ArrayFile(path)

    return write


@pytest.mark.parametrize("name", [*TASKS, "text", "classification", "regression"])
def test_a_task(name, a_file, copied):
    task = make_task(name) if name in TASKS else a_file(name)
    task.train_batch(0, 4, 0)
    other = copied(task)
    assert other.config() == task.config()
    for given, expected in (
        (other.train_batch(3, 4, 1), task.train_batch(3, 4, 1)),
        (other.validation(1), task.validation(1)),
    ):
        assert_a_copy(copied(given), expected)
        assert_same(given[:2], expected[:2])
    assert copied(task.metric) == task.metric


def test_what_training_takes_and_returns(copied):
    settings = TrainingSettings(num_steps=2, batch_size=4, evaluate_every=1)
    assert copied(settings) == settings
    task = make_task("parity")
    model = LSTM(task.input_size, 4, task.output_size, rng=0)
    result = train(model, task, settings, seed=0)
    assert copied(result).history == result.history
    found = trace(model, task.validation(0).x)
    assert_a_copy(copied(found), found)


@pytest.mark.skipif(not core, reason=NO_CORE)
class TestWithoutTheCore:
    """What was pickled on a machine with the core is read on one without it."""

    SCRIPT = """
import pickle, sys
sys.modules["lstm_baseline.engine.native._core"] = None  # as where it was not built
from lstm_baseline import InputError
thing = pickle.load(open({path!r}, "rb"))
import numpy as np
if hasattr(thing, "forward"):
    print(thing.forward(np.ones((2, 3, 3))).sum())
"""

    @pytest.mark.parametrize("freeze", [False, True])
    def test_the_reference_runs_a_model(self, tmp_path, freeze):
        path, model = tmp_path / "model.pickle", make("lstm", "native")
        path.write_bytes(pickle.dumps(model.freeze() if freeze else model))
        told = float(run_python(self.SCRIPT.format(path=str(path))))
        assert told == pytest.approx(model.forward(np.ones((2, 3, 3))).sum(), rel=1e-12)

    def test_a_cache_is_refused_by_name(self, monkeypatch):
        _, cache = make("lstm", "native").forward_with_cache(X)
        pickled = pickle.dumps(cache)
        monkeypatch.setattr("lstm_baseline.engine.native.unrolling.load_core", lambda: None)
        with pytest.raises(InputError, match="run forward_with_cache again"):
            pickle.loads(pickled)
