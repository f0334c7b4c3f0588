import math

import numpy as np
import pytest

from lstm_baseline.engine.core import ENGINE_VARIABLE
from lstm_baseline.training.optimizers import SGD, Adam, clip_by_global_norm
from tests.support.engines import INSTRUCTION_SETS, LAYOUTS, NO_CORE, assert_same_bits, running
from tests.support.models import normal

OPTIMIZERS = {
    "SGD": SGD,
    "SGD with momentum": lambda params: SGD(params, momentum=0.9),
    "Adam": Adam,
}


@pytest.fixture(params=OPTIMIZERS)
def make(request):
    return OPTIMIZERS[request.param]


def some_params(dtype=np.float64):
    return {"W": normal(2, 3, dtype=dtype), "b": normal(3, seed=1, dtype=dtype)}


def some_gradients(step, dtype=np.float64):
    return {
        "W": normal(2, 3, seed=10 + step, dtype=dtype),
        "b": normal(3, seed=20 + step, dtype=dtype),
    }


class TestClipping:
    def test_a_long_gradient_keeps_its_direction_and_gets_the_norm(self):
        gradients = {"a": np.array([3.0, 0.0]), "b": np.array([[4.0]])}
        clipped, norm = clip_by_global_norm(gradients, 1.0)
        assert norm == 5
        np.testing.assert_allclose(clipped["a"], [0.6, 0], rtol=1e-15)
        np.testing.assert_allclose(clipped["b"], [[0.8]], rtol=1e-15)

    @pytest.mark.parametrize("max_norm", [5.0, 6.0, None])
    def test_a_short_one_stays_as_it_is(self, max_norm):
        gradients = {"a": np.array([3.0, 4.0])}
        clipped, norm = clip_by_global_norm(gradients, max_norm)
        assert norm == 5
        np.testing.assert_array_equal(clipped["a"], [3, 4])

    def test_zero_and_empty_gradients_have_norm_zero(self):
        assert clip_by_global_norm({"a": np.zeros(3)}, 1.0)[1] == 0
        assert clip_by_global_norm({"a": np.zeros((0, 3))}, 1.0)[1] == 0
        assert clip_by_global_norm({}, 1.0) == ({}, 0.0)

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_the_norm_shows_what_is_not_finite(self, bad):
        for max_norm in (1.0, None):
            with np.errstate(invalid="ignore"):
                _, norm = clip_by_global_norm({"a": np.array([1.0, bad])}, max_norm)
            assert not np.isfinite(norm)

    def test_gradients_given_are_not_changed(self):
        gradients = some_gradients(0)
        for value in gradients.values():
            value.setflags(write=False)
        clip_by_global_norm(gradients, 1e-3)

    def test_dtype_is_kept(self):
        clipped, _ = clip_by_global_norm(some_gradients(0, np.float32), 1e-3)
        assert {value.dtype for value in clipped.values()} == {np.dtype(np.float32)}


class TestSteps:
    def test_plain_descent(self):
        p = {"a": np.array([1.0, 2.0])}
        SGD(p).update({"a": np.array([10.0, -10.0])}, 0.1)
        np.testing.assert_allclose(p["a"], [0, 3])

    def test_momentum_adds_up(self):
        p = {"a": np.zeros(1)}
        optimizer = SGD(p, momentum=0.5)
        for expected in (-1.0, -2.5, -4.25):  # steps of 1, 1.5, 1.75
            optimizer.update({"a": np.ones(1)}, 1.0)
            assert p["a"][0] == expected

    def test_adam_s_first_steps_have_the_size_of_the_rate(self):
        p = {"a": np.array([0.0, 0.0, 0.0])}
        optimizer = Adam(p)
        gradient = np.array([1e-3, 1.0, -1e3])
        for count in (1, 2, 3):
            optimizer.update({"a": gradient}, 0.01)
            np.testing.assert_allclose(p["a"], -0.01 * count * np.sign(gradient), rtol=1e-4)

    def test_adam_by_the_published_algorithm(self):
        p = some_params()
        optimizer = Adam(p, beta_1=0.8, beta_2=0.95, epsilon=1e-3)
        expected = {name: value.copy() for name, value in p.items()}
        m = {name: np.zeros_like(value) for name, value in p.items()}
        v = {name: np.zeros_like(value) for name, value in p.items()}
        for t in range(1, 8):
            g = some_gradients(t)
            optimizer.update(g, 0.05)
            for name in expected:
                m[name] = 0.8 * m[name] + 0.2 * g[name]
                v[name] = 0.95 * v[name] + 0.05 * g[name] ** 2
                m_hat, v_hat = m[name] / (1 - 0.8**t), v[name] / (1 - 0.95**t)
                expected[name] -= 0.05 * m_hat / (np.sqrt(v_hat) + 1e-3)
        for name in expected:
            np.testing.assert_allclose(p[name], expected[name], rtol=1e-13)

    def test_parameters_change_in_place_and_keep_their_dtype(self, make):
        p = some_params(np.float32)
        before = dict(p)
        make(p).update(some_gradients(0, np.float32), 0.1)
        for name, value in before.items():
            assert p[name] is value
            assert value.dtype == np.float32
            assert not np.array_equal(value, some_params(np.float32)[name])

    def test_gradients_are_not_changed(self, make):
        gradients = some_gradients(0)
        for value in gradients.values():
            value.setflags(write=False)
        optimizer = make(some_params())
        for _ in range(3):
            optimizer.update(gradients, 0.1)

    def test_a_rate_of_zero_moves_nothing(self, make):
        p = some_params()
        make(p).update(some_gradients(0), 0.0)
        for name, value in some_params().items():
            np.testing.assert_array_equal(p[name], value)

    def test_the_least_of_a_bowl_is_found(self, make):
        p = {"a": np.array([5.0, -3.0])}
        optimizer = make(p)
        for step in range(500):
            optimizer.update({"a": 2 * (p["a"] - 1)}, 0.1 * 0.99**step)
        np.testing.assert_allclose(p["a"], 1, atol=1e-2)


def test_state_carries_on_where_another_optimizer_stopped(make):
    whole, first = some_params(), some_params()
    optimizer = make(whole)
    for step in range(6):
        optimizer.update(some_gradients(step), 0.1)

    half = make(first)
    for step in range(3):
        half.update(some_gradients(step), 0.1)
    second = {name: value.copy() for name, value in first.items()}
    resumed = make(second)
    assert resumed.state.keys() == half.state.keys()
    for name, value in half.state.items():
        resumed.state[name][...] = value
    for step in range(3, 6):
        resumed.update(some_gradients(step), 0.1)
    for name, value in whole.items():
        np.testing.assert_array_equal(second[name], value)


def test_state_is_a_flat_dict_of_arrays(make):
    state = make(some_params(np.float32)).state
    assert all(isinstance(value, np.ndarray) for value in state.values())
    assert {value.dtype for value in state.values()} <= {np.dtype(np.float32)}


@pytest.mark.parametrize("scale", [1e-25, 1e25])
def test_norm_of_float32_gradients_neither_overflows_nor_vanishes(scale):
    _, norm = clip_by_global_norm({"a": np.full(4, scale, np.float32)}, None)
    assert norm == pytest.approx(2 * scale)


@pytest.fixture(params=[*INSTRUCTION_SETS, "reference"])
def path(request, monkeypatch):
    """Take the compiled path with each instruction set, and the one of any array library."""
    if request.param == "reference":
        monkeypatch.setenv(ENGINE_VARIABLE, "reference")
    else:
        monkeypatch.delenv(ENGINE_VARIABLE, raising=False)
    with running(request.param):
        yield request.param


@pytest.fixture(params=[np.float32, np.float64])
def dtype(request):
    return request.param


@pytest.fixture
def numpy_only(monkeypatch):
    """Return a function that computes without the compiled core."""

    def compute(function, *arguments):
        with monkeypatch.context() as patch:
            patch.setenv(ENGINE_VARIABLE, "reference")
            return function(*arguments)

    return compute


def of_many_sizes(shape, seed, dtype):
    """Return numbers from near the least to far beyond 1, both signs, some of them 0."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(shape) * 10.0 ** rng.integers(-30, 15, shape)
    return np.where(rng.random(shape) < 0.1, 0, values).astype(dtype)


def adam_s_numbers(gradients, layout=np.array, constants=()):
    """Return parameters and state after steps with these gradients."""
    params = {"p": layout(of_many_sizes(gradients[0].shape, 100, gradients[0].dtype))}
    optimizer = Adam(params, *constants)
    for name in ("m.p", "v.p"):
        optimizer.state[name] = layout(optimizer.state[name])
    for g in gradients:
        optimizer.update({"p": layout(g)}, 0.01)
    return params | optimizer.state


class TestBothPaths:
    """The compiled core and the code for any array library do the same."""

    @pytest.mark.skipif(not INSTRUCTION_SETS, reason=NO_CORE)
    def test_each_is_taken_where_it_should_be(self, path):
        # The core does not know of NumPy's error state.
        p, g = np.ones((2, 3), np.float32), np.full((2, 3), 1e30, np.float32)

        def update(layout):
            Adam({"a": layout(p)}).update({"a": layout(g)}, 0.1)

        with np.errstate(over="raise"):
            if path == "reference":
                with pytest.raises(FloatingPointError):
                    update(np.array)
            else:
                update(np.array)
            with pytest.raises(FloatingPointError):
                update(np.asfortranarray)

    @pytest.mark.parametrize("constants", [(), (0.7, 0.9, 1e-4), (0.0, 0.0, 0.0)], ids=str)
    @pytest.mark.parametrize("shape", [(), (0, 3), (1,), (7,), (8,), (37,), (5, 3), (1000,)])
    def test_adam_s_bits(self, path, numpy_only, shape, constants, dtype):
        gradients = [of_many_sizes(shape, seed, dtype) for seed in range(6)]
        with np.errstate(all="ignore"):
            given = adam_s_numbers(gradients, constants=constants)
            expected = numpy_only(adam_s_numbers, gradients, np.array, constants)
        assert_same_bits(given, expected)

    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_adam_s_bits_with_other_layouts(self, path, numpy_only, layout, dtype):
        gradients = [normal(5, 3, seed=seed, dtype=dtype) for seed in range(3)]
        given = adam_s_numbers(gradients, LAYOUTS[layout])
        expected = numpy_only(adam_s_numbers, gradients)
        for name, value in expected.items():
            np.testing.assert_array_equal(given[name], value)

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    def test_adam_s_bits_of_what_is_not_finite(self, path, numpy_only, bad, dtype):
        gradients = [normal(19, seed=seed, dtype=dtype) for seed in range(3)]
        gradients[1][4] = bad
        with np.errstate(all="ignore"):
            given = adam_s_numbers(gradients)
            expected = numpy_only(adam_s_numbers, gradients)
        assert np.isnan(given["p"][4])
        assert_same_bits(given, expected)

    @pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64, np.float16])
    def test_gradients_of_another_dtype(self, path, numpy_only, kind, dtype):
        def update():
            params = {"p": normal(5, 3, dtype=dtype)}
            Adam(params).update({"p": (8 * normal(5, 3, seed=1)).astype(kind)}, 0.1)
            return params

        assert_same_bits(update(), numpy_only(update))

    @pytest.mark.parametrize("shape", [(1, 3), (5, 1), ()])
    def test_a_gradient_that_broadcasts(self, path, numpy_only, shape):
        def update():
            params = {"p": normal(5, 3)}
            Adam(params).update({"p": normal(*shape, seed=1)}, 0.1)
            return params

        assert_same_bits(update(), numpy_only(update))

    @pytest.mark.parametrize("shape", [(3, 5), (15,), (5, 4), (5, 3, 1), (2, 5, 3)])
    def test_a_gradient_of_another_shape_is_refused(self, path, make, shape):
        params = {"p": normal(5, 3)}
        before = params["p"].copy()
        with pytest.raises(ValueError, match=r"."):
            make(params).update({"p": normal(*shape, seed=1)}, 0.1)
        np.testing.assert_array_equal(params["p"], before)

    def test_a_read_only_parameter_is_refused_and_not_written(self, path, make, dtype):
        p = normal(5, 3, dtype=dtype)
        p.setflags(write=False)
        with pytest.raises(ValueError, match="read-only"):
            make({"p": p}).update({"p": np.ones((5, 3), dtype)}, 0.1)
        np.testing.assert_array_equal(p, normal(5, 3, dtype=dtype))

    @pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 63, 1000, 100_003])
    def test_norms(self, path, count, dtype):
        g = normal(count, dtype=dtype)
        h = of_many_sizes((3, 5), 0, dtype)
        exact = math.sqrt(math.fsum(float(v) ** 2 for part in (g, h) for v in part.flat))
        _, norm = clip_by_global_norm({"g": g, "h": h}, None)
        assert norm == pytest.approx(exact, rel=1e-14, abs=0)

    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_norms_of_other_layouts(self, path, layout, dtype):
        g = normal(5, 7, dtype=dtype)
        _, expected = clip_by_global_norm({"g": g}, None)
        clipped, norm = clip_by_global_norm({"g": LAYOUTS[layout](g)}, 1.0)
        assert norm == pytest.approx(expected, rel=1e-14)
        np.testing.assert_allclose(clipped["g"], g / norm, rtol=1e-6)

    @pytest.mark.parametrize("count", [1, 8, 37])
    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    def test_norms_of_what_is_not_finite(self, path, bad, count, dtype):
        for place in {0, count // 2, count - 1}:
            g = np.ones(count, dtype)
            g[place] = bad
            with np.errstate(invalid="ignore"):
                _, norm = clip_by_global_norm({"g": g, "h": np.ones(3, dtype)}, 1.0)
            assert not np.isfinite(norm)
