"""Write ``keras_exports/``: ONNX files as Keras itself writes them, and what the models give.

Keras writes LSTM nodes only by way of TensorFlow and tf2onnx, which are too large for every run of
the tests, so the files are kept. To make them anew, with Keras 3.15 and tf2onnx 1.17:

    pip install tensorflow-cpu tf2onnx && KERAS_BACKEND=tensorflow python export_from_keras.py
"""

from pathlib import Path

import keras
import numpy as np
from keras import layers

HERE = Path(__file__).parent / "keras_exports"


def lstm(**options):
    return layers.LSTM(5, return_sequences=True, **options)


def both(merge_mode="concat", **options):
    return layers.Bidirectional(lstm(**options), merge_mode=merge_mode)


NETS = {
    "sequences": [lstm()],
    "last": [layers.LSTM(5)],
    "readout": [lstm(), layers.Dense(2)],
    "last_readout": [layers.LSTM(5), layers.Dense(2)],
    "no_bias": [lstm(use_bias=False), layers.Dense(2, use_bias=False)],
    "stacked": [lstm(), lstm(), layers.Dense(3)],
    "both_ways": [both(), layers.Dense(2)],
    "both_ways_last": [layers.Bidirectional(layers.LSTM(5)), layers.Dense(2)],
    "both_ways_stacked": [both(), both(), layers.Dense(3)],
    "both_ways_added": [both("sum"), layers.Dense(2)],
    "both_ways_averaged": [both("ave"), both("ave")],
}

if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 6, 3)).astype(np.float32)
    outputs = {"x": x}
    for name, parts in NETS.items():
        net = keras.Sequential([keras.Input((None, 3)), *parts])
        outputs[name] = np.asarray(net(x))
        net.set_weights([0.5 * rng.standard_normal(w.shape) for w in net.get_weights()])
        outputs[name] = np.asarray(net(x))
        net.export(HERE / f"{name}.onnx", format="onnx", verbose=False)
    np.savez(HERE / "outputs.npz", **outputs)
