"""A second look at a user's trained model, in a process that has not trained it.

A class may keep things outside its parameters, and behave otherwise once it has been called often
enough, or got rows enough. So the model of a final run is built anew from its file, scored again,
and held to the rules that it kept before the race, with as many rows as are evaluated at a time.
"""

import math
from pathlib import Path

import numpy as np

from lstm_baseline.contestants.checks import Sample, check_independence
from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.storage import write_json
from lstm_baseline.engine.threads import one_thread
from lstm_baseline.runs.run import RESULT, RunResult, read_result
from lstm_baseline.runs.saved_model import MODEL, outputs_of, saved_model
from lstm_baseline.runs.spec import RunSpec

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
    """Return the result of a run that has ended, a failure if its model does not give its score.

    Raises
    ------
    FileError
        If the result cannot be read or written.
    """
    result = read_result(spec, folder)
    assert result is not None
    problem = None
    try:
        with one_thread(), np.errstate(all="ignore"):
            problem = _problem(spec, folder, result)
    except (Exception, SystemExit) as error:  # a contestant's code may do anything
        told = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        problem = " ".join(told.split())
    if problem is None:
        result = result.model_copy(update={"looked_at_again": True})
    else:
        result = RunResult(
            status="failed",
            reason=f"a second look at the trained model: {problem}",
            score=None,
            num_params=result.num_params,
            seconds=result.seconds,
            history=result.history,
        )
    write_json(folder / RESULT, result.model_dump(by_alias=True))
    return result


def _problem(spec: RunSpec, folder: Path, result: RunResult) -> str | None:
    """Return what is wrong with a trained model, or None."""
    task, model = spec.task, saved_model(spec, folder)
    score = task.metric.measure(outputs_of(model, spec, folder), task.test(spec.seed))
    assert result.score is not None
    if not math.isclose(score, result.score, rel_tol=_SAME, abs_tol=_SAME**2):
        return (
            f"built from its file it scores {score:.6g}, and {result.score:.6g} where it was "
            "trained; let nothing but params and inputs decide an output"
        )
    # The same model: by now it has been called often.
    check_independence(model, Sample.of_test(task, spec.seed), trained=True)
    return None
