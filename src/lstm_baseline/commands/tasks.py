"""List the tasks."""

from rich.table import Table
from rich.text import Text

from lstm_baseline.commands.terminal import console
from lstm_baseline.engine.wording import counted


def list_tasks() -> None:
    """List the tasks with their ladders: chance, heuristics, oracle."""
    from lstm_baseline.tasks import TASKS, make_task

    table = Table("task", show_lines=True)
    table.add_column("ladder", no_wrap=True)
    for name in TASKS:
        task = make_task(name)
        unit = f", {task.metric.unit}" if task.metric.unit else ""
        num_steps = task.train_batch(0, 1, 0).x.shape[1]
        seen = (
            f"of {task.input_size} tokens"
            if task.tokens
            else f"of {counted(task.input_size, 'feature')}"
        )
        rungs = "\n".join(f"{rung.score:.3f}  {rung.name}" for rung in task.ladder())
        title = Text(name, style="bold")
        title.append(f"\n{task.summary}\n{counted(num_steps, 'step')} {seen}", style="not bold")
        table.add_row(title, f"{task.metric.name}{unit}\n{rungs}")
    console.print(table)
