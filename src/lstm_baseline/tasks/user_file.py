"""Reading a file of the user's."""

import hashlib
from os import PathLike
from pathlib import Path
from typing import NamedTuple

from lstm_baseline.engine.errors import FileError
from lstm_baseline.engine.storage import check_is_file


class UserFile(NamedTuple):
    """A file as it was when it was read."""

    path: Path
    content: bytes
    sha256: str
    """Digest of the content, in hexadecimal: what tells a changed file from the old one."""


def read_user_file(path: str | PathLike[str]) -> UserFile:
    """Read a whole file.

    Raises
    ------
    FileError
        There is no such file, it is no regular one, or it cannot be read.
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_dir():
            check_is_file(path)
        content = path.read_bytes()
    except FileNotFoundError:
        raise FileError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise FileError(f"{path} is a folder; expected a file") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise FileError(f"{path} cannot be read: {reason}") from error
    return UserFile(path, content, hashlib.sha256(content).hexdigest())
