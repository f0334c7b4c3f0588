"""Check and time the engine."""

from pathlib import Path
from typing import Annotated

import typer

from lstm_baseline.commands.terminal import FAILED, console, refuse_file_as_folder


def bench(
    only: Annotated[
        str | None, typer.Option(help="Cases with this in their name; * stands for anything.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads; one, then one a core by default.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Under a minute: shorter, without the largest.")
    ] = False,
    out: Annotated[Path, typer.Option(help="Folder of bench.json and the pictures.")] = Path(
        "bench"
    ),
) -> None:
    """Check the engine's answers, then time it in turns with the peers that are installed.

    Exits with 1 if anybody's answer is wrong.
    """
    from lstm_baseline.benchmarks.cases import select_cases
    from lstm_baseline.benchmarks.run import bench as run_benchmark
    from lstm_baseline.engine.cores import num_cores

    refuse_file_as_folder(out)
    cases = select_cases(only, quick=quick)
    counts = sorted({1, num_cores()}) if threads is None else [threads]
    report = run_benchmark(cases, counts, out, quick=quick, console=console)
    console.print(f"results: {out / 'bench.json'}", soft_wrap=True)
    if report.wrong:
        raise typer.Exit(FAILED)
