"""Which task a user's data file makes, by its ending."""

from os import PathLike
from pathlib import Path

from lstm_baseline.engine.errors import InputError
from lstm_baseline.tasks.base import Task
from lstm_baseline.tasks.files import ArrayFile, Split, Target
from lstm_baseline.tasks.music import FORMATS, MusicFile


def read_data(path: str | PathLike[str], target: Target = "auto", split: Split = "auto") -> Task:
    """Return the task of a file: ``MusicFile`` of a .json or .mat, ``ArrayFile`` of any other.

    Raises
    ------
    FileError
        The file cannot be read, is damaged, or holds something else.
    InputError
        Music is given a target or a split, which its file says itself.
    """
    if Path(path).suffix.lower() not in FORMATS:
        return ArrayFile(path, target=target, split=split)
    if (target, split) != ("auto", "auto"):
        raise InputError(
            f"{path} is music, whose file says what is asked and which pieces are for test; leave"
            " out target and split"
        )
    return MusicFile(path)
