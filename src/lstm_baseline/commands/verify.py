"""Check the folder of a race."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lstm_baseline.commands.terminal import FAILED, console
from lstm_baseline.engine.errors import InputError

if TYPE_CHECKING:
    from lstm_baseline.race.verify import Check


def verify(
    folder: Annotated[Path, typer.Argument(help="Folder that compare wrote.")],
    other: Annotated[
        Path | None, typer.Argument(help="Another folder of the same plan, to compare with.")
    ] = None,
    sample: Annotated[
        int, typer.Option(min=0, help="Number of runs, drawn at random, to train again.")
    ] = 3,
    seed: Annotated[int, typer.Option(min=0, help="Seed of that draw.")] = 0,
    data: Annotated[
        Path,
        typer.Option(
            help="Folder of the files, or of the modules with own tasks, that the race is on."
        ),
    ] = Path(),
) -> None:
    """Check a race that somebody hands over: plan, runs, verdict, tables, models.

    All is computed again from the folder, which stays as it is; some runs are trained again. With
    two folders their runs and verdicts are compared.
    """
    from lstm_baseline.race.verify import compare_races, verify_race

    if other is not None:
        checks: Iterator[Check] = compare_races(folder, other)
        good, bad = f"{folder} and {other} agree", "they differ"
    else:
        checks = verify_race(folder, data=data, sample=sample, seed=seed, console=console)
        good, bad = f"{folder} is what its runs say", f"{folder} is not what its runs say"
    if other is not None and not other.is_dir():
        raise InputError(f"{other} is no folder; give one that compare wrote")
    failed = []
    for check in checks:
        mark = "✗" if check.problems else "✓"
        console.print(f"{mark} {check.name}: {check.found}", soft_wrap=True)
        for problem in check.problems:
            console.print(f"  {problem}", soft_wrap=True)
        if check.problems:
            failed.append(check.name)
    if failed:
        console.print(f"NOT verified: {bad} ({', '.join(failed)})", soft_wrap=True)
        raise typer.Exit(FAILED)
    console.print(f"verified: {good}", soft_wrap=True)
