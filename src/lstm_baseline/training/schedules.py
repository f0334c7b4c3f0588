"""Learning rate as a function of the step."""

import math
from typing import Literal

ScheduleName = Literal["constant", "exponential", "cosine"]


def learning_rate_at(
    step: int,
    *,
    peak: float,
    schedule: ScheduleName,
    num_steps: int,
    warmup_steps: int = 0,
    final_fraction: float = 0.01,
) -> float:
    """Return the learning rate of a step (0, 1, … num_steps − 1).

    Over the first ``warmup_steps`` the rate rises linearly to ``peak``. Over the other steps, where
    s goes from 0 at the first of them to 1 at ``num_steps``, the rate is:

    - constant: peak
    - exponential: peak · final_fractionˢ
    - cosine: peak · (final_fraction + (1 − final_fraction) (1 + cos πs) / 2)

    Source of the cosine: Loshchilov and Hutter 2017 (arXiv 1608.03983), equation 5.
    """
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    s = (step - warmup_steps) / max(1, num_steps - warmup_steps)
    if schedule == "constant":
        return peak
    if schedule == "exponential":
        return float(peak * final_fraction**s)
    cosine = (1 + math.cos(math.pi * s)) / 2
    return peak * (final_fraction + (1 - final_fraction) * cosine)
