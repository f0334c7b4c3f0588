"""A whole race: every run, then the table and the report."""

from pathlib import Path

from rich.console import Console

from lstm_baseline.comparison import words
from lstm_baseline.comparison.execute import run_all
from lstm_baseline.comparison.plan import Plan
from lstm_baseline.comparison.report import print_table, write_report
from lstm_baseline.comparison.results import summarise


def race(
    plan: Plan, folder: Path, *, num_workers: int | None, command: str, console: Console
) -> Path:
    """Carry out a race and return the path of its report.

    Parameters
    ----------
    plan
        What to run.
    folder
        Where the report goes, and the runs, each in ``runs/`` by its name. Runs that have ended
        there are taken as they are.
    num_workers
        Processes; one a core when None.
    command
        What the user typed, for the report.
    console
        Where progress and the final table show.

    Raises
    ------
    LSTMBaselineError
        If the plan or a file in the folder is unusable.
    KeyboardInterrupt
        If interrupted; the same call goes on from there.
    """
    specs = plan.runs()
    for task in plan.tasks:
        console.print(f"{task.name}: {task.summary}")
    counts = {"task": len(plan.tasks), "model": len(plan.models), "seed": plan.seeds}
    product = " × ".join(words.counted(count, noun) for noun, count in counts.items())
    steps = words.counted(plan.settings.num_steps, "step")
    console.print(f"{words.counted(len(specs), 'run')}: {product}, {steps} each")
    results = run_all(specs, folder / "runs", num_workers=num_workers, console=console)
    outcomes = summarise(plan, specs, results)
    print_table(plan, outcomes, console)
    return write_report(plan, outcomes, folder, command)
