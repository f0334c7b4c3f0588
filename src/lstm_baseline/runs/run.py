"""One run: train, score, and leave a folder that says all of it.

``run.json`` the specification; ``metrics.jsonl`` the history; ``checkpoint.safetensors`` while it
trains; ``model.safetensors`` the best weights; ``result.json`` once it has ended, for good or ill.
"""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lstm_baseline.contestants.challenger import flops_per_step
from lstm_baseline.engine.errors import DivergenceError, FileError, InputError
from lstm_baseline.engine.models import SequenceModel
from lstm_baseline.engine.storage import read_json, write_json, write_tensors, write_whole
from lstm_baseline.engine.threads import one_thread
from lstm_baseline.runs.peak_memory import can_measure, peak_since, reset_peak
from lstm_baseline.runs.spec import RunSpec
from lstm_baseline.tasks import Task
from lstm_baseline.training import Record, Trainable, evaluate, predict, train
from lstm_baseline.training.loop import CHECKPOINT, METRICS

RUN, RESULT, MODEL = "run.json", "result.json", "model.safetensors"
WEIGHTS = "lstm-baseline challenger 1"


class RunResult(BaseModel):
    """How a run ended."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    status: Literal["finished", "failed"]
    reason: str = ""
    """Why it failed."""
    untrained_score: float | None = None
    """The task's metric on the test samples before training; None in a trial, and where it is not
    finite."""
    score: float | None = None
    """The same after training; None in a trial, and when it failed."""
    standard_error: float | None = None
    """How far ``score`` may be off for the test samples drawn; None where a single one says
    nothing of that."""
    partial_scores: dict[str, float] = {}
    """The metric on parts of the test samples, by their names."""
    validation_score: float | None = None
    """Of the weights that did best in validation; None when it failed."""
    also_tested_scores: Annotated[tuple[float | None, ...], Field(alias="beyond")] = ()
    """The metric on test samples of each task in the specification's ``also_tested_on``; None where
    it is not finite. The file calls it ``beyond``."""
    best_step: int = 0
    seconds: float = 0.0
    """Spent in training steps."""
    num_params: int | None = None
    state_size: int | None = None
    """Numbers carried from step to step; None where a model does not say."""
    flops_per_step: int | None = None
    """Of a forward step of one sequence; None where a model does not say."""
    peak_memory: int | None = None
    """Bytes that training took at most; None where the system does not show it."""
    history: list[Record] = []


def carry_out_run(
    spec: RunSpec, folder: Path, on_validation: Callable[[Record], None] | None = None
) -> RunResult:
    """Carry out a run in its folder, from its checkpoint if there is one; once ended, never again.

    A run that diverges, or whose model or task raises anything, is recorded as failed, with the
    reason.

    Raises
    ------
    FileError
        If the folder holds another run, or a damaged file, or cannot be written.
    InputError
        If the model cannot be built as specified.
    """
    if (ended := read_result(spec, folder)) is not None:
        return ended
    spec.contestant.check_code(spec.code)
    _refuse_another_run(spec, folder)
    try:
        model = spec.build_model()
        write_json(folder / RUN, spec.config())
        with one_thread():
            result = _train(spec, model, folder, on_validation)
    except FileError:
        raise
    except (Exception, SystemExit) as error:  # a contestant's code may do anything
        if isinstance(error, InputError) and not spec.contestant.is_user_class:
            raise  # a size that no model of ours can have
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        return record_failure(spec, folder, reason, read_history(folder))
    write_json(folder / RESULT, result.model_dump(by_alias=True))
    if result.status == "finished":
        (folder / CHECKPOINT).unlink(missing_ok=True)
    return result


def record_failure(spec: RunSpec, folder: Path, reason: str, history: list[Record]) -> RunResult:
    """Record that a run came to an end before it had a result."""
    result = RunResult(
        status="failed",
        reason=reason,
        score=None,
        best_step=0,
        seconds=history[-1].seconds if history else 0.0,
        history=history,
    )
    write_json(folder / RUN, spec.config())
    write_json(folder / RESULT, result.model_dump(by_alias=True))
    return result


def store(spec: RunSpec, folder: Path, files: dict[str, bytes]) -> RunResult:
    """Write the files of a run that was carried out elsewhere, and return how it ended.

    The result comes last: without it the run has not ended.

    Raises
    ------
    FileError
        If the folder holds another run, or a file is damaged or cannot be written.
    """
    _refuse_another_run(spec, folder)
    for name in sorted(files, key=RESULT.__eq__):
        write_whole(folder / name, files[name])
    if CHECKPOINT not in files:  # of an earlier attempt, on this machine
        (folder / CHECKPOINT).unlink(missing_ok=True)
    result = read_result(spec, folder)
    if result is None:
        raise FileError(f"{folder} came back without {RESULT}")
    return result


def read_result(spec: RunSpec, folder: Path) -> RunResult | None:
    """Return how a run ended, or None if it has not.

    Raises
    ------
    FileError
        If the folder holds another run, or a damaged file.
    """
    if not (folder / RESULT).exists():
        return None
    _refuse_another_run(spec, folder)
    try:
        return RunResult.model_validate(read_json(folder / RESULT))
    except ValidationError as error:
        first = error.errors()[0]
        raise FileError(
            f"{folder / RESULT} is damaged ({first['loc'][0]}: {first['msg']}); remove it"
        ) from error


def _refuse_another_run(spec: RunSpec, folder: Path) -> None:
    """Refuse a folder in which a run of another specification has begun."""
    if not (folder / RUN).exists():
        return
    found, own = read_json(folder / RUN), spec.config()
    if not isinstance(found, dict):
        raise FileError(f"{folder / RUN} is damaged; remove {folder}")
    differing = sorted(key for key in own.keys() | found.keys() if found.get(key) != own.get(key))
    if differing:
        raise FileError(
            f"{folder} holds a run with other {', '.join(differing)}; "
            "choose another folder with --out, or remove it"
        )


def read_history(folder: Path) -> list[Record]:
    """Return a run's history so far; empty before its first line."""
    try:
        lines = (folder / METRICS).read_text().splitlines()
        return [Record(**json.loads(line)) for line in lines]
    except (OSError, ValueError, TypeError):
        return []


def _train(
    spec: RunSpec,
    model: Trainable,
    folder: Path,
    on_validation: Callable[[Record], None] | None,
) -> RunResult:
    task, scored = spec.task, spec.stage == "final"
    facts: dict[str, Any] = {
        "num_params": sum(value.size for value in model.params.values()),
        "state_size": getattr(model, "state_size", None),
        "flops_per_step": flops_per_step(model, task),
    }
    before = reset_peak() if can_measure() else None
    try:
        if scored:
            facts["untrained_score"] = _finite(evaluate(model, task, task.test(spec.seed)))
        trained = train(
            model,
            task,
            spec.settings,
            seed=spec.seed,
            folder=folder,
            on_validation=on_validation,
        )
        if scored:
            facts |= _final_scores(spec, model)
    except DivergenceError as error:
        facts |= {"status": "failed", "reason": str(error)}
    else:
        _save(spec, model, folder / MODEL)
        facts |= {
            "status": "finished",
            "best_step": trained.best_step,
            "validation_score": next(
                r.metric for r in trained.history if r.step == trained.best_step
            ),
        }
    if before is not None:
        facts["peak_memory"] = peak_since(before)
    history = read_history(folder)
    return RunResult(**facts, history=history, seconds=history[-1].seconds if history else 0.0)


def _final_scores(spec: RunSpec, model: Trainable) -> dict[str, Any]:
    """Score the trained model on test samples of its own task and of the others."""
    metric, test = spec.task.metric, spec.task.test(spec.seed)
    outputs = predict(model, spec.task, test)
    score = metric.measure(outputs, test)
    if not math.isfinite(score):
        raise DivergenceError(f"{metric.name} is {score} on the test samples")
    return {
        "score": score,
        "standard_error": _finite(metric.standard_error(outputs, test)),
        "partial_scores": spec.task.partial_scores(outputs, test),
        "beyond": tuple(_score_on(model, task, spec.seed) for task in spec.also_tested_on),
    }


def _score_on(model: Trainable, task: Task, seed: int) -> float | None:
    """Score a trained model on another task than its own; None if it cannot do that."""
    try:
        return _finite(evaluate(model, task, task.test(seed)))
    except Exception:  # a contestant's code: longer sequences than it can take, say
        return None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _save(spec: RunSpec, model: Trainable, path: Path) -> None:
    """Write the weights: as a model of ours does, or those of somebody else's by their names."""
    if isinstance(model, SequenceModel):
        model.save(path)
    else:
        write_tensors(path, model.params, {"format": WEIGHTS, "contestant": spec.config()})
