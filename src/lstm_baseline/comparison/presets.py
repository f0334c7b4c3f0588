"""Races that are ready to run."""

from typing import NamedTuple

from lstm_baseline.errors import InputError
from lstm_baseline.tasks import GeneratedTask, Task, make_task
from lstm_baseline.training import TrainingSettings


class Preset(NamedTuple):
    """Difficulty, size and effort of a race."""

    tasks: dict[str, GeneratedTask]
    """Tasks raced by default, by name, at the preset's difficulty."""
    seeds: int
    settings: TrainingSettings
    """For generated tasks."""
    file_settings: TrainingSettings
    """For the user's own data and text."""
    head_size: int
    """Width of the relational RNN whose parameter count every contestant is given."""

    def task(self, name: str) -> Task:
        """Return a task by name, at the preset's difficulty where it has one."""
        return self.tasks[name] if name in self.tasks else make_task(name)


PRESETS: dict[str, Preset] = {
    # Small enough to learn within minutes on two cores, too large for any heuristic.
    "quick": Preset(
        tasks={
            "object-tracking": make_task("object-tracking", num_objects=3, grid=4, num_sightings=9),
            "pair-matching": make_task("pair-matching", num_pairs=4, num_symbols=12),
            "qa": make_task("qa", num_persons=2, num_objects=2, num_places=5, num_facts=7),
        },
        seeds=5,
        settings=TrainingSettings(num_steps=3000, batch_size=64, learning_rate=1e-2),
        file_settings=TrainingSettings(num_steps=2000, batch_size=32, learning_rate=3e-3),
        head_size=10,
    ),
    # Default difficulty and ten seeds: hours.
    "standard": Preset(
        tasks={
            name: make_task(name)
            for name in (
                "object-tracking",
                "pair-matching",
                "qa",
                "nth-farthest",
                "adding",
                "copy-memory",
            )
        },
        seeds=10,
        settings=TrainingSettings(
            num_steps=20_000,
            batch_size=64,
            learning_rate=5e-3,
            warmup_steps=200,
            evaluate_every=500,
        ),
        file_settings=TrainingSettings(
            num_steps=10_000,
            batch_size=32,
            learning_rate=2e-3,
            warmup_steps=200,
            evaluate_every=250,
        ),
        head_size=16,
    ),
}


def find_preset(name: str) -> Preset:
    """Return a preset by name."""
    if name not in PRESETS:
        raise InputError(f"no preset is named {name!r}; give one of: {', '.join(PRESETS)}")
    return PRESETS[name]
