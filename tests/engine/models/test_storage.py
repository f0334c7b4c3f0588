"""Files are written whole or not at all, and read with suspicion."""

import errno
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import save

from lstm_baseline import LSTM, FileError, LSTMBaselineError, RelationalRNN, load_model
from lstm_baseline.engine.errors import WriteError
from lstm_baseline.engine.models.model_file import FORMAT
from lstm_baseline.engine.storage import read_json, read_tensors, write_json, write_whole


@pytest.fixture
def model():
    return LSTM(3, 2, 1, rng=0)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def write(path, model, *, arrays=None, about=(), text=None):
    """Write a model file of our own making: other arrays, other facts, or another text of them."""
    facts = {"format": FORMAT, "model": type(model).__name__, "config": model.config}
    text = json.dumps(facts | dict(about)) if text is None else text
    arrays = model.params if arrays is None else arrays
    path.write_bytes(save(arrays, metadata={"lstm_baseline": text}))


def names_in(folder):
    return [entry.name for entry in folder.iterdir()]


def refuse(path, model_class=LSTM):
    """Load in both ways and return the message of the refusal."""
    with pytest.raises(FileError) as refusal:
        load_model(path)
    with pytest.raises(FileError):
        model_class.load(path)
    assert "\n" not in str(refusal.value)
    assert path.name in str(refusal.value)
    return str(refusal.value)


class TestDamage:
    def test_the_helper_writes_what_can_be_loaded(self, model, path):
        write(path, model)
        assert load_model(path).num_params == model.num_params

    def test_missing(self, path):
        assert "there is no such file" in refuse(path)

    def test_a_folder(self, tmp_path):
        refuse(tmp_path)

    def test_empty(self, path):
        path.touch()
        assert "damaged or not safetensors" in refuse(path)

    def test_every_truncation(self, model, path):
        model.save(path)
        whole = path.read_bytes()
        for size in range(0, len(whole), 7):
            path.write_bytes(whole[:size])
            refuse(path)

    def test_anything_after_the_end(self, model, path):
        model.save(path)
        path.write_bytes(path.read_bytes() + b"more")
        refuse(path)

    def test_random_bytes(self, path):
        rng = np.random.default_rng(0)
        for size in (1, 8, 9, 100, 5000):
            path.write_bytes(rng.bytes(size))
            refuse(path)

    def test_a_changed_byte_in_the_header_is_refused_or_harmless(self, model, path):
        model.save(path)
        whole = path.read_bytes()
        header = 8 + int.from_bytes(whole[:8], "little")
        rng = np.random.default_rng(0)
        for place in range(header):
            spoiled = bytearray(whole)
            spoiled[place] ^= int(rng.integers(1, 256))
            path.write_bytes(spoiled)
            try:
                loaded = load_model(path)
            except LSTMBaselineError:
                continue
            assert isinstance(loaded, LSTM)

    def test_a_pickle_is_never_run(self, path):
        path.write_bytes(b"cos\nsystem\n(S'touch " + bytes(path) + b".run'\ntR.")
        refuse(path)
        assert names_in(path.parent) == [path.name]


class TestFilesOfOthers:
    """The line says what to do: ``convert``, or what to write instead."""

    @pytest.mark.parametrize("name", ["net.onnx", "net.keras", "NET.ONNX", "NET.Keras"])
    def test_convert_reads_them(self, tmp_path, name):
        (tmp_path / name).write_bytes(b"anything")
        target = (tmp_path / name).with_suffix(".safetensors")
        command = f"convert it first: lstm-baseline convert {tmp_path / name} {target}"
        assert command in refuse(tmp_path / name)

    @pytest.mark.parametrize("prefix", ["", "net.lstm."])
    @pytest.mark.parametrize("name", ["weight_hh_l0", "weight_hh"])
    def test_a_state_dict(self, path, prefix, name):
        path.write_bytes(save({f"{prefix}{name}": np.ones((8, 2), np.float32)}))
        command = f"lstm-baseline convert {path} {path.with_name('model-ours.safetensors')}"
        assert refuse(path) == f"{path} is a state dict of PyTorch; convert it first: {command}"

    def test_other_safetensors(self, path):
        path.write_bytes(save({"weight": np.ones((8, 2), np.float32)}))
        assert f"is not a {FORMAT!r} file" in refuse(path)

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("net.pt", "may be a pickle, which could run anything and is never opened; write safe"),
            ("net.PTH", "may be a pickle"),
            ("net.h5", r"keras.saving.load_model('net.h5').save('model.keras') instead"),
            ("net.HDF5", "of Keras's older format"),
            ("net.weights.h5", "holds weights without their layers"),
        ],
    )
    def test_what_is_never_opened(self, tmp_path, name, message):
        (tmp_path / name).write_bytes(b"anything")
        assert message in refuse(tmp_path / name)

    def test_a_pipe_is_not_waited_for(self, path):
        if not hasattr(os, "mkfifo"):
            pytest.skip("makes a pipe, as Unix can")
        os.mkfifo(path)
        assert "it is no regular one" in refuse(path)

    def test_a_name_that_is_too_long(self, tmp_path):
        refuse(tmp_path / f"{'x' * 300}.safetensors")

    @pytest.mark.parametrize("dtype", ["BF16", "F8_E4M3"])
    def test_a_dtype_that_numpy_lacks(self, model, path, dtype):
        """Ours say their dtype: somebody cast this file, and it is not what was saved."""
        size = {"BF16": 2, "F8_E4M3": 1}[dtype]
        facts = json.dumps({"format": FORMAT, "model": "LSTM", "config": model.config})
        header = {"U": {"dtype": dtype, "shape": [3], "data_offsets": [0, 3 * size]}}
        header["__metadata__"] = {"lstm_baseline": facts}
        text = json.dumps(header).encode()
        path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(3 * size))
        assert refuse(path) == f"{path}: U has dtype {dtype}, which was never saved here"


class TestContent:
    @pytest.mark.parametrize(
        ("spoil", "message"),
        [
            (lambda a: a.pop("U"), "lacks U"),
            (lambda a: a.update(V=a["U"]), "has unknown V"),
            (lambda a: a.update(U=a["U"][:, :1].copy()), r"U is float32 \(8, 1\); expected"),
            (lambda a: a.update(U=a["U"].T.copy()), "U is float32"),
            (lambda a: a.update(U=a["U"].astype(np.float64)), "U is float64"),
            (lambda a: a.update(U=a["U"].astype(np.int32)), "U is int32"),
            (lambda a: a.update(U=a["U"].astype(np.float16)), "U is float16"),
            (lambda a: a.update(U=np.full_like(a["U"], np.nan)), "U holds NaN or infinity"),
            (lambda a: a.update(b=np.full_like(a["b"], -np.inf)), "b holds NaN or infinity"),
            (lambda a: a.clear(), "lacks U, W, W_out, b, b_out"),
        ],
    )
    def test_arrays(self, model, path, spoil, message):
        arrays = dict(model.params)
        spoil(arrays)
        write(path, model, arrays=arrays)
        with pytest.raises(FileError, match=message):
            LSTM.load(path)
        refuse(path)

    @pytest.mark.parametrize(
        "text", ["", "{", "null", "[]", "3", '"abc"', "{}", "[" * 100_000, "1" * 5000]
    )
    def test_a_text_without_facts(self, model, path, text):
        write(path, model, text=text)
        refuse(path)

    def test_no_text(self, model, path):
        path.write_bytes(save(model.params))
        assert "is not a 'lstm-baseline model 1' file" in refuse(path)

    @pytest.mark.parametrize("given", ["another 1", 1, None, [FORMAT]])
    def test_format(self, model, path, given):
        write(path, model, about={"format": given})
        refuse(path)

    @pytest.mark.parametrize("given", ["Transformer", "SequenceModel", 1, None, [], {}])
    def test_model(self, model, path, given):
        write(path, model, about={"model": given})
        refuse(path)

    def test_the_wrong_model(self, model, path):
        model.save(path)
        with pytest.raises(FileError, match="holds a model 'LSTM'; expected RelationalRNN"):
            RelationalRNN.load(path)

    @pytest.mark.parametrize("config", [None, 3, "abc", [], [1, 2], [[1, 2]], {}])
    def test_a_configuration_that_is_none(self, model, path, config):
        write(path, model, about={"config": config})
        refuse(path)

    @pytest.mark.parametrize(
        "change",
        [
            {"input_size": 0},
            {"input_size": -3},
            {"input_size": 3.5},
            {"input_size": "3"},
            {"input_size": None},
            {"input_size": True},
            {"input_size": [3]},
            {"hidden_size": 2**20},
            {"hidden_size": 2**62},
            {"hidden_size": 10**300},
            {"output_size": 2**20},
            {"output_size": None},
            {"output_size": {}},
            {"dtype": "float16"},
            {"dtype": "object"},
            {"dtype": "no such type"},
            {"dtype": "(2"},
            {"dtype": None},
            {"dtype": [1]},
            {"dtype": {"names": ["a"]}},
            {"dtype": "float64"},
            {"rng": 1},
            {"engine": "auto"},
            {"cls": 1},
            {"unknown": 1},
        ],
        ids=str,
    )
    def test_a_hostile_configuration(self, model, path, change):
        write(path, model, about={"config": model.config | change})
        refuse(path)

    @pytest.mark.parametrize(
        "change",
        [
            {"num_heads": 2**20, "head_size": 2**20},
            {"key_size": 2**20},
            {"key_size": None},
            {"num_blocks": 2**20},
            {"mlp_layers": 2**20},
            {"gate": "both"},
            {"gate": ["unit"]},
            {"forget_bias": "1"},
            {"forget_bias": float("nan")},
            {"input_bias": 10**400},
        ],
        ids=lambda change: str(change)[:40],
    )
    def test_a_hostile_relational_configuration(self, path, change):
        model = RelationalRNN(3, num_slots=2, num_heads=1, head_size=2)
        write(path, model, about={"config": model.config | change})
        refuse(path, RelationalRNN)

    def test_plain_json_files(self, tmp_path):
        path = tmp_path / "value.json"
        write_json(path, {"a": [1, 2.5, None]})
        assert read_json(path) == {"a": [1, 2.5, None]}
        for content in (b"", b"{", b"\xff\xfe", b"[" * 100_000):
            path.write_bytes(content)
            with pytest.raises(FileError, match="is not JSON"):
                read_json(path)
        with pytest.raises(FileError, match="cannot read"):
            read_json(tmp_path / "none.json")


FULL_DISK = """
import resource, sys
from lstm_baseline import LSTM, FileError
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))  # no file may grow beyond 100 bytes
try:
    LSTM(3, 5).save(sys.argv[1])
except FileError as error:
    print(error)
"""


class TestWriting:
    def test_folders_are_made(self, tmp_path):
        write_whole(tmp_path / "a" / "b" / "c", b"content")
        assert (tmp_path / "a" / "b" / "c").read_bytes() == b"content"

    def test_a_file_is_replaced_and_nothing_is_left_over(self, tmp_path):
        for content in (b"old", b"new"):
            write_whole(tmp_path / "file", content)
        assert (tmp_path / "file").read_bytes() == b"new"
        assert names_in(tmp_path) == ["file"]

    def test_a_full_disk_leaves_the_old_file(self, path):
        pytest.importorskip("resource", reason="limits the size of files, as Unix can")
        path.write_bytes(b"old")
        # In a process of its own: the limit would hold for the log of these tests, too.
        ended = subprocess.run(
            [sys.executable, "-c", FULL_DISK, path], capture_output=True, text=True, check=True
        )
        assert ended.stdout == f"cannot write {path}: File too large\n"
        assert path.read_bytes() == b"old"
        assert names_in(path.parent) == [path.name]

    @pytest.mark.parametrize("call", ["fsync", "replace"])
    @pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EACCES])
    def test_a_failure_at_any_moment_leaves_the_old_file(self, path, monkeypatch, call, code):
        path.write_bytes(b"old")

        def fail(*_):
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr(os, call, fail)
        with pytest.raises(FileError, match=os.strerror(code)):
            write_whole(path, b"new")
        assert path.read_bytes() == b"old"
        assert names_in(path.parent) == [path.name]

    def test_the_new_content_is_on_the_disk_before_the_old_is_gone(self, path, monkeypatch):
        path.write_bytes(b"old")
        synced = []

        def fsync(descriptor):
            synced.append((os.fstat(descriptor).st_size, path.read_bytes()))

        monkeypatch.setattr(os, "fsync", fsync)
        write_whole(path, b"new content")
        assert (len(b"new content"), b"old") in synced

    def test_a_pipe_is_not_replaced(self, path):
        if not hasattr(os, "mkfifo"):
            pytest.skip("makes a pipe, as Unix can")
        os.mkfifo(path)
        with pytest.raises(WriteError, match="it is no regular file"):
            write_whole(path, b"new")
        assert path.is_fifo()
        assert names_in(path.parent) == [path.name]

    def test_links_in_a_circle(self, tmp_path):
        (tmp_path / "a").symlink_to(tmp_path / "b")
        (tmp_path / "b").symlink_to(tmp_path / "a")
        with pytest.raises(WriteError, match="in a circle"):
            write_whole(tmp_path / "a", b"new")
        assert (tmp_path / "a").is_symlink()

    def test_a_file_where_a_folder_should_be(self, tmp_path, model):
        (tmp_path / "file").write_bytes(b"old")
        with pytest.raises(FileError, match="cannot write"):
            model.save(tmp_path / "file" / "model.safetensors")
        assert (tmp_path / "file").read_bytes() == b"old"

    def test_a_folder_where_the_file_should_be(self, path, model):
        path.mkdir()
        with pytest.raises(FileError, match="cannot write"):
            model.save(path)
        assert names_in(path.parent) == [path.name]

    def test_a_refused_value_writes_nothing(self, tmp_path):
        write_json(tmp_path / "file", 1)
        with pytest.raises(ValueError, match="not JSON compliant"):
            write_json(tmp_path / "file", float("nan"))
        assert read_json(tmp_path / "file") == 1
        assert names_in(tmp_path) == ["file"]

    def test_what_is_said_about_arrays_comes_back(self, model, path):
        model.save(path)
        arrays, about = read_tensors(path, FORMAT)
        assert arrays.keys() == model.params.keys()
        assert about == {"format": FORMAT, "model": "LSTM", "config": model.config}
