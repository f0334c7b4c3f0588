"""Hints about a user's arrays: each where it should be, and none about ordinary data."""

import numpy as np
import pytest

from lstm_baseline.tasks import ArrayFile

N, T = 400, 8
RNG = np.random.default_rng(0)
X = RNG.standard_normal((N, T, 3))
LABELS = np.arange(N) % 2
WINDOWS = np.lib.stride_tricks.sliding_window_view(RNG.standard_normal((2000, 3)), T, axis=0)
WINDOWS = WINDOWS.swapaxes(1, 2)  # (·, T, 3)


def padded(value):
    x = X.copy()
    for row, length in enumerate(RNG.integers(1, T + 1, size=N)):
        x[row, length:] = value
    return x


@pytest.fixture
def hints(tmp_path):
    def hints(split="auto", **arrays):
        np.savez(tmp_path / "d.npz", **({"X": X, "y": LABELS} | arrays))
        return ArrayFile(tmp_path / "d.npz", split=split).hints

    return hints


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"y": RNG.standard_normal(N)},
        {"y": RNG.standard_normal((N, 2))},
        {"y": RNG.integers(0, 1000, N).astype(float)},
        {"X": (X > 0).astype(int)},  # whose rows often end in repeated steps
        {"X": np.eye(4)[RNG.integers(4, size=(N, T))]},
        {"X": np.ones((N, T, 1)) * RNG.standard_normal((N, 1, 1))},  # constant over time
        {"X": padded(0.0), "lengths": RNG.integers(1, T + 1, size=N)},
        {"X": np.zeros((N, T, 2))},
        {"X": X[:, :1, :1]},
    ],
    ids=range(10),
)
def test_ordinary_data_get_no_hint(hints, arrays):
    assert hints(**arrays) == ()


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"y": LABELS.astype(float)}, "y holds 2 different whole numbers; if they are classes"),
        ({"X": X.swapaxes(1, 2)}, "more features (8) than steps (3); if its axes are (rows, feat"),
        ({"X": padded(0.0)}, "of the rows end in one and the same repeated step, as padding does"),
        ({"X": padded(-1.0)}, "if rows differ in length, save lengths"),
        ({"X": padded(0)[..., 0].astype(int) % 5}, "if rows differ in length, save lengths"),
        ({"length": np.ones(N)}, "length is not read (did you mean 'lengths'?)"),
        ({"y_tst": LABELS}, "y_tst is not read (did you mean 'y_test'?)"),
        (
            {"y": (RNG.random((N, 3)) < 0.4).astype(float)},
            "y holds 0 and 1 alone; if these are labels, each on or off, give --target labels",
        ),
        (
            {"y": (RNG.random((N, T)) < 0.4)},
            f"if it holds {T} labels for each row, each on or off, give --target labels",
        ),
        (
            {"y": np.where(np.arange(N) < 2, 7, LABELS)},
            "1 class has fewer than 3 rows, as 7, too",
        ),
        ({"X": X[:60], "y": LABELS[:60]}, "the test set has 9 rows: an accuracy on it has a stand"),
        ({"y": np.eye(T, dtype=int)[np.arange(N) % T]}, "if it is one-hot, of 8 classes, save y.a"),
        ({"X": WINDOWS[:N]}, "windows that move on by 1 step; at random"),
        ({"X": WINDOWS[: 3 * N : 3]}, "windows that move on by 3 steps; at random"),
    ],
    ids=range(14),
)
def test_what_is_likely_meant_otherwise_is_hinted_at(hints, arrays, words):
    (hint,) = hints(**arrays)
    assert words in hint
    assert "\n" not in hint


def test_labels_of_which_no_training_row_has_any(hints):
    by_class = np.repeat([3, 5, 7, 9], N // 4)
    words = "label 9 is in {} rows and in no training row, so it cannot be learned"
    assert words.format("validation") in hints("time", y=by_class)
    own_test = {
        f"{name}_test": values[by_class == 9] for name, values in (("X", X), ("y", by_class))
    }
    others = {name: values[by_class != 9] for name, values in (("X", X), ("y", by_class))}
    assert words.format("test") in hints(**others, **own_test)
    assert not [line for line in hints(y=by_class) if "cannot be learned" in line]


def test_labels_beyond_the_end_of_a_row_are_none(hints):
    y = np.tile(np.arange(T) % 3, (N, 1))
    y[:, -1] = np.where(np.arange(N) < 300, 0, 8)
    assert hints("time", y=y, lengths=np.full(N, T - 1)) == ()
    (line,) = [line for line in hints("time", y=y) if "test" in line]
    assert line.startswith("label 8")


def test_windows_split_by_time_or_in_groups_are_fine(hints):
    assert hints(X=WINDOWS[:N], split="time") == ()
    assert hints(X=WINDOWS[:N], groups=np.arange(N) // 40) == ()
