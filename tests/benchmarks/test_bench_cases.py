"""What is timed and how its arithmetic is counted."""

import pytest

from lstm_baseline.benchmarks.cases import CASES, flops, make_problem, select_cases
from lstm_baseline.engine.errors import InputError
from tests.support.bench_fakes import TINY

STEP, FORWARD, GRADIENT, TRAINING, RELATIONAL = TINY


def test_names_tell_cases_apart():
    assert len({case.name for case in CASES}) == len(CASES)


def test_patterns_select():
    assert [case.kind for case in select_cases("step")] == ["step"]
    assert {case.model for case in select_cases("training*64x")} == {"relational"}
    assert select_cases() == CASES
    assert len(select_cases(quick=True)) < len(CASES)


def test_unknown_pattern_is_refused_with_the_names_there_are():
    with pytest.raises(InputError, match=r"'chess'.*gradient-lstm-32x16x5x32"):
        select_cases("chess")


def test_flops_of_an_lstm_follow_the_formula():
    B, T, I, H = 2, 4, 3, 5
    forward = 2 * 4 * H * (I + H) * B * T
    assert flops(make_problem(STEP)) == 2 * 4 * H * (I + H) * B
    assert flops(make_problem(FORWARD)) == forward
    # dW, dU and dh, but no dx
    assert flops(make_problem(GRADIENT)) == forward + 2 * 4 * H * (I + 2 * H) * B * T


def test_flops_of_training_count_the_readout_once_a_row():
    B, T, I, H, K = 3, 4, 3, 5, 8
    cell = B * T * 2 * 4 * H * (I + H)
    readout = B * 2 * H * K
    d_x = B * T * 2 * 4 * H * I
    assert flops(make_problem(TRAINING)) == 3 * (cell + readout) - d_x


def test_flops_of_a_relational_memory_rest_on_the_models_own_count():
    problem = make_problem(RELATIONAL)
    B, T, I, K = 3, 2, 3, 8
    readout = 2 * problem.model.width * K
    cell = problem.model.flops_per_step - readout
    assert flops(problem) == 3 * B * (T * cell + readout) - B * T * 2 * I * 64


def test_weights_have_no_zeros_that_would_hide_a_mistake():
    for case in TINY:
        for name, value in make_problem(case).model.params.items():
            assert (value != 0).all(), name
