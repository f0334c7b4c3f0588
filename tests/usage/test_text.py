"""A model of text over a file, and text drawn from it."""

import csv
import io
import itertools
import json

import numpy as np
import pytest
from rich.console import Console

from lstm_baseline import GRU, LSTM
from lstm_baseline.contestants.contestant import Contestant
from lstm_baseline.engine.activations import log_softmax
from lstm_baseline.engine.errors import FileError, InputError
from lstm_baseline.runs.spec import RunSpec
from lstm_baseline.tasks import TextFile
from lstm_baseline.training import TrainingSettings
from lstm_baseline.usage.text import TextModel, predict_text
from lstm_baseline.usage.train import train_and_save
from tests.support.models import scatter

KNOWN = "\nabc"
# "ż" is in the test part alone, so it has no class of its own.
TEXT = "abcabcab\n" * 100 + "abż\n"


def saved(folder, model, labels):
    model.save(folder / "model.safetensors")
    (folder / "labels.json").write_text(json.dumps(labels))
    return folder


@pytest.fixture
def folder(tmp_path):
    """A model of four characters and one class for all others."""
    return saved(tmp_path, scatter(LSTM(5, 6, 5, dtype=np.float64, rng=0)), [*KNOWN, None])


def test_trained_on_a_text_with_rare_characters(tmp_path):
    (tmp_path / "t.txt").write_text(TEXT, encoding="utf-8")
    settings = TrainingSettings(num_steps=60, batch_size=8, learning_rate=0.02)
    task = TextFile(tmp_path / "t.txt", window=8)
    spec = RunSpec(task, Contestant.model_validate("lstm"), 12, settings, seed=0)
    train_and_save(spec, tmp_path / "m", Console(quiet=True))
    labels = json.loads((tmp_path / "m" / "labels.json").read_text())
    assert labels == [*KNOWN, None]
    model = TextModel(tmp_path / "m")
    assert (model.window, model.characters) == (8, KNOWN)
    found = predict_text(tmp_path / "m", tmp_path / "t.txt")
    assert len(found.bits) == len(TEXT) - 1
    score = json.loads((tmp_path / "m" / "run" / "result.json").read_text())["score"]
    tail = len(TEXT) // 10 - 1
    whole = model.bits(found.codes[-tail - 1 :])[: tail // 8 * 8]  # train leaves out the rest
    assert whole.mean() == pytest.approx(score, rel=1e-6)
    assert found.test_bits == pytest.approx(score, rel=0.2)
    lines = list(found.lines())
    assert lines[0].startswith("bits per character: ")
    assert lines[1].startswith("1 of the text's characters have no class")
    assert "trained on 80% of this very file" in lines[2]
    (tmp_path / "other.txt").write_text(TEXT + "a", encoding="utf-8")
    assert predict_text(tmp_path / "m", tmp_path / "other.txt").test_bits is None
    # Trained on repetitions, it goes on with them.
    text = "".join(model.generate("abcabc", 20, 0.0, np.random.default_rng(0)))
    pairs = {a + b for a, b in itertools.pairwise(text)}
    assert pairs <= {"ab", "bc", "ca", "b\n", "\na"}


@pytest.mark.parametrize("length", [2, 64, 65, 66, 200, 64 * 65 + 7])
def test_bits_are_those_of_windows_from_the_initial_state(folder, length):
    model = TextModel(folder)
    codes = np.random.default_rng(0).integers(5, size=length)
    found = model.bits(codes)
    expected = []
    for start in range(0, length - 1, 64):
        row = codes[start : start + 65]
        logits = model.model.forward(np.eye(5)[row[None, :-1]])[0]
        expected += (-log_softmax(logits)[np.arange(len(row) - 1), row[1:]] / np.log(2)).tolist()
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    after = log_softmax(model.model.forward(np.eye(5)[codes[None, -64:]], False)[0])
    np.testing.assert_allclose(model.next_probabilities(codes), np.exp(after), rtol=1e-9)


@pytest.mark.parametrize("kind", [LSTM, GRU])
def test_generated_text_is_drawn_from_the_models_probabilities(tmp_path, kind):
    path = saved(tmp_path, scatter(kind(5, 6, 5, dtype=np.float64, rng=0)), [*KNOWN, None])
    model = TextModel(path)

    def draw(temperature, seed=0, length=30):
        drawn = model.generate("ab", length, temperature, np.random.default_rng(seed))
        return "".join(drawn)

    assert draw(1.0) == draw(1.0) != draw(1.0, seed=1)
    assert draw(0.0) == draw(0.0, seed=1)
    assert draw(1e-300) == draw(0.0)
    assert draw(1.0, length=0) == ""
    codes = [KNOWN.index(c) for c in "ab" + draw(0.0)]
    logits = model.model.forward(np.eye(5)[[codes[:-1]]])[0, 1:, :4]
    assert codes[2:] == logits.argmax(axis=-1).tolist()
    for temperature in (0.5, 3.0):
        p = np.exp(log_softmax(logits[:1] / temperature))[0]
        first = [draw(temperature, seed, 1) for seed in range(800)]
        shares = np.array([first.count(c) for c in KNOWN]) / 800
        assert np.abs(shares - p).max() < 5 * np.sqrt(0.25 / 800)


def test_the_file_of_a_text(folder):
    (folder / "t.txt").write_text("abz\nc", encoding="utf-8")
    found = predict_text(folder, folder / "t.txt")
    found.write(folder / "p.csv")
    head, *lines = csv.reader(io.StringIO((folder / "p.csv").read_text(encoding="utf-8")))
    assert head == ["position", "character", "bits"]
    assert [line[:2] for line in lines] == [["1", "b"], ["2", "\ufffd"], ["3", "\n"], ["4", "c"]]
    assert [float(line[2]) for line in lines] == found.bits.tolist()
    found.write(folder / "p.npz")
    with np.load(folder / "p.npz", allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["bits"], found.bits)
        assert arrays["codes"].tolist() == [1, 2, 4, 0, 3]
    with pytest.raises(InputError, match="end it in"):
        found.write(folder / "p.txt")


def test_what_is_no_text_or_no_model_of_text_is_refused(folder, tmp_path):
    text = tmp_path / "t.txt"
    text.write_text("a")
    with pytest.raises(FileError, match=r"has 1 character.*at least 2"):
        predict_text(folder, text)
    for labels in (["a", "b", "c", "d", 5], ["a", "b", "c", "d", "long"], [*"bacd", None]):
        (folder / "labels.json").write_text(json.dumps(labels))
        with pytest.raises(FileError, match=r"labels\.json"):
            TextModel(folder)
    (folder / "labels.json").write_text(json.dumps([*"abcde"]))
    text.write_text("abcxyz")
    with pytest.raises(InputError, match="has 'x' at character 3, which this model has never seen"):
        predict_text(folder, text)
    with pytest.raises(InputError, match="the prompt has 'z' at character 1"):
        TextModel(folder).generate("az", 1, 1.0, np.random.default_rng(0))
    for temperature in (-1.0, np.nan, np.inf):
        with pytest.raises(InputError, match="temperature is"):
            TextModel(folder).generate("a", 1, temperature, np.random.default_rng(0))
    saved(folder, LSTM(5, 6, 5, bidirectional=True, rng=0), [*"abcde"])
    with pytest.raises(InputError, match="reads in both directions"):
        TextModel(folder)
    saved(folder, LSTM(3, 6, 5, rng=0), [*"abcde"])
    with pytest.raises(FileError, match="is no model of text"):
        TextModel(folder)
