"""Weights to Keras and back: equal outputs, and refusals by name."""

import os

import numpy as np
import pytest

from lstm_baseline import GRU, LSTM
from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.models.dropout import DropoutRates
from lstm_baseline.interop import from_keras, from_keras_weights, to_keras, to_keras_weights
from lstm_baseline.interop.keras import read_layers
from tests.support.models import normal, scatter

# Its default would be TensorFlow.
os.environ.setdefault("KERAS_BACKEND", "torch")
pytest.importorskip("torch", reason="Keras computes with PyTorch here, which is not installed")
keras = pytest.importorskip("keras", reason="converts Keras's weights, which is not installed")
L = keras.layers

# Keras's get_weights, from arrays of PyTorch.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)

B, T, I, H, O = 3, 7, 4, 6, 2
DTYPES = ["float32", "float64"]


def make(*layers, dtype="float32"):
    """Return a Sequential of layers with random weights."""
    model = keras.Sequential([keras.Input((None, I), dtype=dtype), *layers])
    return randomize(model)


def randomize(model, seed=0):
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        variable.assign(0.5 * rng.standard_normal(variable.shape))
    return model


def outputs_of(module, x):
    return keras.ops.convert_to_numpy(module(x, training=False))


def assert_same_outputs(model, module, dtype="float32"):
    assert model.dtype == dtype
    x = normal(B, T, I, dtype=model.dtype)
    y = outputs_of(module, x)
    # Float64 as well: Keras on PyTorch multiplies it in float32.
    np.testing.assert_allclose(model.forward(x, return_sequences=y.ndim == 3), y, rtol=0, atol=1e-6)


def lstm(dtype="float32", units=H, return_sequences=True, **options):
    return L.LSTM(units, return_sequences=return_sequences, dtype=dtype, **options)


def both(dtype="float32", merge_mode="concat", name=None, **options):
    return L.Bidirectional(lstm(dtype, **options), merge_mode=merge_mode, name=name, dtype=dtype)


def rnn(dtype="float32", cells=1, **options):
    made = [L.LSTMCell(H, dtype=dtype, **options) for _ in range(cells)]
    return L.RNN(made if cells > 1 else made[0], return_sequences=True, dtype=dtype)


def dense(dtype="float32", **options):
    return L.Dense(O, dtype=dtype, **options)


CHAINS = {
    "one layer": (lambda d: [lstm(d)], {}),
    "last output": (lambda d: [lstm(d, return_sequences=False)], {}),
    "three layers": (lambda d: [lstm(d), lstm(d), lstm(d)], {"num_layers": 3}),
    "no bias": (
        lambda d: [lstm(d, use_bias=False), lstm(d, use_bias=False)],
        {"num_layers": 2, "bias": False},
    ),
    "both directions": (lambda d: [both(d)], {"bidirectional": True}),
    "last output of both": (lambda d: [both(d, return_sequences=False)], {"bidirectional": True}),
    "two layers of both": (
        lambda d: [both(d), both(d), dense(d)],
        {"num_layers": 2, "bidirectional": True, "output_size": O},
    ),
    "both, no bias": (
        lambda d: [both(d, use_bias=False), dense(d, use_bias=False)],
        {"bidirectional": True, "bias": False, "output_size": O},
    ),
    "cell": (lambda d: [rnn(d)], {}),
    "cell in both": (lambda d: [L.Bidirectional(rnn(d), dtype=d)], {"bidirectional": True}),
    "stacked cells": (lambda d: [lstm(d), rnn(d, cells=2)], {"num_layers": 3}),
    "readout": (lambda d: [lstm(d), dense(d)], {"output_size": O}),
    "readout of the last": (
        lambda d: [lstm(d, return_sequences=False), dense(d)],
        {"output_size": O},
    ),
    "readout without a bias": (lambda d: [lstm(d), dense(d, use_bias=False)], {"output_size": O}),
    "no bias but the readout's": (
        lambda d: [lstm(d, use_bias=False), dense(d)],
        {"bias": False, "output_size": O},
    ),
    "readout by time": (
        lambda d: [lstm(d), L.Dropout(0, dtype=d), L.TimeDistributed(dense(d), dtype=d)],
        {"output_size": O},
    ),
    "summed": (
        lambda d: [both(d, merge_mode="sum"), both(d, merge_mode="sum")],
        {"num_layers": 2, "bidirectional": True, "merge": "sum"},
    ),
    "averaged": (
        lambda d: [both(d, merge_mode="ave", return_sequences=False), dense(d)],
        {"bidirectional": True, "merge": "mean", "output_size": O},
    ),
    "dropout": (
        lambda d: [
            lstm(d, dropout=0.25, recurrent_dropout=0.5),
            L.Dropout(0.125, dtype=d),
            lstm(d, dropout=0.25, recurrent_dropout=0.5),
        ],
        {"num_layers": 2, "dropout": 0.125, "input_dropout": 0.25, "recurrent_dropout": 0.5},
    ),
    "other ways to run": (
        lambda d: [lstm(d, unroll=True, use_cudnn=False, zero_output_for_mask=True)],
        {},
    ),
}
FORMS = [
    {},
    {"num_layers": 3},
    {"bidirectional": True},
    {"num_layers": 2, "bidirectional": True, "output_size": O},
    {"bias": False, "num_layers": 2},
    {"bias": False, "output_size": O},
    {"output_size": O, "bidirectional": True, "bias": False},
    {"num_layers": 2, "bidirectional": True, "merge": "mean"},
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("chain", CHAINS)
def test_from_keras_and_back(chain, dtype):
    layers, form = CHAINS[chain]
    module = make(*layers(dtype), dtype=dtype)
    model = from_keras(module)
    sizes = {"input_size": I, "hidden_size": H, "output_size": None, "dtype": dtype}
    assert model.config == sizes | form
    assert_same_outputs(model, module, dtype)
    x = normal(B, T, I, dtype=model.dtype)
    np.testing.assert_allclose(outputs_of(to_keras(model), x), model.forward(x), rtol=0, atol=1e-6)
    given = from_keras_weights(
        module.get_weights(), bidirectional=model.bidirectional, merge=model.merge
    )
    given.rates = model.rates
    assert_same_models(given, model)
    assert_same_models(from_keras(to_keras(model)), model)


def assert_same_models(given, expected):
    assert given.config == expected.config
    for name, value in given.params.items():
        np.testing.assert_array_equal(value, expected.params[name], err_msg=name)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_to_keras_and_back(form, dtype):
    model = scatter(LSTM(I, H, **form, dtype=dtype, rng=0))
    module = to_keras(model)
    assert_same_outputs(model, module, dtype)
    assert_same_models(from_keras(module), model)
    weights = to_keras_weights(model)
    for own, its in zip(weights, module.get_weights(), strict=True):
        np.testing.assert_array_equal(own, its)
    again = from_keras_weights(weights, bidirectional=model.bidirectional, merge=model.merge)
    assert_same_models(again, model)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_weights_of_one_layer(bidirectional):
    model = scatter(LSTM(I, H, bidirectional=bidirectional, rng=0))
    layer = both() if bidirectional else lstm()
    layer.build((None, None, I))
    layer.set_weights(to_keras_weights(model))
    assert_same_outputs(model, layer)
    assert_same_models(from_keras(layer), model)
    assert_same_models(from_keras_weights(layer.get_weights(), bidirectional=bidirectional), model)


def test_a_list_of_layers():
    module = make(lstm(), lstm(), dense())
    assert_same_outputs(from_keras(module.layers), module)
    assert from_keras(tuple(module.layers[:2])).output_size is None


def test_a_functional_model():
    x = keras.Input((None, I))
    hidden, *states = lstm(return_state=True)(x)
    module = randomize(keras.Model(x, dense()(lstm()(hidden))))
    model = from_keras(module)
    assert (model.num_layers, model.output_size) == (2, O)
    assert_same_outputs(model, module)
    given = from_keras(randomize(keras.Model(x, [hidden, *states])))
    arrays = normal(B, T, I, dtype=np.float32)
    for own, its in zip(
        given.forward(arrays, return_state=True),
        keras.Model(x, [hidden, *states])(arrays),
        strict=True,
    ):
        its = keras.ops.convert_to_numpy(its)
        np.testing.assert_allclose(own, its, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("tanh", "tanh"),
        ("sigmoid", "sigmoid"),
        ("hard_sigmoid", ("hard_sigmoid", 1 / 6, 0.5)),
        ("relu", "relu"),
        ("elu", "elu"),
        ("leaky_relu", ("leaky_relu", 0.2)),
        ("softsign", "softsign"),
        ("softplus", "softplus"),
        (None, "affine"),
    ],
)
@pytest.mark.parametrize("where", ["activation", "recurrent_activation"])
def test_other_activations(name, own, where):
    module = make(lstm(**{where: name}))
    # Activations without a bound would let numbers run away.
    module.set_weights([0.4 * weights for weights in module.get_weights()])
    model = from_keras(module)
    expected = (own, "tanh", "tanh") if where == "recurrent_activation" else ("sigmoid", own, own)
    assert model.variant == LSTM(I, H, activations=expected).variant
    assert_same_outputs(model, module)
    assert_same_outputs(model, to_keras(model))
    assert_same_models(
        from_keras_weights(module.get_weights(), activations=model.variant.activations), model
    )


@pytest.mark.parametrize("form", [{}, {"num_layers": 2, "bidirectional": True}], ids=str)
def test_masks_are_lengths(form):
    model = scatter(LSTM(I, H, **form, rng=0))
    lengths = np.array([7, 0, 4])
    live = (np.arange(T) < lengths[:, None])[:, :, None]
    x = np.where(live, normal(B, T, I, dtype=np.float32), 0)
    masked = keras.Sequential([keras.Input((None, I)), L.Masking(), *to_keras(model).layers])
    y = np.where(live, outputs_of(masked, x), 0)
    np.testing.assert_allclose(y, model.forward(x, lengths=lengths), rtol=0, atol=1e-6)


def test_the_weights_are_copies():
    module = make(lstm(), dense())
    model = from_keras(module)
    before = model.get_params()
    for variable in module.weights:
        variable.assign(np.zeros(variable.shape))
    for array in to_keras_weights(model):
        array[...] = 7
    for name, value in model.get_params().items():
        np.testing.assert_array_equal(value, before[name])


def weights(**changes):
    """Return the weights of two layers and a readout with some of them changed, by their index."""
    given = to_keras_weights(scatter(LSTM(I, H, O, num_layers=2, rng=0)))
    for index, value in changes.items():
        given[int(index[1:])] = value
    return [value for value in given if value is not None]


BAD = np.full((I, 4 * H), np.nan, np.float32)


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        (weights(_0=BAD), {}, r"weights\[0\] holds numbers that are not finite"),
        (weights(_0=BAD.astype(np.float16)), {}, r"weights\[0\] has dtype float16; convert it to"),
        (weights(_2=np.zeros(4 * H)), {}, "weights have the dtypes float32, float64; give one"),
        (weights(_1=None), {}, r"weights\[1\] has shape \(24,\); expected \(H, 4H\)"),
        (
            weights(_0=np.ones(4 * H, np.float32)),
            {},
            r"weights\[0\] has shape \(24,\); expected \(I, 4H\)",
        ),
        (weights(_1=np.ones((H, H), np.float32)), {}, r"weights\[1\] has shape \(6, 6\); expected"),
        (
            weights(_3=np.ones((I, 4 * H), np.float32)),
            {},
            r"weights\[3\] has shape \(4, 24\); expected \(6, 24\)",
        ),
        (weights(_5=None), {}, r"weights\[5\] has shape \(6, 2\); expected \(24,\)"),
        (
            weights(_6=np.ones(O, np.float32)),
            {},
            r"weights\[6\] has shape \(2,\); expected \(6, 2\)",
        ),
        (weights(_7=np.ones(3, np.float32)), {}, r"weights\[7\] has shape \(3,\); expected \(2,\)"),
        (weights(), {"bidirectional": True}, r"weights\[3\] has shape \(6, 24\); expected \(4,"),
        (weights()[:3], {"bidirectional": True}, "weights holds 3 arrays; give those of both"),
        (
            to_keras_weights(LSTM(I, H, num_layers=3)),
            {"bidirectional": True},
            "weights holds 9 arrays; give those of both directions of every layer: kernel",
        ),
        (weights()[:1], {}, "weights holds 1 arrays; give those of every layer: kernel"),
        ([], {}, "weights holds 0 arrays"),
        (weights(_0=[[1.0], [2.0, 3.0]]), {}, r"weights\[0\] is no array but a list"),
        (None, {}, "from_keras_weights got a NoneType; give a list"),
        (weights(), {"activations": ("sigmoid", "tanh")}, "activations is"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_weights_are_refused_by_name(arrays, options, message):
    with pytest.raises(InputError, match=message):
        from_keras_weights(arrays, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"peepholes": True}, "the model has peepholes, which Keras's LSTM has not"),
        ({"coupled_gates": True}, "coupled_gates"),
        ({"layer_norm": True}, "layer_norm"),
        ({"clip": 3}, "clip"),
        ({"projection_size": 2}, "projection_size"),
        ({"zoneout": 0.1}, "zoneout"),
        ({"weight_drop": 0.1}, "weight_drop"),
        ({"output_dropout": 0.1}, "output_dropout"),
        (
            {"activations": ("sigmoid", "tanh", "relu")},
            "the activations tanh of the candidate and relu of the cell state; Keras's LSTM has",
        ),
        (
            {"activations": ("hard_sigmoid", "tanh", "tanh")},
            r"the activation hard_sigmoid\(0.2, 0.5\); Keras's LSTM has: tanh, sigmoid, ",
        ),
        ({"activations": ("sigmoid", "scaled_tanh", "scaled_tanh")}, "scaled_tanh"),
    ],
    ids=str,
)
@pytest.mark.parametrize("convert", [to_keras, to_keras_weights])
def test_what_keras_lacks_is_refused_by_name(options, message, convert):
    if convert is to_keras_weights and options.keys() & {"weight_drop", "output_dropout"}:
        assert len(convert(LSTM(I, H, **options))) == 3  # of training, and no matter of weights
        return
    with pytest.raises(InputError, match=message):
        convert(LSTM(I, H, **options))


@pytest.mark.parametrize("convert", [to_keras, to_keras_weights])
def test_other_models_are_refused(convert):
    with pytest.raises(InputError, match=f"{convert.__name__} got a GRU; give an LSTM"):
        convert(GRU(I, H, rng=0))


def test_float64_where_jax_has_none_is_refused(monkeypatch):
    jax = pytest.importorskip("jax", reason="Keras can compute with JAX, which is not installed")
    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    if not jax.config.jax_enable_x64:
        with pytest.raises(InputError, match="JAX would make float32 of this float64 model"):
            to_keras(LSTM(I, H, dtype=np.float64))


def unlike(z):
    return z


class OtherCell(L.LSTMCell):
    pass


class OtherModel(keras.Model):
    pass


def backward_first():
    return L.Bidirectional(lstm(go_backwards=True), backward_layer=lstm())


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (
            lambda: [L.GRU(H, name="g")],
            "from_keras got g, a GRU; give an LSTM, an RNN of LSTMCells",
        ),
        (lambda: [L.Masking(name="m"), lstm()], "got m, a Masking"),
        (lambda: [dense(name="d"), lstm()], "d, a Dense, is not the last layer after an LSTM"),
        (lambda: [lstm(), dense(name="d"), dense()], "d, a Dense, is not the last layer"),
        (lambda: [dense()], "got no LSTM"),
        (lambda: [keras.Sequential([lstm()], name="s")], "got s, a Sequential"),
        (lambda: [L.Bidirectional(L.GRU(H))], "forward_gru.*, a GRU"),
        (lambda: [L.RNN(L.GRUCell(H), name="r")], "r has a cell GRUCell; expected an LSTMCell"),
        (lambda: [L.RNN(OtherCell(H), name="r")], "r has a cell OtherCell"),
        (lambda: [lstm(go_backwards=True, name="l")], "l has go_backwards True; a layer here runs"),
        (lambda: [backward_first()], "forward_lstm.* has go_backwards True"),
        (
            lambda: [both(merge_mode="mul", name="b")],
            "b has merge_mode 'mul'; give one of: concat, sum, ave",
        ),
        (
            lambda: [both(merge_mode="sum"), both(merge_mode="ave")],
            "layers have merge_mode ave, sum; all layers of one LSTM here have the same",
        ),
        (lambda: [both(merge_mode=None)], "has merge_mode None"),
        (lambda: [L.Bidirectional(rnn(cells=2), name="b")], "b has several cells in a direction"),
        (lambda: [lstm(), lstm(use_bias=False)], "has use_bias False, .* has True"),
        (
            lambda: [lstm(), lstm(activation="relu")],
            "has activation relu, .* has tanh",
        ),
        (
            lambda: [lstm(), lstm(recurrent_activation="relu")],
            "has recurrent_activation relu, .* has sigmoid",
        ),
        (
            lambda: [lstm(), both()],
            "forward_lstm.* and lstm.* are not both of a bidirectional layer",
        ),
        (
            lambda: [lstm(activation="gelu", name="l")],
            "l has activation gelu; known are, of keras.activations: tanh, sigmoid",
        ),
        (
            lambda: [lstm(recurrent_activation=unlike)],
            "has recurrent_activation unlike; known",
        ),
        (lambda: [lstm(activation=L.LeakyReLU(0.1))], "has activation LeakyReLU; known"),
        (
            lambda: [lstm(), dense(activation="softmax", name="d")],
            "d has the activation softmax; a readout has none",
        ),
        (
            lambda: [lstm(), L.TimeDistributed(dense(activation="relu", name="d"))],
            "d has the activation relu; a readout has none",
        ),
        *(
            (lambda layer=layer: [lstm(), layer], f"got {layer.name}, a {type(layer).__name__}; ")
            for layer in (
                L.ReLU(max_value=6.0),
                L.Cropping1D((0, 1)),
                L.BatchNormalization(),
                L.Lambda(lambda y: y),
                L.Activation("tanh"),
            )
        ),
        *(
            (lambda layer=layer: [layer, lstm()], f"got {layer.name}, a {type(layer).__name__}; ")
            for layer in (L.Rescaling(1.0), L.Normalization(mean=0.0, variance=1.0))
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_layers_unlike_ours_are_refused_by_name(layers, message):
    with pytest.raises(InputError, match=message):
        from_keras(make(*layers()))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (lambda: lstm(name="l"), "l is not built, so has no weights; call it on data"),
        (lambda: both(), "forward_lstm.* is not built"),
        (lambda: keras.Sequential([lstm(), dense()]), "dense.* is not built"),
        (lambda: OtherModel(name="o"), "from_keras got o, a OtherModel; give an LSTM"),
        (lambda: [], "from_keras got no LSTM; give one"),
        (lambda: L.Dropout(0.0), "from_keras got no LSTM; give one"),
        (lambda: None, "from_keras got a NoneType; give an LSTM"),
    ],
)
def test_what_is_no_built_layer_is_refused(given, message):
    with pytest.raises(InputError, match=message):
        from_keras(given())


def test_branches_are_refused():
    x = keras.Input((None, I))
    y, z = lstm()(x), lstm()(x)
    chain = "give the layers that make one chain as a list"
    for outputs in (L.Add(name="add")([y, z]), y + z, [y, z]):
        with pytest.raises(InputError, match=chain):
            from_keras(keras.Model(x, outputs))
    with pytest.raises(InputError, match=chain):
        from_keras(keras.Model(x, [dense()(y), y]))
    y, h, _ = lstm(return_state=True)(x)
    with pytest.raises(InputError, match=chain):
        from_keras(keras.Model(x, [dense()(y), h]))
    with pytest.raises(InputError, match=f"d sees a state of l, not its outputs; {chain}"):
        from_keras(keras.Model(x, dense(name="d")(lstm(return_state=True, name="l")(x)[2])))


def seen_by(**arguments):
    x = keras.Input((None, I), name="x")
    return keras.Model(x, lstm(name="l", dropout=0.5)(x, **arguments))


def test_what_a_layer_is_told_beside_its_input_is_refused():
    """Weights alone do not tell of it, and random inputs do not always show it."""
    start = [np.ones((B, H), np.float32)] * 2
    for arguments in ({"initial_state": start}, {"training": True}):
        with pytest.raises(InputError, match=f"l is called with {next(iter(arguments))}, which a"):
            from_keras(seen_by(**arguments))
    module = seen_by(training=False)
    assert_same_outputs(from_keras(module), module)
    x = keras.Input((None, I), name="x")
    mask = keras.Input((None,), dtype="bool", name="mask")
    with pytest.raises(InputError, match="l is called on x, mask, and a layer here sees nothing"):
        from_keras(keras.Model([x, mask], lstm(name="l")(x, mask=mask)))
    masked = keras.Model(x, lstm(name="l")(L.Masking(name="m")(x)))
    with pytest.raises(InputError, match=r"l is called on m, .*, and a layer here sees nothing"):
        from_keras(masked)
    with pytest.raises(InputError, match="mc is called with training"):
        from_keras(keras.Model(x, L.Dropout(0.5, name="mc")(lstm()(x), training=True)))


def test_a_decoder_that_starts_from_an_encoders_state_is_refused_and_the_encoder_is_not():
    x, z = keras.Input((None, I)), keras.Input((None, I))
    _, *states = lstm(return_state=True, name="encoder")(x)
    whole = keras.Model([x, z], dense()(lstm(name="decoder")(z, initial_state=states)))
    with pytest.raises(InputError, match="decoder is called with initial_state, which a layer"):
        from_keras(whole)
    encoder = randomize(keras.Model(x, states))
    arrays = normal(B, T, I, dtype=np.float32)
    _, *given = from_keras(encoder).forward(arrays, return_state=True)
    for own, its in zip(given, encoder(arrays), strict=True):
        np.testing.assert_allclose(own, keras.ops.convert_to_numpy(its), rtol=0, atol=1e-6)


def test_layers_that_were_called_before_elsewhere():
    first, second = lstm(), lstm(units=5)
    first(keras.Input((None, I)))
    second(keras.Input((None, H)))
    x = keras.Input((None, I))
    module = randomize(keras.Model(x, second(first(x))))
    model = from_keras(module)
    assert model.hidden_sizes == (H, 5)
    assert_same_outputs(model, module)


def test_a_layer_in_two_places_is_refused():
    x = keras.Input((None, I))
    twice = lstm(name="twice")
    with pytest.raises(InputError, match="twice is called twice; layers of an LSTM here share no"):
        from_keras(keras.Model(x, twice(L.Dropout(0)(twice(lstm(units=H)(x))))))


def test_an_input_that_rounds_is_refused():
    x = keras.Input((None, I), dtype="int32", name="counts")
    for module in (keras.Model(x, lstm()(x)), keras.Sequential([x, lstm()])):
        with pytest.raises(InputError, match="counts has dtype int32, to which it rounds"):
            from_keras(module)


def test_a_quantized_readout_is_refused():
    module = make(lstm(), dense(name="d"))
    module.layers[1].quantize("int8")
    with pytest.raises(InputError, match="d is quantized to int8; give it as it was before"):
        from_keras(module)


@pytest.mark.parametrize("layer", [lambda: lstm(stateful=True), lambda: both(stateful=True)])
def test_a_stateful_layer_starts_from_zero_or_is_refused(layer):
    module = randomize(keras.Sequential([keras.Input((None, I), batch_size=B), layer()]))
    x = normal(B, T, I, dtype=np.float32)
    module.layers[0].reset_state()
    model = from_keras(module)
    np.testing.assert_allclose(model.forward(x), outputs_of(module, x), rtol=0, atol=1e-6)
    with pytest.raises(InputError, match=r"is stateful and keeps a state that is not 0.*reset_st"):
        from_keras(module)
    module.layers[0].reset_state()
    assert_same_models(from_keras(module), model)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_layers_of_different_sizes_and_back(bidirectional):
    layer = both if bidirectional else lstm
    module = make(layer(), layer(units=5), layer(units=3), dense())
    model = from_keras(module)
    assert model.config["hidden_size"] == [H, 5, 3]
    assert_same_outputs(model, module)
    assert_same_models(from_keras(to_keras(model)), model)
    given = from_keras_weights(module.get_weights(), bidirectional=bidirectional)
    assert_same_models(given, model)


@pytest.mark.parametrize(
    ("layers", "rates", "left_out"),
    [
        (lambda: [lstm(), L.Dropout(0.5, name="d"), dense()], {}, ["d (Dropout)"]),
        (lambda: [L.Dropout(0.5, name="d"), lstm()], {}, ["d (Dropout)"]),
        (
            lambda: [lstm(), L.Dropout(0.25), lstm(), L.Dropout(0.5, name="d"), dense()],
            {"dropout": 0.25},
            ["d (Dropout)"],
        ),
        (
            lambda: [lstm(), L.Dropout(0.25, name="d"), lstm(), L.Dropout(0.5, name="e"), lstm()],
            {},
            ["d (Dropout)", "e (Dropout)"],
        ),
        (lambda: [lstm(), L.Dropout(0.25, name="d"), lstm(), lstm()], {}, ["d (Dropout)"]),
        (lambda: [lstm(), L.Dropout(0.25, name="d"), rnn(cells=2)], {}, ["d (Dropout)"]),
        (
            lambda: [lstm(), L.Dropout(0.5, noise_shape=(None, 1, None), name="d"), lstm()],
            {},
            ["d (Dropout)"],
        ),
        (
            lambda: [
                lstm(),
                L.SpatialDropout1D(0.5, name="s"),
                lstm(),
                L.GaussianNoise(1.0, name="g"),
            ],
            {},
            ["g (GaussianNoise)", "s (SpatialDropout1D)"],
        ),
        (lambda: [lstm(dropout=0.25, name="l"), lstm()], {}, ["l (dropout 0.25)"]),
        (
            lambda: [lstm(), lstm(recurrent_dropout=0.5, name="l")],
            {},
            ["l (recurrent_dropout 0.5)"],
        ),
        (lambda: [lstm(dropout=1.0, name="l")], {}, ["l (dropout 1)"]),
    ],
    ids=lambda given: "" if callable(given) else str(given),
)
def test_dropout_acts_in_training_alone(layers, rates, left_out):
    module = make(*layers())
    model = from_keras(module)
    assert model.rates == DropoutRates(**rates)
    assert_same_outputs(model, module)
    assert sorted(read_layers(module).left_out) == left_out


def test_dropout_that_is_set_to_nothing_is_accepted():
    module = make(lstm(), L.Dropout(0.5), dense())
    module.layers[1].rate = 0
    assert_same_outputs(from_keras(module), module)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_refused(dtype):
    layer = lstm(dtype, recurrent_initializer="zeros", name="l")
    layer.build((None, None, I))
    with pytest.raises(InputError, match=f"l's kernel has dtype .*{dtype}; convert it to float32"):
        from_keras(layer)


def test_numbers_that_are_not_finite_are_refused():
    module = make(lstm(), dense(name="d"))
    module.layers[1].bias.assign(np.full(O, np.inf))
    with pytest.raises(InputError, match="d's bias holds numbers that are not finite"):
        from_keras(module)
