"""Runs to carry out, and what is compared of them: everything but the clock."""

import json

from rich.console import Console
from troubles import Troubled

from lstm_baseline.comparison.plan import RunSpec
from lstm_baseline.comparison.run import MODEL, RESULT
from lstm_baseline.training import TrainingSettings


def quiet():
    return Console(quiet=True)


def troubled(trouble, *, num_steps=20):
    """Return three runs; that of seed 1 goes wrong."""
    settings = TrainingSettings(num_steps=num_steps, evaluate_every=10)
    return [RunSpec(Troubled(trouble), "lstm", 8, settings, seed) for seed in range(3)]


def comparable(results):
    """Return results without what a clock says."""
    return [
        result.model_dump(exclude={"seconds", "history"})
        | {"history": [record._replace(seconds=0.0) for record in result.history]}
        for result in results
    ]


def outcomes(folder):
    """Return what the files of runs say, each run's by its name, without what a clock says."""
    found = {}
    for path in folder.iterdir():
        result = json.loads((path / RESULT).read_text())
        del result["seconds"]
        for record in result["history"]:
            del record[1]
        model = path / MODEL
        found[path.name] = result, model.read_bytes() if model.exists() else None
    return found
