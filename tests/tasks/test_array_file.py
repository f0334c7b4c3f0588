import io
import json
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from lstm_baseline import LSTM
from lstm_baseline.engine.errors import FileError, InputError
from lstm_baseline.engine.storage import read_json
from lstm_baseline.race.race_file import read_race
from lstm_baseline.tasks import ArrayFile, TextFile
from lstm_baseline.tasks.arrays import read_sequences

N, T, I = 40, 5, 3


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def x(rng):
    # The first feature names the row, so that batches can be told apart.
    values = rng.normal(5, 3, size=(N, T, I))
    values[..., 0] = np.arange(N)[:, None]
    return values


@pytest.fixture
def save(tmp_path):
    def save(**arrays):
        path = tmp_path / "data.npz"
        np.savez(path, **arrays)
        return path

    return save


def rows_of(task, batch, seed):
    """Return which rows of the file a batch holds."""
    mean, scale = task.scaling(seed)
    return np.rint(batch.x[:, 0, 0] * scale[0] + mean[0]).astype(int)


# Splits and batches


def test_splits_share_out_all_rows(save, x):
    task = ArrayFile(save(X=x, y=np.arange(N) % 2))
    for seed in (0, 1):
        train = rows_of(task, task.train_batch(0, 28, seed), seed)
        validation = rows_of(task, task.validation(seed), seed)
        test = rows_of(task, task.test(seed), seed)
        assert (len(train), len(validation), len(test)) == (28, 6, 6)
        assert sorted([*train, *validation, *test]) == list(range(N))
        batch = task.test(seed)
        assert np.array_equal(batch.y, test % 2)
        assert batch.x.dtype == np.float32
        assert batch.y.dtype == np.int64
    # Settings are chosen on validation rows: no seed's may be among another one's test rows.
    assert set(rows_of(task, task.test(0), 0)) == set(rows_of(task, task.test(1), 1))
    assert set(rows_of(task, task.validation(0), 0)) != set(rows_of(task, task.validation(1), 1))


def test_every_epoch_shows_every_training_row_once(save, x):
    task = ArrayFile(save(X=x, y=np.arange(N) % 2))
    shown = np.concatenate([rows_of(task, task.train_batch(s, 8, 3), 3) for s in range(7)])
    assert len(shown) == 2 * 28
    first, second = shown[:28], shown[28:]
    assert len(set(first)) == 28
    assert set(first) == set(second)
    assert not np.array_equal(first, second)


def test_batches_are_a_function_of_step_size_and_seed(save, x):
    path = save(X=x, y=np.arange(N) % 2)
    forwards, backwards = ArrayFile(path), pickle.loads(pickle.dumps(ArrayFile(path)))
    expected = [forwards.train_batch(step, 9, 0).x for step in range(12)]
    for step in reversed(range(12)):
        assert np.array_equal(backwards.train_batch(step, 9, 0).x, expected[step])
        assert len(expected[step]) == 9
    assert not np.array_equal(forwards.train_batch(0, 9, 1).x, expected[0])


def test_a_batch_larger_than_the_training_split_is_the_whole_split(save, x):
    task = ArrayFile(save(X=x, y=np.arange(N) % 2))
    assert len(set(rows_of(task, task.train_batch(3, 1000, 0), 0))) == 28
    assert len(task.train_batch(3, 1000, 0).x) == 28


# Scaling


def test_inputs_are_standardised_by_the_training_split(save, x):
    x[..., 2] = 0.1
    task = ArrayFile(save(X=x, y=np.arange(N) % 2))
    train, test = task.train_batch(0, 28, 0), task.test(0)
    assert np.allclose(train.x.mean(axis=(0, 1)), 0, atol=1e-5)
    assert np.allclose(train.x[..., :2].std(axis=(0, 1)), 1, atol=1e-5)
    mean, scale = task.scaling(0)
    assert scale[2] == np.inf
    assert np.allclose(train.x[..., 2], 0)
    for batch in (train, test):
        assert (batch.x[..., 2] == 0).all()
        raw = batch.x[..., :2] * scale[:2] + mean[:2]
        assert np.allclose(raw, x[rows_of(task, batch, 0)][..., :2], atol=1e-5)


def test_steps_beyond_a_row_s_length_do_not_count(save, x, rng):
    lengths = rng.integers(1, T + 1, size=N)
    padding = np.arange(T) >= lengths[:, None]
    y = x[..., 1:2].copy()
    padded_x, padded_y = x.copy(), y.copy()
    padded_x[padding], padded_y[padding] = np.nan, np.inf
    for seed in (0, 1):
        task = ArrayFile(save(X=padded_x, y=padded_y, lengths=lengths.astype(np.uint8)))
        batch = task.train_batch(0, 28, seed)
        rows = rows_of(task, batch, seed)
        assert np.array_equal(batch.lengths, lengths[rows])
        assert np.isfinite(batch.x).all()
        assert np.isfinite(batch.y).all()
        valid = x[rows][~padding[rows]]
        assert np.allclose(task.scaling(seed).mean, valid.mean(axis=0))
        assert np.allclose(task.scaling(seed).scale, valid.std(axis=0))
        assert np.allclose(task.target_scaling(seed).mean, valid[:, 1:2].mean(axis=0))


def test_large_offsets_survive_float32(save, x):
    x[..., 1] = 1.7e9 + np.arange(N * T).reshape(N, T)
    task = ArrayFile(save(X=x, y=np.arange(N) % 2))
    assert np.unique(task.train_batch(0, 28, 0).x[..., 1]).size == 28 * T


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float16, np.float32, bool])
def test_any_real_dtype_is_accepted(save, rng, dtype):
    task = ArrayFile(save(X=rng.integers(2, size=(N, T, I)).astype(dtype), y=np.arange(N) % 2))
    assert task.train_batch(0, 28, 0).x.dtype == np.float32
    assert np.allclose(task.train_batch(0, 28, 0).x.mean(axis=(0, 1)), 0, atol=1e-5)


# Targets


@pytest.mark.parametrize(
    ("y", "classes"),
    [
        (np.arange(N) % 3 * 10 - 5, [-5, 5, 15]),
        (np.arange(N) % 2 == 1, [False, True]),
        (np.array(["no", "yes"])[np.arange(N) % 2], ["no", "yes"]),
    ],
)
def test_labels_become_classes(save, x, y, classes):
    task = ArrayFile(save(X=x, y=y))
    assert task.classes.tolist() == classes
    assert (task.output_size, task.loss, task.per_step) == (
        len(classes),
        "cross_entropy",
        False,
    )
    batch = task.test(0)
    assert np.array_equal(task.classes[batch.y], y[rows_of(task, batch, 0)])


@pytest.mark.parametrize("kind", [int, bool, float, np.uint8, np.float32])
@pytest.mark.parametrize("per_step", [False, True])
def test_one_hot_labels(save, x, rng, kind, per_step):
    shape = (N, T) if per_step else (N,)
    labels = rng.integers(3, size=shape)
    task = ArrayFile(save(X=x, y=np.eye(3)[labels].astype(kind)))
    assert task.classes.tolist() == [0, 1, 2]
    assert (task.per_step, task.output_size) == (per_step, 3)
    assert "one of 3 classes per " in task.summary
    assert "; y is one-hot" in task.summary
    batch = task.test(0)
    assert np.array_equal(batch.y, labels[rows_of(task, batch, 0)])
    if kind is float:
        assert ArrayFile(save(X=x, y=np.eye(3)[labels]), target="regression").classes is None


def test_one_hot_labels_beside_padding(save, x):
    y = np.eye(2)[np.zeros((N, T), int)]
    y[:, 3:] = 7.0
    y[::2, 0] = [0, 1]
    lengths = np.full(N, 3)
    task = ArrayFile(save(X=x, y=y, lengths=lengths))
    batch = task.test(0)
    assert np.array_equal(batch.y[:, 0], 1 - rows_of(task, batch, 0) % 2)


@pytest.mark.parametrize(
    "changed", [(0, 0, 2.0), (0, slice(None), 0.0), (0, 0, np.nextafter(1, 2))]
)
def test_what_is_nearly_one_hot_is_values(save, x, changed):
    y = np.eye(3)[np.arange(N) % 3]
    row, columns, value = changed
    y[row, columns] = value
    assert ArrayFile(save(X=x, y=y)).classes is None


def test_as_many_columns_as_steps_are_a_label_or_a_value_for_each_step(save, x):
    y = np.eye(T, dtype=int)[np.arange(N) % T]
    assert ArrayFile(save(X=x, y=y)).per_step
    assert ArrayFile(save(X=x, y=y.astype(float))).classes is None


@pytest.mark.parametrize("kind", [int, str])
def test_labels_with_an_axis_of_one(save, x, rng, kind):
    labels = rng.integers(3, size=(N, T)).astype(kind)
    for given in (labels[:, 0], labels):
        flat, more = (ArrayFile(save(X=x, y=y)) for y in (given, given[..., None]))
        assert np.array_equal(flat.test(0).y, more.test(0).y)
        assert flat.classes.tolist() == more.classes.tolist()


@pytest.mark.parametrize(
    ("column", "dtype"),
    [
        (0.1 + 0.2 * np.array([1, 1 + 1e-16, 1 + 4e-16]), float),
        ([1e16, 1e16 + 2, 1e16 - 2], float),
        ([1e7, 1e7 + 1, 1e7], np.float32),
        ([3, 3, 3], int),
        ([0.0, -0.0, 0.0], float),
    ],
)
def test_a_feature_that_is_constant_but_for_rounding_is_zero(save, x, column, dtype):
    x[..., 2] = 0.0
    x = x.astype(dtype)
    x[..., 2] = np.resize(column, (N, T))
    task = ArrayFile(save(X=x, y=np.arange(N) % 2))
    assert "; feature 2 of X is constant, and taken as 0" in task.summary
    assert (task.train_batch(0, 28, 0).x[..., 2] == 0).all()
    model = LSTM(I, 4, 2, rng=0)
    model.take_raw_inputs(*task.scaling(0))
    assert (model.params["W"][:, 2] == 0).all()
    assert np.isfinite(model.params["b"]).all()
    model.take_raw_inputs(*task.scaling(0).inverse())
    assert np.isfinite(model.params["W"]).all()


def test_features_of_little_but_true_spread_are_kept(save, x):
    x[..., 2] = 1.7e9 + np.arange(N)[:, None]  # seconds
    task = ArrayFile(save(X=x, y=np.arange(N) % 2))
    assert "constant" not in task.summary
    assert task.train_batch(0, 28, 0).x[..., 2].std() == pytest.approx(1, abs=1e-3)
    x = x.astype(np.float32)
    x[..., 1] = 1e7 + 10 * np.arange(N)[:, None]  # ten roundings apart
    assert "feature 1" not in ArrayFile(save(X=x, y=np.arange(N) % 2)).summary


@pytest.mark.parametrize("name", ["X", "y"])
def test_a_spread_that_float64_cannot_compute_with_is_refused_before_training(save, x, name):
    arrays = {"X": x.copy(), "y": x[:, 0, 0] * 1.0}
    coarse = 1.0 + 1e-14 * np.arange(N)
    arrays[name] = coarse if name == "y" else np.repeat(coarse, T * I).reshape(N, T, I)
    with pytest.raises(FileError, match=f"component 0 of {name} has a mean of 1 and a standard"):
        ArrayFile(save(**arrays))


def test_constant_values_are_refused_and_a_constant_component_is_not_noise(save, x):
    with pytest.raises(FileError, match=r"y is constant \(0\.3\); there is nothing to predict"):
        ArrayFile(save(X=x, y=np.full(N, 0.3)))
    y = np.stack([np.arange(N), np.resize([1e16, 1e16 + 2], N)], axis=-1).astype(float)
    task = ArrayFile(save(X=x, y=y))
    assert (task.test(0).y[:, 1] == 0).all()


def test_whole_floats_can_be_classes(save, x):
    path = save(X=x, y=np.arange(N) % 2.0)
    assert ArrayFile(path).loss == "mean_squared_error"
    task = ArrayFile(path, target="classification")
    assert task.classes.tolist() == [0, 1]
    assert task.config()["target"] == "classification"


def test_labels_of_steps(save, x, rng):
    lengths = rng.integers(1, T + 1, size=N)
    y = rng.integers(3, size=(N, T))
    y[np.arange(T) >= lengths[:, None]] = -1
    task = ArrayFile(save(X=x, y=y, lengths=lengths))
    assert task.per_step
    assert task.classes.tolist() == [0, 1, 2]
    batch = task.train_batch(0, 28, 0)
    assert batch.y.shape == (28, T)
    valid = np.arange(T) < batch.lengths[:, None]
    assert np.array_equal(batch.y[valid], y[rows_of(task, batch, 0)][valid])


@pytest.mark.parametrize(("shape", "size"), [((N,), 1), ((N, 4), 4), ((N, T, 2), 2)])
def test_values(save, x, rng, shape, size):
    y = rng.normal(1000, 50, size=shape)
    task = ArrayFile(save(X=x, y=y))
    assert (task.output_size, task.loss) == (size, "mean_squared_error")
    assert task.per_step == (len(shape) == 3)
    assert task.classes is None
    train, test = task.train_batch(0, 28, 0), task.test(0)
    assert train.y.dtype == np.float32
    assert np.allclose(train.y.mean(axis=tuple(range(train.y.ndim - 1))), 0, atol=1e-5)
    mean, scale = task.target_scaling(0)
    original = y.reshape(N, *shape[1:] or (1,))[rows_of(task, test, 0)]
    assert np.allclose(test.y * scale + mean, original)
    # A miss of one unit of the file is a squared error of 1, whatever the scale.
    assert task.metric.measure((original + 1 - mean) / scale, test) == pytest.approx(1, rel=1e-3)


def test_whole_numbers_can_be_values(save, x):
    task = ArrayFile(save(X=x, y=np.arange(N)), target="regression")
    assert task.loss == "mean_squared_error"
    with pytest.raises(InputError, match="no scaling"):
        ArrayFile(save(X=x, y=np.arange(N) % 2)).target_scaling(0)


# Ladder


def test_ladder_of_a_classification(save, x):
    y = np.where(np.arange(N) % 4 == 0, "rare", "usual")
    task = ArrayFile(save(X=x, y=y))
    uniform, majority = task.ladder(2)
    assert (uniform.kind, majority.kind) == ("chance", "heuristic")
    assert uniform.score == 0.5
    assert majority.score == np.mean(y[rows_of(task, task.test(2), 2)] == "usual")


def test_ladder_of_step_labels_counts_valid_steps(save, x, rng):
    lengths = rng.integers(1, T + 1, size=N)
    valid = np.arange(T) < lengths[:, None]
    # Class 0, which also fills up the rows, would be the majority if padding counted.
    y = np.where(valid, rng.random((N, T)) < 0.7, 0).astype(int)
    task = ArrayFile(save(X=x, y=y, lengths=lengths))
    test = rows_of(task, task.test(0), 0)
    assert task.ladder(0)[-1].score == pytest.approx(np.mean(y[test][valid[test]] == 1))


def test_ladder_of_a_regression(save, x, rng):
    y = rng.normal(1000, 50, size=N)
    task = ArrayFile(save(X=x, y=y))
    (mean,) = task.ladder(1)
    train = rows_of(task, task.train_batch(0, 28, 1), 1)
    test = rows_of(task, task.test(1), 1)
    assert mean.kind == "chance"
    assert mean.score == pytest.approx(np.mean((y[test] - y[train].mean()) ** 2), rel=1e-5)


def test_a_changed_file_is_another_task(save, x):
    task = ArrayFile(save(X=x, y=np.arange(N) % 2))
    config = task.config()
    assert json.loads(json.dumps(config)) == config
    assert (config["task"], config["path"]) == ("data", "data.npz")
    assert config["target"] == "classification"
    assert "40 rows" in task.summary
    x[0, 0, 1] += 1
    assert ArrayFile(save(X=x, y=np.arange(N) % 2)).config()["sha256"] != config["sha256"]


# Refusals


def with_value(array, index, value):
    changed = np.array(array, dtype=float)
    changed[index] = value
    return changed


LABELS = np.arange(N) % 2
X = np.zeros((N, T, I))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"y": LABELS}, r"has no array X \(found: y\)"),
        ({"X": X}, r"has no array y \(found: X\)"),
        ({"X": X.astype(complex), "y": LABELS}, "X is complex128; expected real numbers"),
        ({"X": X.astype(str), "y": LABELS}, "X is <U32; expected real numbers"),
        ({"X": X.astype(object), "y": LABELS}, "X holds Python objects, which are never unp"),
        ({"X": X, "y": LABELS.astype(object)}, "y holds Python objects"),
        ({"X": X[0], "y": LABELS}, r"X has shape \(5, 3\); expected \(N, T, I\)"),
        ({"X": X[:, :0], "y": LABELS}, r"X has shape \(40, 0, 3\)"),
        ({"X": X[:9], "y": LABELS[:9]}, "X has 9 rows; expected at least 10"),
        ({"X": X, "y": LABELS[1:]}, r"y has shape \(39,\); .* 40 rows"),
        ({"X": X, "y": np.array(1)}, r"y has shape \(\)"),
        ({"X": with_value(X, (3, 2, 1), np.nan), "y": LABELS}, r"X\[3, 2, 1\] is nan"),
        ({"X": with_value(X, (0, 0, 0), -np.inf), "y": LABELS}, r"X\[0, 0, 0\] is -inf"),
        ({"X": with_value(X, (0, 0, 0), 1e300), "y": LABELS}, r"X\[0, 0, 0\] is 1e\+300"),
        ({"X": X, "y": with_value(LABELS, 7, np.nan)}, r"y\[7\] is nan"),
        ({"X": X, "y": np.full((N, T, 1), np.inf)}, r"y\[0, 0, 0\] is inf"),
        ({"X": X, "y": np.zeros(N, int)}, r"y holds one class only \(0\)"),
        ({"X": X, "y": LABELS * 1j}, "y is complex128; class labels are"),
        ({"X": X, "y": np.tile(LABELS[:, None], 3) * 2}, r"y has shape \(40, 3\); a classific"),
        ({"X": X, "y": np.zeros((N, T + 1, 2))}, r"y has shape \(40, 6, 2\); a regression"),
        ({"X": X, "y": LABELS, "lengths": np.full(N, T + 1)}, r"lengths\[0\] is 6; expected 1 to"),
        ({"X": X, "y": LABELS, "lengths": np.zeros(N, int)}, r"lengths\[0\] is 0; expected 1 to 5"),
        ({"X": X, "y": LABELS, "lengths": np.full(N, -1)}, r"lengths\[0\] is -1"),
        ({"X": X, "y": LABELS, "lengths": np.full(N - 1, T)}, r"lengths is int64 of shape \(39,\)"),
        ({"X": X, "y": LABELS, "lengths": np.full(N, 2.0)}, "lengths is float64"),
    ],
)
def test_refused_arrays(save, arrays, message):
    path = save(**arrays)
    with pytest.raises(FileError, match=message) as error:
        ArrayFile(path)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(str(path))


@pytest.mark.parametrize(
    ("y", "target", "message"),
    [
        (LABELS + 0.5, "classification", 'y holds 0.5; .* pass target="regression"'),
        (with_value(LABELS, 2, np.nan), "classification", r"y\[2\] is nan"),
        (LABELS.astype(str), "regression", "y is <U21; a regression expects real numbers"),
        (np.zeros((N, T, 1, 1)), "regression", r"y has shape \(40, 5, 1, 1\)"),
    ],
)
def test_refused_targets(save, y, target, message):
    with pytest.raises(FileError, match=message):
        ArrayFile(save(X=X, y=y), target=target)


def test_refused_target_name(save):
    with pytest.raises(InputError, match="target is 'ranking'; give one of: auto, class"):
        ArrayFile(save(X=X, y=LABELS), target="ranking")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="makes a pipe, which this system has not")
@pytest.mark.parametrize(
    "read", [ArrayFile, TextFile, read_sequences, read_race, read_json], ids=lambda f: f.__name__
)
def test_a_pipe_on_which_a_reader_would_wait_for_ever_is_refused(tmp_path, read):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path(os.devnull)):
        with pytest.raises(FileError, match="no regular one"):
            read(path)


@pytest.mark.parametrize(
    "read", [ArrayFile, TextFile, read_sequences, read_race, read_json], ids=lambda f: f.__name__
)
def test_links_in_a_circle_are_refused(tmp_path, read):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(FileError, match=r"cannot (be )?read"):
        read(tmp_path / "a")


def test_refused_files(tmp_path):
    with pytest.raises(FileError, match="there is no such file"):
        ArrayFile(tmp_path / "missing.npz")
    with pytest.raises(FileError, match="is a folder"):
        ArrayFile(tmp_path)
    path = tmp_path / "single.npy"
    np.save(path, X)
    with pytest.raises(FileError, match=r"is not an \.npz file"):
        ArrayFile(path)
    path.write_bytes(pickle.dumps({"X": X, "y": LABELS}))
    with pytest.raises(FileError, match=r"is not an \.npz file"):
        ArrayFile(path)
    path.write_bytes(b"")
    with pytest.raises(FileError, match=r"is not an \.npz file"):
        ArrayFile(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("X", "text")
        archive.writestr("y", "text")
    with pytest.raises(FileError, match=r"X is (damaged|not an array)"):
        ArrayFile(path)


@pytest.mark.parametrize("compressed", [False, True])
def test_a_file_damaged_anywhere_is_refused_or_read_as_before(tmp_path, rng, compressed):
    buffer = io.BytesIO()
    write = np.savez_compressed if compressed else np.savez
    x = rng.normal(size=(12, 2, 2))
    write(buffer, X=x, y=np.arange(12) % 2)
    content = buffer.getvalue()
    path = tmp_path / "data.npz"
    path.write_bytes(content)
    intact = ArrayFile(path).test(0)
    refused = 0
    for position in range(0, len(content), 5):
        flipped = bytearray(content)
        flipped[position] ^= 0xFF
        for damaged in (content[:position], bytes(flipped)):
            path.write_bytes(damaged)
            try:
                batch = ArrayFile(path).test(0)
            except FileError:
                refused += 1
            else:
                assert np.array_equal(batch.x, intact.x)
                assert np.array_equal(batch.y, intact.y)
    assert refused > len(content) / 5


@pytest.mark.parametrize(
    "header",
    [
        b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000000,), }",
        b"F'descr': '<f8', 'fortran_order': False, 'shape': (12, 2, 2), }",
        b"(" * 9000,
        b"{" + b" " * 20_000,
    ],
)
def test_an_intact_archive_with_a_damaged_array_is_refused(tmp_path, header):
    path = tmp_path / "data.npz"
    with zipfile.ZipFile(path, "w") as archive:
        size = len(header).to_bytes(2, "little")
        archive.writestr("X.npy", b"\x93NUMPY\x01\x00" + size + header)
        archive.writestr("y.npy", b"")
    with pytest.raises(FileError, match="X is damaged"):
        ArrayFile(path)


# What users' files hold besides


def test_values_with_a_row_for_each_step_are_per_step(save, x):
    running = np.cumsum(x[..., 1], axis=1)
    flat, explicit = ArrayFile(save(X=x, y=running)), ArrayFile(save(X=x, y=running[..., None]))
    assert flat.per_step
    assert flat.output_size == 1
    assert "1 value per step" in flat.summary
    np.testing.assert_array_equal(flat.test(0).y, explicit.test(0).y)


def test_labels_in_bytes_are_read_as_text(save, x):
    task = ArrayFile(save(X=x, y=np.array([b"no", b"yes"] * (N // 2))))
    assert task.classes.tolist() == ["no", "yes"]


def test_labels_in_bytes_that_are_no_text_are_refused(save, x):
    with pytest.raises(FileError, match="y holds bytes that are not UTF-8"):
        ArrayFile(save(X=x, y=np.array([b"no", b"\xff"] * (N // 2))))


@pytest.mark.parametrize("name", ["X", "y"])
def test_outliers_beyond_all_sense_are_refused(save, x, name):
    arrays = {"X": x.copy(), "y": x[:, 0, 0] * 1e-10}
    sound = ArrayFile(save(**arrays))
    in_test = rows_of(sound, sound.test(0), 0)[0]
    arrays[name][in_test] = 1e30
    with pytest.raises(FileError, match=f"component . of {name} reaches .* standard deviations"):
        ArrayFile(save(**arrays))


def test_validation_rows_are_few_enough_to_be_repeated(save):
    x = np.random.default_rng(0).random((20_000, 1, 1))
    task = ArrayFile(save(X=x, y=x[:, 0, 0]))
    assert len(task.validation(0).x) == 2000
    assert len(task.test(0).x) == 3000


def saved(folder, name="mine", **arrays):
    """Write arrays into a file of that name."""
    path = folder / f"{name}.npz"
    np.savez(path, **arrays)
    return path


class TestMask:
    """Targets that do not count, by a mask or by the label −100."""

    STEPS = 6

    def arrays(self, kind="labels"):
        rng = np.random.default_rng(0)
        x = rng.standard_normal((40, self.STEPS, 2)).astype(np.float32)
        mask = rng.random((40, self.STEPS)) < 0.5
        mask[:, 2] = True
        y = (x[..., 0] > 0).astype(np.int64) if kind == "labels" else x[..., :1] * 3
        return {"X": x, "y": y, "mask": mask}

    @pytest.mark.parametrize("kind", ["labels", "values"])
    def test_only_the_targets_of_the_mask_count(self, tmp_path, kind):
        arrays = self.arrays(kind)
        mask = arrays["mask"]
        task = ArrayFile(saved(tmp_path, **arrays))
        garbage = np.where(mask if kind == "labels" else mask[..., None], arrays["y"], 77)
        other = ArrayFile(saved(tmp_path, "other", **(arrays | {"y": garbage})))
        for mine, its in ((task.test(0), other.test(0)), (task.train_batch(3, 8, 0),) * 2):
            np.testing.assert_array_equal(mine.mask, its.mask)
            np.testing.assert_array_equal(mine.y[mine.mask], its.y[its.mask])
        assert task.output_size == other.output_size
        assert [rung.score for rung in task.ladder(0)] == [r.score for r in other.ladder(0)]
        wanted = mask[task.rows(0)["test"]].tolist()
        assert sorted(task.test(0).mask.tolist()) == sorted(wanted)

    def test_the_ignored_label_of_pytorch_is_a_mask(self, tmp_path):
        arrays = self.arrays()
        mask = arrays.pop("mask")
        masked = ArrayFile(saved(tmp_path, mask=mask, **arrays))
        for name, dtype in (("ints", np.int32), ("floats", np.float32)):
            y = np.where(mask, arrays["y"], -100).astype(dtype)
            target = "classification" if name == "floats" else "auto"
            task = ArrayFile(saved(tmp_path, name, X=arrays["X"], y=y), target)
            assert task.classes.tolist() == [0, 1]
            np.testing.assert_array_equal(task.test(0).mask, masked.test(0).mask)
            counted = masked.test(0).mask
            np.testing.assert_array_equal(task.test(0).y[counted], masked.test(0).y[counted])

    def test_a_value_of_minus_100_is_a_value(self, tmp_path):
        arrays = self.arrays("values")
        arrays["y"][5, 2] = -100
        del arrays["mask"]
        assert ArrayFile(saved(tmp_path, **arrays)).test(0).mask is None
        whole = np.round(arrays["y"][..., 0]).astype(np.int64)
        task = ArrayFile(saved(tmp_path, "whole", X=arrays["X"], y=whole), "regression")
        assert task.test(0).mask is None

    def test_padding_never_counts(self, tmp_path):
        arrays = self.arrays() | {"lengths": np.full(40, 4)}
        batch = ArrayFile(saved(tmp_path, **arrays)).test(0)
        assert batch.mask[:, :4].any()
        assert not batch.mask[:, 4:].any()

    def test_parts_have_masks_of_their_own(self, tmp_path):
        arrays, test = self.arrays(), self.arrays()
        parts = {f"{name}_test": value for name, value in test.items()}
        task = ArrayFile(saved(tmp_path, **arrays, **parts))
        np.testing.assert_array_equal(task.test(0).mask, test["mask"])
        del parts["mask_test"]
        assert ArrayFile(saved(tmp_path, "none", **arrays, **parts)).test(0).mask.all()

    @pytest.mark.parametrize(
        ("change", "problem"),
        [
            (
                {"mask": np.ones((40, 5), bool)},
                r"expected booleans, or 0 and 1, of shape \(40, 6\)",
            ),
            ({"mask": np.full((40, 6), 2)}, "expected booleans, or 0 and 1"),
            ({"mask": np.arange(40)[:, None] > np.zeros(6)}, "no target of row 0 counts"),
            ({"y": np.arange(40) % 2}, r"y has shape \(40,\); expected a target for each step"),
            ({"y": np.arange(40) % 2 * -100, "mask": None}, r"y\[1\] is -100, the label of a step"),
        ],
    )
    def test_what_cannot_be_right_is_refused(self, tmp_path, change, problem):
        arrays = {name: a for name, a in (self.arrays() | change).items() if a is not None}
        with pytest.raises(FileError, match=problem):
            ArrayFile(saved(tmp_path, **arrays))


# Several labels at once, and tokens


@pytest.fixture
def tokens(rng):
    return rng.integers(0, 9, (N, T))


class TestSeveralLabels:
    @pytest.mark.parametrize("dtype", [bool, np.int8, np.uint64])
    def test_zeros_and_ones_along_an_axis_of_their_own(self, save, x, rng, dtype):
        y = rng.random((N, 4)) < 0.4
        y[0] = True  # or it might be one-hot
        task = ArrayFile(save(X=x, y=y.astype(dtype)))
        assert (task.loss, task.metric.name) == ("binary_cross_entropy", "negative log-likelihood")
        assert (task.output_size, task.per_step, task.classes) == (4, False, None)
        assert "4 labels, each on or off, per row" in task.summary
        assert task.config()["target"] == "labels"
        batch = task.test(0)
        assert batch.y.dtype == np.float32
        np.testing.assert_array_equal(batch.y, y[rows_of(task, batch, 0)])

    def test_of_steps_with_lengths_and_a_mask(self, save, x, rng):
        y = rng.integers(0, 2, (N, T, 2))
        y[0] = 1
        lengths = rng.integers(1, T + 1, N)
        y[np.arange(T) >= lengths[:, None]] = 7  # nobody looks
        mask = np.ones((N, T), bool)
        mask[:, 1:2] = False
        task = ArrayFile(save(X=x, y=y, lengths=lengths, mask=mask))
        assert (task.loss, task.per_step) == ("binary_cross_entropy", True)
        batch = task.train_batch(0, N, 0)
        rows = rows_of(task, batch, 0)
        expected = mask[rows] & (np.arange(T) < lengths[rows, None])
        np.testing.assert_array_equal(batch.mask, expected)
        np.testing.assert_array_equal(batch.y[batch.mask], y[rows][expected])

    def test_floats_and_one_hot_are_labels_where_that_is_said(self, save, x):
        one_hot = np.eye(4)[np.arange(N) % 4]
        assert ArrayFile(save(X=x, y=one_hot)).loss == "cross_entropy"
        assert ArrayFile(save(X=x, y=one_hot), target="labels").loss == "binary_cross_entropy"
        square = (x[:, :, 1] > 5).astype(float)  # as many as steps
        assert ArrayFile(save(X=x, y=square), target="labels").per_step is False

    def test_the_ladder_knows_each_label_s_share(self, save, x, rng):
        y = rng.random((N, 3)) < [0.1, 0.5, 0.9]
        task = ArrayFile(save(X=x, y=y), target="labels")
        even, share = sorted(task.ladder(), key=lambda rung: rung.kind)
        assert even.score == pytest.approx(3 * np.log(2))
        train, test = (y[task.rows(0)[part]] for part in ("train", "test"))
        p = (train.sum(axis=0) + 0.5) / (len(train) + 1)
        expected = -np.where(test, np.log(p), np.log(1 - p)).sum(axis=1).mean()
        assert share.score == pytest.approx(expected, rel=1e-5)

    @pytest.mark.parametrize(
        ("y", "message"),
        [
            (np.full((N, 3), 2), r"y\[0, 0\] is 2; several labels at once are 0 and 1"),
            (np.full((N, 3), 0.5), r"y\[0, 0\] is 0.5; several"),
            (np.full((N, 3), np.nan), r"y\[0, 0\] is nan; several"),
            (np.zeros(N, int), rf"y has shape \({N},\); several labels at once expect \({N}, O\)"),
            (np.full((N, 3), "on"), "y is <U2; several labels"),
        ],
    )
    def test_what_is_none_is_refused(self, save, x, y, message):
        with pytest.raises(FileError, match=message):
            ArrayFile(save(X=x, y=y), target="labels")


class TestTokens:
    def test_whole_numbers_of_steps_are_tokens(self, save, tokens):
        task = ArrayFile(save(X=tokens.astype(np.uint8), y=np.arange(N) % 2))
        assert task.tokens
        assert task.input_size == tokens.max() + 1
        assert f"{T} steps of {tokens.max() + 1} tokens" in task.summary
        batch = task.test(0)
        assert batch.x.dtype == np.int64
        np.testing.assert_array_equal(batch.x, tokens[task._split(0).test])

    def test_padding_may_hold_anything(self, save, tokens, rng):
        lengths = rng.integers(1, T + 1, N)
        padded = np.where(np.arange(T) < lengths[:, None], tokens, -1)
        task = ArrayFile(save(X=padded, y=np.arange(N) % 2, lengths=lengths))
        assert task.train_batch(0, N, 0).x.min() == 0
        assert read_sequences(save(X=padded, lengths=lengths)).x.min() == 0

    @pytest.mark.parametrize("wrong", [-1, 2**20, 2**40])
    def test_what_is_no_token_is_refused(self, save, tokens, wrong):
        tokens[3, 2] = wrong
        line = rf"X\[3, 2\] is {wrong}; tokens are whole numbers from 0 to 1,048,575"
        with pytest.raises(FileError, match=line):
            ArrayFile(save(X=tokens, y=np.arange(N) % 2))

    def test_floats_of_steps_are_refused(self, save, tokens):
        with pytest.raises(FileError, match=r"X has shape \(40, 5\); expected .* tokens"):
            ArrayFile(save(X=tokens.astype(float), y=np.arange(N) % 2))

    def test_they_have_no_scaling(self, save, tokens):
        with pytest.raises(InputError, match="X holds tokens, which have no scaling"):
            ArrayFile(save(X=tokens, y=np.arange(N) % 2)).scaling(0)
