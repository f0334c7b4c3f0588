"""Race contestants."""

from contextlib import ExitStack, closing
from pathlib import Path
from typing import Annotated

import typer

from lstm_baseline.commands.options import (
    DataOption,
    PresetOption,
    SplitOption,
    StepsOption,
    TargetOption,
    TextOption,
    refuse_without_data,
)
from lstm_baseline.commands.terminal import console, refuse_file_as_folder, resumable, this_command
from lstm_baseline.engine.errors import InputError

RaceArgument = Annotated[
    Path | None, typer.Argument(help="A race's file, as init writes it; the preset without.")
]
TasksOption = Annotated[
    str | None,
    typer.Option(help="Tasks to race on, by name or as package.module:Name, with commas between."),
]
ModelsOption = Annotated[
    str | None,
    typer.Option(help="Contestants, with commas between; the first is the baseline."),
]
ChallengerOption = Annotated[
    list[str] | None,
    typer.Option(help="One more contestant, a class of your own: package.module:Name."),
]
SeedsOption = Annotated[
    int | None, typer.Option(min=1, help="Paired final runs of each contestant.")
]
FirstSeedOption = Annotated[
    int | None,
    typer.Option(min=0, help="Seed of the first final runs, to go on where another race ended."),
]
TrialsOption = Annotated[
    int | None, typer.Option(min=0, help="Tuning runs of each contestant on each task.")
]
WorkersOption = Annotated[int | None, typer.Option(min=1, help="Processes; one a core by default.")]
DaskOption = Annotated[
    str | None,
    typer.Option(help="A Dask scheduler, tcp://host:8786, whose workers carry out the runs."),
]
TensorBoardOption = Annotated[
    bool, typer.Option("--tensorboard", help="Write TensorBoard event files as well.")
]
OutOption = Annotated[
    Path, typer.Option(help="Folder of the report and of the runs that it rests on.")
]


def compare(
    race: RaceArgument = None,
    preset: PresetOption = "quick",
    tasks: TasksOption = None,
    models: ModelsOption = None,
    challenger: ChallengerOption = None,
    seeds: SeedsOption = None,
    first_seed: FirstSeedOption = None,
    trials: TrialsOption = None,
    steps: StepsOption = None,
    data: DataOption = None,
    text: TextOption = None,
    target: TargetOption = "auto",
    split: SplitOption = "auto",
    workers: WorkersOption = None,
    dask: DaskOption = None,
    tensorboard: TensorBoardOption = False,
    out: OutOption = Path("report"),
) -> None:
    """Race the contestants at equal size and equal tuning, and say who won, if anybody did.

    Options change what the race's file or the preset says. Ctrl-C keeps the runs that have
    finished; the same command goes on from there.
    """
    from lstm_baseline.race.race import hold_race, report_race
    from lstm_baseline.race.race_file import Options, read_preset, read_race, with_options

    refuse_without_data(target, split, data)
    refuse_file_as_folder(out)
    options = Options(
        tasks=None if tasks is None else _names(tasks),
        data=data,
        target=target,
        split=split,
        text=text,
        models=None if models is None else _names(models),
        challengers=tuple(challenger or ()),
        seeds=seeds,
        first_seed=first_seed,
        trials=trials,
        steps=steps,
    )
    if workers is not None and dask is not None:
        raise InputError("--workers are processes here, --dask has workers of its own; give one")
    base = read_preset(preset) if race is None else read_race(race)
    changed = with_options(base, options, is_preset=race is None)
    plan = changed.plan(Path() if race is None else race.parent)
    with resumable(), ExitStack() as stack:
        on_record = None
        if tensorboard:
            from lstm_baseline.runs.tensorboard import EventFiles

            on_record = stack.enter_context(closing(EventFiles(out))).write
        outcome = hold_race(
            plan, out, num_workers=workers, scheduler=dask, on_record=on_record, console=console
        )
        report = report_race(outcome, out, command=this_command(), console=console)
    console.print(f"report: {report}", soft_wrap=True)


def _names(listed: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in listed.split(",") if name.strip())
