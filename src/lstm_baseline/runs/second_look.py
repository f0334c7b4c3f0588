"""A second look at a user's trained model, in processes that have not trained it.

A class may keep things outside its parameters, and behave otherwise once it has been called often
enough, or got rows enough. So the model of a final run is built anew from its file, and held to the
rules that it kept before the race, with as many rows as are evaluated at a time. It may also have
changed how scores are computed. So its outputs are scored again where no class of a user's is.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from lstm_baseline.contestants.checks import Sample, check_forward, check_independence
from lstm_baseline.engine.errors import FileError, InputError
from lstm_baseline.engine.storage import (
    has_format,
    read_json,
    read_tensors,
    write_json,
    write_tensors,
)
from lstm_baseline.engine.threads import one_thread
from lstm_baseline.installation import arithmetic
from lstm_baseline.runs.run import RESULT, RunResult, failed_after
from lstm_baseline.runs.saved_model import (
    MODEL,
    WEIGHTS,
    outputs_of,
    saved_model,
    trained_model,
)
from lstm_baseline.runs.spec import RunSpec
from lstm_baseline.tasks import ArrayFile, Task
from lstm_baseline.tasks.own_task import check_task_code
from lstm_baseline.training import Trainable, predict

OUTPUTS = "outputs.safetensors"
"""Outputs for the test samples, between the two halves of a second look."""
_FORMAT = "lstm-baseline outputs 1"

_CLOSE, _NEAR = 1e-4, 1e-2
"""Difference between two scores of one model at most, on one kind of processor and on two; of
scores above 1, as a share."""


def needs_second_look(spec: RunSpec, result: RunResult, folder: Path) -> bool:
    """Return whether a run that had ended before has a user's model that nobody has looked at."""
    return (
        spec.contestant.is_user_class
        and result.score is not None
        and not result.looked_at_again
        and (folder / MODEL).exists()  # published races may have none
    )


def look_again(spec: RunSpec, folder: Path) -> RunResult:
    """Build the model of a run that has ended from its file, and hold it to the rules.

    Its outputs, for the test samples and those of each further test, are written for
    ``score_again``.

    Returns
    -------
    The result as it was, or a failure with the reason.

    Raises
    ------
    FileError
        If a file cannot be read or written, or the code is not what the run was specified with.
    """
    spec.contestant.check_code(spec.code)
    check_task_code(spec.task, spec.task_code)
    claimed = _result(folder)

    def look() -> None:
        saved = saved_model(spec, folder)
        outputs = {"test": outputs_of(saved, spec, folder)}
        model = _for_the_task(saved, spec, folder)
        _hold_to_the_rules(model, spec.task, spec.seed)
        for place, (task, found) in enumerate(
            zip(spec.further_tests, claimed.further_tests, strict=True)
        ):
            if found.score is not None:
                outputs[f"further test {place}"] = predict(model, task, task.test(spec.seed))
                _hold_to_the_rules(model, task, spec.seed)
        write_tensors(
            folder / OUTPUTS,
            {name: np.ascontiguousarray(value) for name, value in outputs.items()},
            {"format": _FORMAT},
        )

    return _judged(folder, look)


def score_again(spec: RunSpec, folder: Path) -> RunResult:
    """Score the outputs that ``look_again`` has written, and end the second look.

    This imports no contestant's class: that could change what a score is.

    Returns
    -------
    The result, now looked at again, or a failure with the reason.

    Raises
    ------
    FileError
        If a file cannot be read or written.
    """
    claimed = _result(folder)

    def score() -> None:
        outputs, _ = read_tensors(folder / OUTPUTS, _FORMAT)
        tests = [("test", spec.task, claimed.score)]
        tests += [
            (f"further test {place}", task, found.score)
            for place, (task, found) in enumerate(
                zip(spec.further_tests, claimed.further_tests, strict=True)
            )
        ]
        # Another processor rounds otherwise, and a few answers may change.
        close = _CLOSE if claimed.arithmetic == arithmetic() else _NEAR
        for name, task, before in tests:
            if before is None:
                if name == "test":
                    raise InputError("it has no score")
                continue
            found = task.metric.measure(outputs[name], task.test(spec.seed))
            if not abs(found - before) <= close * max(1.0, abs(before)):
                raise InputError(
                    f"built from its file it scores {found:.6g}, and {before:.6g} where it was "
                    f"trained ({name}); let nothing but params and inputs decide an output"
                )

    result = _judged(folder, score)
    (folder / OUTPUTS).unlink(missing_ok=True)
    if result.score is not None:
        result = result.model_copy(update={"looked_at_again": True})
        write_json(folder / RESULT, result.model_dump(by_alias=True))
    return result


def _for_the_task(saved: Trainable, spec: RunSpec, folder: Path) -> Trainable:
    """Return the model for the task's own inputs, with all calls for the test behind it."""
    if not isinstance(spec.task, ArrayFile) or has_format(folder / MODEL, WEIGHTS):
        return saved
    model = trained_model(spec, folder, raw=True)  # the file takes raw numbers
    predict(model, spec.task, spec.task.test(spec.seed))
    return model


def _hold_to_the_rules(model: Trainable, task: Task, seed: int) -> None:
    """Refuse a trained model whose outputs rest on more than its parameters and a row so far."""
    sample = Sample.of_test(task, seed)
    check_forward(model, sample)
    check_independence(model, sample, trained=True)


def _judged(folder: Path, check: Callable[[], None]) -> RunResult:
    """Return the result of a run; if a check of its model raises, record it as failed."""
    result = _result(folder)
    try:
        with one_thread(), np.errstate(all="ignore"):
            check()
    except (Exception, SystemExit) as error:  # a contestant's code may do anything
        told = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        reason = f"a second look at the trained model: {' '.join(told.split())}"
        result = failed_after(result, reason)
        write_json(folder / RESULT, result.model_dump(by_alias=True))
    return result


def _result(folder: Path) -> RunResult:
    try:
        return RunResult.model_validate(read_json(folder / RESULT))
    except ValidationError as error:
        raise FileError(f"{folder / RESULT} is damaged; remove it") from error
