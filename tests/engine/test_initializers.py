import numpy as np
import pytest

from lstm_baseline import InputError, orthogonal_initializer, xavier_initializer
from lstm_baseline.engine.initializers import lecun_initializer

INITIALIZERS = (orthogonal_initializer, xavier_initializer, lecun_initializer)


@pytest.mark.parametrize("size", [1, 2, 13, 64, 256])
def test_square_orthogonal_matrices_are_orthogonal_in_the_default_dtype(size):
    U = orthogonal_initializer((size, size), rng=size)
    assert U.dtype == np.float32
    assert np.abs(U @ U.T - np.eye(size)).max() < 1e-6


@pytest.mark.parametrize("shape", [(3, 7), (7, 3), (1, 5), (5, 1)])
def test_the_shorter_side_of_a_rectangle_is_orthonormal(shape):
    U = orthogonal_initializer(shape, rng=0, dtype=np.float64)
    assert U.shape == shape
    short = U if shape[0] <= shape[1] else U.T
    np.testing.assert_allclose(short @ short.T, np.eye(min(shape)), rtol=0, atol=1e-14)


def test_gain_scales_the_orthogonal_matrix():
    plain = orthogonal_initializer((6, 6), rng=3, dtype=np.float64)
    scaled = orthogonal_initializer((6, 6), gain=2.5, rng=3, dtype=np.float64)
    np.testing.assert_allclose(scaled, 2.5 * plain, rtol=1e-15)


def test_orthogonal_matrices_have_no_preferred_direction():
    # A decomposition that fixes signs, as QR does, leaves entries whose mean is not zero.
    rng = np.random.default_rng(0)
    mean = np.mean([orthogonal_initializer((3, 3), rng=rng) for _ in range(2000)], axis=0)
    assert np.abs(mean).max() < 5 * np.sqrt(1 / 3 / 2000)


def test_xavier_fills_its_bounds_evenly():
    fan_out, fan_in = 300, 500
    limit = np.sqrt(6 / (fan_in + fan_out))
    W = xavier_initializer((fan_out, fan_in), rng=0, dtype=np.float64)
    assert W.shape == (fan_out, fan_in)
    assert -limit <= W.min() < -0.999 * limit
    assert 0.999 * limit < W.max() <= limit
    assert W.var() == pytest.approx(2 / (fan_in + fan_out), rel=0.02)
    assert W.mean() == pytest.approx(0, abs=5 * limit / np.sqrt(3 * W.size))


def test_lecun_is_a_normal_cut_at_two_deviations():
    fan_in = 400
    W = lecun_initializer((500, fan_in), rng=0, dtype=np.float64) * np.sqrt(fan_in)
    assert 1.99 < np.abs(W).max() <= 2
    # Variance of a unit normal between -2 and 2.
    assert W.var() == pytest.approx(0.7737, rel=0.02)
    # The cut numbers were drawn again, not moved onto the bound.
    assert np.mean(np.abs(W) > 1.99) < 0.005


@pytest.mark.parametrize("initializer", INITIALIZERS)
def test_a_seed_gives_the_same_bits_and_another_seed_others(initializer):
    first = initializer((4, 5), rng=7)
    assert np.array_equal(first, initializer((4, 5), rng=np.random.default_rng(7)))
    assert not np.array_equal(first, initializer((4, 5), rng=8))
    assert not np.array_equal(initializer((4, 5)), initializer((4, 5)))


@pytest.mark.parametrize("initializer", INITIALIZERS)
def test_dtype_is_float32_unless_asked(initializer):
    assert initializer((2, 3), rng=0).dtype == np.float32
    assert initializer((2, 3), rng=0, dtype=np.float64).dtype == np.float64


@pytest.mark.parametrize("initializer", INITIALIZERS)
def test_the_global_random_state_is_left_alone(initializer):
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    initializer((4, 5))
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize("initializer", INITIALIZERS)
@pytest.mark.parametrize("shape", [(3,), (3, 4, 5), (0, 3), (3, -1), (2.5, 3)])
def test_shapes_that_are_no_matrix_are_refused(initializer, shape):
    with pytest.raises(InputError, match=r"give (two sizes|a whole number from 1)"):
        initializer(shape)
