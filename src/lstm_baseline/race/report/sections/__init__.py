"""The sections of the report, in its order; a section more is a module here and a template."""

from lstm_baseline.race.report.sections import (
    curves,
    difficulty,
    failures,
    inside,
    scores,
    speed,
    tuning,
    verdict,
)
from lstm_baseline.race.report.sections.section import Picture, Section

HEAD = verdict.SECTION
"""The section above all others, which the page's list of sections leaves out."""

SECTIONS: tuple[Section, ...] = (
    scores.SECTION,
    curves.SECTION,
    tuning.SECTION,
    speed.SECTION,
    difficulty.SECTION,
    Section("cost", "Size and cost"),
    inside.SECTION,
    failures.SECTION,
    Section("plan", "Plan"),
    Section("how", "How it was run"),
)

__all__ = ["HEAD", "SECTIONS", "Picture", "Section"]
