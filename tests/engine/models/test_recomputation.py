"""What is computed again instead of stored gives the same outputs and gradients."""

import tracemalloc

import numpy as np
import pytest

from lstm_baseline import LSTM
from tests.support.models import (
    INPUT_SIZE,
    SMALL_MODELS,
    assert_same_arrays,
    make_model,
    normal,
    random_state,
    scatter,
)

RATES = {
    "dropout": 0.3,
    "input_dropout": 0.2,
    "recurrent_dropout": 0.4,
    "weight_drop": 0.2,
    "zoneout": (0.3, 0.1),
}


def two_layers():
    options = {"num_layers": 2, "bidirectional": True, **RATES}
    return scatter(LSTM(INPUT_SIZE, 5, 2, **options, dtype=np.float64, rng=0))


@pytest.mark.parametrize("num_steps", [0, 1, 2, 11])
@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("name", [*SMALL_MODELS, "two layers, all that is dropped"])
def test_outputs_and_gradients_are_the_same(name, sequences, ragged, num_steps):
    model = make_model(name, 2) if name in SMALL_MODELS else two_layers()
    x = normal(4, num_steps, INPUT_SIZE)
    options = {"initial_state": random_state(model, 4)}
    if ragged:
        options["lengths"] = np.minimum([11, 0, 6, 1], num_steps)
    found = []
    for recompute in (False, True):
        y, cache = model.forward_with_cache(
            x, sequences, **options, rng=np.random.default_rng(5), recompute=recompute
        )
        d_state = tuple(np.ones_like(part) for part in cache.state)
        gradients = model.backward(normal(*y.shape, seed=9), cache, d_state)
        found.append(
            {"y": y, "d_x": gradients.x, **gradients.params}
            | {f"state {k}": part for k, part in enumerate(cache.state)}
            | {f"d_initial {k}": part for k, part in enumerate(gradients.initial_state)}
        )
    assert_same_arrays(found[1], found[0], 1e-12)


@pytest.mark.slow
def test_backward_needs_little_memory_as_well():
    """What is held at most at any time between the start of forward and the end of backward."""
    model = LSTM(1, 64, rng=0, engine="reference")

    def peak(recompute):
        x = normal(4, 900, 1, dtype=np.float32)
        tracemalloc.start()
        y, cache = model.forward_with_cache(x, recompute=recompute)
        model.backward(y, cache)
        held = tracemalloc.get_traced_memory()[1] - 2 * y.nbytes
        tracemalloc.stop()
        return held

    assert peak(False) > 8 * peak(True)


@pytest.mark.slow
def test_what_is_stored_grows_with_the_root_of_the_number_of_steps():
    """What the reference holds between forward and backward, beside x and the outputs."""
    model = LSTM(1, 32, rng=0, engine="reference")

    def stored(num_steps, recompute):
        x = normal(4, num_steps, 1, dtype=np.float32)
        tracemalloc.start()
        y, cache = model.forward_with_cache(x, recompute=recompute)
        held = tracemalloc.get_traced_memory()[0] - y.nbytes
        tracemalloc.stop()
        assert cache is not None
        return held

    assert stored(400, False) > 15 * stored(400, True)
    assert stored(1600, True) < 3 * stored(400, True)
