"""One run: train, score, and leave a folder that documents it.

``run.json`` has the specification, ``metrics.jsonl`` the history, ``model.safetensors`` the best
weights. ``checkpoint.safetensors`` exists while the run trains, and ``result.json`` once it has
finished or failed.
"""

import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lstm_baseline.contestants.challenger import flops_per_step
from lstm_baseline.engine.errors import DivergenceError, FileError, InputError
from lstm_baseline.engine.shapes import FloatArray
from lstm_baseline.engine.storage import read_json, write_json, write_whole
from lstm_baseline.engine.threads import one_thread
from lstm_baseline.installation import arithmetic
from lstm_baseline.runs.peak_memory import can_measure, peak_since, reset_peak
from lstm_baseline.runs.saved_model import MODEL, predict_as_saved, save_trained
from lstm_baseline.runs.spec import RunSpec
from lstm_baseline.tasks import Task
from lstm_baseline.tasks.ladder import RunScores
from lstm_baseline.tasks.metrics import LOSS_METRICS
from lstm_baseline.tasks.own_task import check_task_code
from lstm_baseline.training import Record, Trainable, predict, train
from lstm_baseline.training.loop import CHECKPOINT, METRICS
from lstm_baseline.training.selection import Reason

RUN, RESULT = "run.json", "result.json"

# Streams of a seed: those of a task are numbered from 1, those of training from 100.
_QUESTIONS_STREAM = 200


class FurtherResult(BaseModel):
    """What a trained model scored in a further test."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    score: float | None
    """The metric on its samples; None where the model gives no finite answer to them."""
    standard_error: float | None = None
    """Standard error of ``score``, as samples are drawn."""
    reason: str = ""
    """Reason why there is no score."""


class RunResult(BaseModel):
    """Result of a run."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    status: Literal["finished", "failed"]
    reason: str = ""
    """Reason why it failed."""
    untrained_score: float | None = None
    """The task's metric on the test samples before training; None where it is not finite,
    and in a run that is not a final one."""
    score: float | None = None
    """The task's metric on the test samples after training; None if the run failed, and in a run
    that is not a final one."""
    standard_error: float | None = None
    """Standard error of ``score``, as test samples are drawn; None where a single sample gives
    none."""
    partial_scores: dict[str, float] = {}
    """The metric on parts of the test samples, by the names of the parts."""
    validation_score: float | None = None
    """Validation score of the weights that did best in validation; None if the run failed."""
    other_question_score: float | None = None
    """The metric on the test samples with another question put to each, against the targets of
    their own: a model that heeds the question falls. None where a task has no question."""
    also_tested_scores: Annotated[tuple[float | None, ...], Field(alias="beyond")] = ()
    """The metric on test samples of each task in the specification's ``also_tested_on``; None where
    it is not finite. The file calls it ``beyond``."""
    further_tests: tuple[FurtherResult, ...] = ()
    """Result of each further test in the specification; none if the run failed."""
    loss_drop: float | None = None
    """Loss on the test samples before training minus that after; None if the run failed,
    in a run that is not a final one, and in runs of earlier versions."""
    loss_drop_error: float | None = None
    """Standard error of ``loss_drop``."""
    arithmetic: str | None = None
    """Instruction set and linear algebra of the processor that it ran on, which its bits depend on;
    None in runs of earlier versions."""
    looked_at_again: bool = False
    """True if a user's model was held against what its file gives, in another process."""
    model_sha256: str | None = None
    """Digest of the file of the trained model; None if the run failed, and in runs of earlier
    versions."""
    best_step: int = 0
    """Step whose weights were kept."""
    selected_by: Reason | None = None
    """What decided for that step; ``training/selection.py`` has the rule. None if the run failed,
    and in runs of earlier versions."""
    seconds: float = 0.0
    """Seconds spent in training steps."""
    num_params: int | None = None
    num_fixed: int | None = None
    """Count of numbers that the model holds and never trains; None if the model does not say, and
    in runs of earlier versions."""
    state_size: int | None = None
    """Count of numbers carried from step to step; None if the model does not say."""
    flops_per_step: int | None = None
    """Operations of a forward step of one sequence; None if the model does not say."""
    peak_memory: int | None = None
    """Peak memory of training in bytes; None if the system does not report it."""
    history: list[Record] = []

    @property
    def validation_loss(self) -> float | None:
        """Validation loss of the weights that were kept; None in runs of earlier versions."""
        return next((r.validation_loss for r in self.history if r.step == self.best_step), None)

    def in_further_test(self, place: int) -> "RunResult":
        """Return the result of a run as one of its further tests sees it.

        There, networks are held against the rules of the ladder alone: what they scored before they
        were trained is not measured again.
        """
        found = FurtherResult(score=None, reason=self.reason)
        if self.further_tests:
            found = self.further_tests[place]
        seen: dict[str, Any] = {
            "status": "failed" if found.score is None else "finished",
            "reason": found.reason,
            "score": found.score,
            "standard_error": found.standard_error,
            "partial_scores": {},
            "further_tests": (),
        }
        unknown = ("untrained_score", "other_question_score", "loss_drop", "loss_drop_error")
        return self.model_copy(update=seen | dict.fromkeys(unknown))

    @property
    def of_earlier_version(self) -> bool:
        """True if it finished under a version whose model files took standardised inputs."""
        return self.status == "finished" and self.selected_by is None

    @property
    def test_scores(self) -> RunScores:
        """What decides whether the run has learned."""
        return RunScores(
            self.score,
            self.standard_error,
            self.untrained_score,
            self.loss_drop,
            self.loss_drop_error,
        )


def carry_out_run(
    spec: RunSpec, folder: Path, on_validation: Callable[[Record], None] | None = None
) -> RunResult:
    """Carry out a run in its folder, from its checkpoint if there is one.

    A run that has ended is never repeated. A run that diverges, or whose model or task raises
    anything, is recorded as failed, with the reason.

    Raises
    ------
    FileError
        If the folder holds another run or a damaged file, or cannot be written, or the code of a
        user's class is not what the run was specified with.
    InputError
        If the model cannot be built as specified.
    """
    if (ended := read_result(spec, folder)) is not None:
        return ended
    spec.contestant.check_code(spec.code)
    check_task_code(spec.task, spec.task_code)
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
            raise  # a size that no model of this package can have
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        return record_failure(spec, folder, reason, read_history(folder))
    write_json(folder / RESULT, result.model_dump(by_alias=True))
    if result.status == "finished":
        (folder / CHECKPOINT).unlink(missing_ok=True)
    return result


def record_failure(spec: RunSpec, folder: Path, reason: str, history: list[Record]) -> RunResult:
    """Record as failed a run that ended without a result."""
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
    """Write the files of a run that was carried out elsewhere, and return its result.

    The result's file is written last: without it the run has not ended.

    Raises
    ------
    FileError
        If the folder holds another run, or a file is damaged or cannot be written.
    """
    _refuse_another_run(spec, folder)
    for name in sorted(files, key=RESULT.__eq__):
        write_whole(folder / name, files[name])
    if CHECKPOINT not in files:  # one may be left from an earlier attempt on this machine
        (folder / CHECKPOINT).unlink(missing_ok=True)
    result = read_result(spec, folder)
    if result is None:
        raise FileError(f"{folder} came back without {RESULT}")
    return result


def read_result(spec: RunSpec, folder: Path) -> RunResult | None:
    """Return the result of a run, or None if the run has not ended.

    Raises
    ------
    FileError
        If the folder holds another run, or a damaged file.
    """
    if not (folder / RESULT).exists():
        return None
    _refuse_another_run(spec, folder)
    try:
        result = RunResult.model_validate(read_json(folder / RESULT))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "content"
        raise FileError(
            f"{folder / RESULT} is damaged ({place}: {first['msg']}); remove it"
        ) from error
    for name, wanted in (
        ("also_tested_scores", spec.also_tested_on),
        ("further_tests", spec.further_tests),
    ):
        if result.score is not None and len(getattr(result, name)) != len(wanted):
            raise FileError(f"{folder / RESULT} is damaged ({name} is incomplete); remove it")
    return held_to_its_size(spec, result)


def held_to_its_size(spec: RunSpec, result: RunResult) -> RunResult:
    """Return the result, or a failure if a user's model had another size than the plan gives it.

    A class can tell where it is made. What a worker has trained is counted there, and held here
    against what the class makes in this process, at the width that the plan has found for it.
    """
    if not spec.contestant.is_user_class or result.num_params is None:
        return result
    planned = spec.contestant.size(spec.task, spec.width)
    if result.num_params == planned:
        return result
    return failed_after(
        result, f"it trained {result.num_params:,} parameters; the plan gives it {planned:,}"
    )


def failed_after(result: RunResult, reason: str) -> RunResult:
    """Return the failure of a run that had a result, of which nothing counts but what it cost."""
    return RunResult(
        status="failed",
        reason=reason,
        score=None,
        num_params=result.num_params,
        seconds=result.seconds,
        history=result.history,
    )


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
    """Return a run's history so far; it is empty before its first line."""
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
        "arithmetic": arithmetic(),
        "num_params": sum(value.size for value in model.params.values()),
        "num_fixed": getattr(model, "num_fixed", None),
        "state_size": getattr(model, "state_size", None),
        "flops_per_step": flops_per_step(model, task),
    }
    before = reset_peak() if can_measure() else None
    try:
        untrained = None
        if scored:
            untrained = predict(model, task, task.test(spec.seed))
            facts["untrained_score"] = _finite(task.metric.measure(untrained, task.test(spec.seed)))
        trained = train(
            model,
            task,
            spec.settings,
            seed=spec.seed,
            folder=folder,
            on_validation=on_validation,
        )
        saved = save_trained(spec, model, folder)
        facts["model_sha256"] = hashlib.sha256((folder / MODEL).read_bytes()).hexdigest()
        if untrained is not None:
            outputs = predict_as_saved(saved, model, task, spec.seed)
            facts |= _test_scores(spec, untrained, outputs)
            facts["other_question_score"] = _score_with_other_questions(saved, task, spec.seed)
            facts["beyond"] = tuple(
                score_on(model, other, spec.seed).score for other in spec.also_tested_on
            )
            facts["further_tests"] = tuple(
                score_on(model, other, spec.seed) for other in spec.further_tests
            )
    except DivergenceError as error:
        (folder / MODEL).unlink(missing_ok=True)
        facts |= {"model_sha256": None, "status": "failed", "reason": str(error)}
    else:
        facts |= {
            "status": "finished",
            "best_step": trained.best_step,
            "selected_by": trained.selected_by,
            "validation_score": next(
                r.metric for r in trained.history if r.step == trained.best_step
            ),
        }
    if before is not None:
        facts["peak_memory"] = peak_since(before)
    history = read_history(folder)
    return RunResult(**facts, history=history, seconds=history[-1].seconds if history else 0.0)


def _test_scores(spec: RunSpec, untrained: FloatArray, outputs: FloatArray) -> dict[str, Any]:
    """Score outputs of the saved model, and of the untrained one, on the test samples."""
    task, test = spec.task, spec.task.test(spec.seed)
    score = task.metric.measure(outputs, test)
    if not math.isfinite(score):
        raise DivergenceError(f"{task.metric.name} is {score} on the test samples")
    drop, error = LOSS_METRICS[task.loss].drop(untrained, outputs, test)
    return {
        "score": score,
        "standard_error": _finite(task.metric.standard_error(outputs, test)),
        "loss_drop": _finite(drop),
        "loss_drop_error": _finite(error),
        "partial_scores": task.partial_scores(outputs, test),
    }


def _score_with_other_questions(model: Trainable, task: Task, seed: int) -> float | None:
    """Score answers to other questions against the targets of the samples' own."""
    test = task.test(seed)
    other = task.with_other_questions(test, np.random.default_rng([seed, _QUESTIONS_STREAM]))
    if other is None:
        return None
    return _finite(task.metric.measure(predict(model, task, other), test))


def score_on(model: Trainable, task: Task, seed: int) -> FurtherResult:
    """Score a trained model on a task other than its own; no score if it cannot do that."""
    test = task.test(seed)
    try:
        outputs = predict(model, task, test)
        score = task.metric.measure(outputs, test)
    except Exception as error:  # a contestant's code: the sequences may be too long for it, say
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        return FurtherResult(score=None, reason=reason)
    if not math.isfinite(score):
        return FurtherResult(score=None, reason=f"{task.metric.name} is {score}")
    return FurtherResult(
        score=score, standard_error=_finite(task.metric.standard_error(outputs, test))
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
