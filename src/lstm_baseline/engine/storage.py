"""Files that are written whole or not at all, and read with suspicion."""

import json
import os
import secrets
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from lstm_baseline.engine.errors import FileError, WriteError
from lstm_baseline.engine.shapes import FloatDType, NDArray

_ABOUT = "lstm_baseline"
_NUMPYS = {
    *("F16", "F32", "F64", "BOOL"),
    *(f"{kind}{n}" for kind in "IU" for n in (8, 16, 32, 64)),
}
"""Dtypes that NumPy has; an array of another, such as BF16, was not written here."""


def write_whole(path: str | Path, content: bytes) -> None:
    """Write a file so that at any moment, a crash included, it is the old one or the new one.

    Raises
    ------
    WriteError
        If the file cannot be written; an old file is then unchanged.
    """
    target = place_to_write(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        try:
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise WriteError(f"cannot write {path}: {reason}") from error


def place_to_write(path: str | Path) -> Path:
    """Return the file that is written for a path: a link stays, and what it names is written.

    Raises
    ------
    WriteError
        If something else stands there, such as a folder, a pipe or links in a circle.
    """
    try:
        # Path.resolve raises for links in a circle up to Python 3.12, and no longer from 3.13 on.
        place = Path(os.path.realpath(path))
        if place.is_symlink():
            raise WriteError(f"cannot write {path}: it is a link that leads in a circle")
        if place.exists() and not place.is_file():
            raise WriteError(f"cannot write {path}: it is no regular file")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise WriteError(f"cannot write {path}: {reason}") from error
    return place


def write_json(path: str | Path, value: object) -> None:
    """Write a value as JSON."""
    write_whole(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())


def read_json(path: str | Path) -> Any:
    """Read a JSON file.

    Raises
    ------
    FileError
        If it is missing or damaged.
    """
    check_is_file(path)
    try:
        return json.loads(Path(path).read_bytes())
    except OSError as error:
        raise FileError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise FileError(f"{path} is not JSON: {error}; remove it or restore it") from error


def write_tensors(path: str | Path, arrays: dict[str, NDArray], about: dict[str, object]) -> None:
    """Write arrays as safetensors, with ``about`` as JSON in the metadata entry "lstm_baseline"."""
    content = save(
        {name: np.ascontiguousarray(value) for name, value in arrays.items()},
        # One entry: the order of several would differ from file to file.
        metadata={_ABOUT: json.dumps(about)},
    )
    write_whole(path, content)


def check_is_file(path: str | Path) -> None:
    """Refuse what is no regular file, such as a pipe, on which a reader would wait for ever.

    Raises
    ------
    FileError
        If there is none.
    """
    try:
        if Path(path).is_file():
            return
    except OSError as error:
        raise FileError(f"cannot read {path}: {error.strerror}") from error
    raise FileError(f"cannot read {path}: there is no such file, or it is no regular one")


def read_tensors(
    path: str | Path, expected_format: str
) -> tuple[dict[str, NDArray], dict[str, Any]]:
    """Read what ``write_tensors`` wrote: arrays, and what was said about them.

    Raises
    ------
    FileError
        If the file is missing, damaged, or not of the expected format.
    """
    check_is_file(path)
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {}
            for name in file.keys():  # noqa: SIM118
                dtype = file.get_slice(name).get_dtype()
                if dtype not in _NUMPYS:
                    raise FileError(f"{path}: {name} has dtype {dtype}, which was never saved here")
                arrays[name] = file.get_tensor(name)
        about = json.loads(metadata.get(_ABOUT, "{}"))
    except (
        SafetensorError,
        OSError,
        ValueError,
        TypeError,
        AttributeError,
        RecursionError,
    ) as error:
        raise FileError(f"{path} is damaged or not safetensors: {error}") from error
    if not isinstance(about, dict) or about.get("format") != expected_format:
        raise FileError(
            f"{path} is not a {expected_format!r} file, which is what this version reads"
        )
    return arrays, about


def has_format(path: str | Path, expected_format: str) -> bool:
    """Return whether a file says of itself, in its metadata, that it has a format."""
    try:
        with safe_open(path, framework="numpy") as file:
            about = json.loads((file.metadata() or {}).get(_ABOUT, "{}"))
    except (SafetensorError, OSError, ValueError, RecursionError):
        return False  # whoever reads the file says what is wrong with it
    return isinstance(about, dict) and about.get("format") == expected_format


def check_arrays(
    path: str | Path,
    arrays: dict[str, NDArray],
    shapes: dict[str, tuple[int, ...]],
    dtype: FloatDType,
) -> None:
    """Refuse missing, extra, misshapen or non-finite arrays, by name.

    Raises
    ------
    FileError
        If the arrays are not exactly those of ``shapes`` in ``dtype``.
    """
    for word, names in (
        ("lacks", shapes.keys() - arrays.keys()),
        ("has unknown", arrays.keys() - shapes.keys()),
    ):
        if names:
            raise FileError(f"{path} {word} {', '.join(sorted(names))}")
    for name, shape in shapes.items():
        value = arrays[name]
        if value.shape != tuple(shape) or value.dtype != dtype:
            raise FileError(
                f"{path}: {name} is {value.dtype} {value.shape}; expected {dtype} {tuple(shape)}"
            )
        if not np.isfinite(value).all():
            raise FileError(f"{path}: {name} holds NaN or infinity")
