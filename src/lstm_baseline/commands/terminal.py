"""Parts that all commands share: console, exit codes, and one clear line for any error."""

import io
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from pydantic import ValidationError
from rich.console import Console
from typer.exceptions import TyperException

from lstm_baseline.engine.errors import (
    DivergenceError,
    InputError,
    LSTMBaselineError,
    WorkerError,
    WriteError,
)

PROGRAM = "lstm-baseline"
# Names that a user gave must be printed unchanged: without markup, emoji or colours.
console = Console(markup=False, emoji=False, highlight=False)

WRONG_USE, FAILED, INTERRUPTED = 2, 1, 130


def refuse_file_as_folder(out: Path) -> None:
    """Refuse --out if it names a file."""
    if out.exists() and not out.is_dir():
        raise InputError(f"--out is {str(out)!r}, which is a file; give a folder")


@contextmanager
def resumable() -> Iterator[None]:
    """Say on Ctrl-C that the same command goes on from where the work stopped."""
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted("stopped; given again, the same command goes on from here") from None


class Interrupted(LSTMBaselineError):
    """The user stopped work that can be continued."""


def this_command() -> str:
    """Return the command line, quoted for a shell."""
    return shlex.join([PROGRAM, *sys.argv[1:]])


def run(app: typer.Typer) -> None:
    """Run the command line; every error of use or of a run is one line on standard error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # σ on a terminal that cannot show it
    sys.exit(exit_code(app))


def exit_code(app: typer.Typer) -> int:
    """Run the command line and return its exit code."""
    try:
        code = int(app(standalone_mode=False, prog_name=PROGRAM) or 0)
        sys.stdout.flush()
    except TyperException as error:
        return _complain_of_use(error)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]).replace("_", "-")
        return _complain(f"--{name} is {first['input']!r}; {first['msg']}", WRONG_USE)
    except Interrupted as error:
        return _complain(str(error), INTERRUPTED)
    except (DivergenceError, WorkerError, WriteError) as error:
        return _complain(str(error), FAILED)
    except LSTMBaselineError as error:
        return _complain(str(error), WRONG_USE)
    except MemoryError as error:
        return _complain(f"out of memory: {error}; choose a smaller size", FAILED)
    except OSError as error:
        # Do not try again to write the rest of the buffer to an output that is full or closed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return _complain(f"cannot write the output: {error.strerror}", FAILED)
    return code


def _complain_of_use(error: TyperException) -> int:
    message = error.format_message()
    if not message:  # help was printed instead
        return WRONG_USE
    context = getattr(error, "ctx", None)
    command = context.command_path if context else PROGRAM
    return _complain(f"{message} (see {command} --help)", WRONG_USE)


def _complain(message: str, code: int) -> int:
    print(f"{PROGRAM}: {printable(' '.join(message.split()))}", file=sys.stderr)
    return code


def printable(text: str) -> str:
    """Return a text, names of files in it, without characters that a terminal would obey."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
