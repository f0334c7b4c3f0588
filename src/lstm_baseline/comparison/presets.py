"""Races that are ready to run."""

from lstm_baseline.comparison.plan import Plan
from lstm_baseline.tasks import make_task
from lstm_baseline.training import TrainingSettings

DEFAULT_MODELS = ("lstm", "relational")

QUICK = Plan(
    tasks=(
        make_task("object-tracking", num_objects=3, grid=4, num_sightings=8),
        make_task("pair-matching", num_pairs=3, num_symbols=12),
        make_task("qa", num_persons=2, num_objects=2, num_places=4, num_facts=6),
    ),
    models=DEFAULT_MODELS,
    seeds=3,
    settings=TrainingSettings(num_steps=2000, batch_size=64, learning_rate=1e-2),
    head_size=10,
)
