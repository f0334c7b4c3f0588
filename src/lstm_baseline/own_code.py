"""Code of the user's own: classes found by name, what they are made of, and calls of them."""

import ast
import hashlib
import importlib
import inspect
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lstm_baseline.engine.errors import FileError, InputError, LSTMBaselineError

_NAMED = re.compile(r"(?P<module>[^\W\d]\w*(\.[^\W\d]\w*)*):(?P<name>[^\W\d]\w*)")
_PACKAGE = __name__.partition(".")[0]

_folders: list[str] = []
"""Folders of race's files, in which modules are looked for as well."""


class Code(NamedTuple):
    """What a class is made of."""

    source: Path
    """Its file."""
    digest: str
    """First 16 digits of a SHA-256 over this file and those next to it that it imports."""


def is_own(cls: type) -> bool:
    """Return True if a class is not this package's."""
    return cls.__module__.partition(".")[0] != _PACKAGE


def name_of(cls: type) -> str:
    """Return the name by which ``load_class`` finds a class: package.module:Name."""
    return f"{cls.__module__}:{cls.__qualname__}"


def search_also(folder: Path) -> None:
    """Look for modules in a folder, too: before the current one, and before all others."""
    _put_first(Path.cwd())
    _put_first(folder.absolute())
    if str(folder.absolute()) not in _folders:
        _folders.append(str(folder.absolute()))


def load_class(spec: str) -> type:
    """Return the class that "package.module:Name" names.

    Modules are looked for beside the race's file, in the current folder, then where Python looks
    for any module.

    Raises
    ------
    InputError
        If there is no such module or class, or the module raises while it is imported.
    """
    match = _NAMED.fullmatch(spec)
    if match is None:
        raise InputError(f"{spec!r} names no class; give package.module:Name, as in my_nets:MyNet")
    if match["module"] not in sys.modules:
        _put_first(Path.cwd())
    try:
        module = importlib.import_module(match["module"])
    except Exception as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name
        if missing and f"{match['module']}.".startswith(f"{missing}."):
            folders = " nor in ".join(dict.fromkeys([*_folders, str(Path.cwd())]))
            ending = "; leave out .py" if match["module"].endswith(".py") else ""
            raise InputError(
                f"there is no module {missing}, neither in {folders} nor installed; {spec} needs"
                f" it{ending}"
            ) from error
        raise InputError(f"{match['module']} cannot be imported: {told(error)}") from error
    found = getattr(module, match["name"], None)
    if found is None:
        own = [
            name
            for name, value in vars(module).items()
            if inspect.isclass(value) and value.__module__ == module.__name__
        ]
        classes = f"its classes are {', '.join(own)}" if own else "it has no class"
        raise InputError(f"{match['module']} has no {match['name']}; {classes}")
    if not inspect.isclass(found):
        raise InputError(f"{spec} is a {type(found).__name__}; name a class")
    return found


def check_can_be_found(cls: type) -> None:
    """Refuse a class that another process could not load by its name.

    Raises
    ------
    InputError
        If it is of a script or notebook, within a function or class, or no longer its module's.
    """
    name = cls.__qualname__
    if cls.__module__ == "__main__":
        raise InputError(
            f"{name} is of the script or notebook that runs, where worker processes do not find "
            "it; put it into a module, a file my_module.py say, and import it from there"
        )
    if "." in name:
        raise InputError(
            f"{name} is defined inside a function or another class, where worker processes do not "
            "find it; define it at the top of a module"
        )
    if load_class(name_of(cls)) is not cls:
        raise InputError(
            f"{name_of(cls)} names another class by now, as its module was loaded again; import it "
            "again"
        )


@cache
def code_of(cls: type) -> Code:
    """Return what a class is made of, as it was when this was first asked.

    Raises
    ------
    InputError
        If it has no source file that can be read.
    """
    try:
        path = Path(inspect.getsourcefile(cls) or "")
        digest = hashlib.sha256()
        for content in sorted(_files(path).values()):
            digest.update(hashlib.sha256(content).digest())
    except (OSError, TypeError, SyntaxError) as error:
        raise InputError(f"{name_of(cls)} has no source file that can be read") from error
    return Code(path, digest.hexdigest()[:16])


def forget(cls: type) -> None:
    """Forget the modules of a class and of the files next to it, so that they are loaded again."""
    files: set[Path] = set()
    with suppress(OSError, SyntaxError):  # whoever loads it again will say what is wrong
        files |= _files(code_of(cls).source).keys()
    for name, module in list(sys.modules.items()):
        if name == cls.__module__ or Path(getattr(module, "__file__", None) or "") in files:
            del sys.modules[name]


def changed(name: str) -> FileError:
    """Return the error about a class whose code has changed since a race began."""
    return FileError(
        f"the code of {name} is not what it was when the race began; give another --out, and on "
        "other machines install the same"
    )


def _put_first(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
        importlib.invalidate_caches()


def _files(path: Path) -> dict[Path, bytes]:
    """Return a Python file and those next to it that it imports, at any depth, with content."""
    found: dict[Path, bytes] = {}
    waiting = [path]
    while waiting:
        file = waiting.pop()
        if file not in found:
            found[file] = file.read_bytes()
            waiting += _imported(file, found[file])
    return found


def _imported(file: Path, content: bytes) -> list[Path]:
    """Return the files next to a Python file, or in its package, that its imports name."""
    top = file.parent
    while (top / "__init__.py").is_file():
        top = top.parent
    found = []
    for node in ast.walk(ast.parse(content)):
        folder, names = top, []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                folder = file.parents[node.level - 1]
            start = [node.module] if node.module else []
            names = [".".join([*start, alias.name]) for alias in node.names] + start
        for name in names:
            place = folder.joinpath(*name.split("."))
            found += [p for p in (place.with_suffix(".py"), place / "__init__.py") if p.is_file()]
    return found


def told(error: Exception) -> str:
    """Return one line with the message of an exception in a user's code and its place.

    An error of this package needs no place.
    """
    text = " ".join(str(error).split())
    if isinstance(error, LSTMBaselineError):
        return text
    said = f"{type(error).__name__}: {text}" if text else type(error).__name__
    own = Path(__file__).parent
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        theirs = path.suffix == ".py" and own not in path.parents
        if theirs and not {"site-packages", "importlib"} & set(path.parts):
            return f"{said} ({path.name}, line {frame.lineno})"
    return said


@contextmanager
def calling(what: str) -> Iterator[None]:
    """Turn an exception of a user's code into an InputError."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{what} raised {told(error)}") from error


@contextmanager
def unchanged(what: str, **arrays: Any) -> Iterator[None]:
    """Refuse a call that changes an array that it was given, or an array in a dict."""
    named = {
        key: array
        for name, value in arrays.items()
        for key, array in (
            ((f"{name}[{k!r}]", v) for k, v in value.items())
            if isinstance(value, Mapping)
            else ((name, value),)
        )
        if array is not None
    }
    before = {key: np.array(array) for key, array in named.items()}
    yield
    for key, array in named.items():
        if not np.array_equal(array, before[key], equal_nan=True):
            raise InputError(f"{what} changes {key} in place; work on a copy")
