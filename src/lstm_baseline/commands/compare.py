"""Race contestants."""

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from lstm_baseline.commands.options import (
    DataOption,
    PresetOption,
    StepsOption,
    TargetOption,
    TextOption,
    refuse_target_without_data,
)
from lstm_baseline.commands.terminal import console, refuse_file_as_folder, resumable, this_command
from lstm_baseline.engine.errors import InputError


def compare(
    race: Annotated[
        Path | None, typer.Argument(help="A race's file, as init writes it; the preset without.")
    ] = None,
    preset: PresetOption = "quick",
    tasks: Annotated[
        str | None, typer.Option(help="Tasks to race on, with commas between.")
    ] = None,
    models: Annotated[
        str | None,
        typer.Option(help="Contestants, with commas between; the first is the baseline."),
    ] = None,
    challenger: Annotated[
        list[str] | None,
        typer.Option(help="One more contestant, a class of your own: package.module:Name."),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Paired final runs of each contestant.")
    ] = None,
    trials: Annotated[
        int | None, typer.Option(min=0, help="Tuning runs of each contestant on each task.")
    ] = None,
    steps: StepsOption = None,
    data: DataOption = None,
    text: TextOption = None,
    target: TargetOption = "auto",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; one a core by default.")
    ] = None,
    dask: Annotated[
        str | None,
        typer.Option(help="A Dask scheduler, tcp://host:8786, whose workers carry out the runs."),
    ] = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write TensorBoard event files as well.")
    ] = False,
    out: Annotated[
        Path, typer.Option(help="Folder of the report and of the runs that it rests on.")
    ] = Path("report"),
) -> None:
    """Race the contestants at equal size and equal tuning, and say who won, if anybody.

    Options change what the race's file or the preset says. Ctrl-C keeps the runs that have
    finished; the same command goes on from there.
    """
    from lstm_baseline.race.race import race as run_race
    from lstm_baseline.race.race_file import OWN_DATA, change, read_preset, read_race

    refuse_target_without_data(target, data)
    refuse_file_as_folder(out)
    if sum(option is not None for option in (tasks, data, text)) > 1:
        raise InputError("give at most one of --tasks, --data and --text")
    if workers is not None and dask is not None:
        raise InputError("--workers are processes here, --dask has workers of its own; give one")
    base = read_preset(preset) if race is None else read_race(race)
    changes: dict[str, Any] = {}
    training = base.training.model_dump()
    if data is not None:
        changes["tasks"] = [{"data": data.resolve(), "target": target}]
    elif text is not None:
        changes["tasks"] = [{"text": text.resolve()}]
    elif tasks is not None:
        given: dict[str, list[object]] = {name: [] for name in _names(tasks)}
        for entry in base.tasks:
            given.get(entry.task, []).append(entry)
        changes["tasks"] = [entry for name in given for entry in given[name] or [name]]
    if race is None and tasks is None and "tasks" in changes and not base.tuning.trials:
        training |= OWN_DATA
    contestants = [*(base.contestants if models is None else _names(models)), *(challenger or [])]
    changes["contestants"] = contestants
    if seeds is not None:
        changes["seeds"] = seeds
    if trials is not None:
        changes["tuning"] = base.tuning.model_dump() | {"trials": trials}
    if steps is not None:
        training["num_steps"] = steps
    changes["training"] = training
    plan = change(base, **changes).plan(Path() if race is None else race.parent)
    with resumable(), ExitStack() as stack:
        on_record = None
        if tensorboard:
            from lstm_baseline.runs.tensorboard import EventFiles

            on_record = stack.enter_context(EventFiles(out)).write
        report = run_race(
            plan,
            out,
            num_workers=workers,
            scheduler=dask,
            on_record=on_record,
            command=this_command(),
            console=console,
        )
    console.print(f"report: {report}", soft_wrap=True)


def _names(listed: str) -> list[str]:
    return [name.strip() for name in listed.split(",") if name.strip()]
