"""Every run of a race, once, with its stage: what is counted and what has been paid for."""

from typing import NamedTuple

from lstm_baseline.race.outcomes import RaceOutcome
from lstm_baseline.runs.run import RunResult
from lstm_baseline.runs.spec import RunSpec


class EndedRun(NamedTuple):
    """A run that has ended."""

    stage: str
    title: str
    """Title of its task, with the value of a sweep."""
    spec: RunSpec
    result: RunResult


def every_run(race: RaceOutcome) -> list[EndedRun]:
    """Return each run once, with its stage and its task; a shared one belongs to the final runs."""
    found: dict[str, EndedRun] = {}
    for outcome in race.trained:
        for contestant in outcome.contestants:
            for seed in contestant.seeds:
                found[seed.spec.name] = EndedRun("final run", outcome.title, seed.spec, seed.result)
            for trial in contestant.trials:
                found[trial.spec.name] = EndedRun("tuning trial", outcome.title, *trial)
            for rerun in contestant.reruns:
                found[rerun.spec.name] = EndedRun("tuning rerun", outcome.title, *rerun)
    for swept in race.sweeps:
        for seed in swept.runs:
            value = f"{swept.title}, {swept.sweep.vary} {seed.spec.task.config()[swept.sweep.vary]}"
            found.setdefault(seed.spec.name, EndedRun("sweep run", value, seed.spec, seed.result))
    return list(found.values())
