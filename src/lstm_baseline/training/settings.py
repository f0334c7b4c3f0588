"""Settings of training."""

from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.wording import did_you_mean
from lstm_baseline.training.optimizers import DECAYING, OptimizerName
from lstm_baseline.training.schedules import ScheduleName

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]

_LEFT_OUT = ("weight_decay", "curriculum_steps")
"""Settings that ``config`` leaves out where they have their defaults."""


class TrainingSettings(BaseModel):
    """Settings of one training run.

    Raises
    ------
    InputError
        If a name is unknown or a value wrong.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    num_steps: Count = 2000
    """Updates of the parameters."""
    batch_size: Count = 32
    optimizer: OptimizerName = "adam"
    learning_rate: Positive = 3e-3
    """The schedule's peak."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Momentum of SGD; no other optimizer takes one."""
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Decoupled weight decay λ of AdamW, which without it is Adam; see ``is_decayed`` in
    ``optimizers.py``. No other optimizer takes one."""
    schedule: ScheduleName = "cosine"
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    clip_norm: Positive | None = 1.0
    """Largest global norm of the gradient; not clipped when None."""
    evaluate_every: Count = 100
    """Steps from one validation, and checkpoint, to the next."""
    truncate: Count | None = None
    """Steps through which a gradient reaches back, for memory that does not grow with T; all of
    them when None. See ``truncation.py``."""
    recompute: bool = False
    """True to compute again in backward what forward would store: a third more time, and memory
    that grows with √T beside each layer's inputs. See ``recomputation.py``."""
    curriculum_steps: Annotated[int, Field(ge=0)] = 0
    """Steps in which training rows grow from the shortest to the longest that the task has; 0 for
    rows of every length from the start. See ``curriculum.py``."""
    patience: Count | None = None
    """Validations without improvement, of the metric or among ties of the loss, after which
    training stops; never when None. A perfect metric does not improve."""

    def __init__(self, **settings: Any) -> None:
        try:
            super().__init__(**settings)
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0])
            if first["type"] != "extra_forbidden":
                problem = first["msg"].removeprefix("Value error, ")
                raise InputError(f"{name} is {first['input']!r}: {problem}") from None
            known = type(self).model_fields
            meant = did_you_mean(name, known)
            raise InputError(
                f"there is no setting {name!r}{meant}; give any of: {', '.join(known)}"
            ) from None

    @field_validator("weight_decay")
    @classmethod
    def _refuse_coupled_decay(cls, value: float, info: ValidationInfo) -> float:
        optimizer = info.data.get("optimizer", DECAYING)  # missing where it is wrong itself
        if value and optimizer != DECAYING:
            raise ValueError(
                f"the optimizer {optimizer} takes no weight decay; give 0, or the optimizer "
                f"{DECAYING}"
            )
        return value

    def config(self) -> dict[str, Any]:
        """Return the settings as plain JSON values, as plans, runs and checkpoints hold them.

        A setting that came after the first runs is left out where it has its default, so that
        plans keep their hashes and runs their names.
        """
        return {
            name: value
            for name, value in self.model_dump().items()
            if name not in _LEFT_OUT or value != type(self).model_fields[name].default
        }

    # Settings inside a race's file are checked with the whole file, as if there were no __init__.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]
