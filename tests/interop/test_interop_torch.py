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
