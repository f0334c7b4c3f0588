"""Progress of a race: a bar for each run under way, a line for each run that has ended."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from lstm_baseline.plots import formats
from lstm_baseline.runs.run import RunResult
from lstm_baseline.runs.spec import RunSpec
from lstm_baseline.training import Record


@contextmanager
def show_bars(console: Console, specs: Sequence[RunSpec]) -> Iterator["Bars"]:
    """Yield live progress on a console; without a terminal it prints only the lines."""
    progress = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=12),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeRemainingColumn(compact=True),
        TextColumn("left"),
        console=console,
    )
    bars = Bars(progress, specs)
    with progress:
        yield bars


class Bars:
    """A bar for each run under way, and one for all runs."""

    def __init__(self, progress: Progress, specs: Sequence[RunSpec]) -> None:
        self._progress = progress
        self._work = {spec.name: spec.estimated_work() for spec in specs}
        self._done = dict.fromkeys(self._work, 0.0)
        self._total = self._progress.add_task("all runs", total=sum(self._work.values()))
        self._bars: dict[str, TaskID] = {}

    def update(self, spec: RunSpec, record: Record) -> None:
        """Show how far a run is."""
        num_steps = spec.settings.num_steps
        if spec.name not in self._bars:
            self._bars[spec.name] = self._progress.add_task("", total=num_steps)
        self._progress.update(
            self._bars[spec.name],
            completed=record.step,
            description=f"{title(spec)}  {formats.number(record.metric)}",
        )
        self._add(spec, record.step / num_steps)

    def end(self, spec: RunSpec, result: RunResult) -> None:
        """Remove a run's bar and print a line about how it ended."""
        if spec.name in self._bars:
            self._progress.remove_task(self._bars.pop(spec.name))
        self._progress.console.print(_describe(spec, result))
        self._add(spec, 1.0)

    def say(self, spec: RunSpec, text: str) -> None:
        """Print a line about a run."""
        self._progress.console.print(f"{title(spec)}  {text}")

    def _add(self, spec: RunSpec, share: float) -> None:
        """Advance the bar of all runs to the given share of one of them."""
        done = share * self._work[spec.name]
        self._progress.update(self._total, advance=done - self._done[spec.name])
        self._done[spec.name] = done


def title(spec: RunSpec) -> str:
    """Return the name of a run on the console."""
    return f"{spec.task.name}  {spec.model}  {spec.title}"


def _describe(spec: RunSpec, result: RunResult) -> str:
    if result.status == "failed":
        return f"{title(spec)}  failed: {result.reason}"
    score = result.score if spec.stage == "final" else result.validation_score
    metric = spec.task.metric.name
    return f"{title(spec)}  {metric} {formats.number(score)}  {formats.duration(result.seconds)}"
