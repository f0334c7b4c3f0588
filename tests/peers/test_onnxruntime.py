"""The LSTM against the LSTM node of ONNX, run by onnxruntime in float32."""

import numpy as np
import pytest

from lstm_baseline import GRU, LSTM
from tests.support.models import normal, random_state, scatter

onnx = pytest.importorskip("onnx", reason="builds an ONNX model, and onnx is not installed")
onnxruntime = pytest.importorskip(
    "onnxruntime", reason="runs an ONNX model, and onnxruntime is not installed"
)

B, T, I = 4, 6, 3
FLOAT, INT32 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT32

# Where ONNX keeps the rows of our gates: LSTM i, o, f, c; GRU z, r, h.
ONNX_ORDER = {LSTM: (1, 3, 0, 2), GRU: (1, 0, 2)}


def run_node(model, x, start, lengths):
    """Return outputs (B, T, H) and the final state of the ONNX node with our weights."""
    kind, H = type(model), model.hidden_size
    order = ONNX_ORDER[kind]

    def reorder(array):
        parts = np.split(array, len(order))
        return np.concatenate([parts[k] for k in order])

    b_hh = np.zeros_like(model.params["b"])
    if kind is GRU:
        b_hh[2 * H :] = model.params["b_u"]
    W, U = (reorder(model.params[name])[None] for name in "WU")
    b = np.concatenate([reorder(model.params["b"]), b_hh])[None]
    state_names = ["h", "c"][: len(start)]
    feeds = {
        "x": x.transpose(1, 0, 2),
        "lengths": lengths.astype(np.int32),
        **{f"{name}_0": part[None] for name, part in zip(state_names, start, strict=True)},
    }
    outputs = ["y", *(f"{name}_n" for name in state_names)]
    options = {"linear_before_reset": 1} if kind is GRU else {}
    node = onnx.helper.make_node(
        kind.__name__,
        ["x", "W", "U", "b", "lengths", *(f"{name}_0" for name in state_names)],
        outputs,
        hidden_size=H,
        **options,
    )
    graph = onnx.helper.make_graph(
        [node],
        "peer",
        [
            onnx.helper.make_tensor_value_info(
                name, INT32 if name == "lengths" else FLOAT, value.shape
            )
            for name, value in feeds.items()
        ],
        [
            onnx.helper.make_tensor_value_info(name, FLOAT, [None] * (4 if name == "y" else 3))
            for name in outputs
        ],
        [onnx.numpy_helper.from_array(v, name) for name, v in (("W", W), ("U", U), ("b", b))],
    )
    peer = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 14)], ir_version=8
    )
    onnx.checker.check_model(peer)
    session = onnxruntime.InferenceSession(
        peer.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    y, *final = session.run(None, feeds)
    return y[:, 0].transpose(1, 0, 2), [part[0] for part in final]


@pytest.mark.parametrize("lengths", [[T] * B, [1, 6, 4, 2]], ids=["whole", "ragged"])
@pytest.mark.parametrize("hidden_size", [1, 13, 32])
@pytest.mark.parametrize("model_class", [LSTM, GRU])
def test_gated_models(model_class, hidden_size, lengths):
    model = scatter(model_class(I, hidden_size, rng=0))
    x, lengths = normal(B, T, I, dtype=np.float32), np.array(lengths)
    start = [part.astype(np.float32) for part in random_state(model, B)]
    outputs, *final = model.forward(x, return_state=True, initial_state=start, lengths=lengths)
    peer_outputs, peer_final = run_node(model, x, start, lengths)
    np.testing.assert_allclose(outputs, peer_outputs, rtol=0, atol=1e-6)
    for part, peer_part in zip(final, peer_final, strict=True):
        np.testing.assert_allclose(part, peer_part, rtol=0, atol=1e-6)
