"""Files of models from one library's format to another's, checked before anything is written.

=============  =============================================================================
format         file
=============  =============================================================================
lstm-baseline  safetensors as ``LSTM.save`` writes them
torch          safetensors of a state dict of ``torch.nn.LSTM`` or ``LSTMCell``
onnx           .onnx
keras          .keras
=============  =============================================================================

A new file is first written beside the target. It is opened in its own library if that is installed,
run on random sequences and compared with what was read. After that it replaces the target.
"""

import secrets
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from lstm_baseline.engine.errors import FileError, InputError, WriteError
from lstm_baseline.engine.inputs import one_of
from lstm_baseline.engine.models import LSTM, load_model
from lstm_baseline.engine.shapes import FloatArray, NDArray
from lstm_baseline.engine.storage import write_whole
from lstm_baseline.interop.keras import from_keras, to_keras
from lstm_baseline.interop.onnx import from_onnx, to_onnx
from lstm_baseline.interop.torch import from_state_dict, to_state_dict, to_torch

if TYPE_CHECKING:
    import keras

TOLERANCE = 1e-5
"""Largest difference of outputs over the largest output, for float64 too: some libraries compute
that in float32."""

_PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl")
_SIZES = ((3, 7), (1, 1), (2, 30))
"""(B, T) of the sequences on which outputs are compared."""


class Agreement(NamedTuple):
    """The outcome of a conversion."""

    model: LSTM
    error: float
    """Largest difference between outputs of what was read and of what was written, over the largest
    output."""
    checked_by: str
    """Library that ran the file that was written."""


class Format(NamedTuple):
    """Functions that read, write and run files of one kind."""

    suffix: str
    read: Callable[[Path, str], LSTM]
    """(path, prefix) -> model"""
    write: Callable[[LSTM, Path], None]
    run: Callable[[Path, LSTM], tuple[str, Callable[[FloatArray], NDArray]]]
    """(path, model) -> who runs it, and outputs (B, T, ·) from x (B, T, I)."""


def convert(
    source: str | Path, target: str | Path, *, to: str | None = None, prefix: str = ""
) -> Agreement:
    """Read a file in one format and write it in another.

    Parameters
    ----------
    source
        A file of any format above; its ending and content tell which.
    target
        File to write; an old one is replaced once the new one has been checked.
    to
        The new format. If None, the target's ending decides; safetensors then means our format.
    prefix
        Start of the LSTM's names in a larger PyTorch state dict, such as "encoder.lstm.".

    Raises
    ------
    FileError
        If a file is missing, damaged or of no known format, or cannot be written.
    InputError
        If the new format cannot hold the model, or the new file gives other outputs.
    """
    source, target = Path(source), Path(target)
    wanted = FORMATS[_format_of_target(target, to)]
    model = _read(source, prefix)
    beside = target.with_name(f".{secrets.token_hex(4)}-{target.name}")
    try:
        wanted.write(model, beside)
        checked_by, run = wanted.run(beside, model)
        error = _largest_difference(model, run)
        if not error <= TOLERANCE:
            raise InputError(
                f"{checked_by} gives other outputs for {target} than those of {source}, off by "
                f"{error:.1e} of the largest; nothing is written"
            )
        beside.replace(target)
    except WriteError as failure:
        raise WriteError(str(failure).replace(str(beside), str(target))) from failure
    except OSError as failure:
        raise WriteError(f"cannot write {target}: {failure.strerror or failure}") from failure
    finally:
        beside.unlink(missing_ok=True)
    return Agreement(model, error, checked_by)


def _largest_difference(model: LSTM, run: Callable[[FloatArray], NDArray]) -> float:
    rng = np.random.default_rng(0)
    worst = 0.0
    for num_rows, num_steps in _SIZES:
        x = rng.standard_normal((num_rows, num_steps, model.input_size)).astype(model.dtype)
        given = run(x)
        # A file that was read may give only the last outputs.
        expected = model.forward(x, return_sequences=given.ndim == 3)
        if given.shape != expected.shape:
            return float("inf")
        largest = max(float(np.abs(expected).max()), float(np.finfo(model.dtype).tiny))
        worst = max(worst, float(np.abs(given - expected).max()) / largest)
    return worst


def _format_of_target(target: Path, to: str | None) -> str:
    if to is not None:
        name = one_of("the format", to, list(FORMATS))
    else:
        name = next((n for n, f in FORMATS.items() if f.suffix == target.suffix), "")
    if not name or FORMATS[name].suffix != target.suffix:
        endings = ", ".join(f"{f.suffix} ({name})" for name, f in FORMATS.items())
        raise InputError(f"cannot write {str(target)!r}; end it in one of: {endings}")
    return name


def _read(source: Path, prefix: str) -> LSTM:
    if source.suffix in _PICKLES:
        raise FileError(
            f"{source} may be a pickle, which could run anything and is never opened; write "
            "safetensors.torch.save_file(module.state_dict(), 'weights.safetensors') instead"
        )
    if not source.is_file():
        raise FileError(f"cannot read {source}: there is no such file, or it is a folder")
    if source.suffix == ".safetensors":
        name = "torch" if _holds_no_model_of_ours(source) else "lstm-baseline"
    else:
        name = next((n for n, f in FORMATS.items() if f.suffix == source.suffix), "")
    if not name:
        endings = ", ".join(sorted({f.suffix for f in FORMATS.values()}))
        raise FileError(f"{source} is of no known format; known endings: {endings}")
    if prefix and name != "torch":
        raise InputError(f"--prefix is for state dicts of PyTorch; {source} is of format {name}")
    return FORMATS[name].read(source, prefix)


def _holds_no_model_of_ours(source: Path) -> bool:
    try:
        with safe_open(source, framework="numpy") as file:
            return "lstm_baseline" not in (file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise FileError(f"{source} is damaged or not safetensors: {error}") from error


def _read_own(path: Path, prefix: str) -> LSTM:
    model = load_model(path)
    if not isinstance(model, LSTM):
        raise InputError(f"{path} holds a {type(model).__name__}; other formats are for an LSTM")
    return model


def _run_own(path: Path, model: LSTM) -> tuple[str, Callable[[FloatArray], NDArray]]:
    return "lstm-baseline", LSTM.load(path).forward


def _read_torch(path: Path, prefix: str) -> LSTM:
    try:
        with safe_open(path, framework="numpy") as file:
            names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118
            arrays = {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError, TypeError) as error:  # TypeError: a dtype NumPy lacks
        raise FileError(f"{path} is damaged or not safetensors: {error}") from error
    if not arrays:
        raise FileError(f"{path} has no array whose name begins with {prefix!r}")
    try:
        return from_state_dict(arrays, prefix=prefix)
    except InputError as error:
        hint = "" if prefix else "; --prefix names the LSTM of a larger module"
        raise FileError(f"{path}: {error}{hint}") from error


def _write_torch(model: LSTM, path: Path) -> None:
    write_whole(path, save(to_state_dict(model), metadata={"format": "pt"}))


def _run_torch(path: Path, model: LSTM) -> tuple[str, Callable[[FloatArray], NDArray]]:
    read = _read_torch(path, "")
    if find_spec("torch") is None:
        return "lstm-baseline, as PyTorch is not installed", read.forward
    import torch
    from safetensors.torch import load_file

    module = to_torch(read).eval()
    for parameter in module.parameters():
        torch.nn.init.zeros_(parameter)
    module.load_state_dict(load_file(path))

    def run(x: FloatArray) -> NDArray:
        with torch.inference_mode():
            return np.asarray(module(torch.from_numpy(x))[0].numpy())

    return f"PyTorch {torch.__version__}", run


def _read_onnx(path: Path, prefix: str) -> LSTM:
    return from_onnx(path)


def _run_onnx(path: Path, model: LSTM) -> tuple[str, Callable[[FloatArray], NDArray]]:
    # ONNX Runtime's LSTM takes only float32.
    if find_spec("onnxruntime") is None or model.dtype != np.float32:
        from lstm_baseline.interop.onnx.file import import_onnx
        from lstm_baseline.interop.onnx_backend import LSTMBackend

        graph = LSTMBackend.prepare(import_onnx().load(path))
        return "lstm-baseline's ONNX backend", lambda x: np.asarray(graph.run([x])[0])
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    name = f"ONNX Runtime {onnxruntime.__version__}"
    return name, lambda x: np.asarray(session.run(None, {"x": x})[0])


def _load_keras(path: Path) -> "keras.Model":
    try:
        import keras
    except ImportError as error:
        raise InputError(
            f"Keras cannot be imported ({error}); pip install 'lstm-baseline[keras]' and a backend "
            "named by KERAS_BACKEND"
        ) from error
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # a damaged file may raise anything
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise FileError(f"{path} cannot be read by Keras: {reason}") from error


def _read_keras(path: Path, prefix: str) -> LSTM:
    theirs = _load_keras(path)
    model = from_keras(theirs)
    error = _largest_difference(model, lambda x: np.asarray(theirs.predict(x, verbose=0)))
    if not error <= TOLERANCE:
        raise InputError(
            f"{path}: Keras gives other outputs than the LSTM read from it, off by {error:.1e} of "
            "the largest; convert its layers with from_keras"
        )
    return model


def _write_keras(model: LSTM, path: Path) -> None:
    made = to_keras(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    made.save(path)


def _run_keras(path: Path, model: LSTM) -> tuple[str, Callable[[FloatArray], NDArray]]:
    import keras

    theirs = _load_keras(path)
    name = f"Keras {keras.__version__}"
    return name, lambda x: np.asarray(theirs.predict(x, verbose=0))


FORMATS = {
    "lstm-baseline": Format(
        ".safetensors", _read_own, lambda model, path: model.save(path), _run_own
    ),
    "torch": Format(".safetensors", _read_torch, _write_torch, _run_torch),
    "onnx": Format(".onnx", _read_onnx, to_onnx, _run_onnx),
    "keras": Format(".keras", _read_keras, _write_keras, _run_keras),
}
"""Formats by the names that ``convert`` takes; of two with one ending the first is meant."""
