"""Models without memory: what each can and cannot know, with scikit-learn and without."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from lstm_baseline.tasks import TASKS, ArrayFile, TextFile, make_task
from lstm_baseline.tasks.ladder import best_heuristic
from lstm_baseline.tasks.memoryless import _last, _mean, _targets, memoryless_rungs
from lstm_baseline.tasks.metrics import Batch

LINEAR = ("linear, mean", "linear, last", "linear, all")


@pytest.fixture(params=[True, False], ids=["scikit-learn", "without it"])
def library(request, monkeypatch):
    """Run with scikit-learn, and as if it were not installed."""
    if not request.param:
        monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)
    memoryless_rungs.cache_clear()
    yield request.param
    memoryless_rungs.cache_clear()


def scores(task):
    return {rung.name: rung.score for rung in memoryless_rungs(task)}


def write(folder, x, y, **more):
    np.savez(folder / "own.npz", X=x, y=y, **more)
    return ArrayFile(folder / "own.npz")


def test_each_knows_what_it_is_shown(library, tmp_path):
    """The sign of a sum is in the mean, that of one step only where this step is seen."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3000, 6, 2))
    of_sum = scores(write(tmp_path, x, (x[..., 0].sum(axis=1) > 0).astype(int)))
    assert of_sum[LINEAR[0]] > 0.95 < of_sum[LINEAR[2]]
    assert of_sum[LINEAR[1]] < 0.75
    of_last = scores(write(tmp_path, x, (x[:, -1, 1] > 0).astype(int)))
    assert of_last[LINEAR[1]] > 0.95 < of_last[LINEAR[2]]
    assert of_last[LINEAR[0]] < 0.75
    of_first = scores(write(tmp_path, x, (x[:, 0, 1] > 0).astype(int)))
    assert of_first[LINEAR[2]] > 0.95
    assert of_first[LINEAR[1]] < 0.65


def test_lengths_are_heeded(library, tmp_path):
    """The last input is that at a row's own end, and padding is in no mean."""
    rng = np.random.default_rng(0)
    x, lengths = rng.standard_normal((2000, 9, 1)), rng.integers(1, 10, size=2000)
    x[np.arange(9) >= lengths[:, None]] = 1e6
    y = (x[np.arange(2000), lengths - 1, 0] > 0).astype(int)
    task = write(tmp_path, x, y, lengths=lengths)
    assert scores(task)[LINEAR[1]] > 0.95


def test_a_row_without_steps_has_a_mean_of_nothing():
    x = np.ones((2, 3, 1), np.float32)
    of = _targets(Batch(x, np.zeros(2, np.int64), np.array([0, 2])), per_step=False)
    assert _mean(of, 1).tolist() == [[0.0], [1.0]]
    assert _last(of, 1, 2).tolist() == [[0.0, 0.0], [1.0, 1.0]]


def test_values_are_in_the_data_s_own_units(library, tmp_path):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1000, 5, 3))
    y = 100 * x.mean(axis=1)[:, :2] + 7
    found = scores(write(tmp_path, x, y))
    assert found[LINEAR[0]] < 1 < found[LINEAR[1]]
    assert memoryless_rungs(write(tmp_path, x, y))[-1].name in (LINEAR[0], LINEAR[2])


def test_every_step_has_its_own_past(library, tmp_path):
    """The answer at each step is the sign of the step before."""
    x = np.random.default_rng(0).standard_normal((400, 8, 1))
    y = np.zeros((400, 8), int)
    y[:, 1:] = x[:, :-1, 0] > 0
    found = scores(write(tmp_path, x, y))
    assert found[LINEAR[2]] > 0.9
    assert found[LINEAR[1]] < 0.65


def test_n_grams_of_a_text(tmp_path):
    """After two letters the third is certain, after one it is not."""
    rng = np.random.default_rng(0)
    words = rng.choice(["abc", "bca", "cab"], size=3000)
    (tmp_path / "text.txt").write_text(" ".join(words))
    rungs = memoryless_rungs(TextFile(tmp_path / "text.txt", window=16))
    grams = [rung for rung in rungs if rung.name.endswith("gram")]
    (best,) = grams
    assert int(best.name[0]) >= 2
    bigram = next(r for r in TextFile(tmp_path / "text.txt").ladder() if r.name == "bigram")
    assert best.score < bigram.score - 0.2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["parity", "even-pairs", "word-problem"])
def test_what_needs_a_state_is_not_had(name):
    task = make_task(name, lengths=12)
    best = max(scores(task).values())
    assert best < best_heuristic(task.ladder(), task.metric).score + 0.05


def test_they_are_rungs_of_no_ladder():
    task = make_task("flip-flop")
    rungs = memoryless_rungs(task)
    assert {rung.kind for rung in rungs} == {"fitted"}
    assert [rung.score for rung in rungs] == sorted(rung.score for rung in rungs)
    assert all(rung.kind != "fitted" for rung in task.ladder())


def test_a_large_vocabulary_has_no_linear_model():
    task = make_task("mqar", vocabulary=2048, length=64)
    assert [rung.name for rung in memoryless_rungs(task)] == ["1-gram"]


def test_the_same_twice():
    first = memoryless_rungs(make_task("parity"))
    assert memoryless_rungs(make_task("parity")) == first


DOCUMENT = (Path(__file__).parents[2] / "docs" / "tasks.md").read_text()
ROWS = [line.strip("| ").split(" | ") for line in DOCUMENT.splitlines() if line.startswith("| `")]


def test_the_document_has_every_task():
    assert [row[0].strip("`") for row in ROWS] == list(TASKS)


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0].strip("`"))
def test_the_document_s_scores(row):
    """Other versions of scikit-learn, and none, come out close; rules of the ladder are exact."""
    pytest.importorskip("sklearn", reason="the document's scores are those with scikit-learn")
    task = make_task(row[0].strip("`"))
    name, score = row[2].rsplit(" ", 1)
    best = best_heuristic(task.ladder(), task.metric)
    assert (best.name, f"{best.score:.3f}") == (name, score)
    found = {rung.name: rung.score for rung in memoryless_rungs(task)}
    for written, starts in zip(row[4:], (*LINEAR[:2], "linear, ", ""), strict=True):
        if written != "–":
            which = [name for name in found if name.startswith(starts)]
            if starts == "linear, ":
                (which,) = [[name] for name in which if name not in LINEAR[:2]]
            elif not starts:
                which = [name for name in which if name.endswith("gram")]
            assert abs(found[which[0]] - float(re.match("[0-9.]+", written)[0])) < 0.04
