"""Train one model."""

from pathlib import Path
from typing import Annotated

import typer

from lstm_baseline.commands.options import (
    DataOption,
    SplitOption,
    TargetOption,
    TextOption,
    own_task,
    refuse_without_data,
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

TaskOption = Annotated[
    str | None, typer.Option(help="A task: a name that `tasks` lists, or package.module:Name.")
]
ModelOption = Annotated[str, typer.Option(help=_MODEL_HELP)]
WidthOption = Annotated[int | None, typer.Option(min=1, help=f"{_WIDTH_HELP}.")]
StepsOption = Annotated[int, typer.Option(min=1, help="Training steps.")]
BatchSizeOption = Annotated[int, typer.Option(min=1, help="Rows of a training batch.")]
OptimizerOption = Annotated[str, typer.Option(help="adam, adamw, rmsprop or sgd.")]
WeightDecayOption = Annotated[float, typer.Option(help="Weight decay, which adamw alone takes.")]
LearningRateOption = Annotated[float, typer.Option(help="The schedule's peak.")]
ScheduleOption = Annotated[str, typer.Option(help="constant, exponential or cosine.")]
TruncateOption = Annotated[
    int | None,
    typer.Option(min=1, help="Steps through which gradients reach back; all by default."),
]
RecomputeOption = Annotated[
    bool, typer.Option(help="Store less of long sequences and compute it again: slower.")
]
PatienceOption = Annotated[
    int | None, typer.Option(min=1, help="Stop after this many validations without a better one.")
]
SeedOption = Annotated[int, typer.Option(min=0, help="Seed of data and initial weights.")]
OutOption = Annotated[Path, typer.Option(help="Folder of the trained model and its run.")]


def train(
    task: TaskOption = None,
    data: DataOption = None,
    text: TextOption = None,
    target: TargetOption = "auto",
    split: SplitOption = "auto",
    model: ModelOption = "lstm",
    width: WidthOption = None,
    steps: StepsOption = 2000,
    batch_size: BatchSizeOption = 32,
    optimizer: OptimizerOption = "adam",
    weight_decay: WeightDecayOption = 0.0,
    learning_rate: LearningRateOption = 3e-3,
    schedule: ScheduleOption = "cosine",
    truncate: TruncateOption = None,
    recompute: RecomputeOption = False,
    patience: PatienceOption = None,
    seed: SeedOption = 0,
    out: OutOption = Path("trained"),
) -> None:
    """Train one model on one task or on your own data, and save it.

    A stopped run goes on from its checkpoint when the same command is given again.
    """
    from lstm_baseline.contestants.contestant import Contestant
    from lstm_baseline.runs.spec import RunSpec
    from lstm_baseline.tasks import Task, make_task
    from lstm_baseline.tasks.own_task import task_code
    from lstm_baseline.training import TrainingSettings
    from lstm_baseline.usage.train import train_and_save

    if sum(option is not None for option in (task, data, text)) != 1:
        raise InputError("give one of --task, --data and --text")
    if model not in MODELS:
        raise InputError(f"no model is named {model!r}; give one of: {', '.join(MODELS)}")
    refuse_without_data(target, split, data)
    refuse_file_as_folder(out)
    settings = TrainingSettings.model_validate(
        {
            "num_steps": steps,
            "batch_size": batch_size,
            "optimizer": optimizer,
            "weight_decay": weight_decay,
            "learning_rate": learning_rate,
            "schedule": schedule,
            "truncate": truncate,
            "recompute": recompute,
            "patience": patience,
        }
    )
    made: Task = own_task(data, text, target, split) if task is None else make_task(task)
    spec = RunSpec(
        task=made,
        contestant=Contestant.model_validate(model),
        width=width or MODELS[model].default_width,
        settings=settings,
        seed=seed,
        task_code=task_code(made),
    )
    with resumable():
        train_and_save(spec, out, console)
