"""All of a training run's state in one safetensors file.

Batches and random numbers are functions of seed and step, so a checkpoint needs only the
parameters, the optimizer's memory, the best weights so far and the history.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lstm_baseline.engine.errors import FileError
from lstm_baseline.engine.shapes import Params
from lstm_baseline.engine.storage import check_arrays, read_tensors, write_tensors

FORMAT = "lstm-baseline checkpoint 1"


class Record(NamedTuple):
    """One line of a run's history, at a validation."""

    step: int
    """Updates done."""
    seconds: float
    """Time spent in training steps so far."""
    loss: float | None
    """Mean training loss since the line before; None before the first step."""
    gradient_norm: float | None
    """Mean global norm of the gradient before clipping, since the line before."""
    learning_rate: float | None
    """Learning rate of the last step."""
    metric: float
    """The task's metric on the validation samples."""
    validation_loss: float | None = None
    """Loss on the validation samples; None in runs of earlier versions."""


class Progress:
    """The changing parts of a run: everything that a checkpoint holds."""

    def __init__(self, params: Params, optimizer_state: Params) -> None:
        self.params = params
        self.optimizer_state = optimizer_state
        self.best_params = {name: value.copy() for name, value in params.items()}
        self.best_step = 0
        self.history: list[Record] = []

    @property
    def step(self) -> int:
        """Updates done at the last line of the history."""
        return self.history[-1].step if self.history else 0

    def save(self, path: Path, identity: dict[str, Any]) -> None:
        """Write everything, whole or not at all; ``identity`` says which run it belongs to."""
        write_tensors(
            path,
            self._arrays(),
            {
                "format": FORMAT,
                "identity": identity,
                "best_step": self.best_step,
                "history": [list(record) for record in self.history],
            },
        )

    def restore(self, path: Path, identity: dict[str, Any]) -> None:
        """Take everything from a checkpoint of the same run.

        Raises
        ------
        FileError
            If the file is damaged or belongs to another run; then nothing is changed.
        """
        arrays, about = read_tensors(path, FORMAT)
        saved = about.get("identity")
        if saved != identity:
            names = (
                sorted(identity)
                if not isinstance(saved, dict)
                else sorted(
                    key
                    for key in identity.keys() | saved.keys()
                    if identity.get(key) != saved.get(key)
                )
            )
            raise FileError(
                f"{path} belongs to another run (it differs in {', '.join(names)}); "
                "choose another folder or remove it"
            )
        own = self._arrays()
        dtype = next(iter(self.params.values())).dtype
        check_arrays(path, arrays, {name: value.shape for name, value in own.items()}, dtype)
        try:
            best_step = int(about["best_step"])
            history = [Record(*line) for line in about["history"]]
        except (KeyError, TypeError, ValueError) as error:
            raise FileError(f"{path} has an unusable history: {error}") from error
        for name, live in own.items():
            live[...] = arrays[name]
        self.best_step, self.history = best_step, history

    def _arrays(self) -> Params:
        groups = {
            "model": self.params,
            "best": self.best_params,
            "optimizer": self.optimizer_state,
        }
        return {
            f"{group}.{name}": np.asarray(value)
            for group, members in groups.items()
            for name, value in members.items()
        }
