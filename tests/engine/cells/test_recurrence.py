"""What every cell run over time promises: lengths, carried state, inputs that stay as they are."""

from itertools import pairwise

import jaxtyping
import numpy as np
import pytest

from lstm_baseline.engine.cells import unroll, unroll_backward
from lstm_baseline.engine.cells.blocks import affine
from tests.support.models import (
    INPUT_SIZE,
    SMALL_MODELS,
    assert_same_arrays,
    make_model,
    normal,
    random_state,
)

B, T = 5, 6
LENGTHS = np.array([0, 6, 3, 1, 0])


@pytest.fixture(params=SMALL_MODELS)
def model(request):
    return make_model(request.param, output_size=2)


@pytest.fixture
def x():
    return normal(B, T, INPUT_SIZE)


def padding(lengths=LENGTHS):
    """Return (B, T), True past each row's end."""
    return np.arange(T) >= lengths[:, None]


def backward(model, x, lengths=None, *, return_sequences=True, state=None, junk=0.0):
    """Differentiate with random d_outputs, with junk in their padding."""
    outputs, cache = model.forward_with_cache(
        x, return_sequences, initial_state=state, lengths=lengths
    )
    d_outputs = normal(*outputs.shape, seed=3)
    if lengths is not None and return_sequences:
        d_outputs[padding(lengths)] = junk
    return model.backward(d_outputs, cache, random_state(model, len(x), seed=4))


def test_outputs_are_zero_in_the_padding(model, x):
    outputs = model.forward(x, lengths=LENGTHS)
    assert (outputs[padding()] == 0).all()
    assert (outputs[~padding()] != 0).all()


@pytest.mark.parametrize("return_sequences", [True, False])
def test_a_row_gives_what_it_gives_alone_and_unpadded(model, x, return_sequences):
    start = random_state(model, B)
    options = {"return_sequences": return_sequences, "return_state": True}
    outputs, *state = model.forward(x, **options, initial_state=start, lengths=LENGTHS)
    for row, length in enumerate(LENGTHS):
        one = slice(row, row + 1)
        alone, *alone_state = model.forward(
            x[one, :length], **options, initial_state=type(start)(*(part[one] for part in start))
        )
        shown = outputs[one, :length] if return_sequences else outputs[one]
        np.testing.assert_allclose(shown, alone, rtol=0, atol=1e-13)
        for part, alone_part in zip(state, alone_state, strict=True):
            np.testing.assert_allclose(part[one], alone_part, rtol=0, atol=1e-13)


def test_a_row_without_steps_keeps_its_state(model, x):
    start = random_state(model, B)
    _, *state = model.forward(x, return_state=True, initial_state=start, lengths=LENGTHS)
    for part, first in zip(state, start, strict=True):
        np.testing.assert_array_equal(part[LENGTHS == 0], first[LENGTHS == 0])


@pytest.mark.parametrize("junk", [np.nan, np.inf, 1e300])
@pytest.mark.parametrize("return_sequences", [True, False])
def test_nothing_in_the_padding_reaches_anything(model, x, junk, return_sequences):
    spoiled = np.where(padding()[:, :, None], junk, x)
    np.testing.assert_array_equal(
        model.forward(spoiled, return_sequences, lengths=LENGTHS),
        model.forward(x, return_sequences, lengths=LENGTHS),
    )
    given = backward(model, spoiled, LENGTHS, return_sequences=return_sequences, junk=junk)
    expected = backward(model, x, LENGTHS, return_sequences=return_sequences)
    assert_same_arrays(given.params, expected.params)
    np.testing.assert_array_equal(given.x, expected.x)
    assert (given.x[padding()] == 0).all()
    for part, expected_part in zip(given.initial_state, expected.initial_state, strict=True):
        np.testing.assert_array_equal(part, expected_part)


def test_full_lengths_change_nothing(model, x):
    np.testing.assert_array_equal(model.forward(x, lengths=[T] * B), model.forward(x))
    given, expected = backward(model, x, np.full(B, T)), backward(model, x)
    assert_same_arrays(given.params, expected.params, tolerance=1e-13)
    np.testing.assert_allclose(given.x, expected.x, rtol=0, atol=1e-13)


@pytest.mark.parametrize("cuts", [[0, 3, 6], [0, 1, 1, 5, 6], list(range(T + 1))], ids=str)
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "ragged"])
def test_any_split_with_the_state_carried_gives_the_same(model, x, cuts, lengths):
    outputs, *final = model.forward(x, return_state=True, lengths=lengths)
    state, pieces = None, []
    for first, end in pairwise(cuts):
        left = None if lengths is None else np.clip(lengths - first, 0, end - first)
        piece, *state = model.forward(
            x[:, first:end], return_state=True, initial_state=state, lengths=left
        )
        pieces.append(piece)
    np.testing.assert_allclose(np.concatenate(pieces, axis=1), outputs, rtol=0, atol=1e-13)
    for part, expected in zip(state, final, strict=True):
        np.testing.assert_allclose(part, expected, rtol=0, atol=1e-13)


def test_gradients_through_two_chunks_are_those_of_the_whole(model, x):
    start, d_outputs = random_state(model, B), normal(B, T, 2, seed=3)
    _, cache = model.forward_with_cache(x, initial_state=start)
    whole = model.backward(d_outputs, cache)

    _, *middle = model.forward(x[:, :4], return_state=True, initial_state=start)
    _, first_cache = model.forward_with_cache(x[:, :4], initial_state=start)
    _, second_cache = model.forward_with_cache(x[:, 4:], initial_state=middle)
    second = model.backward(d_outputs[:, 4:], second_cache)
    first = model.backward(d_outputs[:, :4], first_cache, second.initial_state)

    summed = {name: first.params[name] + second.params[name] for name in first.params}
    assert_same_arrays(summed, whole.params, tolerance=1e-12)
    np.testing.assert_allclose(
        np.concatenate([first.x, second.x], axis=1), whole.x, rtol=0, atol=1e-13
    )
    for part, expected in zip(first.initial_state, whole.initial_state, strict=True):
        np.testing.assert_allclose(part, expected, rtol=0, atol=1e-13)


def test_stepping_gives_what_forward_gives(model, x):
    outputs, *final = model.forward(x, return_state=True)
    state = None
    for t in range(T):
        y_t, state = model.step(x[:, t], state)
        np.testing.assert_allclose(y_t, outputs[:, t], rtol=0, atol=1e-13)
    for part, expected in zip(state, final, strict=True):
        np.testing.assert_allclose(part, expected, rtol=0, atol=1e-13)


def test_no_input_is_ever_changed(model, x):
    start = random_state(model, B)
    for array in (x, LENGTHS, *start, *model.params.values()):
        array.setflags(write=False)
    for lengths in (None, LENGTHS):
        backward(model, x, lengths, state=start)
        backward(model, x, lengths, state=start, return_sequences=False)
    model.forward(x, return_state=True, initial_state=start)
    model.step(x[:, 0], start)


def test_states_do_not_share_memory_with_each_other_or_with_what_was_given(model, x):
    first = model.initial_state(B)
    _, second = model.step(x[:, 0], first)
    parts = [*first, *second]
    for k, part in enumerate(parts):
        assert not any(np.shares_memory(part, other) for other in parts[k + 1 :])


@pytest.mark.parametrize(("num_rows", "num_steps"), [(0, 4), (3, 0), (0, 0)])
@pytest.mark.parametrize("ragged", [True, False])
def test_nothing_to_do_is_done(model, num_rows, num_steps, ragged):
    x = np.zeros((num_rows, num_steps, INPUT_SIZE))
    options = {"lengths": np.zeros(num_rows, int)} if ragged else {}
    start = random_state(model, num_rows)
    outputs, *state = model.forward(x, return_state=True, initial_state=start, **options)
    assert outputs.shape == (num_rows, num_steps, 2)
    for part, first in zip(state, start, strict=True):
        np.testing.assert_array_equal(part, first)
    for return_sequences in (True, False):
        outputs, cache = model.forward_with_cache(
            x, return_sequences, initial_state=start, **options
        )
        gradients = model.backward(np.ones_like(outputs), cache)
        assert gradients.x.shape == x.shape
        for name, value in gradients.params.items():
            readout = name.endswith("_out")
            assert value.shape == model.params[name].shape
            assert not value.any() or (readout and not return_sequences)


def test_the_loop_without_a_cache_gives_the_same(model, x):
    state = model.initial_state(B)
    cell_params = {k: v for k, v in model.params.items() if not k.endswith("_out")}
    kept, _, cache = unroll(model.cell, cell_params, x, state, LENGTHS)
    light, _, none = unroll(model.cell, cell_params, x, state, LENGTHS, keep_cache=False)
    np.testing.assert_array_equal(kept, light)
    assert (kept[padding()] == 0).all()
    assert cache is not None
    assert none is None


class TestShapeChecks:
    """The checks that conftest.py switches on do catch a wrong shape."""

    def test_in_the_loop(self, model, x):
        with pytest.raises(jaxtyping.TypeCheckError, match="'x'"):
            unroll(model.cell, model.params, x[0], model.initial_state(B))

    def test_in_its_derivative(self, model, x):
        _, _, cache = unroll(model.cell, model.params, x, model.initial_state(B))
        with pytest.raises(jaxtyping.TypeCheckError, match="'d_outputs'"):
            unroll_backward(model.cell, model.params, np.zeros((B, T)), cache)

    def test_between_arguments(self):
        with pytest.raises(jaxtyping.TypeCheckError, match="'b'"):
            affine(normal(4, 3), W=normal(2, 3), b=normal(3))
