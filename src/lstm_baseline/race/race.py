"""A whole race: the plan on disk, every trial, every final run, then verdict and report."""

import sys
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console

from lstm_baseline.contestants.challenger import check_challenger
from lstm_baseline.contestants.contestant import Contestant
from lstm_baseline.engine.errors import FileError, InputError
from lstm_baseline.engine.storage import write_json
from lstm_baseline.engine.wording import counted
from lstm_baseline.installation import results_depend_on
from lstm_baseline.race.judge import judge
from lstm_baseline.race.outcomes import RaceOutcome, Runs
from lstm_baseline.race.plan import PLAN, RUNS, Chosen, Plan
from lstm_baseline.race.plan_file import read_plan_file
from lstm_baseline.race.report import words
from lstm_baseline.race.report.page import write_report
from lstm_baseline.race.report.terminal import print_table
from lstm_baseline.race.summarise import choose_finalists, choose_settings
from lstm_baseline.runs.pool import carry_out_runs
from lstm_baseline.runs.run import read_result
from lstm_baseline.runs.spec import RunSpec
from lstm_baseline.tasks.checks import check_task
from lstm_baseline.tasks.own_task import is_own_task, task_source
from lstm_baseline.training import Record


def report_race(outcome: RaceOutcome, folder: Path, *, command: str, console: Console) -> Path:
    """Print the outcome of a race, write its report and return the report's path.

    Parameters
    ----------
    outcome
        What ``hold_race`` returned.
    folder
        Folder of the race.
    command
        Command that the user typed, for the report.
    console
        Console to print on.
    """
    print_table(outcome, console)
    console.print("drawing the report …")
    return write_report(outcome, folder, command)


def hold_race(
    plan: Plan,
    folder: Path,
    *,
    console: Console,
    num_workers: int | None = None,
    scheduler: str | None = None,
    on_record: Callable[[RunSpec, Record], None] | None = None,
) -> RaceOutcome:
    """Carry out every trial and every final run of a race, and judge it.

    Parameters
    ----------
    plan
        The plan to carry out.
    folder
        Folder of the race. It gets the plan, and each run in ``runs/`` under its name. Runs that
        have ended there are taken as they are.
    console
        Console that shows progress.
    num_workers
        Number of processes; if None, one for each core.
    scheduler
        Address of a Dask scheduler whose workers carry out the runs, instead of processes here.
    on_record
        Called with each validation of each run as it happens.

    Raises
    ------
    LSTMBaselineError
        If the plan or a file in the folder is unusable, or a challenger or a task of the user's
        fails a check.
    KeyboardInterrupt
        If interrupted; the same call goes on from there.
    """
    notes = _check_all(plan)
    _announce(plan, notes, console)
    begun_with = _fix(plan, folder / PLAN)

    def run(title: str, specs: list[RunSpec]) -> Runs:
        if not specs:
            return []
        _refuse_mixed(plan, specs, folder, begun_with)
        console.print(f"{title}: {counted(len(specs), 'run')}")
        results = carry_out_runs(
            specs,
            folder / RUNS,
            num_workers=num_workers,
            scheduler=scheduler,
            modules=_modules(plan),
            console=console,
            on_record=on_record,
        )
        return list(zip(specs, results, strict=True))

    def announce(chosen: Chosen) -> None:
        for line in words.longer_budgets(plan, chosen):
            console.print(line)

    return course(plan, run, announce)


def course(
    plan: Plan,
    run: Callable[[str, list[RunSpec]], Runs],
    on_chosen: Callable[[Chosen], None] | None = None,
) -> RaceOutcome:
    """Go through a race from its first trial to its verdict.

    Parameters
    ----------
    plan
        Plan of the race.
    run
        Returns the results of some runs, given their title: carries them out, or reads them.
    on_chosen
        Called with the settings of the final runs before these start.
    """
    trials = run("tuning", plan.trials())
    reruns = run("the best trials again", plan.reruns(choose_finalists(plan, trials)))
    chosen = choose_settings(plan, trials, reruns)
    if on_chosen is not None:
        on_chosen(chosen)
    finals = plan.finals(chosen)
    trained = [plan.sweep_runs(sweep, chosen) for sweep in plan.sweeps]
    # A run that two sweeps share is done once.
    unique = {spec.name: spec for spec in [*finals, *(spec for each in trained for spec in each)]}
    done = {spec.name: result for spec, result in run("final runs", list(unique.values()))}
    return judge(
        plan,
        trials=trials,
        reruns=reruns,
        finals=[(spec, done[spec.name]) for spec in finals],
        trained=[[(spec, done[spec.name]) for spec in specs] for specs in trained],
    )


def _check_all(plan: Plan) -> list[str]:
    """Refuse tasks of the user's that break a rule, sizes that cannot be met, and contestants.

    Returns
    -------
    Notes on tasks of the user's, each a line.
    """
    swept = [task for sweep in plan.sweeps for task in sweep.tasks]
    own = {str(task.config()): task for task in (*plan.judged, *swept) if is_own_task(task)}
    notes = [note for task in own.values() for note in check_task(task)]
    for task in plan.all_tasks():
        plan.width(task, plan.contestants[0])
    for contestant in plan.contestants:
        _check(plan, contestant)
    return list(dict.fromkeys(notes))


def _check(plan: Plan, contestant: Contestant) -> None:
    """Refuse, before the race starts, a contestant that cannot run in it or would spoil it.

    The package's own models keep the rules, unless their arguments break them: a bidirectional
    LSTM looks ahead.
    """
    if contestant.is_engine_model and not contestant.arguments:
        return
    drawn = plan.tuning.settings(plan.settings)
    for task in plan.all_tasks():
        width = plan.width(task, contestant)
        make = partial(contestant.build, task, width)
        check_challenger(make, task, contestant.name)
        for setting in ("truncate", "recompute"):
            if not any(getattr(settings, setting) for settings in (plan.settings, *drawn)):
                continue
            if not contestant.is_engine_model or getattr(make(0), "bidirectional", False):
                raise InputError(
                    f"{setting} is among the training settings, which {contestant.name} does not "
                    "offer: only models of the engine that go in one direction do"
                )


def _modules(plan: Plan) -> list[Path]:
    """Return the files of the user's that other machines lack: modules outside any package."""
    own = [contestant for contestant in plan.contestants if contestant.is_user_class]
    files = {c.source() for c in own if "." not in c.model.partition(":")[0]}
    files |= {task_source(task) for task in plan.tasks if "." not in type(task).__module__}
    return sorted(file for file in files if file is not None)


def _announce(plan: Plan, notes: list[str], console: Console) -> None:
    """Print what is about to be run, and a warning if it cannot lead to a verdict."""
    for task in plan.tasks:
        console.print(f"{task.name}: {task.summary}")
        for hint in task.hints:
            console.print(f"hint: {hint}")
    for note in notes:
        console.print(f"hint: {note}")
    counts = {
        "task": len(plan.tasks),
        "contestant": len(plan.contestants),
        "paired seed": plan.seeds,
    }
    product = " × ".join(counted(count, noun) for noun, count in counts.items())
    trials = counted(plan.tuning.trials, "tuning trial") if plan.tuning.trials else "untuned"
    steps = counted(plan.settings.num_steps, "step")
    console.print(f"{product}, {trials}, {steps} a run; plan {plan.hash[:12]}")
    if (shortage := plan.shortage()) is not None:
        console.print(words.shortage(plan, shortage))
    elif plan.challengers:
        console.print(words.power(plan))


def _fix(plan: Plan, path: Path) -> dict[str, Any]:
    """Write the plan before the first run; refuse a folder that holds another race.

    Returns
    -------
    What the race was begun with, besides the plan, that results depend on.
    """
    now = plan.config()
    content = {"hash": plan.hash, "plan": now, "made_with": made_with(plan)}
    if not path.exists():
        write_json(path, content)
        return made_with(plan)
    found = read_plan_file(path.parent)
    before = found.config
    if found.hash != plan.hash or before != now:
        differing = sorted(k for k in before.keys() | now.keys() if before.get(k) != now.get(k))
        raise FileError(
            f"{path.parent} holds another race, with other {', '.join(differing) or 'hash'}: a "
            "changed plan is a different race; give another --out"
        )
    return found.made_with


def _refuse_mixed(
    plan: Plan, specs: list[RunSpec], folder: Path, begun_with: dict[str, Any]
) -> None:
    """Refuse to carry out a run with anything else than the race was begun with.

    Runs that have ended are only read, so a finished race is drawn again by any version.
    """
    here = made_with(plan)
    if here == begun_with:
        return
    missing = sum(read_result(spec, folder / RUNS / spec.name) is None for spec in specs)
    if missing:
        raise FileError(
            f"{folder} holds this race as begun with {_listed(begun_with)}, and "
            f"{counted(missing, 'run')} of it still to do; here is {_listed(here)}, and "
            "results could differ: give another --out"
        )


def made_with(plan: Plan) -> dict[str, str]:
    """Return everything besides the plan that results depend on."""
    found = results_depend_on()
    others = any(not contestant.is_engine_model for contestant in plan.contestants)
    if (others or any(map(is_own_task, plan.tasks))) and "torch" in sys.modules:
        found["PyTorch"] = version("torch")
    return found


def _listed(made_with: dict[str, Any]) -> str:
    return ", ".join(f"{k} {v}" for k, v in made_with.items())
