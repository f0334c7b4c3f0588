"""The compiled cross-entropy against the one of any array library."""

import numpy as np
import pytest

from lstm_baseline import InputError
from lstm_baseline.engine.core import ENGINE_VARIABLE
from lstm_baseline.training.losses import cross_entropy
from tests.support.engines import INSTRUCTION_SETS, LAYOUTS, require_core, running
from tests.support.models import normal

require_core()


@pytest.fixture(params=INSTRUCTION_SETS, autouse=True)
def _instruction_set(request, monkeypatch):
    monkeypatch.delenv(ENGINE_VARIABLE, raising=False)
    with running(request.param):
        yield


@pytest.fixture(params=[np.float32, np.float64])
def dtype(request):
    return request.param


@pytest.fixture
def compare(monkeypatch, dtype):
    """Return a function that compares both paths, the other one in float64."""

    def compare(logits, targets):
        loss, gradient = cross_entropy(logits, targets)
        with monkeypatch.context() as patch, np.errstate(all="ignore"):
            patch.setenv(ENGINE_VARIABLE, "reference")
            expected_loss, expected = cross_entropy(logits.astype(np.float64), targets)
        tolerance = {np.float32: 3e-7, np.float64: 1e-15}[dtype]
        scale = np.abs(expected[np.isfinite(expected)]).max(initial=0.0)
        assert isinstance(loss, float)
        np.testing.assert_allclose(loss, expected_loss, rtol=10 * tolerance)
        assert gradient.dtype == dtype
        assert gradient.shape == logits.shape
        np.testing.assert_allclose(gradient, expected, rtol=0, atol=3 * tolerance * scale)

    return compare


@pytest.mark.parametrize("num_classes", [1, 2, 7, 8, 9, 16, 17, 31, 100])
@pytest.mark.parametrize("shape", [(), (1,), (5,), (3, 4)], ids=str)
def test_numbers_are_the_same(compare, shape, num_classes, dtype):
    targets = np.random.default_rng(0).integers(num_classes, size=shape)
    compare(3 * normal(*shape, num_classes, dtype=dtype), targets)


@pytest.mark.parametrize("size", [1e-30, 30.0, 200.0, 1e4, 1e30])
def test_logits_of_any_size(compare, size, dtype):
    compare(dtype(size) * normal(40, 19, dtype=dtype), np.arange(40) % 19)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 8, 18])
def test_what_is_not_finite_stays_in_its_row(compare, bad, place, dtype):
    logits = normal(5, 19, dtype=dtype)
    logits[2, place] = bad
    compare(logits, np.array([1, 2, 3, 4, 5]))
    compare(logits, np.full(5, place))


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint64])
def test_classes_of_any_whole_type(compare, kind, dtype):
    compare(normal(5, 300, dtype=dtype), np.array([0, 1, 255, 7, 255], kind))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout(layout, dtype):
    logits, targets = normal(5, 7, dtype=dtype), np.arange(5)
    loss, gradient = cross_entropy(LAYOUTS[layout](logits), LAYOUTS[layout](targets))
    expected_loss, expected = cross_entropy(logits, targets)
    assert loss == pytest.approx(expected_loss, rel=1e-6)
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-7)


def test_what_is_no_class_is_refused_as_ever(dtype):
    for wrong in ([0, 7], [-1, 0]):
        with pytest.raises(InputError, match="7 classes are numbered 0 to 6"):
            cross_entropy(normal(2, 7, dtype=dtype), np.array(wrong))
    with pytest.raises(InputError, match="targets has dtype float64"):
        cross_entropy(normal(2, 7, dtype=dtype), np.array([0.0, 1.0]))


def test_arguments_stay_as_they_are(dtype):
    logits, targets = normal(5, 7, dtype=dtype), np.arange(5)
    before = logits.copy()
    logits.setflags(write=False)
    targets.setflags(write=False)
    _, gradient = cross_entropy(logits, targets)
    assert not np.shares_memory(gradient, logits)
    np.testing.assert_array_equal(logits, before)
