"""Hold published numbers against ours."""

from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.table import Table

from lstm_baseline.commands.compare import DaskOption, SeedsOption, WorkersOption
from lstm_baseline.commands.terminal import console, resumable, this_command
from lstm_baseline.engine.errors import FileError, InputError, WriteError


def reproduce(
    names: Annotated[
        list[str] | None, typer.Argument(help="Papers, by the names that --list gives.")
    ] = None,
    show: Annotated[bool, typer.Option("--list", help="List the papers and end.")] = False,
    full: Annotated[
        bool, typer.Option("--full", help="In the paper's own size, which may take days.")
    ] = False,
    seeds: SeedsOption = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Training steps of each run, in place of the race's.")
    ] = None,
    data: Annotated[
        Path, typer.Option(help="Folder of your copy of a file that a paper is on.")
    ] = Path(),
    workers: WorkersOption = None,
    dask: DaskOption = None,
    out: Annotated[Path, typer.Option(help="Folder that gets a folder for each paper.")] = Path(
        "reproduction"
    ),
) -> None:
    """Run what a paper has published, and hold its numbers against ours.

    Each is a race: it can be stopped and goes on, and has a report of its own. A paper that cannot
    be run here is said to be so in a line, and the others go on.
    """
    from lstm_baseline.race.race import hold_race, report_race
    from lstm_baseline.race.race_file import Options, with_options
    from lstm_baseline.race.reproduction import (
        NAMES,
        Held,
        check_file,
        core_hours,
        hold_against,
        read_reproduction,
        row,
        summary,
        write_reproduction,
    )

    if show:
        listed = _table("name", "what", "published")
        for name in NAMES:
            each = read_reproduction(name)
            listed.add_row(name, each.title, each.paper)
        console.print(listed)
        return
    if not names:
        raise InputError(f"name a paper, one of: {', '.join(NAMES)}; --list says what they are")
    if workers is not None and dask is not None:
        raise InputError("--workers are processes here, --dask has workers of its own; give one")
    found = {name: read_reproduction(name) for name in dict.fromkeys(names)}

    def held(name: str) -> list[Held]:
        each, folder = found[name], out / name
        check_file(each, data)
        options = Options(seeds=seeds, steps=steps)
        plan = with_options(each.race_file(full=full), options, is_preset=False).plan(data)
        outcome = hold_race(plan, folder, num_workers=workers, scheduler=dask, console=console)
        report_race(outcome, folder, command=this_command(), console=console)
        numbers = hold_against(each, outcome)
        differs = [*each.differences(full=full), *_as_given(seeds, steps)]
        path = write_reproduction(name, each, outcome, numbers, differs, folder)
        shown = _table("task", "contestant", "published", "here", "", "by")
        for number in numbers:
            shown.add_row(*row(number))
        console.print(shown)
        console.print(f"its setting: {each.setting}")
        for difference in differs:
            console.print(f"differs: {difference}")
        console.print(f"{summary(numbers)} {core_hours(outcome):.1f} core-hours")
        console.print(f"{path}", soft_wrap=True)
        return numbers

    refused: list[str] = []
    for name in found:
        console.print(f"{name}: {found[name].title}")
        try:
            with resumable():
                held(name)
        except WriteError:
            raise
        except (InputError, FileError) as error:
            if len(found) == 1:
                raise
            console.print(f"{name} cannot be run here: {error}")
            refused.append(name)
    if refused:
        raise InputError(
            f"{', '.join(refused)} could not be run here; the lines above say why, and what to do"
        )


def _as_given(seeds: int | None, steps: int | None) -> list[str]:
    """Return what the command line has changed."""
    return [
        f"{name} = {value}, as the command line says"
        for name, value in (("seeds", seeds), ("num_steps", steps))
        if value is not None
    ]


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
