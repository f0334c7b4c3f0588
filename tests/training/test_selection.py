"""Which validation's weights are kept, on numbers alone."""

import pytest

from lstm_baseline.training import Record
from lstm_baseline.training.selection import reason, replaces, validations_since_better


def history(*pairs):
    """Return validations, every 100 steps, with these metrics and losses."""
    return [
        Record(100 * k, 1.0 * k, 0.7, 1.0, 0.01, metric, loss)
        for k, (metric, loss) in enumerate(pairs)
    ]


def kept(records, higher_is_better=True):
    best = records[0]
    for record in records:
        if replaces(record, best, records[0], higher_is_better=higher_is_better):
            best = record
    return best.step, reason(records, best.step, higher_is_better=higher_is_better)


@pytest.mark.parametrize(
    ("pairs", "step", "why"),
    [
        ([(0.5, 0.7), (0.8, 0.6), (0.7, 0.1)], 100, "metric"),
        ([(0.5, 0.7), (0.8, 0.6), (0.8, 0.5), (0.8, 0.9)], 200, "loss"),
        ([(0.5, 0.7), (0.8, 0.6), (0.8, 0.6), (0.7, 0.1)], 200, "later step"),
        # Ties with the untrained network: any with a lower loss is better.
        ([(1.0, 0.7), (1.0, 0.2), (1.0, 0.3)], 100, "loss"),
        ([(1.0, 0.7), (0.9, 0.2), (0.9, 0.3)], 100, "loss"),
        ([(0.5, 0.7), (0.5, 0.7), (0.4, 0.9)], 0, "untrained"),
        ([(0.5, 0.7), (0.6, 0.9)], 100, "metric"),  # a higher loss, but a better metric
        # Checkpoints of earlier versions have no losses.
        ([(0.5, None), (0.8, None), (0.8, 0.6)], 200, "loss"),
        ([(0.5, None), (0.5, None)], 0, "untrained"),
        ([(0.5, 0.7)], 0, "untrained"),
    ],
)
def test_the_best_metric_is_kept_then_the_lowest_loss_then_the_latest(pairs, step, why):
    assert kept(history(*pairs)) == (step, why)
    mirrored = history(*((-metric, loss) for metric, loss in pairs))
    assert kept(mirrored, higher_is_better=False) == (step, why)


@pytest.mark.parametrize(
    ("pairs", "step", "since"),
    [
        ([(0.5, 0.7), (0.8, 0.6), (0.7, 0.1)], 100, 1),
        ([(0.5, 0.7), (0.8, 0.6), (0.8, 0.6), (0.8, 0.6)], 300, 2),  # a tie is not better
        ([(0.5, 0.7), (0.8, 0.6), (0.8, 0.5)], 200, 0),
        ([(0.5, 0.7), (0.4, 0.9), (0.4, 0.9)], 0, 2),
        ([(0.5, 0.7), (1.0, 0.2), (0.9, 0.3), (1.0, 0.1)], 300, 2),  # perfect stays perfect
    ],
)
def test_patience_counts_from_the_first_that_is_as_good(pairs, step, since):
    found = validations_since_better(history(*pairs), step, higher_is_better=True, perfect=1.0)
    assert found == since
