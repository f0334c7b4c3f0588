"""Files of models from one library's format to another's, checked before anything is written.

=============  =============================================================================
format         file
=============  =============================================================================
lstm-baseline  safetensors as ``LSTM.save`` writes them
torch          safetensors of a state dict of ``torch.nn.LSTM`` or ``LSTMCell``
onnx           .onnx
keras          .keras
=============  =============================================================================

A state dict may be a larger module's: a prefix says where its LSTM is, and a head which nn.Linear
is the readout. Its weights may be float16 or bfloat16, and are read as float32.

A new file is first written beside the target. It is opened in its own library if that is installed,
run on random sequences and compared with what was read. After that it replaces the target.
"""

import secrets
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from safetensors.numpy import save

from lstm_baseline.engine.errors import FileError, InputError, WriteError
from lstm_baseline.engine.inputs import one_of
from lstm_baseline.engine.models import LSTM, load_model
from lstm_baseline.engine.models.model_file import refuse_unopened
from lstm_baseline.engine.shapes import FloatArray, NDArray
from lstm_baseline.engine.storage import check_is_file, place_to_write, write_whole
from lstm_baseline.interop.checks import TRAINING_ONLY, first_few
from lstm_baseline.interop.keras import read_layers, to_keras
from lstm_baseline.interop.onnx import from_onnx, to_onnx
from lstm_baseline.interop.onnx.file import first_line
from lstm_baseline.interop.state_dict_file import HALVES, StateDictFile
from lstm_baseline.interop.torch import (
    from_state_dict,
    heads_in,
    module_like,
    names_of_head,
    to_state_dict,
)

if TYPE_CHECKING:
    import keras

TOLERANCE = 1e-5
"""Largest difference of outputs over the largest output, for float64 too: some libraries compute
that in float32."""

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
    notes: list[str]
    """What the source has and the target has not, or has in another dtype: a sentence each."""


class Names(NamedTuple):
    """Where a state dict of PyTorch keeps the LSTM."""

    prefix: str = ""
    head: str | None = None


class Read(NamedTuple):
    """What a file holds."""

    model: LSTM
    notes: list[str]
    """As in ``Agreement``."""


Run = Callable[[FloatArray], Sequence[NDArray]]
"""Outputs from x (B, T, I): one array (B, T, ·) or (B, ·), or several if states are among them."""


class Format(NamedTuple):
    """Functions that read, write and run files of one kind."""

    suffix: str
    read: Callable[[Path, Names], Read]
    write: Callable[[LSTM, Path, Names], None]
    run: Callable[[Path, LSTM, Names], tuple[str, Run]]
    """(path, model, names) -> who runs it, and how."""
    has_rates: bool
    """Whether a file keeps rates of dropout."""


def convert(
    source: str | Path,
    target: str | Path,
    *,
    to: str | None = None,
    prefix: str = "",
    head: str | None = None,
) -> Agreement:
    """Read a file in one format and write it in another.

    Parameters
    ----------
    source
        A file of any format above; its ending, in capitals or not, and its content tell which.
    target
        File to write; an old one is replaced once the new one has been checked.
    to
        The new format. If None, the target's ending decides; safetensors then means our format.
    prefix
        Start of the LSTM's names in a PyTorch state dict, such as "encoder.lstm.", on either side.
    head
        Name of the nn.Linear that is the readout there, such as "fc", on either side.

    Raises
    ------
    FileError
        If a file is missing, damaged or of no known format, or cannot be written.
    InputError
        If the new format cannot hold the model, or the new file gives other outputs.
    """
    source, target, names = Path(source), Path(target), Names(prefix, head)
    wanted = FORMATS[_format_of_target(target, to)]
    given = FORMATS[_format_of_source(source)]
    if names != Names() and FORMATS["torch"] not in (given, wanted):
        raise InputError(
            f"prefix and head are for state dicts of PyTorch; {source} and {target} are none"
        )
    model, notes = given.read(source, names)
    if not wanted.has_rates:
        rates = [(name, getattr(model.rates, name)) for name in TRAINING_ONLY]
        notes += _only_in_training([f"{name} {rate:g}" for name, rate in rates if rate])
    place = place_to_write(target)
    beside = place.with_name(f".{secrets.token_hex(4)}-{place.stem}{wanted.suffix}")
    try:
        wanted.write(model, beside, names)
        checked_by, run = wanted.run(beside, model, names)
        error = _largest_difference(model, run)
        if not error <= TOLERANCE:
            raise InputError(
                f"{checked_by} gives other outputs for {target} than those of {source}, off by "
                f"{error:.1e} of the largest; nothing is written"
            )
        beside.replace(place)
    except WriteError as failure:
        raise WriteError(str(failure).replace(str(beside), str(target))) from failure
    except OSError as failure:
        raise WriteError(f"cannot write {target}: {failure.strerror or failure}") from failure
    finally:
        beside.unlink(missing_ok=True)
    return Agreement(model, error, checked_by, notes)


def _only_in_training(what: list[str]) -> list[str]:
    return [f"left out, as it acts in training alone: {first_few(what)}"] if what else []


def _largest_difference(
    model: LSTM,
    run: Run,
    outputs: Sequence[int] = (0,),
    sizes: Sequence[tuple[int, int]] = _SIZES,
) -> float:
    """Return how far what ``run`` gives is off, over the largest output of the model.

    Parameters
    ----------
    model
        The model.
    run
        What is held against it.
    outputs
        What ``run`` gives: 0 for outputs, −1 for the last array of the states (h, c) of all layers
        and directions in turn.
    sizes
        (B, T) of the sequences to try.
    """
    rng = np.random.default_rng(0)
    worst = 0.0
    for num_rows, num_steps in sizes:
        x = rng.standard_normal((num_rows, num_steps, model.input_size)).astype(model.dtype)
        for which, found in zip(outputs, run(x), strict=True):
            # A file that was read may give only the last outputs.
            every_step = found.ndim == 3 and which == 0
            expected, *state = model.forward(x, every_step, return_state=True)
            if which:
                expected = _one_by_one(model, state)[which]
            if found.shape != expected.shape:
                return float("inf")
            largest = max(float(np.abs(expected).max()), float(np.finfo(model.dtype).tiny))
            worst = max(worst, float(np.abs(found - expected).max()) / largest)
    return worst


def _one_by_one(model: LSTM, state: Sequence[FloatArray]) -> list[FloatArray]:
    """Return h and c (B, ·) of every layer and direction in turn."""
    if model.batch_axis == 0:
        return list(state)
    return [part for both in zip(*state, strict=True) for part in both]


def _format_of_target(target: Path, to: str | None) -> str:
    suffix = target.suffix.lower()
    if to is not None:
        name = one_of("the format", to, list(FORMATS))
    else:
        name = next((n for n, f in FORMATS.items() if f.suffix == suffix), "")
    if not name or FORMATS[name].suffix != suffix:
        endings = ", ".join(f"{f.suffix} ({name})" for name, f in FORMATS.items())
        raise InputError(f"cannot write {str(target)!r}; end it in one of: {endings}")
    return name


def _format_of_source(source: Path) -> str:
    refuse_unopened(source)
    check_is_file(source)
    suffix = source.suffix.lower()
    if suffix == ".safetensors":
        return "lstm-baseline" if "lstm_baseline" in StateDictFile(source).metadata else "torch"
    for name, kind in FORMATS.items():
        if kind.suffix == suffix:
            return name
    endings = ", ".join(sorted({f.suffix for f in FORMATS.values()}))
    raise FileError(f"{source} is of no known format; known endings: {endings}")


def _read_own(path: Path, names: Names) -> Read:
    model = load_model(path)
    if not isinstance(model, LSTM):
        raise InputError(f"{path} holds a {type(model).__name__}; other formats are for an LSTM")
    return Read(model, [])


def _run_own(path: Path, model: LSTM, names: Names) -> tuple[str, Run]:
    own = LSTM.load(path)
    return "lstm-baseline", lambda x: [own.forward(x)]


def _read_torch(path: Path, names: Names) -> Read:
    weights = StateDictFile(path)
    try:
        model = from_state_dict(weights, prefix=names.prefix, head=names.head)
    except InputError as error:
        raise FileError(f"{path}: {error}") from error
    notes = []
    of_head = names_of_head(names.head)
    read = [name for name in weights if name.startswith(names.prefix) or name in of_head]
    if left_out := [repr(name) for name in weights if name not in read]:
        fitting = [] if names.head else heads_in(weights, model.width)
        hint = f"; --head {fitting[0]} takes a linear layer along" if fitting else ""
        notes.append(f"left out: {first_few(left_out)}{hint}")
    if halves := {HALVES[kind] for name in read if (kind := weights.dtype(name)) in HALVES}:
        notes.append(f"read as float32: weights in {' and '.join(sorted(halves))}")
    return Read(model, notes)


def _write_torch(model: LSTM, path: Path, names: Names) -> None:
    weights = to_state_dict(model, prefix=names.prefix, head=names.head)
    write_whole(path, save(weights, metadata={"format": "pt"}))


def _run_torch(path: Path, model: LSTM, names: Names) -> tuple[str, Run]:
    if find_spec("torch") is None:
        read = _read_torch(path, names).model
        return "lstm-baseline, as PyTorch is not installed", lambda x: [read.forward(x)]
    import torch
    from safetensors.torch import load_file

    weights = load_file(path)
    head = [weights.pop(name) for name in names_of_head(names.head)]
    module = module_like(model).eval()
    module.load_state_dict({name.removeprefix(names.prefix): w for name, w in weights.items()})

    def run(x: FloatArray) -> Sequence[NDArray]:
        with torch.inference_mode():
            y = module(torch.from_numpy(x))[0]
            return [(torch.nn.functional.linear(y, *head) if head else y).numpy()]

    return f"PyTorch {torch.__version__}", run


def _read_onnx(path: Path, names: Names) -> Read:
    return Read(from_onnx(path), [])


def _run_onnx(path: Path, model: LSTM, names: Names) -> tuple[str, Run]:
    # ONNX Runtime's LSTM takes only float32.
    if find_spec("onnxruntime") is None or model.dtype != np.float32:
        from lstm_baseline.interop.onnx.file import import_onnx
        from lstm_baseline.interop.onnx_backend import LSTMBackend

        graph = LSTMBackend.prepare(import_onnx().load(path))
        return "lstm-baseline's ONNX backend", lambda x: graph.run([x])[:1]
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    name = f"ONNX Runtime {onnxruntime.__version__}"
    return name, lambda x: [np.asarray(session.run(None, {"x": x})[0])]


def _load_keras(path: Path) -> "keras.Model":
    try:
        import keras
    except ImportError as error:
        raise InputError(
            f"Keras cannot be imported ({error}); pip install 'lstm-baseline[keras]' and a backend "
            "named by KERAS_BACKEND"
        ) from error
    if not zipfile.is_zipfile(path):
        raise FileError(f"{path} is damaged or not of Keras 3: it is no zip archive")
    try:
        if path.suffix == ".keras":
            return keras.saving.load_model(path, compile=False, safe_mode=True)
        with tempfile.TemporaryDirectory() as folder:
            # Keras knows its files by the ending in small letters.
            link = Path(folder, "model.keras")
            link.symlink_to(path.resolve())
            return keras.saving.load_model(link, compile=False, safe_mode=True)
    except Exception as error:  # a damaged file may raise anything
        # Its first line says that an object could not be made, and a later one why.
        _, _, cause = str(error).rpartition("Exception encountered: ")
        reason, *_ = first_line(ValueError(cause) if cause else error).split(". ")
        raise FileError(f"{path} cannot be read by Keras: {reason}") from error


def _read_keras(path: Path, names: Names) -> Read:
    theirs = _load_keras(path)
    found = read_layers(theirs)
    # Its Input may fix both: a model here takes any number of rows and of steps.
    rows, steps, _ = theirs.inputs[0].shape if hasattr(theirs, "inputs") else (None, None, None)
    sizes = [(rows or B, steps or T) for B, T in _SIZES]
    error = _largest_difference(found.model, _run_of_keras(path, theirs), found.outputs, sizes)
    if not error <= TOLERANCE:
        raise InputError(
            f"{path}: Keras gives other outputs than the LSTM read from it, off by {error:.1e} of "
            f"the largest{_computed_in_halves(theirs)}; convert its layers with from_keras"
        )
    return Read(found.model, _only_in_training(found.left_out))


def _computed_in_halves(theirs: "keras.Model") -> str:
    for layer in getattr(theirs, "layers", [theirs]):
        if layer.compute_dtype not in ("float32", "float64"):
            return f", as its layer {layer.name} computes in {layer.compute_dtype}"
    return ""


def _write_keras(model: LSTM, path: Path, names: Names) -> None:
    made = to_keras(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    made.save(path)


def _run_keras(path: Path, model: LSTM, names: Names) -> tuple[str, Run]:
    import keras

    return f"Keras {keras.__version__}", _run_of_keras(path, _load_keras(path))


def _run_of_keras(path: Path, theirs: "keras.Model") -> Run:
    """Return a function that runs a model of Keras from a state of 0."""
    import keras

    def given(x: FloatArray) -> object:
        # The one Input of a functional model may stand in a list, or in a dict by its name.
        if not hasattr(theirs, "input"):
            return x
        return keras.tree.map_structure(lambda _: x, theirs.input)

    def run(x: FloatArray) -> Sequence[NDArray]:
        try:
            for layer in getattr(theirs, "layers", [theirs]):
                if getattr(layer, "stateful", False):
                    layer.reset_state()
            outputs = keras.tree.flatten(theirs(given(x), training=False))
            return [np.asarray(keras.ops.convert_to_numpy(y)) for y in outputs]
        except Exception as error:  # its backend's own
            raise FileError(
                f"{path}: Keras cannot run it on x of shape {x.shape}: {first_line(error)}"
            ) from error

    return run


FORMATS = {
    "lstm-baseline": Format(
        ".safetensors",
        _read_own,
        lambda model, path, names: model.save(path),
        _run_own,
        has_rates=True,
    ),
    "torch": Format(".safetensors", _read_torch, _write_torch, _run_torch, has_rates=False),
    "onnx": Format(
        ".onnx",
        _read_onnx,
        lambda model, path, names: to_onnx(model, path),
        _run_onnx,
        has_rates=False,
    ),
    "keras": Format(".keras", _read_keras, _write_keras, _run_keras, has_rates=True),
}
"""Formats by the names that ``convert`` takes; of two with one ending the first is meant."""
