"""What reference generators and their races are known to do wrong is not done here.

The defects are those of published code: MAD and zoology (recall), the Chomsky suite (strings), and
a benchmark of convolutional networks.
"""

import numpy as np
import pytest

from lstm_baseline import LSTM
from lstm_baseline.race.race_file import make_race
from lstm_baseline.tasks import TASKS, make_task
from lstm_baseline.training import TrainingSettings, loop, train


def test_samples_never_come_from_a_global_generator():
    """MAD draws selective copying from NumPy's own, unseeded state."""
    for name in TASKS:
        task = make_task(name)
        np.random.seed(1)  # noqa: NPY002
        first = task.train_batch(0, 8, seed=0)
        np.random.seed(2)  # noqa: NPY002
        state = np.random.get_state()[1].copy()  # noqa: NPY002
        again = task.train_batch(0, 8, seed=0)
        assert np.array_equal(first.x, again.x), name
        assert np.array_equal(np.random.get_state()[1], state), name  # noqa: NPY002


def test_the_last_step_before_the_marks_is_as_often_noise_as_any():
    """MAD always puts a symbol there, which gives the last answer away."""
    task = make_task("selective-copying", length=32, num_recalled=4)
    x = task.sample(20_000, np.random.default_rng(0)).x[:, :32]
    shown = (x < task.num_symbols).mean(axis=0)
    assert np.abs(shown - 4 / 32).max() < 4 * np.sqrt(4 / 32 / 20_000)


@pytest.mark.parametrize("name", [name for name in TASKS if "lengths" in make_task(name).config()])
def test_both_ends_of_a_range_of_lengths_are_drawn(name):
    """The Chomsky suite's scores of lengths beyond 40 begin at 42."""
    rng = np.random.default_rng(0)
    lengths = make_task(name, lengths=[6, 10]).sample(2000, rng).lengths
    # With its answers, a row may be longer than what is shown.
    ends = [make_task(name, lengths=n).sample(1, rng).x.shape[1] for n in (6, 10)]
    assert [lengths.min(), lengths.max()] == ends


def test_what_does_not_count_in_the_score_does_not_count_in_the_loss():
    """There, what comes after a terminator is left out of the score alone."""
    task = make_task("stack", lengths=[4, 9])
    batch = task.sample(64, np.random.default_rng(0))
    assert not batch.mask.all()
    model = LSTM(task.input_size, 5, task.output_size, rng=0)

    def gradient(batch):
        found = loop.counted_outputs(model, batch, per_step=True)
        loss, d_outputs = loop.LOSSES[task.loss](found.outputs, found.targets, found.lengths)
        return loss, found.backward(d_outputs)["W"]

    other = np.where(batch.mask, batch.y, (batch.y + 1) % task.output_size)
    loss, d_W = gradient(batch)
    again, d_W_again = gradient(batch._replace(y=other))
    assert loss == again
    np.testing.assert_array_equal(d_W, d_W_again)


def test_no_setting_is_chosen_by_a_test_score_or_by_a_lucky_seed():
    """MAD and zoology choose the learning rate on test samples; the Chomsky suite takes maxima."""
    tuning = {"trials": 2, "space": {"learning_rate": {"low": 1e-3, "high": 1e-2}}}
    values = {"contestants": ["lstm", "gru"], "parameters": 1000, "seeds": 3, "tuning": tuning}
    plan = make_race(tasks=["parity"], **values).plan()
    assert all(spec.stage == "trial" for spec in plan.trials())
    finals = {spec.seed for spec in plan.finals({(0, m): plan.settings for m in plan.models})}
    assert finals.isdisjoint(spec.seed for spec in plan.trials())
    assert len(finals) == 3


def test_gradients_are_clipped_after_they_are_there(monkeypatch):
    """The music benchmark of TCN clips before backward, so never."""
    norms = []
    clip = loop.clip_by_global_norm

    def watched(gradients, most):
        clipped, norm = clip(gradients, most)
        norms.append((norm, np.sqrt(sum(float(np.vdot(g, g)) for g in clipped.values()))))
        return clipped, norm

    monkeypatch.setattr(loop, "clip_by_global_norm", watched)
    task = make_task("adding", length=5)
    train(LSTM(2, 4, 1, rng=0), task, TrainingSettings(num_steps=3, clip_norm=1e-3), seed=0)
    assert len(norms) == 3
    for before, after in norms:
        assert before > 1e-3
        assert after == pytest.approx(1e-3, rel=1e-3)
