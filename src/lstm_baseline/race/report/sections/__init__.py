"""The sections of the report, in order; a new section needs a module here and a template."""

from lstm_baseline.race.report.sections import (
    cost,
    curves,
    difficulty,
    failures,
    inside,
    scores,
    speed,
    tuning,
    verdict,
    wrong,
)
from lstm_baseline.race.report.sections.section import Picture, Section

HEAD = verdict.SECTION
"""Section above all others; the page's list of sections leaves it out."""

SECTIONS: tuple[Section, ...] = (
    scores.SECTION,
    curves.SECTION,
    tuning.SECTION,
    speed.SECTION,
    difficulty.SECTION,
    cost.SECTION,
    inside.SECTION,
    wrong.SECTION,
    failures.SECTION,
    Section("plan", "Plan"),
    Section("how", "How it was run"),
)

__all__ = ["HEAD", "SECTIONS", "Picture", "Section"]
