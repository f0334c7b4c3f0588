"""Weights to Flax and back: equal outputs, and refusals by name."""

import numpy as np
import pytest

from lstm_baseline import LSTM
from lstm_baseline.engine.errors import InputError
from lstm_baseline.interop import from_flax, to_flax
from tests.support.models import normal, scatter

jax = pytest.importorskip("jax", reason="converts Flax's weights, which needs JAX")
nnx = pytest.importorskip("flax.nnx", reason="converts Flax's weights, which is not installed")

B, T, I, H = 3, 7, 4, 6
KINDS = ["OptimizedLSTMCell", "LSTMCell"]


def cell(size=I, kind="OptimizedLSTMCell", hidden=H, seed=0, **options):
    """Return a cell with random weights, biases too."""
    made = getattr(nnx, kind)(size, hidden, **options, rngs=nnx.Rngs(seed))
    rng = np.random.default_rng(seed)
    for _, value in nnx.iter_graph(made):
        if isinstance(value, nnx.Param):
            value[...] = jax.numpy.asarray(0.5 * rng.standard_normal(value.shape), value.dtype)
    return made


def both(size=I, kind="OptimizedLSTMCell", seed=0, **options):
    return nnx.Bidirectional(
        nnx.RNN(cell(size, kind, seed=seed)), nnx.RNN(cell(size, kind, seed=seed + 1)), **options
    )


def outputs_of(layers, x, lengths=None):
    """Return the outputs of layers, each run on those of the one before; a bare cell is run too."""
    y = jax.numpy.asarray(x)
    for layer in layers:
        run = layer if isinstance(layer, nnx.RNN | nnx.Bidirectional) else nnx.RNN(layer)
        y = run(y, seq_lengths=lengths)
    return np.asarray(y)


def assert_same_outputs(model, layers):
    layers = layers if isinstance(layers, list) else [layers]
    x, lengths = normal(B, T, I, dtype=np.float32), np.array([7, 1, 4])
    live = (np.arange(T) < lengths[:, None])[:, :, None]
    y = np.where(live, outputs_of(layers, x, jax.numpy.asarray(lengths)), 0)
    np.testing.assert_allclose(model.forward(x, lengths=lengths), y, rtol=0, atol=1e-6)


def assert_same_models(given, expected):
    assert given.config == expected.config
    for name, value in given.params.items():
        np.testing.assert_array_equal(value, expected.params[name], err_msg=name)


LAYERS = {
    "cell": (lambda kind: cell(kind=kind), {}),
    "cell run": (lambda kind: nnx.RNN(cell(kind=kind), time_major=True, return_carry=True), {}),
    "both directions": (lambda kind: both(kind=kind), {"bidirectional": True}),
    "three layers": (
        lambda kind: [cell(kind=kind), nnx.RNN(cell(H, kind, seed=1)), cell(H, kind, seed=2)],
        {"num_layers": 3},
    ),
    "two sizes": (
        lambda kind: [cell(kind=kind), cell(H, kind, hidden=5, seed=1)],
        {"hidden_size": (H, 5)},
    ),
    "two layers of both": (
        lambda kind: [both(kind=kind), both(2 * H, kind, seed=3)],
        {"num_layers": 2, "bidirectional": True},
    ),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layers", LAYERS)
def test_from_flax_and_back(layers, kind):
    make, form = LAYERS[layers]
    given = make(kind)
    model = from_flax(given)
    assert model.config == LSTM(I, **{"hidden_size": H, **form}).config
    if layers == "cell run":
        given = given.cell
    assert_same_outputs(model, given)
    assert_same_models(from_flax(to_flax(model)), model)


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"num_layers": 3},
        {"bidirectional": True},
        {"num_layers": 2, "bidirectional": True},
        {"num_layers": 2, "bias": False},
    ],
    ids=str,
)
def test_to_flax_and_back(form):
    model = scatter(LSTM(I, H, **form, rng=0))
    layers = to_flax(model)
    assert_same_outputs(model, layers)
    again = from_flax(layers)
    if not model.variant.bias:  # Flax has no cell without them.
        for suffix in model.suffixes:
            assert not again.params.pop(f"b{suffix}").any()
        assert again.params.keys() == model.params.keys()
        for name, value in again.params.items():
            np.testing.assert_array_equal(value, model.params[name])
        return
    assert_same_models(again, model)


def test_the_last_state_has_its_parts_the_other_way_round():
    given = cell()
    x = normal(B, T, I, dtype=np.float32)
    (c, h), y = nnx.RNN(given, return_carry=True)(jax.numpy.asarray(x))
    for own, its in zip(from_flax(given).forward(x, return_state=True), (y, h, c), strict=True):
        np.testing.assert_allclose(own, its, rtol=0, atol=1e-6)


def test_a_list_that_a_module_holds():
    layers = nnx.List([cell(), cell(H, seed=1)])
    assert_same_outputs(from_flax(layers), list(layers))


def test_float64():
    with jax.enable_x64(True):
        given = cell(param_dtype=np.float64)
        model = from_flax(given)
        assert model.dtype == np.float64
        x = normal(B, T, I)
        for its in (given, to_flax(model)):
            np.testing.assert_allclose(model.forward(x), outputs_of([its], x), rtol=0, atol=1e-14)
    with pytest.raises(InputError, match="JAX would make float32 of this float64 model"):
        to_flax(model)


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("tanh", "tanh"),
        ("sigmoid", "sigmoid"),
        ("hard_sigmoid", ("hard_sigmoid", 1 / 6, 0.5)),
        ("relu", "relu"),
        ("elu", "elu"),
        ("leaky_relu", "leaky_relu"),
        ("soft_sign", "softsign"),
        ("softplus", "softplus"),
        ("identity", "affine"),
    ],
)
@pytest.mark.parametrize("where", ["gate_fn", "activation_fn"])
def test_other_activations(name, own, where):
    assert getattr(nnx, name) is getattr(jax.nn, name)
    given = cell(**{where: getattr(nnx, name)})
    model = from_flax(given)
    expected = (own, "tanh", "tanh") if where == "gate_fn" else ("sigmoid", own, own)
    assert model.variant == LSTM(I, H, activations=expected).variant
    x, h, c = (normal(B, size, seed=size, dtype=np.float32) for size in (I, H, H))
    y, state = model.step(x, (h, c))
    for its in (given, to_flax(model)):
        (c_its, h_its), _ = its((jax.numpy.asarray(c), jax.numpy.asarray(h)), x)
        np.testing.assert_allclose(y, h_its, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(state.c, c_its, rtol=1e-6, atol=1e-6)


def test_the_weights_are_copies():
    given = cell()
    model = from_flax(given)
    before = model.get_params()
    made = to_flax(model)
    given.dense_h.bias[...] = jax.numpy.zeros(4 * H)
    model.params["W"][...] = 7
    assert (np.asarray(made.dense_i.kernel) != 7).all()
    np.testing.assert_array_equal(model.get_params()["b_f"], before["b_f"])


def changed(part, weights, value, kind="OptimizedLSTMCell"):
    """Return a cell one of whose arrays is another."""
    made = cell(kind=kind)
    setattr(getattr(made, part), weights, None if value is None else nnx.Param(value))
    return made


def with_lora():
    made = cell()
    made.dense_i = nnx.LoRALinear(I, 4 * H, lora_rank=2, rngs=nnx.Rngs(0))
    return made


def unlike(z):
    return z


class OtherCell(nnx.OptimizedLSTMCell):
    pass


ones = jax.numpy.ones


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (lambda: nnx.GRUCell(I, H, rngs=nnx.Rngs(0)), "layer 0 is a GRUCell; give an Optimized"),
        (lambda: OtherCell(I, H, rngs=nnx.Rngs(0)), "layer 0 is a OtherCell"),
        (
            lambda: [cell(), nnx.RNN(nnx.GRUCell(H, H, rngs=nnx.Rngs(0)))],
            "layer 1 is an RNN of a GRUCell; give",
        ),
        (lambda: nnx.RNN(nnx.RNN(cell())), "layer 0 is an RNN of a RNN"),
        (lambda: [], "from_flax got no layers"),
        (lambda: None, "layer 0 is a NoneType"),
        (lambda: [[cell()]], "layer 0 is a list"),
        (
            lambda: nnx.Bidirectional(both(), nnx.RNN(cell())),
            "layer 0 forwards is a Bidirectional",
        ),
        (lambda: both(merge_fn=unlike), "layer 0 has merge_fn unlike; directions here stand"),
        (lambda: nnx.RNN(cell(), reverse=True), "layer 0 is reversed; a layer here runs forwards"),
        (lambda: [cell(), both(H)], "layer 1 forwards and layer 0 are not both of a bidirectional"),
        (
            lambda: [cell(), cell(H, gate_fn=jax.nn.relu)],
            "layer 1 has gate_fn relu, layer 0 has sigmoid; all layers",
        ),
        (
            lambda: cell(activation_fn=jax.nn.gelu),
            "layer 0 has activation_fn gelu; known are, of jax.nn: tanh",
        ),
        (lambda: cell(gate_fn=unlike), "layer 0 has gate_fn unlike; known are"),
        (lambda: [cell(), cell(5)], r"layer 1's dense_i.kernel has shape \(5, 24\); expected \(6"),
        (
            lambda: changed("dense_h", "kernel", ones((H, H))),
            r"layer 0's dense_h.kernel has shape \(6, 6\); expected \(6, 24\)",
        ),
        (
            lambda: changed("hg", "kernel", ones((H,)), kind="LSTMCell"),
            r"layer 0's hg.kernel has shape \(6,\); expected \(6, 6\)",
        ),
        (
            lambda: changed("ho", "bias", ones((H,), np.float16), kind="LSTMCell"),
            "layer 0's ho.bias has dtype float16; convert it to float32 or float64",
        ),
        (
            lambda: cell(
                param_dtype=jax.numpy.bfloat16, recurrent_kernel_init=nnx.initializers.ones
            ),
            "layer 0's dense_i.kernel has dtype bfloat16; convert it",
        ),
        (
            lambda: changed("dense_h", "bias", ones(4 * H) * np.inf),
            "layer 0's dense_h.bias holds numbers that are not finite",
        ),
        (lambda: changed("dense_h", "bias", None), "layer 0's dense_h.bias is missing; give it 0"),
        (
            lambda: changed("hf", "bias", np.zeros(H), kind="LSTMCell"),
            "weights have the dtypes float32, float64; give one",
        ),
        (
            lambda: changed("dense_h", "bias", np.zeros(4 * H)),
            "weights have the dtypes float32, float64; give one",
        ),
        (with_lora, "layer 0's dense_i is a LoRALinear; expected a Linear"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_layers_unlike_ours_are_refused_by_name(layers, message):
    with pytest.raises(InputError, match=message):
        from_flax(layers())


def test_a_start_of_its_own_is_refused():
    given = cell()
    given.carry_init = nnx.initializers.zeros
    assert_same_models(from_flax(given), from_flax(cell()))
    given.carry_init = nnx.initializers.ones
    with pytest.raises(InputError, match="layer 0 has a carry_init; states here start at 0"):
        from_flax(given)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"peepholes": True}, "the model has peepholes, which Flax's LSTM has not"),
        ({"coupled_gates": True}, "coupled_gates"),
        ({"layer_norm": True}, "layer_norm"),
        ({"clip": 3}, "clip"),
        ({"projection_size": 2}, "projection_size"),
        ({"bidirectional": True, "merge": "sum"}, "the model has merge, which Flax's LSTM has not"),
        ({"num_layers": 2, "dropout": 0.1}, "dropout"),
        ({"zoneout": 0.1}, "zoneout"),
        ({"output_size": 2}, "has a readout, which Flax's LSTM has not"),
        ({"activations": ("sigmoid", "tanh", "relu")}, "Flax's LSTM has one for both"),
        (
            {"activations": ("sigmoid", ("leaky_relu", 0.2), ("leaky_relu", 0.2))},
            r"the activation leaky_relu\(0.2\); Flax's LSTM has: tanh, .* leaky_relu\(0.01\)",
        ),
    ],
    ids=str,
)
def test_what_flax_lacks_is_refused_by_name(options, message):
    with pytest.raises(InputError, match=message):
        to_flax(LSTM(I, H, **options))
