"""The outcome of a race on the terminal: a small table for each task, then the verdict."""

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lstm_baseline.plots import formats
from lstm_baseline.race.outcomes import RaceOutcome, TaskOutcome
from lstm_baseline.race.report import words
from lstm_baseline.race.report.next_step import next_step

_NARROW = 72
"""Columns of a terminal below which the table leaves out what runs cost; the report has it."""


def print_table(race: RaceOutcome, console: Console) -> None:
    """Print the outcome of a race within 80 columns.

    Parameters
    ----------
    race
        Outcome of the race.
    console
        Console to print on.
    """
    for outcome in race.tasks:
        console.print()
        console.print(_heading(outcome))
        console.print(_table(outcome, narrow=console.width < _NARROW))
    console.print()
    if race.plan.seeds > 1:
        runs = formats.seeds(race.plan.seeds)
        console.print(Text(f"mean ± standard deviation over {runs}", style="dim"))
    for sentence in words.verdicts(race.plan, race.duels):
        console.print(Text(sentence, style="bold"))
    for duel in race.duels:
        if found := words.over_tasks(race.plan, duel):
            console.print(Text(found, style="dim"))
    if found := next_step(race):
        console.print(Text(found))


def _heading(outcome: TaskOutcome) -> Text:
    rungs = [rung for rung in (outcome.best_heuristic, outcome.oracle) if rung is not None]
    ladder = "".join(f"; {rung.name} {formats.number(rung.score)}" for rung in rungs)
    heading = Text(formats.printable(outcome.title), style="bold")
    about = formats.printable(f"  {formats.metric_label(outcome.metric)}{ladder}")
    return heading.append(about, style="not bold")


def _table(outcome: TaskOutcome, *, narrow: bool) -> Table:
    """Return a task's table; where the terminal is narrow, without what the runs cost."""
    table = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    goal = "half way" if outcome.oracle is not None else "heuristic"
    # Where the terminal is narrow, names give way: they are folded, numbers are never cut.
    table.add_column("contestant", min_width=10, overflow="fold")
    table.add_column("test score", min_width=13, justify="right", no_wrap=True)
    table.add_column("untrained", min_width=9, justify="right", no_wrap=True)
    if not narrow:
        table.add_column("params", min_width=8, justify="right", no_wrap=True)
        table.add_column("training", min_width=8, justify="right", no_wrap=True)
    table.add_column(f"steps to {goal}", width=11, justify="right")
    table.add_column("learned", min_width=8, justify="right", no_wrap=True)
    for contestant in outcome.contestants:
        untrained = contestant.untrained
        seconds = contestant.training_seconds
        costs = (
            formats.count(contestant.num_params),
            formats.duration(None if seconds is None else seconds.mean),
        )
        table.add_row(
            Text(formats.printable(contestant.model)),  # a name must not be read as markup
            words.spread(contestant.score),
            formats.number(None if untrained is None else untrained.mean),
            *(() if narrow else costs),
            words.steps_to_threshold(contestant),
            f"{contestant.num_learned} of {len(contestant.seeds)}",
        )
    return table
