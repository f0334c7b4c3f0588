"""What an LSTM of some 20,000 to 36,000 weights learns of the field's tasks, in a minute each.

The bars are those of the literature: Walker et al. 2025 (arXiv 2505.17761) at lengths 40 to 256
after training on 3 to 40, Merrill et al. 2024 (arXiv 2404.08819) on A5, Liu et al. 2023 (arXiv
2306.00946) on the flip-flop language.
"""

from pathlib import Path

import numpy as np
import pytest

from lstm_baseline import LSTM
from lstm_baseline.tasks import make_task
from lstm_baseline.training import TrainingSettings, train
from lstm_baseline.training.loop import evaluate
from tests.support.engines import run_python

pytestmark = pytest.mark.slow


def trained(task, **settings):
    model = LSTM(task.input_size, 64, task.output_size, rng=0)
    given = {"batch_size": 64, "learning_rate": 2e-2, "warmup_steps": 300, "evaluate_every": 250}
    train(model, task, TrainingSettings(**given | settings), seed=0)
    return model


def score(model, name, rows=2000, **arguments):
    task = make_task(name, **arguments)
    return evaluate(model, task, task.sample(rows, np.random.default_rng(1)))


@pytest.mark.parametrize(
    ("name", "lengths", "longer", "steps"),
    [
        ("even-pairs", [3, 40], [40, 256], 1500),
        ("parity", [3, 40], [40, 256], 3000),
        ("cycle-navigation", [3, 40], [40, 256], 4000),
        ("modular-arithmetic", [3, 39], [41, 255], 9000),
    ],
)
def test_beyond_the_lengths_of_training(name, lengths, longer, steps):
    task = make_task(name, lengths=lengths)
    model = trained(task, num_steps=steps, curriculum_steps=steps // 3)
    assert score(model, name, lengths=longer) >= 0.99


def test_without_short_rows_first_parity_is_chance():
    """A label of a whole row says nothing of a bit; at every step it does."""
    model = trained(make_task("parity", lengths=[3, 40]), num_steps=2000)
    assert score(model, "parity", lengths=[3, 40]) < 0.55
    every_step = {"lengths": [3, 40], "every_step": True}
    model = trained(make_task("parity", **every_step), num_steps=2000)
    assert score(model, "parity", **every_step) >= 0.99


def test_the_word_problem_of_a5_with_one_layer():
    model = trained(
        make_task("word-problem", lengths=[2, 20]), num_steps=6000, curriculum_steps=3000
    )
    assert score(model, "word-problem", lengths=20) >= 0.9


def test_flip_flop_without_an_error():
    model = trained(make_task("flip-flop"), num_steps=3000, batch_size=32, learning_rate=3e-3)
    for ignored in (0.8, 0.98, 0.1):
        assert score(model, "flip-flop", rows=20_000, ignore=ignored) == 1


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's /proc")
def test_recall_among_8192_tokens_needs_no_one_hot_array():
    """Of the rows alone one would take 256 MiB, and its gradient as much."""
    found = run_python("""
from pathlib import Path
from lstm_baseline import LSTM
from lstm_baseline.tasks import make_task
from lstm_baseline.training import TrainingSettings, train
task = make_task("mqar", vocabulary=8192, length=256, num_pairs=64)
model = LSTM(8192, 64, 8192, embedding_size=64, tied=True, rng=0)
train(model, task, TrainingSettings(num_steps=3, batch_size=32, evaluate_every=3), seed=0)
# Of this process alone: getrusage would start from what the one that started it had.
print(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
""")
    assert int(found) < 800 * 1024
