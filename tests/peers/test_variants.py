"""The LSTM's variants against those who have them: PyTorch's projection, ONNX Runtime's pieces."""

from itertools import product

import numpy as np
import pytest

from lstm_baseline import LSTM
from lstm_baseline.engine.cells.gate_activations import NAMES
from tests.support.models import assert_same_arrays, normal, random_state, scatter

B, T, I, H, P = 4, 6, 3, 5, 2
TORCH_GATES = "ifco"
ONNX_GATES = "iofc"


def rows_in(order, model, name):
    """Return a parameter's rows (G, ·) with the gates in another order."""
    size = model.hidden_size
    rows = dict(zip(model.gates, np.split(model.params[name], len(model.gates)), strict=True))
    # Coupled gates have no forget gate; whatever stands in its place has no effect.
    filler = np.full((size, *model.params[name].shape[1:]), 7.7, model.dtype)
    return np.concatenate([rows.get(gate, filler) for gate in order])


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="compares with PyTorch, which is not installed")


def test_projection_against_torch(torch):
    model = scatter(LSTM(I, H, projection_size=P, dtype=np.float64, rng=0))
    peer = torch.nn.LSTM(I, H, proj_size=P, batch_first=True, dtype=torch.float64)
    own = {
        "weight_ih_l0": rows_in(TORCH_GATES, model, "W"),
        "weight_hh_l0": rows_in(TORCH_GATES, model, "U"),
        "bias_ih_l0": rows_in(TORCH_GATES, model, "b"),
        "bias_hh_l0": np.zeros(4 * H),
        "weight_hr_l0": model.params["W_proj"],
    }
    peer.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in own.items()})
    x, d_y = normal(B, T, I), normal(B, T, P, seed=1)
    start, d_last = random_state(model, B), random_state(model, B, seed=2)
    x_peer = torch.from_numpy(x).requires_grad_()
    h, c = (torch.from_numpy(part[None].copy()).requires_grad_() for part in start)
    y_peer, last = peer(x_peer, (h, c))
    torch.autograd.backward(
        [y_peer, *last],
        [torch.from_numpy(d_y), *(torch.from_numpy(part[None].copy()) for part in d_last)],
    )
    outputs, cache = model.forward_with_cache(x, initial_state=start)
    gradients = model.backward(d_y, cache, d_state=d_last)
    found = LSTM(I, H, projection_size=P, dtype=np.float64, rng=0)
    found.params.update(gradients.params)
    assert_same_arrays(
        {
            "y": outputs,
            "x": gradients.x,
            "h": gradients.initial_state.h,
            "c": gradients.initial_state.c,
            "W": rows_in(TORCH_GATES, found, "W"),
            "U": rows_in(TORCH_GATES, found, "U"),
            "b": rows_in(TORCH_GATES, found, "b"),
            "W_proj": gradients.params["W_proj"],
        },
        {
            "y": y_peer.detach().numpy(),
            "x": x_peer.grad.numpy(),
            "h": h.grad.numpy()[0],
            "c": c.grad.numpy()[0],
            "W": peer.weight_ih_l0.grad.numpy(),
            "U": peer.weight_hh_l0.grad.numpy(),
            "b": peer.bias_ih_l0.grad.numpy(),
            "W_proj": peer.weight_hr_l0.grad.numpy(),
        },
        1e-13,
    )


def test_layer_norm_against_torch(torch):
    """Equations 20 to 22 of Ba, Kiros and Hinton, written once more, differentiated by torch."""
    model = scatter(LSTM(I, H, layer_norm=True, dtype=np.float64, rng=0))
    x, d_y = normal(B, T, I), normal(B, T, H, seed=1)
    p = {name: torch.from_numpy(value.copy()) for name, value in model.params.items()}
    x_peer = torch.from_numpy(x.copy())
    for tensor in (*p.values(), x_peer):
        tensor.requires_grad_()
    norm = torch.nn.functional.layer_norm
    h = c = torch.zeros(B, H, dtype=torch.float64)
    outputs = []
    for t in range(T):
        z = norm(x_peer[:, t] @ p["W"].T, [4 * H], p["gain_x"])
        z = z + norm(h @ p["U"].T, [4 * H], p["gain_h"]) + p["b"]
        f, i, g, o = z.chunk(4, dim=1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * norm(c, [H], p["gain_c"], p["bias_c"]).tanh()
        outputs.append(h)
    y_peer = torch.stack(outputs, dim=1)
    y_peer.backward(torch.from_numpy(d_y))
    outputs, cache = model.forward_with_cache(x)
    gradients = model.backward(d_y, cache)
    assert_same_arrays(
        {"y": outputs, "x": gradients.x, **gradients.params},
        {
            "y": y_peer.detach().numpy(),
            "x": x_peer.grad.numpy(),
            **{name: tensor.grad.numpy() for name, tensor in p.items()},
        },
        1e-12,
    )


def onnx_name(activation):
    return "".join(word.capitalize() for word in activation.split("_"))


def run_in_onnxruntime(model, x, start, lengths):
    """Return outputs (B, T, H) and final state of the LSTM node with our weights and variant."""
    onnx = pytest.importorskip("onnx", reason="builds an ONNX model, and onnx is not installed")
    onnxruntime = pytest.importorskip(
        "onnxruntime", reason="runs an ONNX model, and onnxruntime is not installed"
    )
    variant = model.variant
    weights = {
        "W": rows_in(ONNX_GATES, model, "W")[None],
        "R": rows_in(ONNX_GATES, model, "U")[None],
    }
    if variant.bias:
        b = rows_in(ONNX_GATES, model, "b")
        weights["B"] = np.concatenate([b, np.zeros_like(b)])[None]
    if variant.peepholes:
        unused = np.full(H, 7.7)
        weights["P"] = np.concatenate([model.params.get(f"p_{g}", unused) for g in "iof"])[None]
    given = {
        "X": x.transpose(1, 0, 2),
        **weights,
        "initial_h": start.h[None],
        "initial_c": start.c[None],
    }
    feeds = {name: value.astype(np.float32) for name, value in given.items()}
    feeds["sequence_lens"] = lengths.astype(np.int32)
    inputs = ["X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P"]
    names = [a.name for a in variant.activations]
    constants = [a.constants for a in variant.activations]
    options = {
        "activations": [onnx_name(name) for name in names],
        "activation_alpha": [float(c[0]) for c in constants if len(c) > 0],
        "activation_beta": [float(c[1]) for c in constants if len(c) > 1],
        "input_forget": int(variant.coupled_gates),
    }
    if variant.clip is not None:
        options["clip"] = variant.clip
    node = onnx.helper.make_node(
        "LSTM",
        [name if name in feeds else "" for name in inputs],
        ["y", "h", "c"],
        hidden_size=H,
        **{name: value for name, value in options.items() if value != []},
    )
    kinds = {"float32": onnx.TensorProto.FLOAT, "int32": onnx.TensorProto.INT32}
    graph = onnx.helper.make_graph(
        [node],
        "peer",
        [
            onnx.helper.make_tensor_value_info(name, kinds[value.dtype.name], value.shape)
            for name, value in feeds.items()
        ],
        [
            onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None] * axes)
            for name, axes in (("y", 4), ("h", 3), ("c", 3))
        ],
    )
    file = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 14)])
    file.ir_version = 8
    onnx.checker.check_model(file)
    session = onnxruntime.InferenceSession(
        file.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    y, h, c = session.run(None, feeds)
    return {"y": y[:, 0].transpose(1, 0, 2), "h": h[0], "c": c[0]}


def assert_as_in_onnxruntime(model):
    model = scatter(model)
    x, start, lengths = normal(B, T, I), random_state(model, B), np.array([6, 1, 4, 0])
    expected = run_in_onnxruntime(model, x, start, lengths)
    y, h, c = model.forward(x, return_state=True, initial_state=start, lengths=lengths)
    # Activations without bounds let rounding errors grow with the numbers.
    tolerance = 2e-6 * max(1.0, np.abs(c).max() ** 2)
    rows = lengths > 0  # what ONNX Runtime gives for the state of an empty row is not specified
    assert_same_arrays(
        {"y": y, "h": h[rows], "c": c[rows]},
        {"y": expected["y"], "h": expected["h"][rows], "c": expected["c"][rows]},
        tolerance,
    )


@pytest.mark.parametrize("clip", [None, 0.6])
@pytest.mark.parametrize("pieces", list(product([False, True], repeat=3)), ids=str)
def test_pieces_against_onnxruntime(pieces, clip):
    peepholes, coupled, bias = pieces
    assert_as_in_onnxruntime(
        LSTM(
            I,
            H,
            peepholes=peepholes,
            coupled_gates=coupled,
            bias=bias,
            clip=clip,
            dtype=np.float64,
            rng=0,
        )
    )


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("name", NAMES)
def test_activations_against_onnxruntime(name, place):
    activations = ["sigmoid", "tanh", "tanh"]
    activations[place] = name
    assert_as_in_onnxruntime(LSTM(I, H, activations=activations, dtype=np.float64, rng=0))
