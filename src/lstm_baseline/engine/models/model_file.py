"""The file of a model: its parameters, its class and the arguments that give a model of its shape.

docs/file-format.md describes it for readers without this package.
"""

import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from lstm_baseline.engine.errors import FileError, InputError
from lstm_baseline.engine.inputs import as_dtype
from lstm_baseline.engine.shapes import NDArray, Params
from lstm_baseline.engine.storage import check_is_file, read_tensors, write_tensors

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
    arrays, about = read_any_model(path)
    if about.get("model") != kind:
        raise FileError(f"{path} holds a model {about.get('model')!r}; expected {kind}")
    with refusing_configuration(path):
        config = dict(about["config"])
        as_dtype(config["dtype"])
    return config, arrays


def read_any_model(path: str | Path) -> tuple[dict[str, NDArray], dict[str, Any]]:
    """Return the arrays of a model, and what its file says about them, both unchecked.

    Raises
    ------
    FileError
        If the file is missing, damaged or not ours; of other libraries' files it says what to do.
    """
    refuse_unopened(path)
    convertible = Path(path).suffix.lower() in (".onnx", ".keras")
    try:
        if not convertible:
            return read_tensors(path, FORMAT)
    except FileError:
        if not _is_state_dict(path):
            raise
    target = Path(path).with_suffix(".safetensors")
    if not convertible:
        target = target.with_name(f"{target.stem}-ours.safetensors")
    command = shlex.join(["lstm-baseline", "convert", str(path), str(target)])
    kind = "of another library" if convertible else "a state dict of PyTorch"
    raise FileError(f"{path} is {kind}; convert it first: {command}")


def refuse_unopened(path: str | Path) -> None:
    """Refuse files that are never opened, by their endings, and say what to do instead.

    Raises
    ------
    FileError
        If the ending is that of a pickle or of an HDF5 file.
    """
    name = Path(path).name.lower()
    if name.endswith((".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle")):
        raise FileError(
            f"{path} may be a pickle, which could run anything and is never opened; write "
            "safetensors.torch.save_file(module.state_dict(), 'weights.safetensors') instead"
        )
    if name.endswith(".weights.h5"):
        raise FileError(
            f"{path} holds weights without their layers; "
            "load it into its model in Keras and write model.save('model.keras')"
        )
    if name.endswith((".h5", ".hdf5")):
        raise FileError(
            f"{path} is of Keras's older format, which is not opened; write "
            f"keras.saving.load_model({Path(path).name!r}).save('model.keras') instead"
        )


def _is_state_dict(path: str | Path) -> bool:
    """Return whether a file is safetensors with the weights of an LSTM by PyTorch's names."""
    try:
        check_is_file(path)
        with safe_open(path, framework="numpy") as file:
            return any(name.endswith(("weight_hh", "weight_hh_l0")) for name in file.keys())  # noqa: SIM118
    except (SafetensorError, OSError, FileError):
        return False


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
