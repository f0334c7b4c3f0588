import math
from contextlib import nullcontext

import numpy as np
import pytest

from lstm_baseline.engine.core import ENGINE_VARIABLE
from lstm_baseline.training.optimizers import (
    OPTIMIZERS,
    SGD,
    Adam,
    AdamW,
    RMSProp,
    clip_by_global_norm,
    is_decayed,
)
from tests.support.engines import (
    INSTRUCTION_SETS,
    LAYOUTS,
    NO_CORE,
    assert_same_bits,
    running,
    threads,
)
from tests.support.models import normal

MAKE = {
    "SGD": SGD,
    "SGD with momentum": lambda params: SGD(params, momentum=0.9),
    "Adam": Adam,
    "AdamW": lambda params: AdamW(params, weight_decay=0.1),
    "RMSProp": RMSProp,
}


@pytest.fixture(params=MAKE)
def make(request):
    return MAKE[request.param]


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

    def test_adamw_by_the_published_algorithm(self):
        p = some_params() | {"E": normal(4, 3, seed=2)}
        optimizer = AdamW(p, 0.3, beta_1=0.8, beta_2=0.95, epsilon=1e-3)
        expected = {name: value.copy() for name, value in p.items()}
        m = {name: np.zeros_like(value) for name, value in p.items()}
        v = {name: np.zeros_like(value) for name, value in p.items()}
        decay = {"W": 0.3, "b": 0.0, "E": 0.0}
        for t in range(1, 8):
            g = some_gradients(t) | {"E": normal(4, 3, seed=30 + t)}
            rate = 0.05 / t
            optimizer.update(g, rate)
            for name, value in expected.items():
                m[name] = 0.8 * m[name] + 0.2 * g[name]
                v[name] = 0.95 * v[name] + 0.05 * g[name] ** 2
                m_hat, v_hat = m[name] / (1 - 0.8**t), v[name] / (1 - 0.95**t)
                step = m_hat / (np.sqrt(v_hat) + 1e-3) + decay[name] * value
                expected[name] = value - rate * step
        for name, value in expected.items():
            np.testing.assert_allclose(p[name], value, rtol=1e-13)

    def test_decay_does_not_pass_through_the_running_means(self):
        p, kept = some_params(), some_params()
        optimizer = AdamW(p, weight_decay=0.5)
        optimizer.update({name: np.zeros_like(value) for name, value in p.items()}, 0.1)
        np.testing.assert_array_equal(p["W"], kept["W"] * (1 - 0.1 * 0.5))
        np.testing.assert_array_equal(p["b"], kept["b"])
        assert not any(optimizer.state[f"m.{name}"].any() for name in p)

    def test_adamw_without_decay_is_adam_to_the_bit(self):
        plain, decoupled = some_params(np.float32), some_params(np.float32)
        adam, adamw = Adam(plain), AdamW(decoupled, weight_decay=0.0)
        for step in range(4):
            for optimizer in (adam, adamw):
                optimizer.update(some_gradients(step, np.float32), 0.1)
        assert_same_bits(decoupled | adamw.state, plain | adam.state)

    def test_rmsprop_by_hand(self):
        p = {"a": np.array([1.0, -1.0])}
        optimizer = RMSProp(p, alpha=0.75, epsilon=0.5)
        optimizer.update({"a": np.array([4.0, 0.0])}, 0.1)  # v = 4, 0
        np.testing.assert_allclose(p["a"], [1 - 0.1 * 4 / 2.5, -1.0], rtol=1e-15)
        optimizer.update({"a": np.array([1.0, 2.0])}, 0.1)  # v = 3.25, 1
        expected = [1 - 0.16 - 0.1 / (math.sqrt(3.25) + 0.5), -1 - 0.1 * 2 / 1.5]
        np.testing.assert_allclose(p["a"], expected, rtol=1e-15)

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


@pytest.mark.parametrize(
    ("name", "shape", "decayed"),
    [
        ("W", (8, 3), True),
        ("U_l1_reverse", (8, 2), True),
        ("W_qkv_0", (6, 4), True),
        ("conv.weight", (4, 3, 5), True),
        ("b", (8,), False),
        ("p_f", (2,), False),
        ("gain_mlp_0", (4,), False),
        ("scale", (), False),
        ("E", (26, 8), False),
        ("embedding", (26, 8), False),
        ("encoder.embedding.weight", (26, 8), False),
        ("E_out", (26, 8), True),
        ("embedding_size", (26, 8), True),
    ],
)
def test_matrices_decay_unless_they_are_embeddings(name, shape, decayed):
    assert is_decayed(name, np.zeros(shape)) is decayed


def test_optimizers_go_by_name():
    kinds = {
        name: make(some_params(), momentum=0.8, weight_decay=0.03)
        for name, make in OPTIMIZERS.items()
    }
    assert {name: type(each) for name, each in kinds.items()} == {
        "adam": Adam,
        "adamw": AdamW,
        "rmsprop": RMSProp,
        "sgd": SGD,
    }
    assert kinds["sgd"].momentum == 0.8
    assert kinds["adamw"].weight_decay == 0.03


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


FUSED = {
    "Adam": Adam,
    "Adam, other constants": lambda params: Adam(params, 0.7, 0.9, 1e-4),
    "Adam, no constants": lambda params: Adam(params, 0.0, 0.0, 0.0),
    "AdamW": AdamW,
    "AdamW, other constants": lambda params: AdamW(params, 7.0, 0.7, 0.9, 1e-4),
    "RMSProp": RMSProp,
    "RMSProp, other constants": lambda params: RMSProp(params, 0.7, 1e-4),
    "RMSProp, no constants": lambda params: RMSProp(params, 0.0, 0.0),
}
"""Optimizers that the compiled core has."""


@pytest.fixture(params=["Adam", "AdamW", "RMSProp"])
def fused(request):
    return FUSED[request.param]


def numbers_of(make, gradients, layout=np.array):
    """Return parameters and state after steps with these gradients."""
    params = {"p": layout(of_many_sizes(gradients[0].shape, 100, gradients[0].dtype))}
    optimizer = make(params)
    for name in ("m.p", "v.p"):
        if name in optimizer.state:
            optimizer.state[name] = layout(optimizer.state[name])
    for g in gradients:
        optimizer.update({"p": layout(g)}, 0.01)
    return params | optimizer.state


class TestBothPaths:
    """The compiled core and the code for any array library do the same."""

    @pytest.mark.skipif(not INSTRUCTION_SETS, reason=NO_CORE)
    def test_each_is_taken_where_it_should_be(self, path, fused):
        # The core does not know of NumPy's error state.
        p, g = np.ones((2, 3), np.float32), np.full((2, 3), 1e30, np.float32)

        def update(layout):
            fused({"a": layout(p)}).update({"a": layout(g)}, 0.1)

        with np.errstate(over="raise"):
            if path == "reference":
                with pytest.raises(FloatingPointError):
                    update(np.array)
            else:
                update(np.array)
            with pytest.raises(FloatingPointError):
                update(np.asfortranarray)

    @pytest.mark.parametrize("name", FUSED)
    @pytest.mark.parametrize("shape", [(), (0, 3), (1,), (7,), (8,), (37,), (5, 3), (40, 25)])
    def test_bits(self, path, numpy_only, shape, name, dtype):
        gradients = [of_many_sizes(shape, seed, dtype) for seed in range(6)]
        with np.errstate(all="ignore"):
            given = numbers_of(FUSED[name], gradients)
            expected = numpy_only(numbers_of, FUSED[name], gradients)
        assert_same_bits(given, expected)

    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_bits_with_other_layouts(self, path, numpy_only, fused, layout, dtype):
        gradients = [normal(5, 3, seed=seed, dtype=dtype) for seed in range(3)]
        given = numbers_of(fused, gradients, LAYOUTS[layout])
        expected = numpy_only(numbers_of, fused, gradients)
        for name, value in expected.items():
            np.testing.assert_array_equal(given[name], value)

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    def test_bits_of_what_is_not_finite(self, path, numpy_only, fused, bad, dtype):
        gradients = [normal(19, 1, seed=seed, dtype=dtype) for seed in range(3)]
        gradients[1][4] = bad
        with np.errstate(all="ignore"):
            given = numbers_of(fused, gradients)
            expected = numpy_only(numbers_of, fused, gradients)
        assert np.isnan(given["p"][4])
        assert_same_bits(given, expected)

    @pytest.mark.parametrize("number", [2, 3, 5])
    def test_bits_on_any_number_of_threads(self, path, numpy_only, fused, number, dtype):
        # Large enough that each thread is worth its while, and of sizes that nothing divides.
        def update():
            params = {
                name: normal(*shape, seed=seed, dtype=dtype)
                for seed, (name, shape) in enumerate({"W": (1009, 503), "b": (100_003,)}.items())
            }
            optimizer = fused(params)
            for step in range(2):
                optimizer.update({n: dtype(step - 0.3) * p for n, p in params.items()}, 0.1)
            return params | optimizer.state

        with threads(number) if path != "reference" else nullcontext():
            given = update()
        assert_same_bits(given, numpy_only(update))

    @pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64, np.float16])
    def test_gradients_of_another_dtype(self, path, numpy_only, fused, kind, dtype):
        def update():
            params = {"p": normal(5, 3, dtype=dtype)}
            fused(params).update({"p": (8 * normal(5, 3, seed=1)).astype(kind)}, 0.1)
            return params

        assert_same_bits(update(), numpy_only(update))

    @pytest.mark.parametrize("shape", [(1, 3), (5, 1), ()])
    def test_a_gradient_that_broadcasts(self, path, numpy_only, fused, shape):
        def update():
            params = {"p": normal(5, 3)}
            fused(params).update({"p": normal(*shape, seed=1)}, 0.1)
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
