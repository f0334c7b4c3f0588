"""Layers, directions and dropout of every cell, and layers that differ in size."""

import numpy as np
import pytest

from lstm_baseline import GRU, LSTM, InputError, RelationalRNN, load_model
from lstm_baseline.testing import ModelConformance
from tests.support.models import assert_same_arrays, normal, scatter, shapes_unchecked

I, O, B, T = 3, 2, 4, 5
LENGTHS = np.array([5, 2, 0, 3])
RELATIONAL = {"num_slots": 2, "num_heads": 2, "head_size": 2}
EVERY_RATE = {
    "dropout": 0.3,
    "input_dropout": 0.2,
    "output_dropout": 0.2,
    "recurrent_dropout": 0.4,
    "weight_drop": 0.3,
    "zoneout": 0.2,
}

LAYERED = {
    "lstm of two sizes": (LSTM, {"hidden_size": (5, 3)}),
    "lstm of two sizes, both ways": (LSTM, {"hidden_size": (3, 4), "bidirectional": True}),
    "lstm of two sizes, projected": (
        LSTM,
        {"hidden_size": (5, 4), "projection_size": 3, "peepholes": True},
    ),
    "gru": (GRU, {"hidden_size": 4, "num_layers": 2}),
    "gru of three sizes": (GRU, {"hidden_size": (5, 2, 4)}),
    "gru, both ways": (GRU, {"hidden_size": 4, "bidirectional": True, "merge": "mean"}),
    "relational": (RelationalRNN, {**RELATIONAL, "num_layers": 2}),
    "relational, both ways": (RelationalRNN, {**RELATIONAL, "bidirectional": True}),
}


def make(name, *, seed=0, output_size=O, dtype=np.float64, **options):
    kind, sizes = LAYERED[name]
    model = kind(input_size=I, output_size=output_size, **sizes, **options, dtype=dtype, rng=seed)
    return scatter(model, seed)


@pytest.fixture(params=LAYERED)
def name(request):
    return request.param


class Conformance(ModelConformance):
    input_size = I
    name = ""

    def make_model(self, seed):
        kind, sizes = LAYERED[self.name]
        return kind(input_size=I, output_size=O, **sizes, dtype=np.float64, rng=seed)


ONE_WAY = [name for name in LAYERED if "both ways" not in name]
for _name in ONE_WAY:
    _kind = type(f"Test {_name}".title().replace(" ", "").replace(",", ""), (Conformance,), {})
    _kind.name = _name
    globals()[_kind.__name__] = _kind
del _kind, Conformance


class TestBothWays:
    @pytest.mark.parametrize("name", [name for name in LAYERED if name not in ONE_WAY])
    def test_gradients(self, name):
        model, x = make(name), normal(B, T, I)
        assert_derivative(model, x, rng=None)

    def test_there_is_no_step(self):
        for kind, sizes in ((GRU, {"hidden_size": 3}), (RelationalRNN, RELATIONAL)):
            model = kind(input_size=I, **sizes, bidirectional=True)
            with pytest.raises(InputError, match=f"a bidirectional {kind.__name__} has no step"):
                model.step(np.zeros((1, I)))


def assert_derivative(model, x, rng):
    """Compare ``backward`` with central differences of a loss of every output."""
    weights = normal(len(x), x.shape[1], O, seed=3)

    def loss():
        return float(np.sum(weights * model.forward_with_cache(x, lengths=LENGTHS, rng=rng)[0]))

    _, cache = model.forward_with_cache(x, lengths=LENGTHS, rng=rng)
    gradients = model.backward(weights, cache)
    draw, delta = np.random.default_rng(5), 1e-6
    for name, value in [*model.params.items(), ("x", x)]:
        gradient = gradients.x if name == "x" else gradients.params[name]
        for place in draw.choice(value.size, min(4, value.size), replace=False):
            index = np.unravel_index(place, value.shape)
            start = value[index]
            with shapes_unchecked():
                value[index] = start + delta
                above = loss()
                value[index] = start - delta
                slope = (above - loss()) / (2 * delta)
            value[index] = start
            assert slope == pytest.approx(gradient[index], abs=1e-7 + 1e-6 * abs(slope)), name


def test_gradients_with_everything_dropped(name):
    assert_derivative(make(name, **EVERY_RATE), normal(B, T, I), rng=7)


def test_dropout_is_off_without_rng_and_differs_with_it(name):
    rates = {key: rate for key, rate in EVERY_RATE.items() if key != "zoneout"}
    plain, dropping, x = make(name), make(name, **rates), normal(B, T, I)
    np.testing.assert_array_equal(dropping.forward(x), plain.forward(x))
    one, _ = dropping.forward_with_cache(x, rng=1)
    again, _ = dropping.forward_with_cache(x, rng=1)
    other, _ = dropping.forward_with_cache(x, rng=2)
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()
    assert (one != plain.forward(x)).any()


def test_a_file_holds_layers_and_rates(name, tmp_path):
    model, x = make(name, **EVERY_RATE), normal(B, T, I)
    model.save(tmp_path / "model.safetensors")
    again = load_model(tmp_path / "model.safetensors")
    assert again.config == model.config
    assert again.rates == model.rates
    np.testing.assert_array_equal(
        again.forward(x, lengths=LENGTHS), model.forward(x, lengths=LENGTHS)
    )
    assert type(model).shapes(**{k: v for k, v in model.config.items() if k != "dtype"}) == {
        key: value.shape for key, value in model.params.items()
    }


def test_the_engines_agree(name):
    x, found = normal(B, T, I), []
    for engine in ("auto", "reference"):
        model = make(name, engine=engine)
        outputs, *state = model.forward(x, lengths=LENGTHS, return_state=True)
        _, cache = model.forward_with_cache(x, lengths=LENGTHS)
        gradients = model.backward(outputs, cache)
        found.append(
            {"outputs": outputs, "x": gradients.x, **gradients.params}
            | {f"state {k}": part for k, part in enumerate(state)}
            | {f"start {k}": part for k, part in enumerate(gradients.initial_state)}
        )
    assert_same_arrays(*found, 1e-12)


@pytest.mark.parametrize(("kind", "sizes"), [(LSTM, (5, 3)), (GRU, (4, 6))])
def test_layers_are_one_model_after_another(kind, sizes):
    both = scatter(kind(I, sizes, dtype=np.float64, rng=0))
    x = normal(B, T, I)
    y, size = x, I
    ends = []
    for layer, hidden in enumerate(sizes):
        one = kind(size, hidden, dtype=np.float64, rng=1)
        for key, value in one.params.items():
            value[...] = both.params[f"{key}_l{layer}"]
        y, *end = one.forward(y, lengths=LENGTHS, return_state=True)
        ends += end
        size = hidden
    outputs, *state = both.forward(x, lengths=LENGTHS, return_state=True)
    np.testing.assert_allclose(outputs, y, rtol=0, atol=1e-13)
    for part, expected in zip(state, ends, strict=True):
        np.testing.assert_allclose(part, expected, rtol=0, atol=1e-13)


def test_states_of_layers_that_differ_have_names():
    state = LSTM(I, (5, 3)).initial_state(2)
    assert state._fields == ("h_l0", "c_l0", "h_l1", "c_l1")
    assert [part.shape for part in state] == [(2, 5), (2, 5), (2, 3), (2, 3)]
    assert LSTM(I, (5, 5)).initial_state(2).h.shape == (2, 2, 5)


def test_sizes_tell_the_number_of_layers():
    model = LSTM(I, (5, 3), O)
    assert (model.num_layers, model.hidden_size) == (2, (5, 3))
    assert model.config["hidden_size"] == [5, 3]
    assert (GRU(I, (4, 4)).num_layers, GRU(I, (4, 4)).hidden_size) == (2, 4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden_size": ()}, r"hidden_size is \(\); give one size for each layer"),
        ({"hidden_size": (4, 0)}, "hidden_size is 0; give a whole number"),
        (
            {"hidden_size": (4, 3), "num_layers": 3},
            r"hidden_size is \(4, 3\) and num_layers 3; give",
        ),
        ({"hidden_size": 4, "num_layers": 0}, "num_layers is 0"),
        ({"hidden_size": "4"}, "hidden_size is '4'"),
    ],
)
def test_sizes_that_cannot_be(options, message):
    for kind in (LSTM, GRU):
        with pytest.raises(InputError, match=message):
            kind(I, **options)


def test_one_rate_of_zoneout_where_the_state_is_one_array():
    with pytest.raises(InputError, match="the state is one array, so give one rate"):
        GRU(I, 4, zoneout=(0.1, 0.2))


def test_an_option_that_is_none_is_a_type_error():
    with pytest.raises(TypeError, match="unexpected keyword argument 'droput'"):
        GRU(I, 4, droput=0.1)
