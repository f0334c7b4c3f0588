"""Every gradient of every model against central differences in float64.

`pytest -s` shows the largest error of each model.
"""

import numpy as np
import pytest

from lstm_baseline import GRU, LSTM, RNN, Gradients, MinGRU, RelationalRNN
from lstm_baseline.engine.errors import InputError
from lstm_baseline.testing import check_gradients
from tests.support.models import normal, random_state, scatter, shapes_unchecked

TOLERANCE = 1e-6
SIZES = [(1, 1, 1, 1), (1, 3, 2, 13), (3, 1, 4, 5), (2, 4, 3, 1), (3, 5, 1, 7)]
"""(B, T, I, H)."""

RELATIONAL = {
    "one slot of one feature": {"num_slots": 1, "num_heads": 1, "head_size": 1},
    "unit gates": {"num_slots": 3, "num_heads": 2, "head_size": 3},
    "memory gates": {"num_slots": 3, "num_heads": 2, "head_size": 3, "gate": "memory"},
    "short keys": {"num_slots": 2, "num_heads": 3, "head_size": 2, "key_size": 1},
    "long keys": {"num_slots": 2, "num_heads": 1, "head_size": 3, "key_size": 5},
    "more slots than features": {"num_slots": 7, "num_heads": 1, "head_size": 3},
    "two blocks": {"num_slots": 2, "num_heads": 2, "head_size": 2, "num_blocks": 2},
    "three blocks": {
        "num_slots": 2,
        "num_heads": 2,
        "head_size": 2,
        "num_blocks": 3,
        "mlp_layers": 1,
        "gate": "memory",
    },
    "one MLP layer": {"num_slots": 2, "num_heads": 1, "head_size": 3, "mlp_layers": 1},
    "three MLP layers": {"num_slots": 2, "num_heads": 1, "head_size": 3, "mlp_layers": 3},
    "gate biases": {
        "num_slots": 2,
        "num_heads": 1,
        "head_size": 3,
        "forget_bias": -0.7,
        "input_bias": 1.3,
    },
}

OPTIONS = [
    pytest.param(sequences, ragged, start, id=f"{sequences=}-{ragged=}-{start=}")
    for sequences in (True, False)
    for ragged in (True, False)
    for start in (True, False)
]


@pytest.fixture(scope="module", autouse=True)
def _without_shape_checks():
    """Leave out what costs three quarters of the time here and is checked in every other test."""
    with shapes_unchecked():
        yield


@pytest.fixture(scope="module")
def largest_errors():
    """Collect the largest error of each model and print them at the end."""
    errors = {}
    yield errors
    for name, error in errors.items():
        print(f"\nlargest gradient error of {name}: {error:.1e}", end="")


@pytest.fixture
def check(largest_errors):
    def check(model, num_rows, num_steps, *, sequences=True, ragged=False, start=False, **options):
        if ragged:
            # No step, all steps, and what lies between.
            options["lengths"] = np.arange(num_rows) * num_steps // max(1, num_rows - 1)
        if start:
            options["initial_state"] = random_state(model, num_rows)
        errors = check_gradients(
            scatter(model),
            normal(num_rows, num_steps, model.input_size),
            return_sequences=sequences,
            final_state=True,
            max_entries=5,
            **options,
        )
        name = type(model).__name__
        largest_errors[name] = max(largest_errors.get(name, 0.0), *errors.values())
        wrong = {key: error for key, error in errors.items() if not error < TOLERANCE}
        assert not wrong
        assert errors.keys() >= {*model.params, "x"}

    return check


@pytest.mark.parametrize(("sequences", "ragged", "start"), OPTIONS)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("model_class", [LSTM, GRU, RNN, MinGRU])
def test_gated_models(check, model_class, sizes, sequences, ragged, start):
    B, T, I, H = sizes
    for output_size in (None, 2):
        model = model_class(I, H, output_size, dtype=np.float64, rng=0)
        check(model, B, T, sequences=sequences, ragged=ragged, start=start)


@pytest.mark.parametrize(("sequences", "ragged", "start"), OPTIONS)
@pytest.mark.parametrize("gate", ["unit", "memory"])
def test_relational_model_with_every_option_of_forward(check, gate, sequences, ragged, start):
    model = RelationalRNN(
        3, 2, num_slots=2, num_heads=2, head_size=2, gate=gate, dtype=np.float64, rng=0
    )
    check(model, 3, 3, sequences=sequences, ragged=ragged, start=start)


@pytest.mark.parametrize("name", RELATIONAL)
@pytest.mark.parametrize("sizes", [(1, 1, 1), (2, 3, 5)], ids=str)
def test_relational_model_in_every_form(check, name, sizes):
    B, T, I = sizes
    model = RelationalRNN(I, **RELATIONAL[name], dtype=np.float64, rng=0)
    check(model, B, T, ragged=True, start=True)
    check(model, B, T, sequences=False)


class Halved:
    """A model whose backward is wrong in one place."""

    def __init__(self, model, wrong):
        self.model, self.wrong = model, wrong
        self.params, self.forward = model.params, model.forward
        self.forward_with_cache = model.forward_with_cache

    def backward(self, d_outputs, cache, d_state=None):
        gradients = self.model.backward(d_outputs, cache, d_state)
        params, x, (h, c) = gradients.params, gradients.x, gradients.initial_state
        if self.wrong == "x":
            x = x / 2
        elif self.wrong == "initial_state[1]":
            c = c / 2
        else:
            params = params | {self.wrong: params[self.wrong] / 2}
        return Gradients(params, lambda: x, (h, c))


@pytest.mark.parametrize("wrong", ["W", "U", "b", "W_out", "b_out", "x", "initial_state[1]"])
def test_the_check_finds_a_wrong_gradient_and_names_it(wrong):
    model = LSTM(2, 3, 2, dtype=np.float64, rng=0)
    errors = check_gradients(
        Halved(model, wrong), normal(2, 3, 2), initial_state=random_state(model, 2)
    )
    assert errors.pop(wrong) == pytest.approx(1, abs=1e-6)
    assert max(errors.values()) < TOLERANCE


def test_the_check_sees_the_final_state():
    model = LSTM(2, 3, dtype=np.float64, rng=0)
    forgetful = Halved(model, "x")
    forgetful.backward = lambda d_outputs, cache, d_state=None: model.backward(d_outputs, cache)
    assert max(check_gradients(forgetful, normal(2, 3, 2)).values()) < TOLERANCE
    assert max(check_gradients(forgetful, normal(2, 3, 2), final_state=True).values()) > 0.01


def test_the_check_leaves_model_and_data_as_they_were():
    model, x = LSTM(2, 3, dtype=np.float64, rng=0), normal(2, 3, 2)
    state = random_state(model, 2)
    x.setflags(write=False)
    for part in state:
        part.setflags(write=False)
    before = model.get_params()
    check_gradients(model, x, initial_state=state)
    for name, value in model.get_params().items():
        np.testing.assert_array_equal(value, before[name])


def test_the_check_refuses_single_precision():
    with pytest.raises(InputError, match="float64"):
        check_gradients(LSTM(2, 3), normal(1, 2, 2))
