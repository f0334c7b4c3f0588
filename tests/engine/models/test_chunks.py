"""A sequence in chunks: the same bits however it is split."""

import numpy as np
import pytest

from lstm_baseline import LSTM
from tests.support.engines import require_core
from tests.support.models import INPUT_SIZE, SMALL_MODELS, make_model, normal


@pytest.mark.parametrize("num_rows", [1, 5])
@pytest.mark.parametrize("engine", ["native", "reference"])
@pytest.mark.parametrize("name", [*SMALL_MODELS, "two layers"])
def test_any_split_gives_the_same_bits(name, engine, num_rows):
    if engine == "native":
        require_core()
    if name == "two layers":
        model = LSTM(INPUT_SIZE, 37, 3, num_layers=2, zoneout=0.1, engine=engine, rng=0)
    else:
        model = make_model(name, 3, dtype=np.float32, engine=engine)
    x = normal(num_rows, 23, INPUT_SIZE, dtype=np.float32)
    whole = model.forward(x, return_state=True)
    for splits in ([1], [22], [5, 6, 7, 20], range(1, 23)):
        state, outputs = None, []
        for part in np.split(x, splits, axis=1):
            y, *state = model.forward(part, return_state=True, initial_state=state)
            outputs.append(y)
        np.testing.assert_array_equal(np.concatenate(outputs, axis=1), whole[0])
        for part, expected in zip(state, whole[1:], strict=True):
            np.testing.assert_array_equal(part, expected)


def test_a_stream_gives_the_same_bits():
    model = LSTM(INPUT_SIZE, 37, 3, rng=0)
    x = normal(2, 23, INPUT_SIZE, dtype=np.float32)
    for runner in (model, model.freeze()):
        state, outputs = None, []
        for t in range(23):
            y, state = runner.step(x[:, t], state)
            outputs.append(y)
        np.testing.assert_array_equal(np.stack(outputs, axis=1), runner.forward(x))
