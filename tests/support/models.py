"""Small models and data shared by tests in several folders."""

from contextlib import contextmanager

import jaxtyping
import numpy as np

from lstm_baseline import GRU, LSTM, RNN, MinGRU, RelationalRNN

INPUT_SIZE = 3

SMALL_MODELS = {
    "lstm": (LSTM, {"hidden_size": 5}),
    "lstm, more pieces": (
        LSTM,
        {
            "hidden_size": 5,
            "projection_size": 4,
            "peepholes": True,
            "layer_norm": True,
            "clip": 4.0,
            "activations": ("sigmoid", "softsign", ("scaled_tanh", 1.2, 0.8)),
        },
    ),
    "lstm, fewer pieces": (
        LSTM,
        {"hidden_size": 5, "coupled_gates": True, "peepholes": True, "bias": False},
    ),
    "gru": (GRU, {"hidden_size": 5}),
    "rnn": (RNN, {"hidden_size": 5}),
    "mingru": (MinGRU, {"hidden_size": 5}),
    "relational": (RelationalRNN, {"num_slots": 3, "num_heads": 2, "head_size": 2}),
    "relational, memory gate, two blocks": (
        RelationalRNN,
        {
            "num_slots": 2,
            "num_heads": 2,
            "head_size": 3,
            "key_size": 2,
            "num_blocks": 2,
            "mlp_layers": 3,
            "gate": "memory",
            "forget_bias": 0.5,
            "input_bias": -0.5,
        },
    ),
}
"""Class and sizes by name; together they take every path through the three cells."""


def make_model(name, output_size=None, *, dtype=np.float64, seed=0, engine="auto"):
    """Return a small model without parameters at 0 or 1, so that code cannot ignore any of them."""
    model_class, sizes = SMALL_MODELS[name]
    model = model_class(
        input_size=INPUT_SIZE,
        output_size=output_size,
        **sizes,
        dtype=dtype,
        rng=seed,
        engine=engine,
    )
    return scatter(model, seed)


@contextmanager
def shapes_unchecked():
    """Leave out the checks of annotated shapes, for a test that runs a model thousands of times."""
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)


def scatter(model, seed=0):
    """Move every parameter, including biases and gains, to a place without symmetry."""
    rng = np.random.default_rng(seed)
    for value in model.params.values():
        value += 0.3 * rng.standard_normal(value.shape)
    return model


def normal(*shape, seed=0, dtype=np.float64):
    """Return normal numbers."""
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def random_state(model, num_rows, seed=1):
    """Return a state of the model's own type with random numbers."""
    own = model.initial_state(num_rows)
    return type(own)(*(normal(*p.shape, seed=seed + k) for k, p in enumerate(own)))


def assert_same_arrays(given, expected, tolerance=0.0):
    """Compare two dicts of arrays, name by name."""
    assert given.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(given[name], value, rtol=0, atol=tolerance, err_msg=name)
