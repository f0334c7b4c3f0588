"""A trained model as its folder has it: the weights, and what their outputs mean."""

from pathlib import Path
from typing import Any, NamedTuple

from lstm_baseline.engine.errors import FileError, InputError
from lstm_baseline.engine.models import SequenceModel, load_model
from lstm_baseline.engine.storage import has_format, read_json
from lstm_baseline.runs.run import RESULT, RUN
from lstm_baseline.runs.saved_model import LABELS, MODEL, WEIGHTS
from lstm_baseline.tasks import make_task
from lstm_baseline.tasks.metrics import LossName
from lstm_baseline.usage.train import RUN_FOLDER

Label = str | int | float | bool | None


class Trained(NamedTuple):
    """A model, and what is known of its training."""

    model: SequenceModel
    labels: list[Label] | None
    """Labels of the outputs if they are classes; None stands for characters without a class."""
    run: dict[str, Any]
    """What ``run.json`` says of the run that made the model; empty if it is not there."""

    @property
    def every_step(self) -> bool:
        """True if it was trained on the outputs of every step."""
        return self.run.get("per_step") is True

    @property
    def task(self) -> dict[str, Any]:
        """What defines the task that it was trained on; empty if that is not known."""
        task = self.run.get("task")
        return task if isinstance(task, dict) else {}

    @property
    def loss(self) -> LossName | None:
        """Loss that says what its outputs are; None if it was trained on a task unknown here.

        Outputs of a model from elsewhere are taken as logits of classes where they have labels, and
        as values otherwise.
        """
        if self.labels is not None:
            return "cross_entropy"
        arguments = dict(self.task)
        name = arguments.pop("task", None)
        if name is None or arguments.get("target") == "regression":
            return "mean_squared_error"
        if arguments.get("target") == "labels":
            return "binary_cross_entropy"
        try:
            return make_task(name, **arguments).loss
        except (InputError, TypeError):
            return None


def read_trained(path: Path) -> Trained:
    """Read a model that ``save`` wrote, or the folder that ``train`` or a run of a race wrote.

    Raises
    ------
    FileError
        If a file is missing, damaged, of the wrong kind, or takes other than raw numbers.
    """
    file = path / MODEL if path.is_dir() else path
    if file.is_file() and has_format(file, WEIGHTS):
        raise FileError(
            f"{file} holds weights of a race's contestant that take no raw numbers: its class is"
            " not this package's, or normalises its inputs; train writes a model for use"
        )
    if _standardises(file.parent):
        raise FileError(
            f"{file.parent} is a run on own data of an earlier version, whose model takes"
            " standardised numbers; train it again"
        )
    model = load_model(file)
    if file.name != MODEL:  # files next to a model of another name need not belong to it
        return Trained(model, None, {})
    return Trained(model, _labels(file.parent, model.output_size), _run(file.parent))


def _labels(folder: Path, output_size: int | None) -> list[Label] | None:
    """Return the labels of the outputs, if a file next to the model has them."""
    path = folder / LABELS
    if not path.exists():
        return None
    labels = read_json(path)
    if not isinstance(labels, list) or len(labels) != output_size:
        raise FileError(f"{path} is not a list of {output_size} labels, one for each output")
    if not all(isinstance(label, Label) for label in labels):
        raise FileError(f"{path} holds other labels than text, numbers and booleans")
    return labels


def _standardises(folder: Path) -> bool:
    """Return whether a folder is a run of an earlier version, on arrays of the user's."""
    if not (folder / RUN).exists() or not (folder / RESULT).exists():
        return False
    run, result = read_json(folder / RUN), read_json(folder / RESULT)
    if not isinstance(run, dict) or not isinstance(result, dict):
        raise FileError(f"{folder} is no run of this package; remove {RUN} and {RESULT}")
    task = run.get("task")
    return isinstance(task, dict) and "target" in task and "selected_by" not in result


def _run(folder: Path) -> dict[str, Any]:
    """Return the specification of the run that made the model, if it lies with it."""
    for path in (folder / RUN_FOLDER / RUN, folder / RUN):
        if path.exists():
            about = read_json(path)
            return about if isinstance(about, dict) else {}
    return {}
