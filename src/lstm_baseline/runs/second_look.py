"""A second look at a user's trained model, in processes that have not trained it.

A class may keep things outside its parameters, and behave otherwise once it has been called often
enough, or got rows enough. So the model of a final run is built anew from its file, and held to the
rules that it kept before the race, with as many rows as are evaluated at a time. It may also have
changed how scores are computed. So its outputs are scored again where no class of a user's is.
"""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from lstm_baseline.contestants.checks import Sample, check_independence
from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.storage import read_json, read_tensors, write_json, write_tensors
from lstm_baseline.engine.threads import one_thread
from lstm_baseline.runs.run import RESULT, RunResult
from lstm_baseline.runs.saved_model import MODEL, outputs_of, saved_model
from lstm_baseline.runs.spec import RunSpec

OUTPUTS = "outputs.safetensors"
"""Outputs for the test samples, between the two halves of a second look."""
_FORMAT = "lstm-baseline outputs 1"

_SAME = 1e-4
"""Largest relative difference between two scores of one model."""


def needs_second_look(spec: RunSpec, result: RunResult, folder: Path) -> bool:
    """Return whether a run has scored a user's model that nobody has looked at since."""
    return (
        spec.contestant.is_user_class
        and result.score is not None
        and not result.looked_at_again
        and (folder / MODEL).exists()  # published races may have none
    )


def look_again(spec: RunSpec, folder: Path) -> RunResult:
    """Build the model of a run that has ended from its file, and hold it to the rules.

    Its outputs are written for ``score_again``.

    Returns
    -------
    The result as it was, or a failure with the reason.

    Raises
    ------
    FileError
        If a file cannot be read or written.
    """

    def look() -> None:
        model = saved_model(spec, folder)
        outputs = np.ascontiguousarray(outputs_of(model, spec, folder))
        # The same model: by now it has been called often.
        check_independence(model, Sample.of_test(spec.task, spec.seed), trained=True)
        write_tensors(folder / OUTPUTS, {"outputs": outputs}, {"format": _FORMAT})

    return _judged(folder, look)


def score_again(spec: RunSpec, folder: Path) -> RunResult:
    """Score the outputs that ``look_again`` has written, and end the second look.

    This imports no class of a user's: that could change what a score is.

    Returns
    -------
    The result, now looked at again, or a failure with the reason.

    Raises
    ------
    FileError
        If a file cannot be read or written.
    """

    def score() -> None:
        arrays, _ = read_tensors(folder / OUTPUTS, _FORMAT)
        found = spec.task.metric.measure(arrays["outputs"], spec.task.test(spec.seed))
        claimed = _result(folder).score
        assert claimed is not None
        if not math.isclose(found, claimed, rel_tol=_SAME, abs_tol=_SAME**2):
            raise InputError(
                f"built from its file it scores {found:.6g}, and {claimed:.6g} where it was "
                "trained; let nothing but params and inputs decide an output"
            )

    result = _judged(folder, score)
    (folder / OUTPUTS).unlink(missing_ok=True)
    if result.score is not None:
        result = result.model_copy(update={"looked_at_again": True})
        write_json(folder / RESULT, result.model_dump(by_alias=True))
    return result


def _judged(folder: Path, check: Callable[[], None]) -> RunResult:
    """Return the result of a run; if a check of its model raises, record it as failed."""
    result = _result(folder)
    try:
        with one_thread(), np.errstate(all="ignore"):
            check()
    except (Exception, SystemExit) as error:  # a contestant's code may do anything
        told = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        result = RunResult(
            status="failed",
            reason=f"a second look at the trained model: {' '.join(told.split())}",
            score=None,
            num_params=result.num_params,
            seconds=result.seconds,
            history=result.history,
        )
        write_json(folder / RESULT, result.model_dump(by_alias=True))
    return result


def _result(folder: Path) -> RunResult:
    return RunResult.model_validate(read_json(folder / RESULT))
