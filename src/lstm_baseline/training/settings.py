"""Settings of training."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from lstm_baseline.training.optimizers import OptimizerName
from lstm_baseline.training.schedules import ScheduleName

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


class TrainingSettings(BaseModel):
    """Settings of one training run; unknown names and wrong values are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    num_steps: Count = 2000
    """Updates of the parameters."""
    batch_size: Count = 32
    optimizer: OptimizerName = "adam"
    learning_rate: Positive = 3e-3
    """The schedule's peak."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Momentum of SGD."""
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
    patience: Count | None = None
    """Validations without improvement after which training stops; never when None."""
