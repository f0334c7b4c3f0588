"""The file of a model: its parameters, its class and the arguments that give a model of its shape.

docs/file-format.md describes it for readers without this package.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lstm_baseline.engine.errors import FileError, InputError
from lstm_baseline.engine.inputs import as_dtype
from lstm_baseline.engine.shapes import NDArray, Params
from lstm_baseline.engine.storage import read_tensors, write_tensors

FORMAT = "lstm-baseline model 1"

_NOT_IN_FILES = {"rng", "engine", "initialization", "forget_bias"}
"""Arguments of constructors that say how a model starts and runs, not what it is."""


def write_model(path: str | Path, kind: str, config: Mapping[str, Any], params: Params) -> None:
    """Write parameters and configuration, whole or not at all."""
    write_tensors(path, params, {"format": FORMAT, "model": kind, "config": config})


def read_model(path: str | Path, kind: str) -> tuple[dict[str, Any], dict[str, NDArray]]:
    """Return the configuration and the arrays of a model of this class, both unchecked.

    Raises
    ------
    FileError
        If the file is missing, damaged or of another model.
    """
    arrays, about = read_tensors(path, FORMAT)
    if about.get("model") != kind:
        raise FileError(f"{path} holds a model {about.get('model')!r}; expected {kind}")
    with refusing_configuration(path):
        config = dict(about["config"])
        as_dtype(config["dtype"])
    return config, arrays


@contextmanager
def refusing_configuration(path: str | Path) -> Iterator[None]:
    """Turn what a hostile configuration raises into a FileError."""
    try:
        yield
    except (InputError, KeyError, TypeError, ValueError) as error:
        raise FileError(f"{path} has an unusable configuration: {error}") from error


def check_configuration(given: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Refuse a file's configuration that is not the one of the model made from it."""
    if unknown := (given.keys() - own.keys()) & _NOT_IN_FILES:
        raise ValueError(f"it has {', '.join(sorted(unknown))}")
    for name, value in own.items():
        if name not in given or given[name] != value:
            raise ValueError(f"its {name} is {given.get(name)!r}; expected {value!r}")
