"""Weights to PyTorch and back: equal outputs, and refusals by name."""

import numpy as np
import pytest

from lstm_baseline import LSTM
from lstm_baseline.engine.errors import InputError
from lstm_baseline.interop import from_state_dict, from_torch, to_state_dict, to_torch
from tests.support.models import normal, scatter

torch = pytest.importorskip("torch", reason="converts PyTorch's weights, which is not installed")

# PyTorch says so of its own speed.
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")

B, T, I, H = 3, 7, 4, 6
FORMS = [
    {},
    {"num_layers": 3},
    {"bidirectional": True},
    {"num_layers": 2, "bidirectional": True},
    {"proj_size": 2},
    {"num_layers": 2, "bidirectional": True, "proj_size": 5},
    {"bias": False, "num_layers": 2},
]


def outputs_of(module, x):
    with torch.inference_mode():
        y, (h, c) = module(torch.from_numpy(x))
    return y.numpy(), h.numpy(), c.numpy()


def assert_same_outputs(model, module, dtype):
    x = normal(B, T, I, dtype=dtype)
    y, h, c = model.forward(x, return_state=True)
    y_torch, h_torch, c_torch = outputs_of(module, x)
    tolerance = 1e-6 if dtype == np.float32 else 1e-14
    np.testing.assert_allclose(y, y_torch, rtol=0, atol=tolerance)
    np.testing.assert_allclose(h.reshape(h_torch.shape), h_torch, rtol=0, atol=tolerance)
    np.testing.assert_allclose(c.reshape(c_torch.shape), c_torch, rtol=0, atol=tolerance)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_from_torch_and_back(form, dtype):
    torch.manual_seed(0)
    module = torch.nn.LSTM(I, H, **form, batch_first=True, dtype=getattr(torch, dtype.__name__))
    model = from_torch(module)
    assert model.dtype == dtype
    assert_same_outputs(model, module, dtype)
    assert_same_outputs(model, to_torch(model), dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_to_torch_and_back(form, dtype):
    form = {"projection_size" if k == "proj_size" else k: v for k, v in form.items()}
    model = scatter(LSTM(I, H, **form, dtype=dtype, rng=0))
    module = to_torch(model)
    assert_same_outputs(model, module, dtype)
    again = from_torch(module)
    assert again.config == model.config
    for name, value in again.params.items():
        np.testing.assert_array_equal(value, model.params[name])


@pytest.mark.parametrize("bias", [True, False])
def test_from_a_cell(bias):
    torch.manual_seed(0)
    cell = torch.nn.LSTMCell(I, H, bias=bias, dtype=torch.float64)
    x = normal(B, I)
    with torch.inference_mode():
        h, c = cell(torch.from_numpy(x))
    y, state = from_torch(cell).step(x)
    np.testing.assert_allclose(y, h.numpy(), rtol=0, atol=1e-15)
    np.testing.assert_allclose(state.c, c.numpy(), rtol=0, atol=1e-15)


def test_an_lstm_within_a_larger_module():
    torch.manual_seed(0)
    whole = torch.nn.ModuleDict({"rnn": torch.nn.LSTM(I, H), "head": torch.nn.Linear(H, 2)})
    model = from_state_dict(whole.state_dict(), prefix="rnn.")
    assert (model.input_size, model.hidden_size) == (I, H)


class Net(torch.nn.Module):
    """Embedding, LSTM and a linear layer on its outputs, as most networks have them."""

    def __init__(self, head_bias=True, **options):
        super().__init__()
        self.embed = torch.nn.Embedding(9, I)
        self.lstm = torch.nn.LSTM(I, H, batch_first=True, **options)
        width = (options.get("proj_size") or H) * (2 if options.get("bidirectional") else 1)
        self.fc = torch.nn.Linear(width, 2, bias=head_bias)

    def forward(self, x):
        return self.fc(self.lstm(x)[0])


@pytest.mark.parametrize("head_bias", [True, False])
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_a_head_both_ways(form, head_bias):
    torch.manual_seed(0)
    net = Net(head_bias, **form)
    model = from_state_dict(net.state_dict(), prefix="lstm.", head="fc")
    x = normal(B, T, I, dtype=np.float32)
    with torch.inference_mode():
        expected = net(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(model.forward(x), expected, rtol=0, atol=1e-6)
    weights = to_state_dict(model, prefix="lstm.", head="fc")
    assert list(weights)[-2:] == ["fc.weight", "fc.bias"]
    if not head_bias:
        assert not weights.pop("fc.bias").any()
    whole = {"embed.weight": net.embed.weight} | {k: torch.as_tensor(w) for k, w in weights.items()}
    net.load_state_dict(whole, strict=True)
    with torch.inference_mode():
        np.testing.assert_allclose(net(torch.from_numpy(x)).numpy(), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("head", "changes", "message"),
    [
        ("out", {}, r"out.weight is missing; a head on this LSTM has \(O, 6\); there are 'fc'"),
        ("embed", {}, r"embed.weight has shape \(9, 4\); a head on this LSTM has \(O, 6\); there "),
        ("fc.", {}, r"fc..weight is missing.*there are 'fc'"),
        ("", {}, "head is ''; give the name of an nn.Linear"),
        ("fc", {"fc.bias": torch.ones(3)}, r"fc.bias has shape \(3,\); expected \(2,\)"),
        ("fc", {"fc.weight": torch.ones(2)}, r"fc.weight has shape \(2,\); a head on this"),
        (
            "fc",
            {"fc.weight": torch.full((2, H), torch.nan)},
            "fc.weight holds numbers that are not",
        ),
        (
            "fc",
            {"fc.bias": torch.ones(2, dtype=torch.float64)},
            "weights have the dtypes float32, f",
        ),
    ],
)
def test_heads_that_do_not_fit_are_refused(head, changes, message):
    with pytest.raises(InputError, match=message):
        from_state_dict(Net().state_dict() | changes, prefix="lstm.", head=head)


def test_a_readout_needs_a_head_and_a_head_a_readout():
    with pytest.raises(InputError, match=r"has a readout.*to_state_dict\(model, head='fc'\)"):
        to_state_dict(LSTM(I, H, 2))
    with pytest.raises(InputError, match="head is 'fc', and the model has no readout"):
        to_state_dict(LSTM(I, H), head="fc")


def test_a_head_of_an_lstm_at_the_top():
    torch.manual_seed(0)
    net = torch.nn.LSTM(I, H)
    net.fc = torch.nn.Linear(H, 3)
    assert from_state_dict(net.state_dict(), head="fc").output_size == 3
    with pytest.raises(InputError, match=r"fc.* is no weight of an LSTM of PyTorch; head takes a"):
        from_state_dict(net.state_dict())


@pytest.mark.parametrize("hidden", [4, 5, 8])
@pytest.mark.parametrize("layers", [1, 2])
def test_other_recurrent_modules_are_called_by_their_names(hidden, layers):
    for kind in ("GRU", "RNN"):
        module = getattr(torch.nn, kind)(3, hidden, layers, bidirectional=layers > 1)
        with pytest.raises(InputError, match=f"the weights are those of an nn.{kind}, and an nn.L"):
            from_state_dict(module.state_dict())
        cell = getattr(torch.nn, f"{kind}Cell")(3, hidden)
        with pytest.raises(InputError, match=f"the weights are those of an nn.{kind}"):
            from_state_dict({f"a.{name}": w for name, w in cell.state_dict().items()}, prefix="a.")


def test_prefixes_that_are_there_are_listed():
    modules = {f"cell{k}": torch.nn.LSTMCell(3, 4) for k in range(9)}
    modules |= {"gru": torch.nn.GRU(3, 4), "lstm": torch.nn.LSTM(3, 4, 2, proj_size=3)}
    weights = torch.nn.ModuleDict({"net": torch.nn.ModuleDict(modules)}).state_dict()
    listed = "LSTMs are there with prefix 'net.cell0.', 'net.cell1.', .* and 2 more"
    for prefix, refusal in (
        ("", "net.cell0.weight_ih is no weight of an LSTM of PyTorch; "),
        ("net.lstm", r"net.lstm.weight_ih_l0 is no weight of an LSTM of PyTorch; "),
        ("other.", "no name begins with 'other.'; "),
        ("net.gru.", "the weights are those of an nn.GRU, and an nn.LSTM's are read here; "),
    ):
        with pytest.raises(InputError, match=refusal + listed):
            from_state_dict(weights, prefix=prefix)
    only = {name: w for name, w in weights.items() if "gru" in name}
    with pytest.raises(InputError, match=r"there is no LSTM, but nn.GRU with prefix 'net.gru.'"):
        from_state_dict(only)


def test_the_weights_are_copies():
    module = torch.nn.LSTM(I, H)
    model = from_torch(module)
    before = model.get_params()
    with torch.no_grad():
        for value in module.parameters():
            value.zero_()
    to_state_dict(model)["weight_ih_l0"][...] = 7
    for name, value in model.get_params().items():
        np.testing.assert_array_equal(value, before[name])


def state_dict(**changes):
    torch.manual_seed(0)
    arrays = {name: value.numpy() for name, value in torch.nn.LSTM(I, H, 2).state_dict().items()}
    arrays |= changes
    return {name: value for name, value in arrays.items() if value is not None}


BAD = np.full((4 * H, I), np.nan, np.float32)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (state_dict(bias_hh_l1=None), "bias_hh_l1 is missing; the other weights ask for it"),
        (state_dict(weight_hh_l0=None), "weight_hh_l0 is missing; is this the state dict of"),
        (state_dict(weight_hr_l1=np.ones((2, H), np.float32)), "weight_hr_l1 does not belong"),
        (state_dict(weight=np.ones(3, np.float32)), "weight is no weight of an LSTM of PyTorch"),
        (
            state_dict(weight_ih_l1=np.ones((4 * H, 5), np.float32)),
            r"has shape \(24, 5\); expected",
        ),
        (state_dict(weight_ih_l0=BAD), "weight_ih_l0 holds numbers that are not finite"),
        (state_dict(weight_ih_l0=BAD.astype(np.float16)), "dtype float16; convert it to"),
        (state_dict(bias_ih_l0=np.zeros(4 * H)), "weights have the dtypes float32, float64"),
        (state_dict(weight_ih_l0=np.ones((5, 5), np.float32)), r"has shape \(5, 5\); an LSTM's"),
        (
            state_dict(weight_hr_l0=np.array(1.0, np.float32)),
            r"weight_hr_l0 has shape \(\); an",
        ),
        ({}, "weight_ih_l0 is missing"),
        (None, "got a NoneType; give a dict"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bad_state_dicts_are_refused_by_name(arrays, message):
    with pytest.raises(InputError, match=message):
        from_state_dict(arrays)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"peepholes": True}, "the model has peepholes, which nn.LSTM has not"),
        ({"coupled_gates": True}, "coupled_gates"),
        ({"layer_norm": True}, "layer_norm"),
        ({"clip": 3}, "clip"),
        ({"activations": ("sigmoid", "tanh", "relu")}, "activations"),
        ({"bidirectional": True, "merge": "mean"}, "the model has merge, which nn.LSTM has not"),
        ({"recurrent_dropout": 0.1}, "recurrent_dropout"),
        ({"zoneout": 0.1}, "zoneout"),
        ({"output_size": 2}, "has a readout, which nn.LSTM has not"),
        ({"projection_size": H}, "nn.LSTM takes one below its hidden_size 6"),
    ],
    ids=str,
)
def test_what_torch_lacks_is_refused_by_name(options, message):
    with pytest.raises(InputError, match=message):
        to_torch(LSTM(I, H, **options))


def test_other_modules_are_refused_and_dropout_is_taken_over():
    with pytest.raises(InputError, match=r"got a GRU; give an nn\.LSTM"):
        from_torch(torch.nn.GRU(I, H))
    module = torch.nn.LSTM(I, H, 2, dropout=0.5, batch_first=True)
    assert from_torch(module).rates.dropout == 0.5
    assert_same_outputs(from_torch(module), module.eval(), np.float32)
    with pytest.warns(UserWarning, match="dropout option adds dropout after all but last"):
        module = torch.nn.LSTM(I, H, dropout=0.5, batch_first=True)
    assert_same_outputs(from_torch(module), module, np.float32)


def test_dropout_between_layers_goes_to_torch():
    model = scatter(LSTM(I, H, num_layers=2, dropout=0.25, rng=0))
    module = to_torch(model)
    assert module.dropout == 0.25
    assert_same_outputs(model, module.eval(), np.float32)
    assert to_torch(LSTM(I, H, dropout=0.25)).dropout == 0


def test_half_precision_is_refused():
    with pytest.raises(InputError, match=r"dtype torch\.bfloat16; convert it to float32"):
        from_torch(torch.nn.LSTM(I, H, dtype=torch.bfloat16))
