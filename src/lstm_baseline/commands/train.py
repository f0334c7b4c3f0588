"""Train one model."""

from pathlib import Path
from typing import Annotated

import typer

from lstm_baseline.commands.options import (
    DataOption,
    TargetOption,
    TextOption,
    own_task,
    refuse_target_without_data,
)
from lstm_baseline.commands.terminal import console, refuse_file_as_folder, resumable
from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.models import MODELS

*_FIRST, _LAST = MODELS
_MODEL_HELP = f"{', '.join(_FIRST)} or {_LAST}."
_USUAL = MODELS["lstm"].default_width
_WIDTH_HELP = f"Hidden size ({_USUAL}), or " + ", ".join(
    f"{kind.model.width_argument.replace('_', ' ')} of the {kind.label} ({kind.default_width})"
    for kind in MODELS.values()
    if kind.model.width_argument != "hidden_size"
)


def train(
    task: Annotated[str | None, typer.Option(help="A task by name; `tasks` lists them.")] = None,
    data: DataOption = None,
    text: TextOption = None,
    target: TargetOption = "auto",
    model: Annotated[str, typer.Option(help=_MODEL_HELP)] = "lstm",
    width: Annotated[
        int | None,
        typer.Option(min=1, help=f"{_WIDTH_HELP}."),
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
    from lstm_baseline.contestants.contestant import Contestant
    from lstm_baseline.runs.spec import RunSpec
    from lstm_baseline.tasks import make_task
    from lstm_baseline.training import TrainingSettings
    from lstm_baseline.usage.train import train_and_save

    if sum(option is not None for option in (task, data, text)) != 1:
        raise InputError("give one of --task, --data and --text")
    if model not in MODELS:
        raise InputError(f"no model is named {model!r}; give one of: {', '.join(MODELS)}")
    refuse_target_without_data(target, data)
    refuse_file_as_folder(out)
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
        task=own_task(data, text, target) if task is None else make_task(task),
        contestant=Contestant.model_validate(model),
        width=width or MODELS[model].default_width,
        settings=settings,
        seed=seed,
    )
    with resumable():
        train_and_save(spec, out, console)
