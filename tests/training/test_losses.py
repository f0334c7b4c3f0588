import numpy as np
import pytest

from lstm_baseline import InputError
from lstm_baseline.engine.activations import softmax
from lstm_baseline.tasks.metrics import LOSS_METRICS, LossName
from lstm_baseline.training.losses import (
    LOSSES,
    binary_cross_entropy,
    cross_entropy,
    mean_squared_error,
)
from tests.support.models import normal

B, T, K = 3, 4, 5
LENGTHS = np.array([4, 0, 2])
LIVE = np.arange(T) < LENGTHS[:, None]


def probabilities(*shape):
    """Return probabilities of classes, which are fine values, and those of labels, too."""
    return np.random.default_rng(1).dirichlet(np.ones(K), size=shape)


@pytest.fixture(params=[cross_entropy, mean_squared_error, binary_cross_entropy])
def loss(request):
    return request.param


def test_cross_entropy_is_minus_the_mean_logarithm_of_the_right_class():
    logits, classes = normal(B, K), np.array([4, 0, 2])
    expected = -np.mean(np.log(softmax(logits))[np.arange(B), classes])
    assert cross_entropy(logits, classes)[0] == pytest.approx(expected, rel=1e-14)


def test_even_odds_cost_the_logarithm_of_the_number_of_classes():
    assert cross_entropy(np.zeros((B, K)), np.zeros(B, int))[0] == pytest.approx(np.log(K))


def test_mean_squared_error_is_the_mean_over_rows_and_components():
    outputs, targets = normal(B, K), normal(B, K, seed=1)
    expected = np.mean((outputs - targets) ** 2)
    assert mean_squared_error(outputs, targets)[0] == pytest.approx(expected, rel=1e-14)


def test_binary_cross_entropy_is_a_sum_over_labels_and_a_mean_over_rows():
    logits, labels = normal(B, K), np.random.default_rng(2).integers(2, size=(B, K))
    p = 1 / (1 + np.exp(-logits))
    expected = -np.log(np.where(labels == 1, p, 1 - p)).sum() / B
    assert binary_cross_entropy(logits, labels)[0] == pytest.approx(expected, rel=1e-14)
    # Even odds cost ln 2 a label, however many steps there are.
    for shape in ((B, 88), (B, T, 88)):
        value, gradient = binary_cross_entropy(np.zeros(shape), np.ones(shape))
        assert value == pytest.approx(88 * np.log(2), rel=1e-14)
        assert gradient.sum() == pytest.approx(-88 / 2, rel=1e-14)


def test_a_perfect_answer_costs_nothing(loss):
    targets = np.eye(K)
    outputs = {cross_entropy: 1000 * targets, binary_cross_entropy: 2000 * targets - 1000}.get(
        loss, targets
    )
    value, gradient = loss(outputs, targets)
    assert value == 0
    assert not gradient.any()


def test_class_indices_and_their_one_hot_rows_are_the_same():
    logits, classes = normal(B, T, K), np.random.default_rng(0).integers(K, size=(B, T))
    for lengths in (None, LENGTHS):
        value, gradient = cross_entropy(logits, classes, lengths)
        other_value, other_gradient = cross_entropy(logits, np.eye(K)[classes], lengths)
        # Not the same path: the compiled core takes class indices.
        assert value == pytest.approx(other_value, rel=1e-14)
        np.testing.assert_allclose(gradient, other_gradient, rtol=0, atol=1e-16)


@pytest.mark.parametrize(
    ("shape", "lengths"),
    [((B, K), None), ((B, T, K), None), ((B, T, K), LENGTHS), ((1, 1, K), np.array([1]))],
    ids=str,
)
def test_gradients_agree_with_central_differences(loss, shape, lengths):
    outputs, targets = normal(*shape), probabilities(*shape[:-1])
    _, gradient = loss(outputs, targets, lengths)
    assert gradient.shape == shape
    numeric = np.empty(shape)
    for index in np.ndindex(shape):
        delta = np.zeros(shape)
        delta[index] = 1e-5
        above, below = (loss(outputs + sign * delta, targets, lengths)[0] for sign in (1, -1))
        numeric[index] = (above - below) / 2e-5
    np.testing.assert_allclose(gradient, numeric, rtol=0, atol=1e-9)


def test_only_steps_within_the_lengths_count(loss):
    outputs, targets = normal(B, T, K), probabilities(B, T)
    value, gradient = loss(outputs, targets, LENGTHS)
    expected, expected_gradient = loss(outputs[LIVE], targets[LIVE])
    assert value == pytest.approx(expected, rel=1e-14)
    np.testing.assert_allclose(gradient[LIVE], expected_gradient, rtol=1e-14)
    assert not gradient[~LIVE].any()


def test_a_long_row_weighs_more_than_a_short_one(loss):
    # The mean is over steps, not over rows.
    outputs, targets = normal(2, T, K), probabilities(2, T)
    alone = [loss(outputs[k : k + 1, :n], targets[k : k + 1, :n])[0] for k, n in ((0, 4), (1, 1))]
    both = loss(outputs, targets, np.array([4, 1]))[0]
    assert both == pytest.approx((4 * alone[0] + alone[1]) / 5, rel=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gradients_keep_the_dtype_and_large_logits_overflow_nothing(dtype):
    logits = np.array([[1e30, -1e30, 0.0], [-1e4, 1e4, 0.0]], dtype)
    with np.errstate(all="raise", under="ignore"):
        value, gradient = cross_entropy(logits, np.array([0, 1]))
    assert value == 0
    assert gradient.dtype == dtype
    assert mean_squared_error(logits[1:], logits[:1] * 0)[1].dtype == dtype


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_labels_are_scored_without_overflow_or_rounding_to_certainty(dtype):
    logits = np.array([[1e30, -1e30, -np.inf, np.inf], [-60, 60, 0, 1e4]], dtype)
    with np.errstate(all="raise", under="ignore"):
        value, gradient = binary_cross_entropy(logits[:1], np.array([[1, 0, 0, 1]]))
        assert value == 0
        assert not gradient.any()
        assert binary_cross_entropy(logits[:1], np.array([[0, 0, 0, 1]]))[0] == pytest.approx(1e30)
        for wrong in ([[1, 0, 1, 1]], [[1, 0, 0, 0]], [[1, 0, 0, 0.5]]):
            assert binary_cross_entropy(logits[:1], np.array(wrong))[0] == np.inf
        value, gradient = binary_cross_entropy(logits[1:], np.array([[1, 0, 1, 0.25]]))
    assert value == pytest.approx(120 + np.log(2) + 0.75e4)
    np.testing.assert_allclose(gradient, [[-1, 1, -0.5, 0.75]], rtol=1e-6)
    assert gradient.dtype == dtype
    # 1 − σ(z) would be 0 here.
    tiny = binary_cross_entropy(np.full((1, 1), 50, dtype), np.ones((1, 1)))[0]
    assert tiny == pytest.approx(np.exp(-50.0), rel=1e-5, abs=0)


def test_not_a_number_stays_one_in_the_loss_of_labels():
    value, gradient = binary_cross_entropy(np.array([[np.nan, 1.0]]), np.array([[1, 1]]))
    assert np.isnan(value)
    assert np.isnan(gradient[0, 0])
    assert gradient[0, 1] < 0


@pytest.mark.parametrize("kind", [bool, np.int8, np.uint8, np.int64, np.float32, np.float64])
def test_labels_of_any_dtype_are_the_same(kind):
    logits, labels = normal(B, T, K), np.random.default_rng(2).integers(2, size=(B, T, K))
    for lengths in (None, LENGTHS):
        value, gradient = binary_cross_entropy(logits, labels.astype(kind), lengths)
        expected, d_expected = binary_cross_entropy(logits, labels, lengths)
        assert value == expected
        np.testing.assert_array_equal(gradient, d_expected)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (np.full((B, T, K), 2), "targets runs from 2 to 2; give each label as 0 or 1"),
        (np.linspace(-0.5, 1, B * T * K).reshape(B, T, K), "targets runs from -0.5 to 1"),
        (np.where(np.arange(K) == 2, np.nan, np.ones((B, T, K))), "targets runs from nan to nan"),
        (np.zeros((B, T), int), r"targets has shape \(3, 4\); logits has \(3, 4, 5\)"),
        (np.zeros((B, T, K + 1)), r"targets has shape \(3, 4, 6\)"),
    ],
)
def test_what_are_no_labels_is_refused(targets, message):
    with pytest.raises(InputError, match=message):
        binary_cross_entropy(np.zeros((B, T, K)), targets)


def test_inputs_are_not_changed(loss):
    outputs, targets = normal(B, T, K), probabilities(B, T)
    for array in (outputs, targets, LENGTHS):
        array.setflags(write=False)
    loss(outputs, targets, LENGTHS)


@pytest.mark.parametrize(
    ("targets", "lengths", "message"),
    [
        (
            np.zeros((B, T + 1), int),
            None,
            r"targets has shape \(3, 5\); logits without classes",
        ),
        (np.zeros((B, T, K + 1)), None, r"targets has shape \(3, 4, 6\)"),
        (np.zeros(B, int), None, r"targets has shape \(3,\)"),
        (np.full((B, T), K), None, "targets runs from 5 to 5; 5 classes are numbered 0 to 4"),
        (np.full((B, T), -1), None, "targets runs from -1 to -1"),
        (np.zeros((B, T)), None, "targets has dtype float64; give whole numbers"),
        (np.zeros((B, T), int), np.zeros(B, int), "nothing counts"),
        (np.zeros((B, T), int), np.ones(B + 1, int), r"lengths has shape \(4,\)"),
        (np.zeros((B, T), int), np.full(B, T + 1), "lengths runs from 5 to 5; outputs has 4 steps"),
    ],
)
def test_bad_targets_are_refused(targets, lengths, message):
    with pytest.raises(InputError, match=message):
        cross_entropy(np.zeros((B, T, K)), targets, lengths)


def test_values_of_another_shape_are_refused():
    with pytest.raises(InputError, match=r"targets has shape \(3, 1\); outputs has \(3, 5\)"):
        mean_squared_error(np.zeros((B, K)), np.zeros((B, 1)))


@pytest.mark.parametrize("shape", [(0, K), (0, T, K), (B, 0, K)], ids=str)
def test_a_mean_over_nothing_is_refused(loss, shape):
    with pytest.raises(InputError, match="at least one"):
        loss(np.zeros(shape), np.zeros(shape))


def test_lengths_without_steps_are_refused(loss):
    with pytest.raises(InputError, match="one length a row of"):
        loss(np.zeros((B, K)), np.zeros((B, K)), LENGTHS)


def test_losses_go_by_name():
    assert {
        "cross_entropy": cross_entropy,
        "mean_squared_error": mean_squared_error,
        "binary_cross_entropy": binary_cross_entropy,
    } == LOSSES
    assert set(LOSSES) == set(LOSS_METRICS) == set(LossName.__args__)


def test_nothing_in_the_padding_reaches_the_loss():
    logits, targets = normal(B, T, K), np.zeros((B, T), int)
    expected, d_expected = cross_entropy(logits, targets, LENGTHS)
    padding = np.arange(T) >= LENGTHS[:, None]
    logits[padding], targets[padding] = np.nan, -1
    loss, d_logits = cross_entropy(logits, targets, LENGTHS)
    assert loss == expected
    np.testing.assert_array_equal(d_logits, d_expected)

    values, value_targets = normal(B, T, K), normal(B, T, K, seed=1)
    expected, d_expected = mean_squared_error(values, value_targets, LENGTHS)
    values[padding], value_targets[padding] = np.nan, np.inf
    loss, d_values = mean_squared_error(values, value_targets, LENGTHS)
    assert loss == expected
    np.testing.assert_array_equal(d_values, d_expected)


def test_nothing_in_the_padding_reaches_the_loss_of_labels():
    logits, labels = normal(B, T, K), np.random.default_rng(2).random((B, T, K))
    expected, d_expected = binary_cross_entropy(logits, labels, LENGTHS)
    for bad in (np.nan, np.inf, -1):
        logits[~LIVE], labels[~LIVE] = np.nan, bad
        loss, d_logits = binary_cross_entropy(logits, labels, LENGTHS)
        assert loss == expected
        np.testing.assert_array_equal(d_logits, d_expected)


def test_impossible_class_costs_nothing_unless_it_is_the_target():
    logits = np.array([[0.0, -np.inf, 0.0]])
    loss, d_logits = cross_entropy(logits, np.array([0]))
    assert loss == pytest.approx(np.log(2))
    np.testing.assert_allclose(d_logits, [[-0.5, 0.0, 0.5]])


def test_gradient_has_the_dtype_of_the_outputs(loss):
    _, d_outputs = loss(normal(B, K, dtype=np.float32), probabilities(B).astype(np.float64))
    assert d_outputs.dtype == np.float32


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_small_integers_number_the_classes_of_a_large_output(dtype):
    logits = normal(4, 300)
    targets = np.array([0, 1, 44, 127])
    loss, d_logits = cross_entropy(logits, targets.astype(dtype))
    expected, d_expected = cross_entropy(logits, targets)
    assert loss == expected
    np.testing.assert_array_equal(d_logits, d_expected)
