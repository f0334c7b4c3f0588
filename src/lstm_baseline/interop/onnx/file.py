"""ONNX files, read with suspicion: sizes, damage, and data that lie outside the model's folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from lstm_baseline.engine.errors import FileError, InputError

if TYPE_CHECKING:
    from google.protobuf.message import Message  # type: ignore[import-untyped]
    from onnx import ModelProto, TensorProto

LARGEST_FILE = 2**31 - 1
"""Bytes, all data included: what a protobuf message can hold."""


def import_onnx() -> ModuleType:
    """Return the module ``onnx``.

    Raises
    ------
    InputError
        If it is not installed.
    """
    try:
        return import_module("onnx")
    except ImportError as error:
        raise InputError("onnx is not installed; pip install 'lstm-baseline[onnx]'") from error


def read_model(source: "str | Path | ModelProto") -> "ModelProto":
    """Return a checked ``ModelProto`` with all its data, from a path or a ``ModelProto``.

    Raises
    ------
    FileError
        If the file is missing, damaged, too large or no ONNX model, or its data are outside its
        folder.
    InputError
        If a ``ModelProto`` is not valid ONNX, or keeps its data in a file.
    """
    onnx = import_onnx()
    if isinstance(source, onnx.ModelProto):
        for tensor in source.graph.initializer:
            if tensor.external_data:
                raise InputError(
                    f"tensor {tensor.name!r} keeps its data in a file; give the model's path"
                )
        _check(onnx, source, "the model", InputError)
        return source
    if not isinstance(source, str | Path):
        kind = type(source).__name__
        raise InputError(f"from_onnx got a {kind}; give a path or an onnx.ModelProto")
    path = Path(source)
    content = _read(path, 0, None)
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf's own, whose class depends on its build
        raise FileError(f"{path} is damaged or not ONNX: {first_line(error)}") from error
    room = LARGEST_FILE - len(content)
    for tensor in model.graph.initializer:
        if tensor.external_data or tensor.data_location == onnx.TensorProto.EXTERNAL:
            _take_in(onnx, tensor, path, room)
            room -= len(tensor.raw_data)
    _check(onnx, model, str(path), FileError)
    return model


def _take_in(onnx: ModuleType, tensor: "TensorProto", path: Path, room: int) -> None:
    """Put the data of a tensor, which lie in a file beside the model's, into it."""
    about = {entry.key: entry.value for entry in tensor.external_data}
    whose = f"{path}: the data of {tensor.name!r}"
    folder = path.resolve().parent
    try:
        place = (folder / about.get("location", "")).resolve()
        offset = int(about.get("offset", 0))
        length = int(about["length"]) if "length" in about else None
    except (ValueError, OSError, RuntimeError) as error:
        raise FileError(f"{whose} cannot be found: {error}") from error
    if not place.is_relative_to(folder):
        raise FileError(f"{whose} lie in {about['location']!r}, outside the model's folder")
    if offset < 0 or (length or 0) < 0:
        raise FileError(f"{whose} begin at {offset} and are {length} bytes long")
    content = _read(place, offset, length, room)
    if length is not None and len(content) < length:
        raise FileError(f"{whose} are cut off: {len(content)} of {length} bytes are in {place}")
    tensor.raw_data = content
    tensor.data_location = onnx.TensorProto.DEFAULT
    del tensor.external_data[:]


def _read(path: Path, offset: int, length: int | None, room: int = LARGEST_FILE) -> bytes:
    try:
        if not path.is_file():
            raise FileError(f"cannot read {path}: there is no such file, or it is no regular one")
        wanted = path.stat().st_size - offset if length is None else length
        if wanted > room:
            raise FileError(f"{path} is too large; model and data may have {LARGEST_FILE:,} bytes")
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(max(wanted, 0))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise FileError(f"cannot read {path}: {reason}") from error


@contextmanager
def with_all_shapes(model: "ModelProto") -> Iterator[None]:
    """Give inputs and outputs without a shape one for a while.

    ONNX lets a shape be left out, and ONNX Runtime runs such graphs, but ONNX's checker asks for
    it. Which one it is makes no difference to the checker.
    """
    values = (*model.graph.input, *model.graph.output)
    bare = [
        value.type.tensor_type
        for value in values
        if value.type.HasField("tensor_type") and not value.type.tensor_type.HasField("shape")
    ]
    for kind in bare:
        kind.shape.SetInParent()
    try:
        yield
    finally:
        for kind in bare:
            kind.ClearField("shape")


def _check(onnx: ModuleType, model: "ModelProto", whose: str, refusal: type[Exception]) -> None:
    try:
        with with_all_shapes(model):
            onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError, RuntimeError) as error:
        raise refusal(f"{whose} is damaged or not ONNX: {first_line(error)}") from error
    if not _is_all_text(model):
        raise refusal(f"{whose} is damaged or not ONNX: a name in it is not UTF-8")


def _is_all_text(message: "Message") -> bool:
    """Return whether every string is one; protobuf gives bytes for those that are not UTF-8."""
    for field, value in message.ListFields():
        parts = [value] if isinstance(value, str | bytes) or hasattr(value, "ListFields") else value
        if field.type == field.TYPE_STRING and not all(isinstance(part, str) for part in parts):
            return False
        if field.type == field.TYPE_MESSAGE and not all(map(_is_all_text, parts)):
            return False
    return True


def first_line(error: Exception) -> str:
    """Return an error's first line, for messages that have one."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0]
