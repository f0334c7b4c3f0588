r"""Tables of a race for LaTeX: scores, and how far each challenger is from the baseline.

They fit a page whatever the race has: names are broken into lines, contestants and tasks that are
too many for one table go on in the next, and what is still too wide for a column of text is scaled
down to it. They need ``booktabs`` and ``graphicx``. A name may hold any text; every special
character is escaped.
"""

import math
import textwrap
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeVar

from lstm_baseline.engine.wording import counted
from lstm_baseline.plots import formats
from lstm_baseline.race.outcomes import Comparison, ContestantOutcome, RaceOutcome
from lstm_baseline.race.race_statistics import Interval
from lstm_baseline.race.report import words
from lstm_baseline.race.verdict import VerdictRule
from lstm_baseline.tasks import Rung

T = TypeVar("T")

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",  # \textquotedbl is unknown to LaTeX's own encoding
    "±": r"$\pm$",
    "−": "$-$",
    "–": "--",
    # At the start of a line these would belong to the end of the line before.
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
} | {character: f"\\{character}" for character in "&%$#_{}"}

_DAGGER, _EQUIVALENT = r"$^\dagger$", r"$\approx$"

_MOST_CONTESTANTS, _MOST_CHALLENGERS, _MOST_LINES = 4, 3, 36
"""Columns of one table, and lines of text in its rows."""
_TITLE_WIDTH, _METRIC_WIDTH, _NAME_WIDTH = 26, 12, 18
"""Letters in a line of a task's title, of its metric's name, and of a contestant's name."""

_LONGEST_WORD = 20
"""Letters of a word that a paragraph need not break."""

_MOST_DECIMALS = 6


class _Row(NamedTuple):
    """A row of a table."""

    lines: int
    text: str


def results_latex(race: RaceOutcome) -> str:
    r"""Return the tables of a race: scores, and differences from the baseline where there are any.

    Scores are mean ± standard deviation, tasks × contestants, between each task's best heuristic
    and its oracle. By the verdict, a challenger that beats the baseline is bold, and so is a
    baseline that beats every challenger. No other contestant is bold, however good its mean.
    Differences are challenger − baseline in normalised score, with the intervals of the verdict.
    """
    plan = race.plan
    lines = [f"% Plan {plan.hash}; needs \\usepackage{{booktabs,graphicx}}.", *_scores(race)]
    if any(duel.compared for duel in race.duels):
        lines += _differences(race)
    return "\n".join(lines) + "\n"


def escape_latex(text: str) -> str:
    """Return a text with its special characters escaped for LaTeX."""
    return "".join(_LATEX.get(character, character) for character in formats.printable(text))


def _prose(text: str) -> str:
    """Return a text escaped for a paragraph, in which long words may be broken anywhere."""
    return " ".join(
        r"\allowbreak{}".join(map(escape_latex, word if len(word) > _LONGEST_WORD else [word]))
        for word in formats.printable(text).split(" ")
    )


def _scores(race: RaceOutcome) -> list[str]:
    """Return the tables of scores."""

    def row(place: int, names: Sequence[str]) -> _Row:
        outcome = race.tasks[place]
        found = [_score(race, outcome.of(name), place) for name in names]
        ends = (_rung(outcome.best_heuristic), _rung(outcome.oracle))
        title = _broken(outcome.title, _TITLE_WIDTH)
        metric = _broken(outcome.metric.name, _METRIC_WIDTH)
        arrow = r"$\uparrow$" if outcome.metric.higher_is_better else r"$\downarrow$"
        starts = (_stacked(title, "l"), f"{_stacked(metric, 'l')} {arrow}")
        return _Row(max(len(title), len(metric)), _line([*starts, ends[0], *found, ends[1]]))

    def head(names: Sequence[str]) -> str:
        return _line(["", "", _stacked(["best", "heuristic"], "c"), *map(_name, names), "oracle"])

    parts = list(_evenly(race.plan.models, _MOST_CONTESTANTS))
    return _tables(race, "scores", _scores_caption(race), parts, head, row, before=2, around=2)


def _differences(race: RaceOutcome) -> list[str]:
    """Return the tables of differences."""
    of_name = {duel.challenger: duel for duel in race.duels}

    def row(place: int, names: Sequence[str]) -> _Row:
        found = [_difference(race.plan.rule, of_name[name].tasks[place]) for name in names]
        title = _broken(race.tasks[place].title, _TITLE_WIDTH)
        return _Row(len(title), _line([_stacked(title, "l"), *found]))

    def head(names: Sequence[str]) -> str:
        return _line(["", *map(_name, names)])

    parts = list(_evenly(race.plan.challengers, _MOST_CHALLENGERS))
    caption = _differences_caption(race)
    return _tables(race, "differences", caption, parts, head, row, before=1, around=0)


def _tables(
    race: RaceOutcome,
    kind: str,
    caption: str,
    parts: Sequence[Sequence[str]],
    head: Callable[[Sequence[str]], str],
    row: Callable[[int, Sequence[str]], _Row],
    *,
    before: int,
    around: int,
) -> list[str]:
    """Return tables with all tasks and all of ``parts``, the groups of contestants.

    ``before`` columns at the left are aligned to it; ``around`` counts the columns beside those of
    the contestants that are centred like them.
    """
    lines: list[str] = []
    label = f"tab:{kind}-{race.plan.hash[:8]}"
    for names in parts:
        rows = [row(place, names) for place in range(len(race.tasks))]
        for own in _pages(rows):
            number = "" if not lines else f"-{1 + lines.count(_BEGIN)}"
            first = not lines
            again = rf"Table~\ref{{{label}}}, continued."
            lines += [
                _BEGIN,
                r"\centering\sloppy\footnotesize\setlength{\tabcolsep}{4pt}",
                rf"\caption{{{caption if first else again}}}",
                rf"\label{{{label}{number}}}",
                r"\par\smallskip",
                r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
                rf"\begin{{tabular}}{{{'l' * before}{'c' * (len(names) + around)}}}",
                r"\toprule",
                head(names),
                r"\midrule",
                *(each.text for each in own),
                r"\bottomrule",
                r"\end{tabular}}",
                r"\end{table}",
            ]
    return lines


_BEGIN = r"\begin{table}"


def _scores_caption(race: RaceOutcome) -> str:
    plan = race.plan
    spread = " ± standard deviation" if plan.seeds > 1 else ""
    parts = [_prose(f"Mean{spread} of test scores over {formats.seeds(plan.seeds)}.")]
    if race.duels:
        parts.append("Bold: better by the verdict's rule.")
        if any(task.verdict == "equivalent" for duel in race.duels for task in duel.tasks):
            baseline = _prose(formats.the(plan.baseline))
            parts.append(f"{_EQUIVALENT}: equivalent to {baseline} by that rule.")
    if any(not c.learned for outcome in race.tasks for c in outcome.contestants):
        parts.append(f"{_DAGGER}: did not learn.")
    failed = sum(len(c.failures) for outcome in race.tasks for c in outcome.contestants)
    if failed:
        parts.append(
            f"Left out here: {counted(failed, 'run')} that failed, which the verdict counts as "
            "chance."
        )
    parts += map(_prose, words.verdicts(plan, race.duels))
    return " ".join(parts)


def _differences_caption(race: RaceOutcome) -> str:
    plan = race.plan
    found = [task for duel in race.duels for task in duel.tasks]
    parts = [
        _prose(
            f"Mean difference in normalised score from {formats.the(plan.baseline)} over "
            f"{counted(plan.seeds, 'paired seed')}, with its {words.confidence(plan.rule)} "
            "interval by inversion of the sign-flip test. Above 0 the challenger is ahead."
        )
    ]
    better = f"p at most {plan.rule.level:g} after Holm's correction, and the interval beyond"
    margin = f"±{plan.rule.margin:g}" if plan.rule.margin else "0"
    parts.append(_prose(f"Bold: the one ahead is better ({better} {margin})."))
    if any(task.verdict == "equivalent" for task in found):
        parts.append(f"{_EQUIVALENT}: {_prose(f'equivalent within ±{plan.rule.margin:g}.')}")
    if any(task.barrier == "neither learned" for task in found):
        parts.append(f"{_DAGGER}: not compared, as neither learned.")
    if any(task.barrier == "no ceiling" for task in found):
        parts.append("--: not compared, as the best heuristic is perfect.")
    return " ".join(parts)


def _score(race: RaceOutcome, found: ContestantOutcome, place: int) -> str:
    """Return a contestant's scores on a task, with their marks."""
    cell = escape_latex(words.spread(found.score))
    if race.is_better(found.model, place):
        cell = rf"\textbf{{{cell}}}"
    if any(
        duel.challenger == found.model and duel.tasks[place].verdict == "equivalent"
        for duel in race.duels
    ):
        cell += f"~{_EQUIVALENT}"
    return cell if found.learned else f"{cell}{_DAGGER}"


def _difference(rule: VerdictRule, task: Comparison) -> str:
    """Return a difference with its interval and its mark."""
    if task.evidence is None:
        return _DAGGER if task.barrier == "neither learned" else "--"
    found = task.evidence.difference
    decimals = _decimals(found, rule.margin)
    estimate, low, high = (_signed(value, decimals) for value in found)
    cell = f"{estimate} [{low}, {high}]"
    if task.verdict in ("challenger better", "baseline better"):
        cell = rf"\textbf{{{cell}}}"
    return cell + (f"~{_EQUIVALENT}" if task.verdict == "equivalent" else "")


def _decimals(found: Interval, margin: float) -> int:
    """Return decimals with which rounding moves no number over 0 or the margin, at least three."""

    def side(value: float) -> list[bool]:
        return [value > edge for edge in (-margin, 0.0, margin)] + [
            value < edge for edge in (-margin, 0.0, margin)
        ]

    def keeps(decimals: int) -> bool:
        return all(
            side(value) == side(round(value, decimals)) for value in found if math.isfinite(value)
        )

    return next(filter(keeps, range(3, _MOST_DECIMALS)), _MOST_DECIMALS)


def _signed(value: float, decimals: int) -> str:
    """Return a number, or infinity, with LaTeX's minus."""
    text = r"$\infty$" if math.isinf(value) else f"{abs(value):.{decimals}f}"
    return f"$-${text}" if value < 0 and (math.isinf(value) or float(text)) else text


def _rung(rung: Rung | None) -> str:
    return escape_latex(formats.number(None if rung is None else rung.score))


def _name(name: str) -> str:
    return _stacked(_broken(formats.model_label(name), _NAME_WIDTH), "c")


def _broken(text: str, width: int) -> list[str]:
    """Return a text as lines of about some width, broken between words where that is possible."""
    return textwrap.wrap(formats.printable(text), width, break_on_hyphens=False) or [""]


def _stacked(lines: Sequence[str], align: str) -> str:
    """Return lines one below the other in a cell."""
    escaped = [escape_latex(line) for line in lines]
    if len(escaped) == 1:
        return escaped[0]
    inside = r"\\".join(escaped)
    return rf"\begin{{tabular}}[t]{{@{{}}{align}@{{}}}}{inside}\end{{tabular}}"


def _line(cells: Sequence[str]) -> str:
    return f"{' & '.join(cells)} \\\\"


def _evenly(items: Sequence[T], most: int) -> Iterator[Sequence[T]]:
    """Yield items in groups of nearly one size, as few as possible."""
    groups = math.ceil(len(items) / most)
    for k in range(groups):
        yield items[len(items) * k // groups : len(items) * (k + 1) // groups]


def _pages(rows: Sequence[_Row]) -> Iterator[Sequence[_Row]]:
    """Yield rows in groups that a page has room for."""
    own: list[_Row] = []
    for each in rows:
        if own and sum(other.lines for other in own) + each.lines > _MOST_LINES:
            yield own
            own = []
        own.append(each)
    yield own
