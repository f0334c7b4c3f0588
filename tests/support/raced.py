"""A race small enough for tests, really carried out, and one in which every name is hostile."""

import io

from rich.console import Console

from lstm_baseline.race.plan import Sweep
from lstm_baseline.race.race import hold_race, report_race
from lstm_baseline.race.tuning import Tuning
from lstm_baseline.race.verdict import VerdictRule
from lstm_baseline.tasks import make_task
from lstm_baseline.training import TrainingSettings
from tests.support.races import CHANCE, HEURISTIC, ORACLE, LadderTask, planned, race, run, trial

COMMAND = "lstm-baseline compare race.toml --out 'a b'"
TUNING = Tuning(trials=2, space={"learning_rate": {"low": 1e-3, "high": 1e-2}})
RERUN = TUNING.model_copy(update={"finalists": 1, "reruns": 1, "double_above": 0.25})
HOSTILE = "<script>alert(1)</script>&\"'{{7*7}}$\\_%#~^ =1+1 [red]x[/]"
assert len(HOSTILE) <= 60


def carried_out(folder):
    """Carry out a race of two models of the package and a user's, with all that a race can have."""
    tasks = (
        make_task("pair-matching", num_pairs=2, num_symbols=4),
        make_task("adding", length=2),
    )
    for task in tasks:
        task.validation_size = task.test_size = 200
    plan = planned(
        [
            "lstm",
            "relational",
            {"name": "mine", "model": "lstm_baseline.engine.models:LSTM"},
        ],
        tasks,
        2,
        parameters=8950,
        settings=TrainingSettings(num_steps=120, batch_size=16, evaluate_every=60),
        tuning=RERUN,
        rule=VerdictRule(num_resamples=500),
        sweeps=(
            Sweep(tasks[1], "length", (2, 6), seeds=2, train=False),
            Sweep(tasks[0], "num_symbols", (4, 5), seeds=1, train=True),
        ),
        title="A small race",
    )
    console = Console(file=io.StringIO(), width=80)
    outcome = hold_race(plan, folder, num_workers=2, console=console)
    path = report_race(outcome, folder, command=COMMAND, console=console)
    return plan, path, console.file.getvalue()


def hostile(name=HOSTILE):
    """Return a race with the given text wherever a user can name something, and with failures."""
    rungs = [rung._replace(name=name, description=name) for rung in (CHANCE, HEURISTIC, ORACLE)]
    task = LadderTask(tuple(rungs), name=name, level=name)
    task.summary = name
    failed = run(None, reason=name)
    return race(
        {"lstm": [run(0.7), run(0.7), failed], name: [run(0.9), failed, run(0.8)]},
        task,
        LadderTask(name=name, level=1),
        tuning=TUNING,
        trials={"lstm": [trial(0.5), trial(None, reason=name)], name: [trial(0.5)] * 2},
        rule=VerdictRule(num_resamples=500),
        title=name,
    )
