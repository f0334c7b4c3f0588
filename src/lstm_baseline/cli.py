"""The command line: options in, one function call, one clear line when something is wrong."""

import io
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table
from rich.text import Text
from typer.exceptions import TyperException

from lstm_baseline import __version__
from lstm_baseline.errors import (
    DivergenceError,
    InputError,
    LSTMBaselineError,
    WorkerError,
    WriteError,
)
from lstm_baseline.storage import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from lstm_baseline.tasks import Task

PROGRAM = "lstm-baseline"

app = typer.Typer(
    name=PROGRAM,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
# What a user names must come out as it is: no markup, no emoji, no colours of its own.
console = Console(markup=False, emoji=False, highlight=False)

WRONG_USE, FAILED, INTERRUPTED = 2, 1, 130


@app.callback(invoke_without_command=True)
def about(
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    """The LSTM baseline that a new recurrent architecture has to beat."""
    if version:
        console.print(__version__)
        raise typer.Exit


@app.command()
def info() -> None:
    """Say which engine runs, on which instruction set and threads, and all versions."""
    import platform
    from importlib.metadata import version

    from lstm_baseline.backend import describe

    engine = describe()
    native = engine["engine"] == "native"
    rows = {"lstm-baseline": __version__, "engine": engine["engine"]}
    if native:
        rows |= {
            "instruction set": f"{engine['instruction_set']} of {', '.join(engine['available'])}",
            "threads": str(engine["threads"]),
        }
    else:
        rows["why not native"] = engine["reason"]
    rows |= {
        "Python": platform.python_version(),
        "NumPy": version("numpy"),
        "system": f"{platform.system()} {platform.machine()}",
    }
    width = max(map(len, rows))
    for name, value in rows.items():
        console.print(f"{name:<{width}}  {value}")


DataOption = Annotated[
    Path | None,
    typer.Option(help="Your own data: .npz with X (N, T, I), y and, if rows differ, lengths."),
]
TextOption = Annotated[
    Path | None,
    typer.Option(help="Your own text: any UTF-8 file; the task is to predict the next character."),
]
Target = Literal["auto", "classification", "regression"]
TargetOption = Annotated[
    Target,
    typer.Option(help="What y in --data is: auto, classification or regression."),
]
StepsOption = Annotated[
    int | None, typer.Option(min=1, help="Training steps of each run; the preset's by default.")
]


PresetOption = Annotated[
    str,
    typer.Option(
        help="quick: minutes on two cores. standard: to publish, hours. nth-farthest: hours."
    ),
]


@app.command()
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
    from lstm_baseline.comparison.race import race as run_race
    from lstm_baseline.comparison.race_file import OWN_DATA, change, read_preset, read_race

    _refuse_target_without_data(target, data)
    _refuse_file_as_folder(out)
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
    with _resumable(), ExitStack() as stack:
        on_record = None
        if tensorboard:
            from lstm_baseline.comparison.execution.tensorboard import EventFiles

            on_record = stack.enter_context(EventFiles(out)).write
        report = run_race(
            plan,
            out,
            num_workers=workers,
            scheduler=dask,
            on_record=on_record,
            command=_this_command(),
            console=console,
        )
    console.print(f"report: {report}", soft_wrap=True)


@app.command()
def init(
    race: Annotated[Path, typer.Argument(help="The file to write, race.toml say.")],
    preset: PresetOption = "quick",
) -> None:
    """Write a race's file, with comments, to change and give to compare."""
    from lstm_baseline.comparison.race_file import write_preset

    write_preset(preset, race)
    console.print(f"race: {race}", soft_wrap=True)


@app.command()
def train(
    task: Annotated[str | None, typer.Option(help="A task by name; `tasks` lists them.")] = None,
    data: DataOption = None,
    text: TextOption = None,
    target: TargetOption = "auto",
    model: Annotated[str, typer.Option(help="lstm, gru or relational.")] = "lstm",
    width: Annotated[
        int | None,
        typer.Option(min=1, help="Hidden size (64), or head size of the relational RNN (16)."),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Training steps.")] = 2000,
    batch_size: Annotated[int, typer.Option(min=1, help="Rows of a training batch.")] = 32,
    optimizer: Annotated[str, typer.Option(help="adam or sgd.")] = "adam",
    learning_rate: Annotated[float, typer.Option(help="The schedule's peak.")] = 3e-3,
    schedule: Annotated[str, typer.Option(help="constant, exponential or cosine.")] = "cosine",
    truncate: Annotated[
        int | None,
        typer.Option(min=1, help="Steps through which gradients reach back; all by default."),
    ] = None,
    recompute: Annotated[
        bool, typer.Option(help="Store less of long sequences and compute it again: slower.")
    ] = False,
    patience: Annotated[
        int | None, typer.Option(min=1, help="Stop after so many validations without a better one.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of data and initial weights.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder of the trained model and its run.")] = Path(
        "trained"
    ),
) -> None:
    """Train one model on one task or on your own data, and save it.

    A stopped run goes on from its checkpoint when the same command is given again.
    """
    from lstm_baseline.comparison.contestant import Contestant
    from lstm_baseline.comparison.plan import RunSpec
    from lstm_baseline.comparison.single import train_and_save
    from lstm_baseline.models import MODELS
    from lstm_baseline.tasks import make_task
    from lstm_baseline.training import TrainingSettings

    if sum(option is not None for option in (task, data, text)) != 1:
        raise InputError("give one of --task, --data and --text")
    if model not in MODELS:
        raise InputError(f"no model is named {model!r}; give one of: {', '.join(MODELS)}")
    _refuse_target_without_data(target, data)
    _refuse_file_as_folder(out)
    settings = TrainingSettings.model_validate(
        {
            "num_steps": steps,
            "batch_size": batch_size,
            "optimizer": optimizer,
            "learning_rate": learning_rate,
            "schedule": schedule,
            "truncate": truncate,
            "recompute": recompute,
            "patience": patience,
        }
    )
    spec = RunSpec(
        task=_own_task(data, text, target) if task is None else make_task(task),
        contestant=Contestant.model_validate(model),
        width=width or (16 if model == "relational" else 64),
        settings=settings,
        seed=seed,
    )
    with _resumable():
        train_and_save(spec, out, console)


@app.command()
def predict(
    model: Annotated[
        Path, typer.Argument(help="A model.safetensors, or the folder that train wrote.")
    ],
    data: Annotated[
        Path, typer.Option(help="Sequences: X (N, T, I) as .npy, or .npz with lengths as well.")
    ],
    every_step: Annotated[
        bool | None,
        typer.Option(
            "--every-step/--last-step", help="Outputs at every step, or each row's last one."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write .csv or .npz instead of printing a table.")
    ] = None,
) -> None:
    """Run a saved model over your data: its outputs, or classes and their probabilities."""
    from rich.progress import Progress

    from lstm_baseline import prediction

    if out is not None:
        prediction.check_format(out)
    shown = Console(stderr=True)
    with Progress(console=shown, transient=True, disable=not shown.is_terminal) as progress:
        bar = progress.add_task("rows", total=None)
        found = prediction.predict(
            model,
            data,
            every_step,
            lambda done, total: progress.update(bar, completed=done, total=total),
        )
    if out is None:
        sys.stdout.write(found.csv())
    else:
        found.write(out)
        console.print(f"predictions: {out}", soft_wrap=True)


@app.command()
def convert(
    source: Annotated[
        Path, typer.Argument(help="A .safetensors (ours or a PyTorch state dict), .onnx or .keras.")
    ],
    target: Annotated[Path, typer.Argument(help="A .safetensors, .onnx or .keras to write.")],
    to: Annotated[
        str | None,
        typer.Option(help="torch writes a .safetensors as a PyTorch state dict, not as ours."),
    ] = None,
    prefix: Annotated[
        str, typer.Option(help="What names of a larger state dict begin with for its LSTM.")
    ] = "",
) -> None:
    """Convert an LSTM from one library's file to another's, and check that outputs agree."""
    from lstm_baseline.interop import convert as convert_file

    found = convert_file(source, target, to=to, prefix=prefix)
    console.print(repr(found.model), soft_wrap=True)
    apart = f"at most {found.error:.0e} of the largest apart" if found.error else "the same"
    console.print(f"{target}: outputs are {apart}, run by {found.checked_by}", soft_wrap=True)


@app.command("tasks")
def list_tasks() -> None:
    """List the tasks with their ladders: chance, heuristics, oracle."""
    from lstm_baseline.tasks import TASKS, make_task

    table = Table("task", show_lines=True)
    table.add_column("ladder", no_wrap=True)
    for name in TASKS:
        task = make_task(name)
        unit = f", {task.metric.unit}" if task.metric.unit else ""
        _, num_steps, num_features = task.validation(0).x.shape
        rungs = "\n".join(f"{rung.score:.3f}  {rung.name}" for rung in task.ladder())
        title = Text(name, style="bold")
        title.append(
            f"\n{task.summary}\n{num_steps} steps of {num_features} features", style="not bold"
        )
        table.add_row(title, f"{task.metric.name}{unit}\n{rungs}")
    console.print(table)


@app.command()
def demo(
    name: Annotated[str | None, typer.Argument(help="A demo; all of them without.")] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Save the picture here: .png, .svg or .pdf.")
    ] = None,
) -> None:
    """Show what an LSTM does, in five small demos."""
    from lstm_baseline.demos import DEMOS

    if name is not None and name not in DEMOS:
        raise InputError(f"no demo is named {name!r}; give one of: {', '.join(DEMOS)}")
    if plot is not None:
        _check_picture_path(plot)
    for each in DEMOS.values() if name is None else [DEMOS[name]]:
        figure = each.run(console)
        if plot is not None:
            _save_picture(figure, plot if name else plot.with_stem(f"{plot.stem}-{each.name}"))


@app.command()
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
    from lstm_baseline.benchmarks.machine import num_cores
    from lstm_baseline.benchmarks.run import bench as run_benchmark

    _refuse_file_as_folder(out)
    cases = select_cases(only, quick=quick)
    counts = sorted({1, num_cores()}) if threads is None else [threads]
    report = run_benchmark(cases, counts, out, quick=quick, console=console)
    console.print(f"results: {out / 'bench.json'}", soft_wrap=True)
    if report.wrong:
        raise typer.Exit(FAILED)


def _own_task(data: Path | None, text: Path | None, target: Target) -> "Task":
    """Return the task that the user's own file makes."""
    from lstm_baseline.tasks import ArrayFile, TextFile

    if data is not None:
        return ArrayFile(data, target=target)
    assert text is not None
    return TextFile(text)


def _refuse_target_without_data(target: Target, data: Path | None) -> None:
    if target != "auto" and data is None:
        raise InputError("--target says what y in --data is; give --data as well")


def _refuse_file_as_folder(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise InputError(f"--out is {str(out)!r}, which is a file; give a folder")


@contextmanager
def _resumable() -> Iterator[None]:
    """Say on Ctrl-C that the work goes on from where it was."""
    try:
        yield
    except KeyboardInterrupt:
        raise _Interrupted("stopped; given again, the same command goes on from here") from None


class _Interrupted(LSTMBaselineError):
    """The user stopped work that can be continued."""


def _names(listed: str) -> list[str]:
    return [name.strip() for name in listed.split(",") if name.strip()]


def _this_command() -> str:
    """Return the command line as a shell would take it."""
    return shlex.join([PROGRAM, *sys.argv[1:]])


def _save_picture(figure: "Figure", path: Path) -> None:
    content = io.BytesIO()
    figure.savefig(content, format=path.suffix[1:], dpi=150)
    write_whole(path, content.getvalue())
    console.print(f"picture: {path}", soft_wrap=True)


def _check_picture_path(path: Path) -> None:
    if path.suffix not in (".png", ".svg", ".pdf"):
        raise InputError(f"--plot is {str(path)!r}; end it in .png, .svg or .pdf")


def main() -> None:
    """Run the command line; every error of use or of a run is one line on standard error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # σ on a terminal that cannot show it
    sys.exit(_run())


def _run() -> int:
    try:
        code = int(app(standalone_mode=False, prog_name=PROGRAM) or 0)
        sys.stdout.flush()
    except TyperException as error:
        return _complain_of_use(error)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]).replace("_", "-")
        return _complain(f"--{name} is {first['input']!r}; {first['msg']}", WRONG_USE)
    except _Interrupted as error:
        return _complain(str(error), INTERRUPTED)
    except (DivergenceError, WorkerError, WriteError) as error:
        return _complain(str(error), FAILED)
    except LSTMBaselineError as error:
        return _complain(str(error), WRONG_USE)
    except MemoryError as error:
        return _complain(f"out of memory: {error}; choose a smaller size", FAILED)
    except OSError as error:
        # Whatever is still buffered for an output that is full or closed must not be tried again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return _complain(f"cannot write the output: {error.strerror}", FAILED)
    return code


def _complain_of_use(error: TyperException) -> int:
    message = error.format_message()
    if not message:  # help was printed instead
        return WRONG_USE
    context = getattr(error, "ctx", None)
    command = context.command_path if context else PROGRAM
    return _complain(f"{message} (see {command} --help)", WRONG_USE)


def _complain(message: str, code: int) -> int:
    print(f"{PROGRAM}: {' '.join(message.split())}", file=sys.stderr)
    return code
