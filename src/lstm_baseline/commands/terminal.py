"""Parts that all commands share: console, exit codes, and one clear line for any error."""

import codecs
import errno
import io
import os
import shlex
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import typer
from pydantic import ValidationError
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from typer.exceptions import TyperException

from lstm_baseline.engine.errors import (
    DivergenceError,
    InputError,
    LSTMBaselineError,
    WorkerError,
    WriteError,
)
from lstm_baseline.plots.formats import printable, printable_lines
from lstm_baseline.runs.stopping import Stopped

PROGRAM = "lstm-baseline"


class _Console(Console):
    """Console that shows what could control a terminal, in a name or a path say, as an escape."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print objects; a string is one line."""
        super().print(*(printable(o) if isinstance(o, str) else o for o in objects), **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Yield segments, of which only the console's own control the terminal."""
        for segment in super().render(renderable, options):
            yield (
                segment if segment.control else segment._replace(text=printable_lines(segment.text))
            )


# Names that a user gave must be printed unchanged: without markup, emoji or colours.
console = _Console(markup=False, emoji=False, highlight=False)

WRONG_USE, FAILED, INTERRUPTED = 2, 1, 130


def refuse_file_as_folder(out: Path) -> None:
    """Refuse --out if it names a file."""
    if out.exists() and not out.is_dir():
        raise InputError(f"--out is {str(out)!r}, which is a file; give a folder")


@contextmanager
def resumable() -> Iterator[None]:
    """Say on Ctrl-C, or a kill, that the same command goes on from where the work stopped."""
    try:
        yield
    except (KeyboardInterrupt, Stopped) as error:
        code = error.exit_code if isinstance(error, Stopped) else INTERRUPTED
        raise Interrupted(code) from None


class Interrupted(LSTMBaselineError):
    """The user stopped work that can be continued."""

    def __init__(self, exit_code: int) -> None:
        super().__init__("stopped; given again, the same command goes on from here")
        self.exit_code = exit_code


def this_command() -> str:
    """Return the command line, quoted for a shell."""
    return shlex.join([PROGRAM, *sys.argv[1:]])


def write_data(text: str) -> None:
    """Write data on standard output: every letter as it is.

    Raises
    ------
    WriteError
        If the output's encoding lacks a letter; nothing is written then.
    """
    encoding = sys.stdout.encoding
    try:
        text.encode(encoding)
    except UnicodeEncodeError as error:
        raise WriteError(
            f"the encoding of standard output, {encoding}, has no {text[error.start]!r}; "
            "give --out with a .csv, which is UTF-8, or set PYTHONIOENCODING=utf-8"
        ) from error
    sys.stdout.write(printable_lines(text) if sys.stdout.isatty() else text)


def run(app: typer.Typer) -> None:
    """Run the command line; every error of use or of a run is one line on standard error."""
    codecs.register_error(_SPELLED, _spell)
    sys.stdout = _output(sys.stdout)
    sys.stderr = _output(sys.stderr)
    sys.exit(exit_code(app))


_NOBODY_READS = 128 + 13
"""Exit code where whoever read the output has gone, as ``head`` does: that of SIGPIPE."""


class _Output(io.TextIOWrapper):
    """Standard output or standard error, with one clear error where it cannot be written."""

    def write(self, text: str) -> int:
        """Write a text."""
        with self._reported():
            return super().write(text)

    def flush(self) -> None:
        """Write what is still in the buffer."""
        with self._reported():
            super().flush()

    @contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            # The rest of the buffer is not to be tried again.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            if isinstance(error, BrokenPipeError):
                sys.exit(_NOBODY_READS)
            raise WriteError(f"cannot write the output: {error.strerror}") from error


def _output(stream: TextIO) -> TextIO:
    """Return a standard stream that spells what its encoding lacks; others stay as they are."""
    if type(stream) is not io.TextIOWrapper:
        return stream
    return _Output(
        stream.buffer,
        stream.encoding,
        _SPELLED,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


_SPELLED = "lstm-baseline.spelled"
_SPELLINGS = {"±": "+-", "×": "x", "−": "-", "–": "-", "µ": "u", "→": "->"}
"""Signs of this package's own, and what stands for them in an encoding that lacks them."""


def _spell(error: UnicodeError) -> tuple[str, int]:
    """Spell a sign that an encoding lacks; of a letter, which may be a user's, give the code."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letter = error.object[error.start]
    return _SPELLINGS.get(letter, ascii(letter)[1:-1]), error.start + 1


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
        problem = first["msg"].removeprefix("Value error, ")
        return _complain(f"--{name} is {first['input']!r}; {problem}", WRONG_USE)
    except Interrupted as error:
        return _complain(str(error), error.exit_code)
    except (DivergenceError, WorkerError, WriteError) as error:
        return _complain(str(error), FAILED)
    except LSTMBaselineError as error:
        return _complain(str(error), WRONG_USE)
    except MemoryError as error:
        return _complain_of_memory(error)
    except OSError as error:
        if error.errno == errno.ENOMEM:
            return _complain_of_memory(error)
        return _complain(str(error), FAILED)
    except ImportError as error:  # a library is damaged, or there is no room to load it
        return _complain(f"{error.name} cannot be loaded: {error}", FAILED)
    return code


def _complain_of_use(error: TyperException) -> int:
    message = error.format_message()
    if not message:  # help was printed instead
        return WRONG_USE
    context = getattr(error, "ctx", None)
    command = context.command_path if context else PROGRAM
    return _complain(f"{message} (see {command} --help)", WRONG_USE)


def _complain_of_memory(error: Exception) -> int:
    """Say how much memory there was no room for or, if the error does not say it, where."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f"in {place.tb_frame.f_globals['__name__']}" if place is not None else "somewhere"
    return _complain(f"out of memory: {error or where}; choose a smaller size", FAILED)


def _complain(message: str, code: int) -> int:
    print(f"{PROGRAM}: {printable(' '.join(message.split()))}", file=sys.stderr)
    return code
