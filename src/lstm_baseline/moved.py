"""Modules under their names of version 0.1.0: they still import, with a DeprecationWarning."""

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

PACKAGE = __name__.rpartition(".")[0]

MOVED = {
    "activations": "engine.activations",
    "backend": "engine.backend",
    "cell": "engine.column_cell",
    "cells": "engine.cells",
    "comparison": "race",
    "comparison.challenger": "contestants.challenger",
    "comparison.contestant": "contestants.contestant",
    "comparison.match": "contestants.match",
    "errors": "engine.errors",
    "initializers": "engine.initializers",
    "models": "engine.models",
    "native": "engine.native",
    "recomputation": "engine.recomputation",
    "shapes": "engine.shapes",
    "storage": "engine.storage",
    "threads": "engine.threads",
}
"""New places, by old ones; what stands below an old one stands below the new one, unless listed."""


def install() -> None:
    """Let the old names be imported."""
    # First, as the path of a new package would find a second copy of a module below it.
    sys.meta_path.insert(0, _Finder())


def _new_name(name: str) -> str | None:
    """Return where a module of an old name is now; None for any other name."""
    package, _, old = name.partition(".")
    if package != PACKAGE:
        return None
    head, below = old, ""
    while head and head not in MOVED:
        head, _, tail = head.rpartition(".")
        below = f".{tail}{below}"
    return f"{PACKAGE}.{MOVED[head]}{below}" if head else None


class _Finder(MetaPathFinder):
    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        new = _new_name(name)
        return None if new is None else ModuleSpec(name, _Alias(name, new))


class _Alias(Loader):
    """Gives the module of a new name for an old one."""

    def __init__(self, old: str, new: str) -> None:
        self.old, self.new = old, new

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = import_module(self.new)
        # The import system is about to give it the alias's specification.
        self.spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self.spec
        warnings.warn(
            f"{self.old} is now {self.new}; the old name will go", DeprecationWarning, stacklevel=2
        )
