import codecs
import json
import math
import pickle
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from lstm_baseline.engine.errors import FileError, InputError
from lstm_baseline.tasks import TextFile


def written(tmp_path, text, name="text.txt"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.fixture
def text():
    rng = np.random.default_rng(0)
    words = ["the", "moon", "sets", "slowly", "over", "an", "old", "harbour", "—", "ünder"]
    return " ".join(rng.choice(words, size=4000))


def decoded(task, rows):
    """Return the text of each row of classes (B, T)."""
    characters = task.characters + "?"
    return ["".join(characters[c] for c in row) for row in rows]


def test_targets_are_the_next_characters(tmp_path, text):
    task = TextFile(written(tmp_path, text), window=20)
    n = len(text)
    parts = {
        "train": (task.train_batch(0, 50, seed=0), text[: n - 2 * (n // 10)]),
        "validation": (task.validation(0), text[n - 2 * (n // 10) : n - n // 10]),
        "test": (task.test(0), text[n - n // 10 :]),
    }
    for batch, part in parts.values():
        assert batch.x.shape == batch.y.shape == (len(batch.y), 20)
        assert batch.x.dtype == batch.y.dtype == np.int64
        for x, y in zip(decoded(task, batch.x), decoded(task, batch.y), strict=True):
            assert x[1:] == y[:-1]
            assert x + y[-1] in part
    for name in ("validation", "test"):
        batch, part = parts[name]
        read = "".join(decoded(task, batch.x))
        assert part.startswith(read)
        assert len(part) - len(read) <= 20


def test_training_windows_reach_both_ends(tmp_path):
    characters = "".join(chr(0x4E00 + i) for i in range(200))
    task = TextFile(written(tmp_path, characters), window=4)
    batch = task.train_batch(0, 4000, seed=0)
    seen = "".join(decoded(task, batch.x)) + "".join(decoded(task, batch.y))
    assert set(seen) == set(characters[:160])


def test_batches_are_a_function_of_step_and_seed(tmp_path, text):
    task = TextFile(written(tmp_path, text))
    first = task.train_batch(5, 8, seed=1)
    task.train_batch(6, 8, seed=1)
    again = pickle.loads(pickle.dumps(task)).train_batch(5, 8, seed=1)
    assert np.array_equal(first.x, again.x)
    assert not np.array_equal(first.x, task.train_batch(6, 8, seed=1).x)
    assert not np.array_equal(first.x, task.train_batch(5, 8, seed=2).x)
    assert np.array_equal(task.test(0).x, task.test(1).x)


def test_evaluation_is_capped(tmp_path):
    task = TextFile(written(tmp_path, "abcde" * 10_000), window=4)
    assert len(task.validation(0).x) == len(task.test(0).x) == 1000


def test_ladder_is_the_entropy_of_the_test_windows(tmp_path, text):
    task = TextFile(written(tmp_path, text), window=20)
    train = text[: len(text) - 2 * (len(text) // 10)]
    v = len(set(train))
    assert task.output_size == v
    singles, pairs = Counter(train), Counter(pairwise(train))
    befores = Counter(train[:-1])
    unigram = {c: (singles[c] + 1) / (len(train) + v) for c in set(train)}
    bits = {"uniform": [], "unigram": [], "bigram": []}
    test = task.test(0)
    for x, y in zip(decoded(task, test.x), decoded(task, test.y), strict=True):
        for before, after in zip(x, y, strict=True):
            bits["uniform"].append(math.log2(v))
            bits["unigram"].append(-math.log2(unigram[after]))
            smoothed = (pairs[before, after] + v * unigram[after]) / (befores[before] + v)
            bits["bigram"].append(-math.log2(smoothed))
    ladder = {rung.name: rung.score for rung in task.ladder()}
    assert list(ladder) == ["uniform", "unigram", "bigram"]
    for name, score in ladder.items():
        assert score == pytest.approx(np.mean(bits[name]), rel=1e-5)


def test_one_class_stands_for_characters_outside_the_vocabulary(tmp_path):
    rare = "".join(chr(0x4E00 + i) for i in range(300))
    task = TextFile(written(tmp_path, ("abab" * 200 + rare) * 2), window=8)
    assert len(task.characters) == 256
    assert {"a", "b"} <= set(task.characters)
    assert task.output_size == task.input_size == 257
    assert all(math.isfinite(rung.score) for rung in task.ladder())

    unseen = TextFile(written(tmp_path, "ab" * 400 + "xyz" * 66), window=8)
    assert unseen.characters == "ab"
    assert unseen.output_size == 3
    assert (unseen.test(0).y == 2).all()
    assert all(math.isfinite(rung.score) for rung in unseen.ladder())


def test_byte_order_mark_and_line_ends(tmp_path):
    plain = TextFile(written(tmp_path, "a line\nand one more\n" * 60, "a.txt"), window=8)
    windows = written(tmp_path, codecs.BOM_UTF8 + b"a line\r\nand one more\r\n" * 60, "b.txt")
    assert TextFile(windows, window=8).characters == plain.characters
    assert np.array_equal(TextFile(windows, window=8).test(0).x, plain.test(0).x)


def test_a_changed_file_is_another_task(tmp_path, text):
    path = written(tmp_path, text)
    config = TextFile(path, window=20).config()
    assert json.loads(json.dumps(config)) == config
    assert config["task"] == "text"
    assert config["path"] == "text.txt"
    assert config["window"] == 20
    assert TextFile(path, window=20).config() == config
    written(tmp_path, text[:-1] + "#")
    assert TextFile(path, window=20).config()["sha256"] != config["sha256"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"good " * 300 + b"\xff\xfe bad", "not UTF-8 text: byte 1500 is 0xff"),
        (codecs.BOM_UTF8 + b"ab\xe9" + b"c" * 900, "not UTF-8 text: byte 5 is 0xe9"),
        (b"", r"has 0 characters; a window of 64 needs at least 650"),
        (b"ab" * 324 + b"c", r"has 649 characters"),
        (b"a" * 1000, "repeats a single character"),
    ],
)
def test_refused_content(tmp_path, content, message):
    with pytest.raises(FileError, match=message) as error:
        TextFile(written(tmp_path, content))
    assert "\n" not in str(error.value)
    assert str(tmp_path / "text.txt") in str(error.value)


def test_shortest_text(tmp_path):
    task = TextFile(written(tmp_path, "ab" * 325))
    assert len(task.validation(0).x) == len(task.test(0).x) == 1


def test_refused_paths_and_windows(tmp_path):
    with pytest.raises(FileError, match="there is no such file"):
        TextFile(tmp_path / "missing.txt")
    with pytest.raises(FileError, match="is a folder"):
        TextFile(tmp_path)
    with pytest.raises(FileError, match="cannot be read"):
        TextFile("nul\0byte")
    with pytest.raises(InputError, match="window is 1"):
        TextFile(written(tmp_path, "ab" * 400), window=1)
