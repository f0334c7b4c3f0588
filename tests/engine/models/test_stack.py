"""Layers over layers, in one direction and both."""

from itertools import product

import numpy as np
import pytest

from lstm_baseline import LSTM
from lstm_baseline.analysis import trace
from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.models.stack import reverse
from lstm_baseline.testing import check_gradients
from tests.support.models import assert_same_arrays, normal, random_state, scatter, shapes_unchecked

B, T, I, H = 4, 6, 3, 5
LENGTHS = np.array([6, 0, 3, 1])
FORMS = [(1, True), (2, False), (2, True), (3, True)]


@pytest.fixture(params=FORMS, ids=["both ways", "two layers", "two both ways", "three both ways"])
def form(request):
    num_layers, bidirectional = request.param
    return {"num_layers": num_layers, "bidirectional": bidirectional}


def make(form, output_size=None, **options):
    return scatter(LSTM(I, H, output_size, **form, **options, dtype=np.float64, rng=0))


@pytest.mark.parametrize(
    ("sequences", "ragged", "start"), list(product([False, True], repeat=3)), ids=str
)
def test_gradients(form, sequences, ragged, start):
    with shapes_unchecked():
        model = make(form, 2)
        errors = check_gradients(
            model,
            normal(B, T, I),
            return_sequences=sequences,
            lengths=LENGTHS if ragged else None,
            initial_state=random_state(model, B) if start else None,
            final_state=True,
            max_entries=5,
        )
    assert errors.keys() >= {*model.params, "x"}
    assert max(errors.values()) < 1e-6


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_both_engines_agree(form, engine):
    x = normal(B, T, I)
    model = make(form)
    other = make(form, engine="reference")
    assert_same_arrays(
        {"y": model.forward(x, lengths=LENGTHS)}, {"y": other.forward(x, lengths=LENGTHS)}, 1e-13
    )


def test_it_is_layer_upon_layer(form):
    """The same from single layers, run one after the other by hand."""
    model = make(form)
    x, start = normal(B, T, I), random_state(model, B)
    y, h, c = model.forward(x, return_state=True, initial_state=start, lengths=LENGTHS)
    k, finals = 0, []
    for layer in range(form["num_layers"]):
        outputs = []
        for direction in range(1 + form["bidirectional"]):
            suffix = f"_l{layer}" + ("_reverse" if direction else "")
            alone = LSTM(x.shape[2], H, dtype=np.float64, rng=0)
            for name, value in alone.params.items():
                value[...] = model.params[name + suffix]
            source = x.copy()
            if direction:
                for row, length in enumerate(LENGTHS):
                    source[row, :length] = x[row, :length][::-1]
            out, *state = alone.forward(
                source,
                return_state=True,
                initial_state=(start.h[k], start.c[k]),
                lengths=LENGTHS,
            )
            if direction:
                for row, length in enumerate(LENGTHS):
                    out[row, :length] = out[row, :length][::-1].copy()
            outputs.append(out)
            finals.append(state)
            k += 1
        x = np.concatenate(outputs, axis=-1)
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(h, np.stack([f[0] for f in finals]))
    np.testing.assert_array_equal(c, np.stack([f[1] for f in finals]))


def test_the_last_output_is_each_direction_s_own_last(form):
    model = make(form)
    x = normal(B, T, I)
    y = model.forward(x, lengths=LENGTHS)
    last = model.forward(x, return_sequences=False, lengths=LENGTHS)
    for row, length in enumerate(LENGTHS):
        if length == 0:
            assert not last[row].any()
            continue
        np.testing.assert_array_equal(last[row, :H], y[row, length - 1, :H])
        if form["bidirectional"]:
            np.testing.assert_array_equal(last[row, H:], y[row, 0, H:])


def test_padding_counts_for_nothing(form):
    model, x = make(form), normal(B, T, I)
    clean = model.forward(x, lengths=LENGTHS)
    for row, length in enumerate(LENGTHS):
        x[row, length:] = np.nan
    np.testing.assert_array_equal(model.forward(x, lengths=LENGTHS), clean)
    assert not clean[1].any()


def test_streaming_gives_the_outputs_of_the_whole():
    model = make({"num_layers": 3})
    x = normal(B, T, I)
    state, outputs = None, []
    for t in range(T):
        y_t, state = model.step(x[:, t], state)
        outputs.append(y_t)
    np.testing.assert_allclose(np.stack(outputs, axis=1), model.forward(x), rtol=0, atol=1e-15)
    assert state.h.shape == state.c.shape == (3, B, H)
    frozen = model.freeze()
    np.testing.assert_array_equal(frozen.step(x[:, 0])[0], outputs[0])


def test_what_needs_the_whole_sequence_is_refused():
    model = make({"bidirectional": True})
    with pytest.raises(InputError, match="no step: it needs the whole sequence; call forward"):
        model.step(normal(B, I))
    with pytest.raises(InputError, match="look at one that runs in one direction"):
        trace(model, normal(B, T, I))
    with pytest.raises(InputError, match="num_layers is 0"):
        LSTM(I, H, num_layers=0)


def test_names_shapes_and_files(form, tmp_path):
    model = make(form, 2)
    options = {name: value for name, value in form.items() if value not in (1, False)}
    assert model.config.items() >= options.items()
    assert LSTM.shapes(I, H, 2, **form) == {n: p.shape for n, p in model.params.items()}
    assert "W_f_l0" in model.get_params()
    model.save(tmp_path / "model.safetensors")
    again = LSTM.load(tmp_path / "model.safetensors")
    x = normal(B, T, I)
    np.testing.assert_array_equal(again.forward(x), model.forward(x))
    other = LSTM(I, H, 2, **form, dtype=np.float64, rng=1)
    other.set_params(model.get_params())
    np.testing.assert_array_equal(other.forward(x), model.forward(x))


def test_raw_inputs_are_folded_into_the_first_layer(form):
    model, x = make(form), normal(B, T, I)
    mean, scale = np.array([1.0, -2.0, 0.5]), np.array([2.0, 0.5, 3.0])
    expected = model.forward((x - mean) / scale)
    model.take_raw_inputs(mean, scale)
    np.testing.assert_allclose(model.forward(x), expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "ragged"])
def test_reversal_undoes_itself(lengths):
    x = normal(B, T, I)
    np.testing.assert_array_equal(reverse(reverse(x, lengths), lengths), x)


def test_reversal_turns_what_is_valid():
    x = np.arange(8.0).reshape(2, 4, 1)
    np.testing.assert_array_equal(
        reverse(x, np.array([3, 0]))[..., 0], [[2, 1, 0, 3], [4, 5, 6, 7]]
    )
