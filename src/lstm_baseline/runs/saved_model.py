"""The files of a trained model: weights that take the user's own numbers, labels, rows.

A model is trained on standardised values (`ArrayFile`). Its file takes raw ones: the scaling is
folded into the first weights and into the readout, in float64 where float32 is too coarse for the
file's numbers. What cannot take a scaling in, a layer norm on x and a class of the user's, is
written as arrays by name in another format, which nothing takes for a model of raw numbers.
"""

from pathlib import Path

import numpy as np

from lstm_baseline.engine.errors import FileError, InputError
from lstm_baseline.engine.models import SequenceModel, load_model
from lstm_baseline.engine.shapes import FloatArray
from lstm_baseline.engine.storage import (
    check_arrays,
    has_format,
    read_tensors,
    write_json,
    write_tensors,
)
from lstm_baseline.runs.spec import RunSpec
from lstm_baseline.tasks import ArrayFile, Task, TextFile
from lstm_baseline.tasks.files import EvaluationPart
from lstm_baseline.tasks.metrics import MEAN_SQUARED_ERROR
from lstm_baseline.training import Trainable, predict

MODEL, LABELS, SPLIT = "model.safetensors", "labels.json", "split.json"
WEIGHTS = "lstm-baseline challenger 1"

_ROUNDING_SHARE = 0.02
"""Largest part of a model's error that may come from rounding, as a share of its root."""
_LEAST_ROUNDING = 1e-5
"""Rounding that is no loss to anybody, in standard deviations of y."""


def save_trained(spec: RunSpec, model: Trainable, folder: Path) -> Trainable:
    """Write a trained model, its labels and its rows, and return the model as the file has it.

    Raises
    ------
    FileError
        If not even float64 tells the file's numbers apart, or a file cannot be written.
    """
    path, task = folder / MODEL, spec.task
    if isinstance(task, ArrayFile) and spec.stage == "final":
        write_json(folder / SPLIT, _split(task, spec.seed))
    saved = for_raw_numbers(model, task, spec.seed) if isinstance(model, SequenceModel) else None
    if saved is None:
        write_tensors(path, model.params, {"format": WEIGHTS, "contestant": spec.config()})
        return model
    saved.save(path)
    if (labels := labels_of(task)) is not None:
        write_json(folder / LABELS, labels)
    return saved


def labels_of(task: Task) -> list[str | int | float | bool | None] | None:
    """Return the label of each output, if they are classes of the user's file.

    None among the labels stands for all characters of a text that have no class of their own.
    """
    if isinstance(task, ArrayFile):
        return None if task.classes is None else task.classes.tolist()
    if isinstance(task, TextFile):
        others = task.output_size - len(task.characters)
        return [*task.characters, *[None] * others]
    return None


def _split(task: ArrayFile, seed: int) -> dict[str, object]:
    """Return which rows of which file were for training, validation and test."""
    config = task.config()
    rows = {name: rows.tolist() for name, rows in task.rows(seed).items()}
    return {"file": config["path"], "sha256": config["sha256"], **rows}


def predict_as_saved(saved: Trainable, model: Trainable, task: Task, seed: int) -> FloatArray:
    """Return the outputs of ``save_trained``'s model on the test samples, as the metric takes them.

    Parameters
    ----------
    saved, model
        What ``save_trained`` returned, and was given.
    task, seed
        Whose test samples.
    """
    if saved is model or not isinstance(task, ArrayFile):
        return predict(saved, task, task.test(seed))
    return _standardised_outputs(saved, task, "test", seed)


def saved_outputs(spec: RunSpec, folder: Path) -> FloatArray:
    """Return what the model in a final run's file gives for the test samples, for the metric.

    Raises
    ------
    LSTMBaselineError
        If the file is missing, damaged, or of another model.
    """
    return outputs_of(saved_model(spec, folder), spec, folder)


def outputs_of(model: Trainable, spec: RunSpec, folder: Path) -> FloatArray:
    """Return what the model that ``saved_model`` returned gives for the test samples."""
    task = spec.task
    if isinstance(task, ArrayFile) and not has_format(folder / MODEL, WEIGHTS):
        return _standardised_outputs(model, task, "test", spec.seed)
    return predict(model, task, task.test(spec.seed))


def saved_model(spec: RunSpec, folder: Path) -> Trainable:
    """Return the model in a run's file, for the numbers that the file takes.

    Raises
    ------
    LSTMBaselineError
        If the file is missing, damaged, or of another model.
    """
    path = folder / MODEL
    if not has_format(path, WEIGHTS):
        return _loaded(spec, path)
    built = spec.build_model()
    _put_arrays(built, path)
    return built


def trained_model(spec: RunSpec, folder: Path, *, raw: bool) -> SequenceModel:
    """Return the model of a run that has ended, for the standardised inputs of its task.

    Parameters
    ----------
    spec, folder
        The run.
    raw
        Whether its file takes raw numbers; those of earlier versions do not.

    Raises
    ------
    LSTMBaselineError
        If the file is missing, damaged, or of another model.
    """
    path, task = folder / MODEL, spec.task
    if has_format(path, WEIGHTS):
        model = spec.build_model()
        if not isinstance(model, SequenceModel):
            raise InputError("this class is not the package's own")
        _put_arrays(model, path)
        return model
    model = _loaded(spec, path)
    if raw and isinstance(task, ArrayFile):
        if not task.tokens:
            model.take_raw_inputs(*task.scaling(spec.seed).inverse())
        if task.loss == "mean_squared_error":
            model.give_raw_outputs(*task.target_scaling(spec.seed).inverse())
    return model


def _loaded(spec: RunSpec, path: Path) -> SequenceModel:
    """Return the model that its ``save`` wrote: the package's, or one of a cell of the user's."""
    if not spec.contestant.is_user_class:
        return load_model(path)
    built = spec.build_model()
    if not isinstance(built, SequenceModel):
        raise FileError(f"{path} holds no weights of {spec.contestant.model}")
    return type(built).load(path)


def _put_arrays(model: Trainable, path: Path) -> None:
    """Give a model the arrays that a file has by name."""
    arrays, _ = read_tensors(path, WEIGHTS)
    dtype = next(iter(model.params.values())).dtype
    check_arrays(path, arrays, {k: v.shape for k, v in model.params.items()}, dtype)
    for name, value in model.params.items():
        value[...] = arrays[name]


def for_raw_numbers(model: SequenceModel, task: Task, seed: int) -> SequenceModel | None:
    """Return the model for the file's own numbers; None if its cell cannot take a scaling in.

    It is in float64 where float32 is too coarse, as validation rows tell: there float32 would cost
    a regression more than 0.0004 of its error, or move a class's logit by a hundredth.

    Raises
    ------
    FileError
        If float64 is too coarse as well.
    """
    if not isinstance(task, ArrayFile):
        return model
    batch = task.validation(seed)
    wanted = predict(model, task, batch)
    values = task.loss == "mean_squared_error"
    if values:
        error = MEAN_SQUARED_ERROR.measure(wanted, batch._replace(y_scale=None))
        bound = max(_ROUNDING_SHARE * error**0.5, _LEAST_ROUNDING)
    else:
        bound = 1e-2 * max(1.0, float(np.abs(wanted).max()))
    for dtype in (model.dtype, np.float64):
        raw = model.astype(dtype)
        try:
            if not task.tokens:
                raw.take_raw_inputs(*task.scaling(seed))
        except InputError:
            return None
        # A scaling that float32 cannot hold overflows, and float64 follows.
        with np.errstate(over="ignore", invalid="ignore"):
            if values:
                raw.give_raw_outputs(*task.target_scaling(seed))
            apart = np.abs(_standardised_outputs(raw, task, "validation", seed) - wanted)
        typical = float(np.sqrt(np.mean(apart**2)) if values else apart.max())
        if typical <= bound:
            return raw
    raise FileError(
        f"{task.config()['path']}: X or y is too large for its spread to be computed with;"
        " subtract its mean before saving the file"
    )


def _standardised_outputs(
    raw: Trainable, task: ArrayFile, part: EvaluationPart, seed: int
) -> FloatArray:
    """Return a raw model's outputs for rows of the file as they are, in the metric's units."""
    batch = task.validation(seed) if part == "validation" else task.test(seed)
    outputs = predict(raw, task, batch._replace(x=task.raw_inputs(part, seed)))
    if task.loss != "mean_squared_error":
        return outputs
    mean, scale = task.target_scaling(seed)
    return np.asarray((outputs.astype(np.float64) - mean) / scale)
