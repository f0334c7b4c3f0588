"""The compiled engine against the reference: one suite for every cell that has kernels."""

from copy import copy
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest

from lstm_baseline import GRU, LSTM, InputError, RelationalRNN
from lstm_baseline.engine import backend
from lstm_baseline.engine.cells import (
    Cache,
    LSTMVariant,
    LSTMVariantEquations,
    gate_activations,
)
from lstm_baseline.engine.native.unrolling import NativeCache
from tests.support.engines import (
    FIRST_THE_FASTEST,
    INSTRUCTION_SETS,
    LAYOUTS,
    assert_same_bits,
    everything,
    require_core,
    running,
    threads,
)
from tests.support.models import normal, shapes_unchecked

core = require_core()


def relational(I, H, **options):
    """Return a relational RNN with a memory of about H numbers in three slots."""
    heads = 2 if H > 4 else 1
    sizes = {"num_slots": 3, "num_heads": heads, "head_size": -(-H // (3 * heads))}
    return RelationalRNN(I, **(sizes | options))


EXAMPLES = {
    "lstm": LSTM,
    "lstm, all pieces": lambda I, H, **options: LSTM(
        I, H, projection_size=H // 2 + 1, peepholes=True, layer_norm=True, clip=1.0, **options
    ),
    "lstm, coupled, wide projection, zoneout": lambda I, H, **options: LSTM(
        I, H, coupled_gates=True, projection_size=2 * H + 3, zoneout=(0.1, 0.3), **options
    ),
    "lstm, coupled, peepholes, layer norm, no bias": lambda I, H, **options: LSTM(
        I, H, coupled_gates=True, peepholes=True, layer_norm=True, bias=False, **options
    ),
    "lstm, other activations": lambda I, H, **options: LSTM(
        I, H, activations=("hard_sigmoid", "softsign", ("leaky_relu", 0.1)), **options
    ),
    "gru": GRU,
    "relational": relational,
    "relational, memory gates, short keys, two blocks": lambda I, H, **options: relational(
        I, H, gate="memory", key_size=1, num_blocks=2, forget_bias=0.5, input_bias=-0.5, **options
    ),
    "relational, long keys, three layers": lambda I, H, **options: relational(
        I, H, key_size=9, mlp_layers=3, **options
    ),
    "relational, one slot, one layer": lambda I, H, **options: relational(
        I, H, num_slots=1, num_heads=1, head_size=H, mlp_layers=1, **options
    ),
}
"""Models by name, made of I and H; between them they take every path through their kernels."""

SIZES = [
    (0, 3, 2, 5),
    (3, 0, 2, 5),
    (0, 0, 1, 1),
    (1, 1, 1, 1),
    (1, 4, 3, 2),
    (2, 3, 1, 7),
    (3, 5, 7, 11),
    (5, 2, 9, 8),
    (6, 3, 8, 16),
    (7, 4, 5, 17),
    (11, 3, 17, 31),
    (13, 2, 33, 15),
    (4, 7, 64, 33),
    (1, 9, 5, 73),
    (2, 3, 131, 67),
    (13, 41, 3, 9),  # more stored rows than one chunk of a sum over them holds
    (7, 2, 3, 301),  # more weights than stay in the cache at once
]
"""(B, T, I, H): ones, primes, both sides of every vector's width and of every tile's height."""

THREE_THREADS = [
    (1, 17, 33, 200),  # one row, two rows: threads share hidden units
    (2, 15, 30, 150),
    (3, 20, 11, 120),
    (7, 12, 9, 100),
    (64, 20, 7, 25),
]
"""(B, T, I, H) with work enough for three threads."""


class Options(NamedTuple):
    """How a model is run."""

    lengths: str = "whole"
    sequences: bool = True
    start: bool = False
    d_state: bool = False
    readout: bool = False

    def __str__(self):
        words = [self.lengths, "sequences" if self.sequences else "last"]
        return " ".join(words + [name for name in self._fields[2:] if getattr(self, name)])


OPTIONS = [  # every pair of choices is among them
    Options(),
    Options("whole", sequences=False, start=True, d_state=True),
    Options("ragged", start=True, d_state=True),
    Options("ragged", sequences=False, readout=True),
    Options("ragged", d_state=True, readout=True),
    Options("nothing", start=True),
    Options("nothing", sequences=False, d_state=True),
    Options("whole", start=True, d_state=True, readout=True),
    Options("nothing", start=True, readout=True),
]

CASES = [
    # Half of the options for each of the sizes, in turn.
    pytest.param(sizes, options, id=f"{sizes} {options}")
    for k, sizes in enumerate(SIZES)
    for options in OPTIONS[k % 2 :: 2]
]

# Sums of many terms cancel, so errors are measured by the largest number of their array.
# How exact single precision is, test_accuracy.py tells.
TOLERANCES = {np.float64: 1e-13, np.float32: 1e-4}


@cache
def example(name, I, H, output_size=None):
    """Return a model with no bias or gain at a place of symmetry; a large one takes a while.

    As all numbers here are those of single precision, one result of the reference serves both.
    """
    model = EXAMPLES[name](I, H, output_size=output_size, dtype=np.float64, rng=0)
    for seed, value in enumerate(model.params.values()):
        if value.ndim == 1:
            value += 0.3 * normal(*value.shape, seed=seed)
        value[...] = value.astype(np.float32)
    return model


def make(name, sizes, dtype=np.float64, engine="native", output_size=None):
    """Return a copy of an example in some dtype, for some engine."""
    model = copy(example(name, *sizes[2:], output_size))
    model.params = {key: value.astype(dtype) for key, value in model.params.items()}
    model.dtype = np.dtype(dtype)
    model.engine = backend.select_engine(engine)
    return model


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_engines_compared_are_two(name):
    caches = []
    for engine in ("native", "reference"):
        model = make(name, (1, 2, 3, 4), engine=engine)
        caches.append(type(model.forward_with_cache(normal(1, 2, 3))[1].cell.caches[0]))
    assert caches == [NativeCache, Cache]


def single(*shape, seed):
    """Return normal numbers that are the same in both precisions."""
    return normal(*shape, seed=seed).astype(np.float32)


def arguments(name, sizes, options=OPTIONS[0], dtype=np.float64):
    """Return what ``everything`` takes after the model."""
    B, T, I, H = sizes
    model = example(name, I, H)
    width = 3 if options.readout else model.width
    lengths = None
    if options.lengths == "ragged":
        # No step, all steps, and what lies between, in no order.
        lengths = np.random.default_rng(0).permutation(np.arange(B) * T // max(1, B - 1))
    elif options.lengths == "nothing":
        lengths = np.zeros(B, int)

    def state(seed):
        own = model.initial_state(B)
        parts = (single(*part.shape, seed=seed + k) for k, part in enumerate(own))
        return type(own)(*(part.astype(dtype) for part in parts))

    d_shape = (B, T, width) if options.sequences else (B, width)
    return {
        "x": single(B, T, I, seed=0).astype(dtype),
        "d_outputs": single(*d_shape, seed=1).astype(dtype),
        "lengths": lengths,
        "sequences": options.sequences,
        "start": state(seed=2) if options.start else None,
        "d_state": state(seed=6) if options.d_state else None,
    }


@cache
def expected_results(name, sizes, options):
    model = make(name, sizes, engine="reference", output_size=3 if options.readout else None)
    return everything(model, **arguments(name, sizes, options))


def assert_close(given, expected, model, factor=1, moved=None):
    """Compare a model's results with those of the reference.

    ``moved`` has results of the reference with the last bits of its parameters changed: no two
    orders of a sum need agree better than these do.
    """
    assert given.keys() == expected.keys()
    tolerance = factor * TOLERANCES[model.dtype.type]
    largest = max(np.abs(value).max(initial=0.0) for value in expected.values())
    # A layer norm of one or two features lets next to no gradient through but rounding; nor do the
    # LSTM's where x has one feature, whose size they take away.
    least = 1.0 if getattr(model.cell, "slot_size", 3) < 3 else 1e-4
    if any(name.startswith("gain_x") for name in model.params):
        tolerance, least = 3 * tolerance, 1.0 if model.input_size == 1 else least
    for name, value in expected.items():
        assert given[name].dtype == model.dtype, name
        assert given[name].shape == value.shape, name
        scale = max(np.abs(value).max(initial=0.0), least * largest)
        allowed = tolerance * scale
        if moved is not None:
            allowed += np.abs(moved[name] - value).max(initial=0.0)
        difference = np.abs(given[name] - value).max(initial=0.0)
        assert difference <= allowed, f"{name}: off by {difference / scale:.1e}"


@pytest.fixture(scope="module", autouse=True)
def _without_shape_checks():
    """Leave out what costs most of the time here and is checked in other tests."""
    with shapes_unchecked():
        yield


@pytest.fixture(params=FIRST_THE_FASTEST)
def instruction_set(request):
    with running(request.param):
        yield request.param


@pytest.fixture(params=EXAMPLES)
def name(request):
    return request.param


@pytest.fixture(params=[np.float64, np.float32])
def dtype(request):
    return request.param


def test_every_cell_with_kernels_is_among_the_examples():
    assert {type(make(1, 1).cell) for make in EXAMPLES.values()} == backend._KERNELS.keys()


@pytest.mark.parametrize(("sizes", "options"), CASES)
def test_numbers_are_those_of_the_reference(instruction_set, name, sizes, options, dtype):
    model = make(name, sizes, dtype, output_size=3 if options.readout else None)
    before = core.calls(instruction_set)
    given = everything(model, **arguments(name, sizes, options, dtype))
    assert core.calls(instruction_set) > before
    expected = expected_results(name, sizes, options)
    assert_close(given, expected, model)
    if options.lengths != "whole" and options.sequences:
        padding = np.arange(sizes[1]) >= arguments(name, sizes, options)["lengths"][:, None]
        assert not given["outputs"][padding].any()
        assert not given["d x"][padding].any()


@pytest.mark.parametrize("slower", INSTRUCTION_SETS[1:])
def test_numbers_of_the_other_instruction_sets(slower, name, dtype):
    for sizes, options in (((7, 4, 5, 17), OPTIONS[2]), ((4, 7, 64, 33), OPTIONS[1])):
        model, given = make(name, sizes, dtype), arguments(name, sizes, options, dtype)
        with running(slower), threads(1):
            alone = everything(model, **given)
        assert_close(alone, expected_results(name, sizes, options), model)
        with running(slower), threads(3):
            assert_same_bits(everything(model, **given), alone)


@pytest.mark.parametrize(
    ("sizes", "options"),
    [(sizes, OPTIONS[1 + k % 2]) for k, sizes in enumerate(THREE_THREADS)]
    + [(sizes, OPTIONS[2 - k]) for k, sizes in enumerate(THREE_THREADS[:2])],
    ids=str,
)
def test_any_number_of_threads_gives_the_same_bits(instruction_set, name, sizes, options, dtype):
    model = make(name, sizes, dtype, output_size=3 if options.readout else None)
    given = arguments(name, sizes, options, dtype)
    with threads(1):
        alone = everything(model, **given)
    for number in (2, 3, 7):
        with threads(number):
            assert_same_bits(everything(model, **given), alone)
    # Many steps through many units magnify what rounding left.
    assert_close(alone, expected_results(name, sizes, options), model, factor=10)


@pytest.mark.parametrize("lengths", ["whole", "ragged"])
def test_a_row_has_the_bits_that_it_has_alone(instruction_set, name, lengths, dtype):
    sizes = (13, 5, 7, 19)
    model = make(name, sizes, dtype)
    given = arguments(name, sizes, Options(lengths, start=True), dtype)
    x, start, lengths = given["x"], given["start"], given["lengths"]
    outputs, *final = model.forward(x, return_state=True, initial_state=start, lengths=lengths)
    for row in range(sizes[0]):
        one = slice(row, row + 1)
        length = sizes[1] if lengths is None else lengths[row]
        alone, *alone_final = model.forward(
            x[one, :length],
            return_state=True,
            initial_state=type(start)(*(part[one] for part in start)),
        )
        np.testing.assert_array_equal(outputs[one, :length], alone)
        for part, alone_part in zip(final, alone_final, strict=True):
            np.testing.assert_array_equal(part[one], alone_part)


def test_a_cache_changes_no_bit(instruction_set, name, dtype):
    for sizes in SIZES[6:12]:
        model = make(name, sizes, dtype)
        results = everything(model, **arguments(name, sizes, OPTIONS[2], dtype))
        for key in ("outputs", "final 0"):
            np.testing.assert_array_equal(results[key], results[f"{key} with cache"])


@pytest.mark.parametrize("options", OPTIONS[:5], ids=str)
def test_what_an_earlier_call_left_in_memory_reaches_nothing(instruction_set, name, options, dtype):
    sizes = (5, 4, 3, 13)
    model = make(name, sizes, dtype, output_size=3 if options.readout else None)
    given = arguments(name, sizes, options, dtype)
    first = everything(model, **given)
    # The core's memory, and NumPy's, is used again, and now full of NaN.
    with np.errstate(invalid="ignore"):
        spoiled = {"x": np.full_like(given["x"], np.nan), "start": None, "lengths": None}
        everything(model, **(given | spoiled))
    assert_same_bits(everything(model, **given), first)


def test_gates_are_those_of_the_reference(instruction_set, name, dtype):
    sizes, options = (7, 5, 3, 17), Options("ragged", start=True)
    given = arguments(name, sizes, options, dtype)
    live = np.arange(sizes[1]) < given["lengths"][:, None]

    def run(model):
        state, lengths = given["start"], given["lengths"]
        return model.forward_with_cache(given["x"], initial_state=state, lengths=lengths)[1].cell

    ours, expected = run(make(name, sizes, dtype)), run(make(name, sizes, engine="reference"))
    fields = make(name, sizes).cell.gate_fields
    assert fields
    for field in fields.values():
        np.testing.assert_allclose(
            ours.gate(field)[live], expected.gate(field)[live], rtol=0, atol=TOLERANCES[dtype]
        )


NOT_FINITE_SIZES = (8, 4, 3, 19)


def spoiled(name, dtype, engine, where, bad):
    """Return what comes out where one number that goes in, or one a state, is not finite."""
    given = arguments(name, NOT_FINITE_SIZES, Options(start=True, d_state=True), dtype)
    model = make(name, NOT_FINITE_SIZES, dtype, engine)
    if where == "x":
        given["x"][2, 1, 0] = bad
    elif where == "initial state":
        for row, part in enumerate(given["start"], 3):
            part.reshape(len(part), -1)[row, 1] = bad
    elif where == "gradients":
        given["d_outputs"][1, 2, 3] = bad
        given["d_state"][0].reshape(len(given["x"]), -1)[4, 0] = bad
    else:
        model.params[where].flat[model.params[where].size // 2] = bad
    return everything(model, **given)


@cache
def spoiled_reference(name, dtype, where, bad):
    with np.errstate(all="ignore"):
        return spoiled(name, dtype, "reference", where, bad)


class TestNotFinite:
    """Infinities and NaN come out where the reference has them."""

    SIZES = NOT_FINITE_SIZES

    def compare(self, name, dtype, where, bad):
        results = spoiled(name, dtype, "native", where, bad)
        for key, value in spoiled_reference(name, dtype, where, bad).items():
            ours, finite, message = results[key], np.isfinite(value), f"{key}, {bad} in {where}"
            np.testing.assert_array_equal(np.isnan(ours), np.isnan(value), err_msg=message)
            np.testing.assert_array_equal(np.isinf(ours), np.isinf(value), err_msg=message)
            scale = np.abs(value[finite]).max(initial=1.0)
            np.testing.assert_allclose(
                ours[finite] / scale, value[finite] / scale, rtol=0, atol=1e-5, err_msg=message
            )

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    @pytest.mark.parametrize("where", ["x", "initial state", "gradients"])
    def test_in_what_is_given(self, instruction_set, name, dtype, where, bad):
        self.compare(name, dtype, where, bad)

    @pytest.mark.parametrize("infinity", [np.inf, -np.inf])
    def test_in_each_parameter(self, instruction_set, name, dtype, infinity):
        # Infinities in one parameter, NaN in the next; the other way round under the other sign.
        for k, parameter in enumerate(make(name, self.SIZES).params):
            bad = infinity if (k % 2 == 0) == (infinity > 0) else np.nan
            self.compare(name, dtype, parameter, bad)

    def test_one_row_s_nan_stays_in_its_row(self, instruction_set, name, dtype):
        given = arguments(name, self.SIZES, dtype=dtype)
        model = make(name, self.SIZES, dtype)
        clean = everything(model, **given)
        given["x"][2, 1:] = np.nan
        spoiled = everything(model, **given)
        others = np.arange(self.SIZES[0]) != 2
        for key in ("outputs", "final 0", "d x", "d initial 0"):
            np.testing.assert_array_equal(spoiled[key][others], clean[key][others])
        assert np.isnan(spoiled["outputs"][2, 1:]).all()
        np.testing.assert_array_equal(spoiled["outputs"][2, 0], clean["outputs"][2, 0])

    @pytest.mark.parametrize("size", [30.0, 100.0, 1e4, 1e30])
    def test_gates_wide_open_and_shut(self, instruction_set, name, dtype, size):
        given = arguments(name, self.SIZES, dtype=dtype)
        given["x"] *= dtype(size)
        model = make(name, self.SIZES, dtype)
        peer = make(name, self.SIZES, dtype, engine="reference")
        with np.errstate(all="ignore"):
            expected = peer.forward(given["x"])
        np.testing.assert_allclose(model.forward(given["x"]), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("activation", gate_activations.NAMES)
def test_every_activation_in_every_place(instruction_set, activation, place, dtype):
    activations = ["sigmoid", "tanh", "tanh"]
    activations[place] = activation
    sizes, options = (6, 4, 3, 9), Options("ragged", start=True, d_state=True)
    results = []
    for engine, kind in (("native", dtype), ("reference", np.float64)):
        model = LSTM(3, 9, activations=activations, dtype=kind, rng=0, engine=engine)
        given = arguments("lstm", sizes, options, kind)
        given["x"] *= 3
        results.append(everything(model, **given))
    assert_close(*results, make("lstm", sizes, dtype))


REGULARIZED = {
    "zoneout": {"zoneout": 0.3},
    "zoneout of c": {"zoneout": (0.0, 0.3)},
    "recurrent dropout": {"recurrent_dropout": 0.3},
    "everything": {
        "num_layers": 2,
        "bidirectional": True,
        "projection_size": 7,
        "layer_norm": True,
        "dropout": 0.2,
        "input_dropout": 0.2,
        "output_dropout": 0.2,
        "recurrent_dropout": 0.2,
        "weight_drop": 0.2,
        "zoneout": (0.1, 0.2),
    },
}


class TestRegularized:
    """The same masks give the same numbers, on any number of threads the same bits."""

    def run(self, options, engine, dtype, sizes, ragged, *, moved=False):
        B, T, I, H = sizes
        model = LSTM(I, H, 3, **options, dtype=np.float64, rng=0, engine=engine).astype(dtype)
        if moved:
            rng = np.random.default_rng(0)
            for value in model.params.values():
                value *= 1 + np.finfo(dtype).eps * rng.choice([-1, 1], size=value.shape)
        lengths = np.arange(B) * T // max(1, B - 1) if ragged else None
        own = model.initial_state(B)
        state = type(own)(*(single(*p.shape, seed=k).astype(dtype) for k, p in enumerate(own)))
        outputs, cache = model.forward_with_cache(
            single(B, T, I, seed=5).astype(dtype),
            initial_state=state,
            lengths=lengths,
            rng=np.random.default_rng(4),
        )
        gradients = model.backward(single(B, T, 3, seed=6).astype(dtype), cache, state)
        return model, {
            "outputs": outputs,
            "d x": gradients.x,
            **{f"final {k}": part for k, part in enumerate(cache.state)},
            **{f"d initial {k}": part for k, part in enumerate(gradients.initial_state)},
            **gradients.params,
        }

    @pytest.mark.parametrize("ragged", [False, True])
    @pytest.mark.parametrize("sizes", [(5, 4, 3, 9), (1, 3, 2, 5), (7, 11, 5, 17)], ids=str)
    @pytest.mark.parametrize("kind", REGULARIZED)
    def test_numbers_are_those_of_the_reference(self, instruction_set, kind, sizes, ragged, dtype):
        before = core.calls(instruction_set)
        model, given = self.run(REGULARIZED[kind], "native", dtype, sizes, ragged)
        assert core.calls(instruction_set) > before
        _, expected = self.run(REGULARIZED[kind], "reference", np.float64, sizes, ragged)
        _, moved = self.run(REGULARIZED[kind], "reference", np.float64, sizes, ragged, moved=True)
        assert_close(given, expected, model, moved=moved)

    def test_what_zoneout_discards_may_be_anything(self, instruction_set, dtype):
        """New values that are not finite do not come in where the old ones are kept."""
        results = []
        for engine in ("native", "reference"):
            activations = ("sigmoid", "relu", "relu")
            model = LSTM(
                1, 19, zoneout=0.5, activations=activations, dtype=dtype, rng=0, engine=engine
            )
            x = np.ones((3, 5, 1), dtype)
            x[:, 2] = np.inf
            with np.errstate(all="ignore"):
                y, cache = model.forward_with_cache(x, rng=1)
                d_x = model.backward(np.ones_like(y), cache).x
            results.append((y, d_x))
        for ours, expected in zip(*results, strict=True):
            np.testing.assert_array_equal(np.isfinite(ours), np.isfinite(expected))
        assert np.isfinite(results[0][0][:, 2:]).any()

    @pytest.mark.parametrize("kind", REGULARIZED)
    def test_bits_do_not_depend_on_threads(self, instruction_set, kind, dtype):
        results = []
        for number in (1, 2, 3):
            with threads(number):
                sizes = (9, 20, 13, 60)
                results.append(self.run(REGULARIZED[kind], "native", dtype, sizes, True)[1])
        assert_same_bits(results[1], results[0])
        assert_same_bits(results[2], results[0])


def test_a_cache_of_another_cell_is_refused():
    x = normal(4, 5, 3)
    pieces = [{"peepholes": True}, {"peepholes": True, "layer_norm": True}, {"projection_size": 9}]
    models = [LSTM(3, 9, **options, dtype=np.float64, rng=0) for options in pieces]
    caches = [model.forward_with_cache(x)[1] for model in models]
    for k, model in enumerate(models):
        for m, kept in enumerate(caches):
            if k == m:
                continue
            with pytest.raises(InputError, match="cache is of another model"):
                model.backward(np.ones((4, 5, 9)), kept)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"activations": [(6, 0.0, 0.0)]}, TypeError),
        ({"activations": [(6, 0.0, 0.0), (9, 0.0), (9, 0.0, 0.0)]}, TypeError),
        ({"activations": [(99, 0.0, 0.0), (9, 0.0, 0.0), (9, 0.0, 0.0)]}, ValueError),
        ({"p_f": np.ones(5)}, TypeError),
        ({"gain_x": np.ones(20)}, TypeError),
        ({"W": None}, TypeError),
        ({"U": np.ones(20)}, TypeError),
        ({"recurrent": np.ones((2, 4))}, TypeError),
        ({"zoneout_h": np.ones((2, 3, 5))}, TypeError),
        ({"zoneout_c": np.ones((2, 3, 4), bool)}, TypeError),
        ({"tokens": np.zeros((2, 3), np.int32)}, TypeError),
        ({"tokens": np.zeros((2, 3), np.int32), "table": np.ones((4, 19))}, TypeError),
        ({"tokens": np.zeros((2, 3), np.int64), "table": np.ones((4, 20))}, TypeError),
        ({"tokens": np.zeros((2, 4), np.int32), "table": np.ones((4, 20))}, TypeError),
        ({"tokens": np.full((2, 3), 4, np.int32), "table": np.ones((4, 20))}, ValueError),
        ({"tokens": np.full((2, 3), -1, np.int32), "table": np.ones((4, 20))}, ValueError),
    ],
    ids=str,
)
def test_bindings_refuse_what_kernels_cannot_read(change, error):
    names = core.LSTM_VARIANT_PARAMS
    params = {"W": np.ones((20, 3)), "U": np.ones((20, 5)), "b": np.ones(20)} | change
    activations = change.get("activations", [(6, 0.0, 0.0), (9, 0.0, 0.0), (9, 0.0, 0.0)])
    with pytest.raises(error):
        core.lstm_variant_forward(
            np.ones((2, 3, 3)),
            None,
            None,
            [params.get(name) for name in names],
            False,
            None,
            activations,
            False,
            change.get("recurrent"),
            change.get("zoneout_h"),
            change.get("zoneout_c"),
            change.get("tokens"),
            change.get("table"),
            None,
            True,
        )


@pytest.mark.parametrize(
    "change",
    [
        {"x": np.ones((2, 3))},
        {"x": [[[1.0]]]},
        {"W": np.ones((15, 4))},
        {"U": np.ones((15, 5), np.float32)},
        {"U": None},
        {"b": np.ones(30)[::2]},
        {"b_u": np.ones((5, 1))},
        {"h": np.ones((3, 5))},
        {"tokens": np.zeros((2, 3), np.int32)},
        {"tokens": np.zeros((2, 3), np.int32), "table": np.ones((4, 14))},
    ],
    ids=str,
)
def test_bindings_of_the_gru_refuse_what_kernels_cannot_read(change):
    given = {"x": np.ones((2, 3, 3)), "h": None, "W": np.ones((15, 3)), "U": np.ones((15, 5))}
    given |= {"b": np.ones(15), "b_u": np.ones(5), "lengths": None, "keep": True}
    given |= {"tokens": None, "table": None}
    _, _, kept = core.gru_forward(**given)
    with pytest.raises(TypeError):
        core.gru_forward(**(given | change))
    with pytest.raises(TypeError):
        kept.backward(np.ones((15, 4)), None, None)


def read_only(array):
    copy = array.copy()
    copy.setflags(write=False)
    return copy


KINDS = LAYOUTS | {
    "read-only": read_only,
    "float64": lambda array: array.astype(np.float64),
    "nested lists": lambda array: array.tolist(),
}


class TestLayouts:
    """Arrays are taken as the reference takes them, whatever their layout."""

    SIZES = (5, 4, 3, 13)

    @pytest.mark.parametrize("kind", KINDS)
    def test_of_what_is_given(self, name, dtype, kind):
        change = KINDS[kind]
        given = arguments(name, self.SIZES, Options("ragged", start=True, d_state=True), dtype)
        model = make(name, self.SIZES, dtype)
        expected = everything(model, **given)
        for key in ("x", "d_outputs") if kind == "float64" else ("x", "d_outputs", "lengths"):
            given[key] = change(given[key])
        for key in ("start", "d_state"):
            given[key] = type(given[key])(*map(change, given[key]))
        assert_same_bits(everything(model, **given), expected)

    @pytest.mark.parametrize("layout", ["Fortran order", "every second number", "backwards"])
    def test_of_the_parameters(self, name, dtype, layout):
        given = arguments(name, self.SIZES, dtype=dtype)
        model = make(name, self.SIZES, dtype)
        expected = everything(model, **given)
        model.params = {key: LAYOUTS[layout](value) for key, value in model.params.items()}
        assert_same_bits(everything(model, **given), expected)

    def test_one_step_repeated_without_memory(self, name, dtype):
        model = make(name, self.SIZES, dtype)
        x_t = normal(5, 1, 3, dtype=dtype)
        repeated = np.broadcast_to(x_t, (5, 4, 3))
        assert_same_bits(everything(model, repeated), everything(model, repeated.copy()))

    @pytest.mark.parametrize("kind", [np.int8, np.uint64, np.int32, list])
    def test_lengths_of_any_whole_type(self, name, dtype, kind):
        model = make(name, self.SIZES, dtype)
        x, lengths = normal(*self.SIZES[:3], dtype=dtype), np.array([4, 0, 2, 1, 3])
        given = lengths.tolist() if kind is list else lengths.astype(kind)
        np.testing.assert_array_equal(
            model.forward(x, lengths=given), model.forward(x, lengths=lengths)
        )

    def test_nothing_that_comes_out_shares_memory(self, name, dtype):
        given = arguments(name, self.SIZES, Options(start=True, d_state=True), dtype)
        model = make(name, self.SIZES, dtype)
        results = list(everything(model, **given).values())
        results += [given["x"], given["d_outputs"], *given["start"], *given["d_state"]]
        results += model.params.values()
        for k, array in enumerate(results):
            assert not any(np.shares_memory(array, other) for other in results[k + 1 :])


class TestGradientOfX:
    """It is computed when it is asked for, and is that of the weights at the time of backward."""

    SIZES = (5, 4, 7, 13)

    def differentiate(self, name, dtype, engine):
        given = arguments(name, self.SIZES, Options("ragged"), dtype)
        model = make(name, self.SIZES, dtype, engine)
        _, cache = model.forward_with_cache(given["x"], lengths=given["lengths"])
        return model, model.backward(given["d_outputs"], cache)

    def test_an_update_before_it_is_asked_for_changes_nothing(self, instruction_set, name, dtype):
        _, at_once = self.differentiate(name, dtype, "native")
        expected = at_once.x
        model, later = self.differentiate(name, dtype, "native")
        for value in model.params.values():
            value += 1
        model.params = {}
        np.testing.assert_array_equal(later.x, expected)
        _, reference = self.differentiate(name, dtype, "reference")
        tolerance = TOLERANCES[dtype] * np.abs(reference.x).max()
        np.testing.assert_allclose(later.x, reference.x, rtol=0, atol=tolerance)

    def test_it_is_there_when_all_else_is_gone(self, name):
        model, gradients = self.differentiate(name, np.float64, "native")
        expected = gradients.x
        model, gradients = self.differentiate(name, np.float64, "native")
        del model
        everything(make(name, self.SIZES), **arguments(name, self.SIZES))
        np.testing.assert_array_equal(gradients.x, expected)

    def test_it_is_one_array(self, name):
        _, gradients = self.differentiate(name, np.float64, "native")
        assert gradients.x is gradients.x

    def test_another_instruction_set_between_the_two_passes(self, name):
        _, expected = self.differentiate(name, np.float64, "reference")
        given = arguments(name, self.SIZES, Options("ragged"))
        for first in INSTRUCTION_SETS:
            for second in INSTRUCTION_SETS:
                model = make(name, self.SIZES)
                with running(first):
                    _, cache = model.forward_with_cache(given["x"], lengths=given["lengths"])
                with running(second):
                    gradients = model.backward(given["d_outputs"], cache)
                    np.testing.assert_allclose(gradients.x, expected.x, rtol=0, atol=1e-12)


def test_one_cache_serves_more_than_once_and_in_any_order(name):
    sizes = (5, 4, 3, 13)
    model = make(name, sizes)
    first, second = normal(*sizes[:3]), normal(*sizes[:3], seed=1)
    _, first_cache = model.forward_with_cache(first)
    _, second_cache = model.forward_with_cache(second)
    d_outputs = normal(5, 4, model.width, seed=2)
    results = [
        model.backward(d_outputs, cache).params
        for cache in (first_cache, second_cache, first_cache, second_cache)
    ]
    assert_same_bits(results[2], results[0])
    assert_same_bits(results[3], results[1])


def test_refusals_are_those_of_the_reference(name):
    sizes = (5, 4, 3, 13)
    calls = [
        lambda model: model.forward(np.zeros((5, 4))),
        lambda model: model.forward(np.zeros((5, 4, 2))),
        lambda model: model.forward(np.zeros((5, 4, 3), complex)),
        lambda model: model.forward(np.zeros((5, 4, 3)), lengths=[5] * 5),
        lambda model: model.forward(np.zeros((5, 4, 3)), initial_state=[np.zeros((4, 13))] * 2),
        lambda model: model.step(np.zeros((5, 4, 3))),
        lambda model: model.step(None),
    ]
    for call in calls:
        messages = []
        for engine in ("native", "reference"):
            with pytest.raises(InputError) as caught:
                call(make(name, sizes, engine=engine))
            messages.append(str(caught.value))
        assert messages[0] == messages[1]


def test_the_core_numbers_every_activation():
    assert sorted(core.ACTIVATIONS) == sorted(gate_activations.NAMES)
    stated = LSTMVariantEquations(4, LSTMVariant(2, True, False, True)).shapes(3)
    assert set(core.LSTM_VARIANT_PARAMS) == set(stated)
