"""Curriculum over length: in the first steps of training, rows are short.

The longest row at step s = 0, 1, … of a curriculum of S steps, on a task whose rows have between a
and b steps, has

    a + ⌊(b − a) · min(1, (s + 1) / S)⌋

Validation and test always have rows of every length.

Source: Elman 1993; Bengio, Louradour, Collobert and Weston 2009; over length, Zaremba and Sutskever
2014 (arXiv 1410.4615).
"""

from lstm_baseline.engine.errors import InputError
from lstm_baseline.tasks import GeneratedTask, Task, make_task


class Curriculum:
    """The task of every training step.

    Parameters
    ----------
    task
        The task.
    num_steps
        S; 0 for no curriculum.

    Raises
    ------
    InputError
        If the rows of the task have no range of lengths.
    """

    def __init__(self, task: Task, num_steps: int) -> None:
        self._task, self._num_steps = task, num_steps
        self._shorter: dict[int, Task] = {}
        if num_steps:
            self._range = _range_of(task)

    def task_at(self, step: int) -> Task:
        """Return the task that a step is trained on."""
        if step + 1 >= self._num_steps:
            return self._task
        least, most = self._range
        longest = least + (most - least) * (step + 1) // self._num_steps
        if longest not in self._shorter:
            self._shorter[longest] = _up_to(self._task, least, longest, most)
        return self._shorter[longest]


def _range_of(task: Task) -> tuple[int, int]:
    lengths = getattr(task, "lengths", None)
    if not isinstance(task, GeneratedTask) or not isinstance(lengths, list | tuple):
        raise InputError(
            f"curriculum_steps is set, and the rows of {task.name} have one length; give a task a "
            "range, as lengths = [3, 40]"
        )
    least, most = lengths
    return least, most


def _up_to(task: Task, least: int, longest: int, most: int) -> Task:
    """Return the task with rows that are no longer, or hardly longer where it has none such."""
    config = task.config()
    name = config.pop("task")
    for end in range(longest, most):
        try:
            return make_task(name, **config | {"lengths": [least, end]})
        except InputError:  # an expression cannot have any number of symbols
            continue
    return task
