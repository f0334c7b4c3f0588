"""Runs to carry out, and what is compared of them: everything but clock and memory."""

import json

from rich.console import Console

from lstm_baseline.contestants.contestant import Contestant
from lstm_baseline.runs.run import MODEL, RESULT
from lstm_baseline.runs.spec import RunSpec
from lstm_baseline.training import TrainingSettings
from troubles import Troubled

LSTM = Contestant.model_validate("lstm")


def quiet():
    return Console(quiet=True)


def troubled(trouble, *, num_steps=20):
    """Return three runs; that of seed 1 goes wrong."""
    settings = TrainingSettings(num_steps=num_steps, evaluate_every=10)
    return [RunSpec(Troubled(trouble), LSTM, 8, settings, seed) for seed in range(3)]


def finals(plan):
    """Return the final runs of a race that nobody tunes."""
    chosen = {(k, name): plan.settings for k in range(len(plan.tasks)) for name in plan.models}
    return plan.finals(chosen)


def comparable(results):
    """Return results without what clock and memory say."""
    return [
        result.model_dump(exclude={"seconds", "peak_memory", "history"})
        | {"history": [record._replace(seconds=0.0) for record in result.history]}
        for result in results
    ]


def outcomes(folder):
    """Return what the files of runs say, each run's by its name, without clock and memory."""
    found = {}
    for path in folder.iterdir():
        result = json.loads((path / RESULT).read_text())
        del result["seconds"], result["peak_memory"]
        for record in result["history"]:
            del record[1]
        model = path / MODEL
        found[path.name] = result, model.read_bytes() if model.exists() else None
    return found
