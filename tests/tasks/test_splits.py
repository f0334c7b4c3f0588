"""Which rows are for training, validation and test."""

import numpy as np
import pytest

from lstm_baseline.engine.errors import FileError, InputError
from lstm_baseline.tasks import ArrayFile
from lstm_baseline.tasks.splits import by_group, by_time

N, T = 60, 4
X = np.random.default_rng(0).standard_normal((N, T, 2))
Y = np.arange(N) % 2


@pytest.fixture
def save(tmp_path):
    def save(**arrays):
        np.savez(tmp_path / "d.npz", **({"X": X, "y": Y} | arrays))
        return tmp_path / "d.npz"

    return save


def shared_out(task, seed):
    """Return the rows of each part, after a check that they are all rows, each once."""
    rows = task.rows(seed)
    total = len(X) if len(task._x) == N else len(task._x)
    assert sorted(np.concatenate(list(rows.values()))) == list(range(total))
    return {name: part.tolist() for name, part in rows.items()}


def test_by_time_the_last_rows_are_for_test(save):
    task = ArrayFile(save(), split="time")
    for seed in (0, 1):
        rows = shared_out(task, seed)
        assert rows["test"] == list(range(51, 60))
        assert rows["validation"] == list(range(42, 51))
        assert np.array_equal(task.test(seed).y, Y[51:])
    assert "the last 15% are for test" in task.summary
    assert task.config()["split"] == "time"
    assert "split" not in ArrayFile(save()).config()
    assert len(by_time(100_000).validation) == 2000


@pytest.mark.parametrize("kind", [int, str, "S3"])
def test_rows_of_a_group_stay_together(save, kind):
    groups = np.repeat(np.arange(12), 5)[np.random.default_rng(1).permutation(N)]
    task = ArrayFile(save(groups=groups.astype(kind)))
    tests, validations = [], set()
    for seed in range(6):
        rows = shared_out(task, seed)
        of_part = [set(groups[part].tolist()) for part in rows.values()]
        assert sum(map(len, of_part)) == 12
        assert len(rows["test"]) == len(rows["validation"]) == 10
        tests.append(rows["test"])
        validations.add(tuple(rows["validation"]))
    assert all(test == tests[0] for test in tests)
    assert len(validations) > 1
    assert "rows of a group stay together" in task.summary


def test_groups_of_any_sizes_leave_every_part_some(save):
    rng = np.random.default_rng(0)
    for _ in range(200):
        groups = rng.integers(rng.integers(3, 8), size=rng.integers(10, 40))
        if len(np.unique(groups)) < 3:
            continue
        rows = by_group(groups, int(rng.integers(5)))
        assert min(map(len, rows)) > 0
        assert len({g for part in rows for g in set(groups[part])}) == len(np.unique(groups))
    with pytest.raises(InputError, match="groups has 2 different values; expected at least 3"):
        by_group(np.arange(10) % 2, 0)


def test_a_file_says_which_rows_are_for_what(save):
    words = np.resize(["train", "train", "val", "Test", "training"], N)
    task = ArrayFile(save(split=words))
    for seed in (0, 1):
        rows = shared_out(task, seed)
        assert rows["validation"] == list(range(2, N, 5))
        assert rows["test"] == list(range(3, N, 5))
    assert "the file says which rows are for test" in task.summary
    task = ArrayFile(save(split=np.resize(["train", "train", "test"], N)))
    first, second = (shared_out(task, seed) for seed in (0, 1))
    assert first["test"] == second["test"] == list(range(2, N, 3))
    assert first["validation"] != second["validation"]
    assert len(first["validation"]) == 6
    groups = np.arange(N) // 10
    task = ArrayFile(save(split=np.where(groups < 4, "train", "test"), groups=groups))
    rows = shared_out(task, 0)
    assert not set(groups[rows["train"]]) & set(groups[rows["validation"]])


@pytest.mark.parametrize("lengths", [False, True])
@pytest.mark.parametrize("validation", [False, True])
def test_arrays_of_a_test_set_are_used_as_they_are(save, lengths, validation):
    rng = np.random.default_rng(1)
    arrays = {"X_test": rng.standard_normal((7, T, 2)), "y_test": np.arange(7) % 2}
    if validation:
        arrays |= {"X_val": rng.standard_normal((5, T, 2)), "y_val": np.arange(5) % 2}
    if lengths:
        arrays["lengths_test"] = np.array([1, 2, 3, 4, 1, 2, 3])
    task = ArrayFile(save(**arrays))
    batch = task.test(0)
    assert np.array_equal(batch.y, arrays["y_test"])
    mean, scale = task.scaling(0)
    valid = np.ones((7, T), bool)
    if lengths:
        assert batch.lengths.tolist() == arrays["lengths_test"].tolist()
        valid = np.arange(T) < batch.lengths[:, None]
    np.testing.assert_allclose((batch.x * scale + mean)[valid], arrays["X_test"][valid], atol=1e-5)
    rows = shared_out(task, 0)
    assert len(rows["validation"]) == (5 if validation else 9)
    if validation:
        assert np.array_equal(task.validation(1).y, arrays["y_val"])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"X_test": X}, "there is X_test, but no y_test"),
        ({"y_test": Y}, "there is y_test, but no X_test"),
        ({"X_val": X, "y_val": Y}, "there is X_val, but no X_test"),
        ({"lengths_test": Y}, "there is lengths_test, but no X_test"),
        ({"X_test": X[:, :3], "y_test": Y}, r"X_test has shape \(60, 3, 2\); expected \(·, 4, 2\)"),
        ({"X_test": X, "y_test": Y[:, None]}, r"y_test has shape \(60, 1\)"),
        ({"X_test": X[:7], "y_test": Y[:6]}, "X_test has 7 rows and y_test 6"),
        ({"X_test": X[:0], "y_test": Y[:0]}, "X_test has no rows"),
        ({"X_test": X, "y_test": Y, "groups": Y}, "there are X_test and groups"),
        ({"X_test": X, "y_test": Y, "split": Y.astype(str)}, "there are X_test and split"),
        ({"split": np.arange(N)}, "split is int64 of shape"),
        ({"split": np.full(N - 1, "test")}, r"split is <U4 of shape \(59,\)"),
        ({"split": np.full(N, "tset")}, "split holds 'tset'; expected train, val or test"),
        ({"split": np.full(N, "train")}, "split has no row for test"),
        ({"split": np.full(N, "test")}, "split has no row for train"),
        ({"groups": X[:, 0, 0]}, "groups is float64"),
        ({"groups": np.zeros(N, int)}, "groups has 1 different values"),
        ({"X_test": X.astype(object), "y_test": Y}, "X_test holds Python objects"),
        ({"X_test": X, "y_test": Y * 1.0}, "y holds whole numbers and y_test floats; expected the"),
        ({"X_test": X, "y_test": Y.astype(str)}, "y holds whole numbers and y_test text"),
        (
            {"groups": np.arange(N) // 2, "split": np.where(np.arange(N) < 21, "train", "test")},
            "rows 20 and 21 are of one group, but split puts them into train and test",
        ),
    ],
)
def test_splits_that_make_no_sense_are_refused(save, arrays, message):
    with pytest.raises(FileError, match=message):
        ArrayFile(save(**arrays))


def test_a_file_with_a_split_of_its_own_is_not_split_by_time(save):
    for arrays in ({"groups": np.arange(N)}, {"split": np.resize(["train", "test"], N)}):
        with pytest.raises(FileError, match="of its own; leave out split time, or the array"):
            ArrayFile(save(**arrays), split="time")
    with pytest.raises(InputError, match="split is 'last'; give one of: auto, time"):
        ArrayFile(save(), split="last")
