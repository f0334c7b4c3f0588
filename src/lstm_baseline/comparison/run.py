"""One run: train, score, and leave a folder that says all of it.

``run.json`` the specification; ``metrics.jsonl`` the history; ``checkpoint.safetensors`` while it
trains; ``model.safetensors`` the best weights; ``result.json`` once it has ended, for good or ill.
"""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from lstm_baseline.comparison.plan import RunSpec
from lstm_baseline.errors import DivergenceError, FileError
from lstm_baseline.models import RecurrentModel
from lstm_baseline.storage import read_json, write_json
from lstm_baseline.threads import one_thread
from lstm_baseline.training import Record, evaluate, train
from lstm_baseline.training.loop import CHECKPOINT, METRICS

RUN, RESULT, MODEL = "run.json", "result.json", "model.safetensors"


class RunResult(BaseModel):
    """How a run ended."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    status: Literal["finished", "failed"]
    reason: str = ""
    """Why it failed."""
    untrained_score: float
    """The task's metric on the test samples before training."""
    score: float | None
    """The same after training; None when it failed."""
    best_step: int
    seconds: float
    """Spent in training steps."""
    num_params: int
    state_size: int
    flops_per_step: int
    history: list[Record]


def execute(
    spec: RunSpec, folder: Path, on_validation: Callable[[Record], None] | None = None
) -> RunResult:
    """Carry out a run in its folder, from its checkpoint if there is one; once ended, never again.

    A run whose loss or gradient is not finite is recorded as failed, with the reason.

    Raises
    ------
    FileError
        If the folder holds another run, or a damaged file.
    """
    if (ended := read_result(spec, folder)) is not None:
        return ended
    _refuse_another_run(spec, folder)
    model = spec.build_model()
    write_json(folder / RUN, spec.config())
    with one_thread():
        result = _train(spec, model, folder, on_validation)
    write_json(folder / RESULT, result.model_dump())
    if result.status == "finished":
        (folder / CHECKPOINT).unlink(missing_ok=True)
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
    model: RecurrentModel,
    folder: Path,
    on_validation: Callable[[Record], None] | None,
) -> RunResult:
    task = spec.task
    test = task.test(spec.seed)
    facts: dict[str, Any] = {
        "untrained_score": evaluate(model, task, test),
        "num_params": model.num_params,
        "state_size": model.state_size,
        "flops_per_step": model.flops_per_step,
    }
    try:
        trained = train(
            model,
            task,
            spec.settings,
            seed=spec.seed,
            folder=folder,
            on_validation=on_validation,
        )
        score = evaluate(model, task, test)
        if not math.isfinite(score):
            raise DivergenceError(f"{task.metric.name} is {score} on the test samples")
    except DivergenceError as error:
        facts |= {"status": "failed", "reason": str(error), "score": None, "best_step": 0}
    else:
        model.save(folder / MODEL)
        facts |= {"status": "finished", "score": score, "best_step": trained.best_step}
    history = read_history(folder)
    return RunResult(**facts, history=history, seconds=history[-1].seconds if history else 0.0)
