"""The LSTM's variants: gradients of every combination, and what they are without any piece."""

from itertools import product

import numpy as np
import pytest

from lstm_baseline import LSTM
from lstm_baseline.engine.cells import LSTMEquations, unroll, unroll_backward
from lstm_baseline.engine.cells.gate_activations import NAMES
from lstm_baseline.engine.cells.lstm_variants import LSTMVariantEquations
from lstm_baseline.engine.errors import InputError
from lstm_baseline.testing import check_gradients
from tests.support.models import assert_same_arrays, normal, random_state, scatter, shapes_unchecked

SMOOTH = ("sigmoid", "tanh", "tanh")


@pytest.fixture(scope="module", autouse=True)
def _without_shape_checks():
    """Leave out what costs most of the time here and is checked in every other test."""
    with shapes_unchecked():
        yield


def errors_of(model, B=2, T=4):
    model = scatter(model)
    return check_gradients(
        model,
        normal(B, T, model.input_size),
        final_state=True,
        initial_state=random_state(model, B),
        lengths=np.arange(B) * T // max(1, B - 1),
        max_entries=5,
    )


@pytest.mark.parametrize("clip", [None, 0.5])
@pytest.mark.parametrize("pieces", list(product([False, True], repeat=5)), ids=str)
def test_gradients_of_every_combination(pieces, clip):
    projected, peepholes, coupled, normalised, bias = pieces
    model = LSTM(
        3,
        4,
        2,
        projection_size=3 if projected else None,
        peepholes=peepholes,
        coupled_gates=coupled,
        layer_norm=normalised,
        bias=bias,
        clip=clip,
        dtype=np.float64,
        rng=0,
    )
    errors = errors_of(model)
    assert errors.keys() >= {*model.params, "x", "initial_state[0]", "initial_state[1]"}
    assert max(errors.values()) < 1e-6, errors


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("name", NAMES)
def test_gradients_of_every_activation_in_every_place(name, place):
    activations = [*SMOOTH]
    # A ramp whose corners no pre-activation here comes near.
    activations[place] = ("hard_sigmoid", 0.01, 0.5) if name == "hard_sigmoid" else name
    model = LSTM(3, 4, activations=activations, peepholes=True, dtype=np.float64, rng=0)
    errors = errors_of(model)
    assert max(errors.values()) < 1e-6, errors


@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (1, 3, 2, 13), (3, 1, 4, 5)], ids=str)
def test_gradients_of_odd_sizes(sizes):
    B, T, I, H = sizes
    model = LSTM(I, H, projection_size=1, peepholes=True, layer_norm=True, dtype=np.float64, rng=0)
    assert max(errors_of(model, B, T).values()) < 1e-6


def test_without_any_piece_it_is_the_plain_lstm():
    model = scatter(LSTM(3, 5, dtype=np.float64, rng=0))
    x, d_outputs = normal(4, 6, 3), normal(4, 6, 5, seed=1)
    start, d_state = random_state(model, 4), random_state(model, 4, seed=2)
    results = []
    for cell in (LSTMEquations(5), LSTMVariantEquations(5)):
        outputs, final, cache = unroll(cell, model.params, x, start, np.array([6, 0, 2, 5]))
        d_params, d_x, d_start = unroll_backward(cell, model.params, d_outputs, cache, d_state)
        found = {"outputs": outputs, "h": final.h, "c": final.c, "d_x": d_x}
        results.append(found | d_params | {"d_h": d_start.h, "d_c": d_start.c})
    assert_same_arrays(*results, 1e-14)


def test_pieces_at_rest_change_nothing():
    plain = LSTM(3, 5, dtype=np.float64, rng=0)
    idle = LSTM(3, 5, peepholes=True, clip=1e3, dtype=np.float64, rng=0)
    x = normal(2, 7, 3)
    np.testing.assert_allclose(idle.forward(x), plain.forward(x), rtol=0, atol=1e-15)


def test_coupled_gates_share_what_they_let_through():
    model = scatter(LSTM(3, 5, coupled_gates=True, dtype=np.float64, rng=0))
    _, cache = model.forward_with_cache(normal(2, 4, 3))
    np.testing.assert_allclose(cache.cell.gate("f") + cache.cell.gate("i"), 1, rtol=1e-15)
    assert model.params["W"].shape == (15, 3)
    assert {"W_i", "W_c", "W_o"} <= model.get_params().keys()
    assert "W_f" not in model.get_params()


def test_the_forget_gate_starts_open():
    for options in ({}, {"coupled_gates": True}, {"peepholes": True}):
        model = LSTM(3, 5, **options, dtype=np.float64, rng=0)
        _, cache = model.forward_with_cache(np.zeros((1, 1, 3)))
        np.testing.assert_allclose(cache.cell.gate("f"), 1 / (1 + np.exp(-1)), rtol=1e-12)


def test_clip_bounds_what_gates_see_and_stops_gradients_there():
    model = scatter(LSTM(2, 3, clip=1e-3, dtype=np.float64, rng=0))
    outputs, cache = model.forward_with_cache(100 * normal(2, 3, 2))
    assert np.abs(cache.cell.gate("f") - 0.5).max() < 1e-3
    gradients = model.backward(np.ones_like(outputs), cache)
    assert not gradients.x.any()
    assert not any(gradients.params[name].any() for name in ("W", "U", "b"))


@pytest.mark.parametrize(
    "options",
    [
        {"projection_size": 2},
        {"coupled_gates": True, "bias": False, "clip": 2},
        {"layer_norm": True, "peepholes": True},
        {"activations": ("hard_sigmoid", ("leaky_relu", 0.25), "softsign")},
        {"activations": (("hard_sigmoid", 1 / 6, 0.5), "tanh", "relu")},
    ],
    ids=str,
)
def test_files_keep_the_variant(tmp_path, options):
    model = scatter(LSTM(3, 4, 2, **options, rng=0))
    model.save(tmp_path / "model.safetensors")
    again = LSTM.load(tmp_path / "model.safetensors")
    assert again.variant == model.variant
    assert again.config == model.config
    x = normal(2, 5, 3, dtype=np.float32)
    np.testing.assert_array_equal(again.forward(x), model.forward(x))
    assert LSTM.shapes(3, 4, 2, **options) == {n: p.shape for n, p in model.params.items()}
    np.testing.assert_array_equal(model.freeze().forward(x), model.forward(x))


def test_sizes_and_activations_of_other_objects_are_taken(tmp_path):
    other = LSTM(3, 4, activations=("sigmoid", ("elu", 0.5), "tanh"), rng=0)
    model = LSTM(
        np.int64(3),
        np.int32(4),
        np.int64(2),
        projection_size=np.int64(2),
        clip=np.float32(3),
        activations=other.variant.activations,
        forget_bias=np.float64(2),
    )
    assert model.variant.activations == other.variant.activations
    model.save(tmp_path / "model.safetensors")
    assert LSTM.load(tmp_path / "model.safetensors").config == model.config


def test_a_plain_model_s_file_says_nothing_of_variants():
    assert LSTM(2, 3).config.keys() == {"input_size", "hidden_size", "output_size", "dtype"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"projection_size": 0}, "projection_size is 0"),
        ({"clip": 0}, "clip is 0; give a limit above 0"),
        ({"clip": np.inf}, "clip is inf"),
        ({"activations": "tanh"}, "give three: of gates, candidate and cell state"),
        ({"activations": ("sigmoid", "tanh")}, "give three"),
        ({"activations": ("sigmoid", "tanh", "gelu")}, "activation is 'gelu'"),
        ({"activations": None}, "give three"),
        ({"activations": ("sigmoid", np.tanh, "tanh")}, "give a name, or a name and constants"),
        ({"activations": ("sigmoid", (), "tanh")}, "give a name, or a name and constants"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        LSTM(3, 4, **options)


@pytest.mark.parametrize("options", [{"layer_norm": True}, {"bias": False}], ids=str)
def test_inputs_that_no_weights_can_stand_for_are_refused(options):
    model = LSTM(3, 4, **options)
    before = model.get_params()
    with pytest.raises(InputError, match="standardise x before each call"):
        model.take_raw_inputs(np.ones(3), np.ones(3))
    assert_same_arrays(model.get_params(), before)
