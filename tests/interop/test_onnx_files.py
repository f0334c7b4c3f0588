"""ONNX files that are damaged, hostile or not ONNX at all: one clear line, whatever they hold."""

import os
from pathlib import Path

import numpy as np
import pytest

from lstm_baseline import LSTM
from lstm_baseline.engine.errors import InputError, LSTMBaselineError
from lstm_baseline.interop import from_onnx, to_onnx
from tests.support.models import assert_same_arrays, scatter

onnx = pytest.importorskip("onnx", reason="reads and writes ONNX, which is not installed")

I, H = 3, 5
LIMIT = 2**31 - 1


@pytest.fixture
def model():
    return scatter(LSTM(I, H, 2, rng=0))


@pytest.fixture
def path(model, tmp_path):
    """Return the path of a file."""
    to_onnx(model, tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


def refused(path, message=None, error=LSTMBaselineError):
    with pytest.raises(error, match=message) as caught:
        from_onnx(path)
    assert len(str(caught.value).splitlines()) == 1


def test_paths_as_text_and_what_is_neither(path, model):
    assert_same_arrays(from_onnx(str(path)).params, model.params)
    refused(7, "from_onnx got a int; give a path or an onnx.ModelProto", InputError)


def test_what_is_no_file(tmp_path):
    refused(tmp_path / "none.onnx", r"cannot read .*none\.onnx: there is no such file")
    refused(tmp_path, "or it is no regular one")
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", "or it is no regular one")
    refused("a\0b", "cannot read a\0b")


@pytest.mark.parametrize("content", [b"", b"\x80\x04K\x01.", b"no model at all", b"\0" * 1000])
def test_what_is_not_onnx(content, tmp_path):
    (tmp_path / "other.onnx").write_bytes(content)
    refused(tmp_path / "other.onnx", r"other\.onnx is damaged or not ONNX: ")


def test_a_file_cut_off_anywhere(path):
    content = path.read_bytes()
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        refused(path)


def outcome(path):
    try:
        return from_onnx(path)
    except LSTMBaselineError as error:
        return str(error)


def test_a_file_with_any_byte_changed_gives_a_model_or_one_line(path):
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    outcomes = []
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] = rng.integers(256)
        path.write_bytes(changed)
        outcomes.append(outcome(path))
    messages = [text for text in outcomes if isinstance(text, str)]
    assert 100 < len(messages) < len(outcomes)  # in weights any byte may stand
    assert all(len(text.splitlines()) == 1 for text in messages)


def test_a_file_too_large_is_not_read(path):
    os.truncate(path, LIMIT + 1)  # a hole, which takes no room
    refused(path, "model.onnx is too large; model and data may have 2,147,483,647 bytes")


# Weights in a file of their own.


@pytest.fixture
def beside(path):
    """Return the path of a file whose weights lie beside it, in ``weights``."""
    file = onnx.load(path)
    onnx.save(file, path, save_as_external_data=True, location="weights", size_threshold=0)
    return path


def change_places(path, **changes):
    """Change where the data of W_l0 are said to lie; None leaves that out."""
    file = onnx.load(path, load_external_data=False)
    [tensor] = [t for t in file.graph.initializer if t.name == "W_l0"]
    about = {entry.key: entry.value for entry in tensor.external_data} | changes
    del tensor.external_data[:]
    for key, value in about.items():
        if value is not None:
            tensor.external_data.add(key=key, value=value)
    path.write_bytes(file.SerializeToString())


def test_weights_beside_the_file(beside, model, tmp_path, monkeypatch):
    assert_same_arrays(from_onnx(beside).params, model.params)
    monkeypatch.chdir(tmp_path)
    assert_same_arrays(from_onnx(Path("model.onnx")).params, model.params)
    (tmp_path / "link").symlink_to(tmp_path)
    assert_same_arrays(from_onnx(tmp_path / "link" / "model.onnx").params, model.params)


def test_model_and_weights_together_have_one_limit(beside, monkeypatch):
    data = [len(tensor.raw_data) for tensor in onnx.load(beside).graph.initializer]
    size = beside.stat().st_size + sum(data)
    limit = "lstm_baseline.interop.onnx.file.LARGEST_FILE"
    monkeypatch.setattr(limit, size)
    from_onnx(beside)
    monkeypatch.setattr(limit, size - 1)
    refused(beside, "weights is too large; model and data may have")


@pytest.mark.parametrize("location", ["../weights", "/etc/hostname", "a/../../weights"])
def test_weights_elsewhere_are_not_read(beside, location, tmp_path):
    inner = tmp_path / "inner"
    inner.mkdir()
    beside.rename(inner / "model.onnx")  # so that the first of them is there
    change_places(inner / "model.onnx", location=location)
    refused(inner / "model.onnx", "the data of 'W_l0' lie in '.*', outside the model's folder")


def test_links_out_of_the_folder_are_not_followed(beside, tmp_path):
    inner = tmp_path / "inner"
    inner.mkdir()
    beside.rename(inner / "model.onnx")
    (inner / "weights").symlink_to(tmp_path / "weights")
    refused(inner / "model.onnx", "lie in 'weights', outside the model's folder")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"location": "none"}, r"cannot read .*none: there is no such file"),
        ({"location": ""}, "or it is no regular one"),
        ({"location": None}, "or it is no regular one"),
        ({"location": "a\0b"}, "the data of 'W_l0' cannot be found"),
        ({"length": str(2**40)}, "is too large; model and data may have"),
        ({"length": "9999"}, "the data of 'W_l0' are cut off: .* of 9999 bytes are in"),
        ({"length": "x"}, "the data of 'W_l0' cannot be found: invalid literal"),
        ({"length": "-1"}, "are -1 bytes long"),
        ({"offset": "-1"}, "begin at -1"),
        ({"offset": str(2**70)}, "cannot read"),
    ],
    ids=str,
)
def test_places_that_cannot_be(beside, changes, message):
    change_places(beside, **changes)
    refused(beside, message)


@pytest.mark.parametrize("changes", [{"length": "8"}, {"length": "8", "offset": "99999"}], ids=str)
def test_too_few_data(beside, changes):
    change_places(beside, **changes)
    refused(beside, "W_l0")


def test_a_model_in_memory_has_its_data_there(beside):
    file = onnx.load(beside, load_external_data=False)
    refused(file, "tensor '.*' keeps its data in a file; give the model's path", InputError)
    del file.graph.node[:]
    for tensor in file.graph.initializer:
        tensor.Clear()
    refused(file, "the model is damaged or not ONNX", InputError)


def test_constants_of_nodes_are_not_read_from_files(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = onnx.load(path)
    (tmp_path / "weights").write_bytes(b"\0" * 400)
    tensor = onnx.numpy_helper.from_array(np.zeros(1, np.float32))
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights")
    file.graph.node.append(onnx.helper.make_node("Constant", [], ["extra"], value=tensor))
    path.write_bytes(file.SerializeToString())
    refused(path, "a constant keeps its data in a file, which only weights may")
