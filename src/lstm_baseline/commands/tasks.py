"""List the tasks."""

from rich.table import Table
from rich.text import Text

from lstm_baseline.commands.terminal import console
from lstm_baseline.engine.wording import counted


def list_tasks() -> None:
    """List the tasks with their ladders: chance, heuristics, oracle."""
    from lstm_baseline.tasks import make_task
    from lstm_baseline.tasks.measured_ladders import read

    table = Table("task", show_lines=True)
    table.add_column("ladder", no_wrap=True)
    for name, measured in read().items():
        task = make_task(name)
        unit = f", {task.metric.unit}" if task.metric.unit else ""
        seen = (
            f"of {task.input_size} tokens"
            if task.tokens
            else f"of {counted(task.input_size, 'feature')}"
        )
        rungs = "\n".join(f"{score:.3f}  {rung}" for rung, score in measured["ladder"])
        title = Text(name, style="bold")
        title.append(
            f"\n{task.summary}\n{counted(measured['steps'], 'step')} {seen}", style="not bold"
        )
        table.add_row(title, f"{task.metric.name}{unit}\n{rungs}")
    console.print(table)
