"""Safetensors of a state dict, as a mapping that reads an array when it is asked for."""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from lstm_baseline.engine.errors import FileError
from lstm_baseline.engine.shapes import NDArray
from lstm_baseline.engine.storage import check_is_file

HALVES = {"F16": "float16", "BF16": "bfloat16"}
"""Dtypes that are read as float32, which has all their values, by their names in the file."""


class StateDictFile(Mapping[str, NDArray]):
    """The arrays of a safetensors file by name; those of 16 bits as float32.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    FileError
        If the file is missing or damaged; on reading, also if NumPy has no such dtype.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        check_is_file(path)
        try:
            # It checks that the header is sound, and that every array lies in the file.
            file: Any = safe_open(path, framework="numpy")
            self.metadata: dict[str, str] = file.metadata() or {}
            self._file, self._names = file, list(file.keys())
        except (SafetensorError, OSError) as error:
            raise self._damaged(error) from error

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def dtype(self, name: str) -> str:
        """Return the dtype of an array by its name in the file, such as "F32" or "BF16"."""
        return str(self._file.get_slice(name).get_dtype())

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of an array without reading it."""
        return tuple(self._file.get_slice(name).get_shape())

    def __getitem__(self, name: str) -> NDArray:
        if name not in self._names:
            raise KeyError(name)
        kind = self.dtype(name)
        if kind == "BF16":
            return self._bfloat16(name)
        try:
            array: NDArray = self._file.get_tensor(name)
        except SafetensorError as error:
            raise self._damaged(error) from error
        except (TypeError, AttributeError) as error:
            raise FileError(
                f"{self.path}: {name} has dtype {kind}; convert it to float32 or float64"
            ) from error
        return array.astype(np.float32) if kind in HALVES else array

    def _bfloat16(self, name: str) -> NDArray:
        """Return an array of a dtype that NumPy lacks: the upper halves of float32."""
        shape = self.shape(name)
        try:
            with self.path.open("rb") as file:
                header_size = int.from_bytes(file.read(8), "little")
                begin = json.loads(file.read(header_size))[name]["data_offsets"][0]
                file.seek(8 + header_size + begin)
                halves = np.frombuffer(file.read(2 * math.prod(shape)), "<u2")
            return (halves.astype(np.uint32) << 16).view(np.float32).reshape(shape)
        except (OSError, ValueError, LookupError, TypeError, OverflowError, MemoryError) as error:
            # It was sound when it was opened, and is another one now.
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> FileError:
        return FileError(f"{self.path} is damaged or not safetensors: {error}")
