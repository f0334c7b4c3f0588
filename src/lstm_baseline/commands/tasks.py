"""List the tasks."""

from rich.table import Table
from rich.text import Text

from lstm_baseline.commands.terminal import console


def list_tasks() -> None:
    """List the tasks with their ladders: chance, heuristics, oracle."""
    from lstm_baseline.tasks import TASKS, make_task

    table = Table("task", show_lines=True)
    table.add_column("ladder", no_wrap=True)
    for name in TASKS:
        task = make_task(name)
        unit = f", {task.metric.unit}" if task.metric.unit else ""
        _, num_steps, num_features = task.validation(0).x.shape
        rungs = "\n".join(f"{rung.score:.3f}  {rung.name}" for rung in task.ladder())
        title = Text(name, style="bold")
        title.append(
            f"\n{task.summary}\n{num_steps} steps of {num_features} features", style="not bold"
        )
        table.add_row(title, f"{task.metric.name}{unit}\n{rungs}")
    console.print(table)
