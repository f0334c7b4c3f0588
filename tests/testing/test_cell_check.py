"""The gradient check for a user's own cell: ours pass it, wrong derivatives are named."""

import numpy as np
import pytest

from lstm_baseline.engine.cells import GRUEquations
from lstm_baseline.engine.errors import InputError
from lstm_baseline.testing import check_cell
from tests.support.models import SMALL_MODELS, make_model, shapes_unchecked

TOLERANCE = 1e-6


@pytest.fixture(scope="module", autouse=True)
def _without_shape_checks():
    with shapes_unchecked():
        yield


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] * (name not in ("lstm", "gru")))
        for name in SMALL_MODELS
    ],
)
def test_our_own_cells(name):
    model = make_model(name)
    errors = check_cell(model.cell, model.params, model.input_size)
    assert max(errors.values()) < TOLERANCE
    assert errors.keys() >= {*model.params, "x", "initial_state[0]"}


class WrongStep(GRUEquations):
    def step_backward(self, params, d_state, cache, d_params):
        before = d_params["b_u"].copy()
        found = super().step_backward(params, d_state, cache, d_params)
        d_params["b_u"] = (d_params["b_u"] + before) / 2
        return found


class WrongState(GRUEquations):
    def step_backward(self, params, d_state, cache, d_params):
        d_u, (d_h,) = super().step_backward(params, d_state, cache, d_params)
        return d_u, type(d_state)(d_h + 0.1 * d_state.h)


class WrongInput(GRUEquations):
    def input_part_backward(self, params, d_u, x, d_params):
        return 2 * super().input_part_backward(params, d_u, x, d_params)


@pytest.mark.parametrize(
    ("cell", "wrong"),
    [
        (WrongStep(5), {"b_u"}),
        (WrongState(5), {"initial_state[0]", "U"}),
        (WrongInput(5), {"x"}),
    ],
)
def test_a_wrong_derivative_is_named(cell, wrong):
    model = make_model("gru")
    before = model.get_params()
    errors = check_cell(cell, model.params, model.input_size)
    found = {name for name, error in errors.items() if not error < TOLERANCE}
    assert found >= wrong
    if wrong != {"initial_state[0]", "U"}:
        assert found == wrong
    for name, value in model.get_params().items():
        np.testing.assert_array_equal(value, before[name])


def test_single_precision_is_refused():
    model = make_model("gru", dtype=np.float32)
    with pytest.raises(InputError, match="float64"):
        check_cell(model.cell, model.params, model.input_size)


def test_parameters_are_those_that_the_cell_states():
    model = make_model("gru")
    params = {name: value for name, value in model.params.items() if name != "b_u"}
    with pytest.raises(InputError, match=r"params has the shapes .*; the cell states .*'b_u'"):
        check_cell(model.cell, params, model.input_size)
