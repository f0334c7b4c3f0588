"""Piano rolls from files as others pass them on."""

import json
from itertools import pairwise

import numpy as np
import pytest

from lstm_baseline import FileError, InputError
from lstm_baseline.race.plan_file import plan_of
from lstm_baseline.race.race_file import read_race
from lstm_baseline.tasks import ArrayFile, MusicFile, read_data
from lstm_baseline.tasks import music as module

SIZES = {"train": 12, "valid": 4, "test": 5}


def pieces(rng, number):
    """Return pieces as lists of pitches, of 2 to 9 frames with up to 4 keys."""
    return [
        [sorted({int(p) for p in rng.integers(21, 109, rng.integers(5))}) for _ in range(frames)]
        for frames in rng.integers(2, 10, number)
    ]


@pytest.fixture
def content():
    rng = np.random.default_rng(0)
    return {part: pieces(rng, number) for part, number in SIZES.items()}


@pytest.fixture
def write(tmp_path):
    def write(content, name="songs.json"):
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write


def rolls(some):
    return [np.array([[p in frame for p in range(21, 109)] for frame in piece]) for piece in some]


def test_the_next_frame_is_asked_for(write, content):
    task = MusicFile(write(content))
    assert task.summary == (
        "songs.json: which keys sound next? 12 + 4 + 5 pieces of up to"
        f" {max(len(p) for part in content.values() for p in part)} frames of 88 keys"
    )
    batch = task.test(0)
    for x, y, length, roll in zip(
        batch.x, batch.y, batch.lengths, rolls(content["test"]), strict=True
    ):
        assert length == len(roll) - 1
        np.testing.assert_array_equal(x[:length], roll[:-1])
        np.testing.assert_array_equal(y[:length], roll[1:])
        assert not x[length:].any()
    assert len(task.validation(3).x) == SIZES["valid"]


def test_every_epoch_has_every_piece_once_and_batches_are_as_long_as_their_longest(write, content):
    task = MusicFile(write(content))
    batches = [task.train_batch(step, 5, 1) for step in range(12)]
    lengths = np.concatenate([batch.lengths for batch in batches])
    own = sorted(len(piece) - 1 for piece in content["train"])
    for epoch in range(5):
        assert sorted(lengths[12 * epoch : 12 * epoch + 12]) == own
    assert all(batch.x.shape[1] == batch.lengths.max() for batch in batches)
    assert not np.array_equal(lengths[:12], task.train_batch(0, 12, 2).lengths)


def test_rules_are_counted_on_the_training_pieces(write, content):
    task = MusicFile(write(content))
    scores = {rung.name: rung.score for rung in task.ladder()}
    assert scores["even odds"] == pytest.approx(88 * np.log(2))
    before, after = (
        np.concatenate([roll[cut] for roll in rolls(content["train"])])
        for cut in (slice(None, -1), slice(1, None))
    )
    nats, frames = {"share": 0.0, "frame before": 0.0}, 0
    for roll in rolls(content["test"]):
        for now, following in pairwise(roll):
            frames += 1
            for key in range(88):
                like = before[:, key] == now[key]
                for name, some in (("share", after[:, key]), ("frame before", after[like, key])):
                    p = (some.sum() + 0.5) / (len(some) + 1)
                    nats[name] -= np.log(p if following[key] else 1 - p)
    for name, total in nats.items():
        assert scores[name] == pytest.approx(total / frames, rel=1e-5)


def test_of_matlab_it_is_the_same(write, content, tmp_path):
    io = pytest.importorskip("scipy.io")
    cells = {}
    for part, (name, matlab) in module._PARTS.items():
        del part
        cells[matlab] = np.empty((1, SIZES[name]), object)
        cells[matlab][0] = [roll.astype(float) for roll in rolls(content[name])]
    io.savemat(tmp_path / "songs.mat", cells)
    one, other = MusicFile(write(content)), MusicFile(tmp_path / "songs.mat")
    for k in range(3):
        np.testing.assert_array_equal(one.train_batch(k, 7, 0).x, other.train_batch(k, 7, 0).x)
    np.testing.assert_array_equal(one.test(0).y, other.test(0).y)


def test_rests_and_whole_floats_are_read(write, content):
    marked = {**content, "test": [[[60, -1], [67.0], [None, -1.0], []], [[21], [108]]]}
    batch = MusicFile(write(marked)).test(0)
    assert batch.lengths.tolist() == [3, 1]
    assert np.argwhere(batch.y[0]).tolist() == [[0, 67 - 21]]
    assert np.argwhere(batch.y[1]).tolist() == [[0, 87]]


def test_a_collection_is_known_by_its_digest(write, content, monkeypatch):
    path = write(content)
    digest = MusicFile(path).config()["sha256"]
    monkeypatch.setitem(module._KNOWN, digest, "Our songs")
    assert MusicFile(path).summary.startswith("songs.json (Our songs, by its digest): ")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ("no JSON {", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("[1, 2]", 'there is no list "train"; expected "train", "valid" and "test"'),
        ({"valid": 3}, 'there is no list "valid"'),
        ({"test": [[60, 62]]}, r"test\[0\] is no list of frames"),
        ({"test": [[[60], [20]]]}, r"test\[0\]\[1\] holds 20; expected pitches from 21 to 108"),
        ({"test": [[[60], [109]]]}, r"test\[0\]\[1\] holds 109"),
        ({"test": [[[60], [60.5]]]}, r"test\[0\]\[1\] holds 60.5"),
        ({"test": [[[60], ["C4"]]]}, r"test\[0\]\[1\] holds 'C4'"),
        ({"test": [[[60], [True]]]}, r"test\[0\]\[1\] holds True"),
        ({"test": [[[60], [1e400]]]}, r"test\[0\]\[1\] holds inf"),
        ({"test": [[[60], [float("nan")]]]}, r"test\[0\]\[1\] holds nan"),
        ({"train": []}, "train holds no piece of at least 2 frames"),
        ({"valid": [[[60]]]}, "validation holds no piece of at least 2 frames"),
    ],
)
def test_what_is_no_music_is_refused_in_one_line(write, content, change, line):
    with pytest.raises(FileError, match=line) as error:
        MusicFile(write(change if isinstance(change, str) else content | change))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("number", range(20))
def test_a_damaged_file_of_matlab_is_refused_in_one_line(content, tmp_path, number):
    io = pytest.importorskip("scipy.io")
    path = tmp_path / "songs.mat"
    cells = np.empty((1, 2), object)
    cells[0] = [roll.astype(float) for roll in rolls(content["test"])[:2]]
    names = ("traindata", "validdata", "testdata")
    io.savemat(path, dict.fromkeys(names, cells), do_compression=number % 2 == 0)
    damaged = bytearray(path.read_bytes())
    rng = np.random.default_rng(number)
    for place in rng.integers(len(damaged), size=1 + 3 * number):
        damaged[place] = rng.integers(256)
    path.write_bytes(damaged[: rng.integers(len(damaged))] if number % 3 else damaged)
    refused = ""
    try:
        task = MusicFile(path)
    except FileError as error:
        refused = str(error)
    assert "\n" not in refused
    assert refused or np.isin(task.test(0).y, (0, 1)).all()


@pytest.mark.parametrize(
    ("cells", "line"),
    [
        ({}, "there are no cells traindata; expected traindata, validdata, testdata"),
        ({"traindata": np.zeros((3, 88))}, "there are no cells traindata"),
        (
            {"traindata": [np.zeros((3, 87)), np.zeros((4, 88))]},
            r"traindata\{1\} has shape \(3, 87\)",
        ),
        ({"traindata": [np.full((3, 88), 2.0), np.zeros((4, 88))]}, r"traindata\{1\} holds other"),
    ],
)
def test_other_matlab_is_refused(tmp_path, cells, line):
    io = pytest.importorskip("scipy.io")
    for name, given in cells.items():
        if isinstance(given, list):
            cells[name] = np.empty((1, len(given)), object)
            cells[name][0] = given
    io.savemat(tmp_path / "songs.mat", cells)
    with pytest.raises(FileError, match=line):
        MusicFile(tmp_path / "songs.mat")


def test_a_data_file_is_music_by_its_ending(write, content, tmp_path):
    path = write(content)
    assert isinstance(read_data(path), MusicFile)
    np.savez(tmp_path / "d.npz", X=np.random.default_rng(0).random((20, 3, 2)), y=np.arange(20) % 2)
    assert isinstance(read_data(tmp_path / "d.npz"), ArrayFile)
    for given in ({"target": "labels"}, {"split": "time"}):
        with pytest.raises(InputError, match=r"songs.json is music, .* leave out target and split"):
            read_data(path, **given)


def test_a_race_on_music_is_read_again_from_its_plan(write, content, tmp_path):
    write(content)
    text = 'contestants = ["lstm", "gru"]\nparameters = 3000\nseeds = 2\n'
    (tmp_path / "race.toml").write_text(f'{text}[[tasks]]\ndata = "songs.json"\n')
    plan = read_race(tmp_path / "race.toml").plan(tmp_path)
    assert isinstance(plan.tasks[0], MusicFile)
    again = plan_of(json.loads(json.dumps(plan.config())), tmp_path)
    assert again.hash == plan.hash
    assert isinstance(again.tasks[0], MusicFile)
