"""Runs to carry out, and the part of their results that is compared: all but time and memory."""

import json

from rich.console import Console

from lstm_baseline.contestants.contestant import Contestant
from lstm_baseline.runs.run import RESULT
from lstm_baseline.runs.saved_model import MODEL
from lstm_baseline.runs.spec import RunSpec
from lstm_baseline.tasks.own_task import task_code
from lstm_baseline.training import TrainingSettings
from troubles import Troubled

LSTM = Contestant.model_validate("lstm")


def quiet():
    return Console(quiet=True)


def troubled(trouble, *, num_steps=20):
    """Return three runs; the one with seed 1 goes wrong."""
    settings = TrainingSettings(num_steps=num_steps, evaluate_every=10)
    code = task_code(Troubled())
    return [
        RunSpec(Troubled(trouble), LSTM, 8, settings, seed, task_code=code) for seed in range(3)
    ]


def finals(plan):
    """Return the final runs of a race without tuning."""
    chosen = {(k, name): plan.settings for k in range(len(plan.tasks)) for name in plan.models}
    return plan.finals(chosen)


def comparable(results):
    """Return results without time and memory."""
    return [
        result.model_dump(exclude={"seconds", "peak_memory", "history"})
        | {"history": [record._replace(seconds=0.0) for record in result.history]}
        for result in results
    ]


def outcomes(folder):
    """Return the content of the files of runs, keyed by the run's name, without time and memory."""
    found = {}
    for path in folder.iterdir():
        result = json.loads((path / RESULT).read_text())
        del result["seconds"], result["peak_memory"]
        for record in result["history"]:
            del record[1]
        model = path / MODEL
        found[path.name] = result, model.read_bytes() if model.exists() else None
    return found
