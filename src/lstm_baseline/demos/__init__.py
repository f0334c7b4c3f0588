"""Five demos, each a few seconds long: what an LSTM does, measured while you watch."""

from lstm_baseline.demos import (
    classification,
    initialisation,
    sequence_to_sequence,
    state,
    step_by_step,
)
from lstm_baseline.demos.base import Demo

DEMOS: dict[str, Demo] = {
    demo.name: demo
    for demo in (
        classification.DEMO,
        sequence_to_sequence.DEMO,
        state.DEMO,
        initialisation.DEMO,
        step_by_step.DEMO,
    )
}
"""The demos by the names that the command line takes."""

__all__ = ["DEMOS", "Demo"]
