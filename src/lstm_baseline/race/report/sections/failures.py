"""Failures: the number of failed runs of each stage, and each run with its reason."""

from collections.abc import Mapping
from typing import NamedTuple

from lstm_baseline.engine.wording import counted
from lstm_baseline.plots import formats
from lstm_baseline.race.outcomes import RaceOutcome
from lstm_baseline.race.report.every_run import every_run
from lstm_baseline.race.report.sections.section import Section


class Failure(NamedTuple):
    """A run that failed."""

    stage: str
    run: str
    reason: str


def _counts(race: RaceOutcome) -> str:
    """Return the number of failed runs of each stage, in words."""
    found: dict[str, list[bool]] = {}
    for stage, _, _, result in every_run(race):
        found.setdefault(stage, []).append(result.status == "failed")
    return formats.listing(
        [f"{sum(failed)} of {counted(len(failed), stage)}" for stage, failed in found.items()]
    )


def _failures(race: RaceOutcome) -> list[Failure]:
    failures = [
        Failure(
            stage,
            f"{title}, {formats.model_label(spec.model)}, {spec.title}",
            result.reason or "no reason was recorded",
        )
        for stage, title, spec, result in every_run(race)
        if result.status == "failed"
    ]
    for swept in race.sweeps:
        if swept.sweep.train:
            continue
        (outcome,) = (each for each in race.trained if each.task is swept.sweep.task)
        for contestant in outcome.contestants:
            for value, point in zip(
                swept.sweep.values, swept.points[contestant.model], strict=True
            ):
                failures += [
                    Failure(
                        "sweep test",
                        f"{swept.title}, {formats.model_label(contestant.model)}, "
                        f"{seed.spec.title}",
                        f"no finite score at {swept.sweep.vary} {value}",
                    )
                    for seed, score in zip(contestant.seeds, point.scores, strict=False)
                    if score is None and seed.result.score is not None
                ]
    return failures


def _facts(race: RaceOutcome) -> Mapping[str, object]:
    return {"counts": _counts(race), "failures": _failures(race)}


SECTION = Section("failures", "Failures", facts=_facts)
