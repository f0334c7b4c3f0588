"""Layers of different sizes on their way out: carried over, or refused by name."""

import numpy as np
import pytest

from lstm_baseline import LSTM, InputError
from lstm_baseline.interop import to_state_dict
from tests.support.models import normal, scatter

SIZES = (6, 4)


def model(**options):
    return scatter(LSTM(3, SIZES, dtype=np.float64, rng=0, **options))


def test_pytorch_has_one_size_for_all_layers():
    with pytest.raises(InputError, match=r"hidden sizes \(6, 4\), and those of nn.LSTM have one"):
        to_state_dict(model())


@pytest.mark.parametrize("bidirectional", [False, True])
def test_onnx(tmp_path, bidirectional):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    from lstm_baseline.interop import to_onnx

    own = model(output_size=2, bidirectional=bidirectional).astype(np.float32)
    to_onnx(own, tmp_path / "model.onnx")
    x = normal(2, 5, 3, dtype=np.float32)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    (given, *_) = session.run(None, {session.get_inputs()[0].name: x})
    np.testing.assert_allclose(given, own.forward(x), rtol=0, atol=1e-6)
