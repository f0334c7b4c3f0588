"""A frozen LSTM gives what its model gives, step by step or at once, and never changes."""

from contextlib import nullcontext
from itertools import pairwise
from threading import Thread

import numpy as np
import pytest

from lstm_baseline import LSTM, InputError
from lstm_baseline.engine.cells.lstm import LSTMState
from tests.support.engines import (
    FIRST_THE_FASTEST,
    INSTRUCTION_SETS,
    LAYOUTS,
    NO_CORE,
    assert_same_bits,
    running,
    threads,
)
from tests.support.models import normal, shapes_unchecked

I, H, O = 7, 19, 3
B, T = 5, 9
LENGTHS = np.array([9, 0, 4, 1, 8])
ROUNDING = {np.float32: 2e-6, np.float64: 1e-14}


@pytest.fixture(scope="module", autouse=True)
def _without_shape_checks():
    """Leave out what costs most of the reference's time and is checked in other tests."""
    with shapes_unchecked():
        yield


@pytest.fixture(params=[*FIRST_THE_FASTEST, "reference"])
def engine(request):
    with running(request.param) as name:
        yield name


@pytest.fixture(params=[np.float32, np.float64])
def dtype(request):
    return request.param


@pytest.fixture(params=[None, O], ids=["no readout", "readout"])
def model(request, engine, dtype):
    return make(engine, dtype, request.param)


def make(engine, dtype, output_size=None, sizes=(I, H)):
    model = LSTM(*sizes, output_size, dtype=dtype, rng=0, engine=engine)
    for value in model.params.values():
        if value.ndim == 1:
            value += 0.3 * normal(*value.shape, dtype=dtype)
    return model


def some_x(model, num_rows=B, num_steps=T):
    return normal(num_rows, num_steps, model.input_size, dtype=model.dtype)


def some_state(model, num_rows=B):
    shape = (num_rows, model.hidden_size)
    return LSTMState(*(normal(*shape, seed=seed, dtype=model.dtype) for seed in (1, 2)))


def assert_agree(given, expected, model):
    """Compare outputs: the bits of the model, or within rounding where a readout comes after."""
    assert given.dtype == expected.dtype
    assert given.shape == expected.shape
    tolerance = 0 if model.output_size is None else ROUNDING[model.dtype.type]
    np.testing.assert_allclose(given, expected, rtol=0, atol=tolerance)


class TestForward:
    @pytest.mark.parametrize("sequences", [True, False])
    @pytest.mark.parametrize("ragged", [False, True])
    @pytest.mark.parametrize("start", [False, True])
    def test_numbers_are_the_model_s(self, model, sequences, ragged, start):
        options = {
            "initial_state": some_state(model) if start else None,
            "lengths": LENGTHS if ragged else None,
        }
        frozen, x = model.freeze(), some_x(model)
        outputs, *state = frozen.forward(x, sequences, True, **options)
        expected, *expected_state = model.forward(x, sequences, True, **options)
        assert_agree(outputs, expected, model)
        for part, expected_part in zip(state, expected_state, strict=True):
            np.testing.assert_array_equal(part, expected_part, strict=True)
        np.testing.assert_array_equal(frozen.forward(x, sequences, **options), outputs)
        if ragged and sequences:
            assert not outputs[np.arange(T) >= LENGTHS[:, None]].any()
        assert not any(np.shares_memory(outputs, part) for part in state)

    @pytest.mark.parametrize(("num_rows", "num_steps"), [(0, 4), (3, 0), (0, 0), (1, 1)])
    @pytest.mark.parametrize("ragged", [False, True])
    def test_little_or_nothing_to_do(self, model, num_rows, num_steps, ragged):
        x, start = some_x(model, num_rows, num_steps), some_state(model, num_rows)
        options = {"initial_state": start, "lengths": np.zeros(num_rows, int) if ragged else None}
        for sequences in (True, False):
            given = model.freeze().forward(x, sequences, True, **options)
            expected = model.forward(x, sequences, True, **options)
            for a, b in zip(given, expected, strict=True):
                assert_agree(a, b, model)

    @pytest.mark.parametrize("sizes", [(1, 1), (3, 16), (33, 67), (9, 200)], ids=str)
    def test_other_sizes(self, engine, dtype, sizes):
        for output_size in (None, 1, 17):
            model = make(engine, dtype, output_size, sizes)
            for num_rows in (1, 2, 13):
                x = some_x(model, num_rows)
                assert_agree(model.freeze().forward(x), model.forward(x), model)

    @pytest.mark.skipif(not INSTRUCTION_SETS, reason=NO_CORE)
    @pytest.mark.parametrize("sizes", [(1, 17, 33, 200), (2, 15, 30, 150), (7, 12, 9, 100)])
    def test_any_number_of_threads_gives_the_same_bits(self, dtype, sizes):
        num_rows, num_steps, *sizes = sizes
        frozen = make("native", dtype, 3, sizes).freeze()
        x = normal(num_rows, num_steps, sizes[0], dtype=dtype)
        lengths = num_steps - np.arange(num_rows) % 5
        results = []
        for number in (1, 2, 3, 7):
            with threads(number):
                results.append(frozen.forward(x, True, True, lengths=lengths))
        for other in results[1:]:
            assert_same_bits(dict(enumerate(other)), dict(enumerate(results[0])))


class TestStreams:
    @pytest.mark.parametrize(
        ("num_rows", "sizes"),
        [(1, (I, H)), (5, (I, H)), (1, (1, 1)), (70, (2, 5)), (300, (3, 33)), (17, (40, 160))],
        ids=str,
    )
    @pytest.mark.parametrize("output_size", [None, O])
    def test_steps_have_the_bits_of_one_forward(self, engine, dtype, num_rows, sizes, output_size):
        frozen = make(engine, dtype, output_size, sizes).freeze()
        x = normal(num_rows, 3, sizes[0], dtype=dtype)
        outputs, *final = frozen.forward(x, return_state=True)
        state = None
        for t in range(3):
            with threads(3) if engine == "native" else nullcontext():
                y_t, state = frozen.step(x[:, t], state)
            self.compare(engine, y_t, outputs[:, t], dtype)
        assert type(state) is LSTMState
        for part, expected in zip(state, final, strict=True):
            self.compare(engine, part, expected, dtype)

    @pytest.mark.parametrize("cuts", [[0, 4, 9], [0, 1, 1, 2, 8, 9]], ids=str)
    def test_steps_and_chunks_in_any_order(self, model, engine, dtype, cuts):
        frozen, x, start = model.freeze(), some_x(model), some_state(model)
        outputs, *final = frozen.forward(x, return_state=True, initial_state=start)
        state, pieces = start, []
        for first, end in pairwise(cuts):
            if end == first + 1:
                y_t, state = frozen.step(x[:, first], state)
                pieces.append(y_t[:, None])
            else:
                piece, *state = frozen.forward(
                    x[:, first:end], return_state=True, initial_state=state
                )
                pieces.append(piece)
        self.compare(engine, np.concatenate(pieces, axis=1), outputs, dtype)
        for part, expected in zip(state, final, strict=True):
            self.compare(engine, part, expected, dtype)

    def compare(self, engine, given, expected, dtype):
        # NumPy's products of one row and of many are summed in different orders.
        tolerance = ROUNDING[dtype] if engine == "reference" else 0
        np.testing.assert_allclose(given, expected, rtol=0, atol=tolerance)

    def test_a_step_is_the_model_s(self, model):
        x_t, state = some_x(model)[:, 0], some_state(model)
        for given in (None, state):
            y_t, after = model.freeze().step(x_t, given)
            expected, expected_after = model.step(x_t, given)
            assert_agree(y_t, expected, model)
            assert type(after) is type(expected_after)
            for part, expected_part in zip(after, expected_after, strict=True):
                np.testing.assert_array_equal(part, expected_part, strict=True)

    def test_no_rows(self, model):
        y_t, state = model.freeze().step(np.zeros((0, I), model.dtype))
        assert y_t.shape == (0, model.output_size or H)
        assert [part.shape for part in state] == [(0, H)] * 2

    def test_states_are_never_changed_and_share_no_memory(self, model):
        frozen, x, state = model.freeze(), some_x(model), some_state(model)
        before = [part.copy() for part in state]
        for part in (x, *state):
            part.setflags(write=False)
        y_t, after = frozen.step(x[:, 0], state)
        outputs, *final = frozen.forward(x, return_state=True, initial_state=state)
        arrays = [x, *state, y_t, *after, outputs, *final]
        for k, array in enumerate(arrays):
            assert not any(np.shares_memory(array, other) for other in arrays[k + 1 :])
        for part, unchanged in zip(state, before, strict=True):
            np.testing.assert_array_equal(part, unchanged)

    def test_what_comes_out_may_be_written_to(self, model):
        frozen, x = model.freeze(), some_x(model)
        expected = frozen.step(x[:, 0])[0].copy()
        y_t, (h, c) = frozen.step(x[:, 0])
        for array in (y_t, h, c):
            array[...] = np.nan
        np.testing.assert_array_equal(frozen.step(x[:, 0])[0], expected)


class TestFrozen:
    def test_later_updates_do_not_reach_it(self, model):
        frozen, x = model.freeze(), some_x(model)
        before, first = frozen.forward(x), frozen.step(x[:, 0])[0]
        for value in model.params.values():
            value += 1
        np.testing.assert_array_equal(frozen.forward(x), before)
        np.testing.assert_array_equal(frozen.step(x[:, 0])[0], first)
        assert not np.allclose(model.freeze().forward(x), before)

    def test_it_outlives_its_model(self, engine, dtype):
        model = make(engine, dtype)
        frozen, x = model.freeze(), some_x(model)
        expected = model.forward(x)
        del model
        np.testing.assert_array_equal(frozen.forward(x), expected)

    def test_freezing_leaves_the_model_as_it_was(self, model):
        before = {name: value.copy() for name, value in model.params.items()}
        model.freeze()
        assert_same_bits(model.params, before)
        for value in model.params.values():
            value += 1

    def test_many_threads_share_it(self, model):
        frozen, x = model.freeze(), some_x(model)
        sequence, first = frozen.forward(x), frozen.step(x[:, 0])[0]
        wrong = []

        def work():
            for _ in range(50):
                state = None
                y_t, state = frozen.step(x[:, 0], state)
                same = np.array_equal(y_t, first) and np.array_equal(frozen.forward(x), sequence)
                wrong.extend([] if same else [y_t])

        workers = [Thread(target=work) for _ in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert not wrong

    def test_it_shows_its_sizes(self, model):
        frozen = model.freeze()
        assert (frozen.input_size, frozen.hidden_size) == (I, H)
        assert (frozen.output_size, frozen.dtype) == (model.output_size, model.dtype)
        assert f"input_size={I}, hidden_size={H}" in repr(frozen)


KINDS = LAYOUTS | {
    "float64": lambda array: array.astype(np.float64),
    "nested lists": lambda array: array.tolist(),
}


class TestArguments:
    """What a model takes or refuses, its frozen copy takes or refuses in the same words."""

    @pytest.fixture(params=["native", "reference"])
    def model(self, request):
        if request.param == "native" and not INSTRUCTION_SETS:
            pytest.skip(NO_CORE)
        return make(request.param, np.float32, O)

    @pytest.mark.parametrize("kind", KINDS)
    def test_arrays_of_any_layout_are_taken(self, model, kind):
        change = KINDS[kind]
        frozen, x, state = model.freeze(), some_x(model), some_state(model)
        given = [change(part) for part in state]
        lengths = LENGTHS if kind == "float64" else change(LENGTHS)
        np.testing.assert_array_equal(
            frozen.forward(change(x), initial_state=given, lengths=lengths),
            frozen.forward(x, initial_state=state, lengths=LENGTHS),
        )
        expected, after = frozen.step(x[:, 0], state)
        for given_state in (given, tuple(given), LSTMState(*given)):
            y_t, given_after = frozen.step(change(x[:, 0]), given_state)
            np.testing.assert_array_equal(y_t, expected)
            assert type(given_after) is LSTMState
            for part, expected_part in zip(given_after, after, strict=True):
                np.testing.assert_array_equal(part, expected_part, strict=True)

    @pytest.mark.parametrize("kind", [bool, np.int8, np.float16])
    def test_real_numbers_of_any_kind_are_taken(self, model, kind):
        frozen, ones = model.freeze(), np.ones((B, T, I))
        np.testing.assert_array_equal(frozen.forward(ones.astype(kind)), frozen.forward(ones))
        np.testing.assert_array_equal(
            frozen.step(ones[:, 0].astype(kind))[0], frozen.step(ones[:, 0])[0]
        )

    @pytest.mark.parametrize(
        "call",
        [
            lambda m: m.forward(np.zeros((B, T))),
            lambda m: m.forward(np.zeros((B, T, I + 1))),
            lambda m: m.forward(np.zeros((B, T, I), complex)),
            lambda m: m.forward(np.full((B, T, I), "a")),
            lambda m: m.forward([[[0.0] * I], [[0.0] * (I - 1)]]),
            lambda m: m.forward(None),
            lambda m: m.forward(np.zeros((B, T, I)), lengths=[T + 1] * B),
            lambda m: m.forward(np.zeros((B, T, I)), lengths=[-1] * B),
            lambda m: m.forward(np.zeros((B, T, I)), lengths=[1.0] * B),
            lambda m: m.forward(np.zeros((B, T, I)), lengths=[1]),
            lambda m: m.forward(np.zeros((B, T, I)), initial_state=[np.zeros((B, H + 1))] * 2),
            lambda m: m.forward(np.zeros((B, T, I)), initial_state=np.zeros((B, H))),
            lambda m: m.step(np.zeros((B, T, I))),
            lambda m: m.step(np.zeros(I)),
            lambda m: m.step(np.zeros((B, I + 1))),
            lambda m: m.step(np.zeros((B, I), complex)),
            lambda m: m.step(None),
            lambda m: m.step("x"),
        ],
    )
    def test_refusals_are_the_model_s(self, model, call):
        messages = []
        for refuses in (model, model.freeze()):
            with pytest.raises(InputError) as caught:
                call(refuses)
            messages.append(str(caught.value))
        assert messages[0] == messages[1]
        assert "\n" not in messages[1]

    @pytest.mark.parametrize(
        "state",
        [
            (np.zeros((B, H)),),
            (np.zeros((B, H)),) * 3,
            (np.zeros((B + 1, H)),) * 2,
            (np.zeros((B, H)), np.zeros((1, H))),
            (np.zeros((B, H)), np.zeros(H)),
            (np.zeros((B, H)), np.zeros((B, H), complex)),
            (np.zeros((B, H)), None),
            np.zeros((2, B, H)),
            "hc",
        ],
    )
    def test_states_of_steps_that_do_not_fit(self, model, state):
        for refuses in (model, model.freeze()):
            with pytest.raises(InputError, match="state") as caught:
                refuses.step(np.zeros((B, I)), state)
            assert "\n" not in str(caught.value)

    def test_names_of_arguments(self, model):
        frozen, x, state = model.freeze(), some_x(model), some_state(model)
        np.testing.assert_array_equal(
            frozen.step(x_t=x[:, 0], state=state)[0], frozen.step(x[:, 0], state)[0]
        )
        np.testing.assert_array_equal(
            frozen.forward(x=x, return_sequences=False, return_state=False, initial_state=state),
            frozen.forward(x, False, initial_state=state),
        )


@pytest.mark.skipif(not INSTRUCTION_SETS, reason=NO_CORE)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_comes_out_where_the_reference_has_it(dtype, bad):
    x = normal(B, T, I, dtype=dtype)
    x[2, 1, 0] = bad
    expected = make("reference", dtype, O)
    for name in INSTRUCTION_SETS:
        with running(name) as engine, np.errstate(invalid="ignore"):
            given = make(engine, dtype, O).freeze().forward(x)
            np.testing.assert_allclose(given, expected.forward(x), rtol=0, atol=1e-5)


@pytest.mark.skipif(not INSTRUCTION_SETS, reason=NO_CORE)
def test_an_instruction_set_is_that_of_the_time_of_freezing(dtype):
    x = normal(B, T, I, dtype=dtype)
    for first in INSTRUCTION_SETS:
        with running(first):
            frozen = make("native", dtype, O).freeze()
            expected = frozen.forward(x)
        for second in INSTRUCTION_SETS:
            with running(second):
                np.testing.assert_array_equal(frozen.forward(x), expected)


def test_very_long_rows():
    """Rows times groups of rows must not leave the range of a 32-bit number."""
    x = np.ones((1, 450_000, 1), np.float32)
    outputs = LSTM(1, 1, 1, rng=0).freeze().forward(x)
    assert (outputs[0, 1000:] == outputs[0, 1000]).all()
    y = LSTM(1, 1, rng=0).forward(x.reshape(-1, 1, 1))
    assert (y == y[0]).all()
