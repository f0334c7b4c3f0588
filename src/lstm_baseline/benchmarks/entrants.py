"""The entrants: ours, and every peer that is installed.

A peer is a module with ``entrants(problem, threads)``, which returns what it has for a case,
possibly nothing. It is imported only when it is installed and asked for.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import NamedTuple, TypeAlias

from lstm_baseline.benchmarks.cases import Problem
from lstm_baseline.engine.errors import WorkerError
from lstm_baseline.engine.shapes import NDArray

Answer: TypeAlias = dict[str, NDArray]
"""Arrays by name, in our layout and under our names of parameters."""

CHECKED_STEPS = 4
"""Calls that an answer of ``step`` or ``training`` is taken from: state must be carried on."""


class Entrant(NamedTuple):
    """One way to do a case."""

    name: str
    peer: str
    """Whose it is: a name of ``PEERS``."""
    answer: Callable[[], Answer]
    """The numbers that it computes, to be checked. Called once, before any ``call``."""
    call: Callable[[], object]
    """The call that is timed."""
    during: Callable[[], AbstractContextManager[object]] = nullcontext
    """Entered around many calls, as a user would around a loop."""


class Peer(NamedTuple):
    """A library that can take part."""

    name: str
    packages: tuple[str, ...]
    """Packages that must be installed; the first gives the version."""
    module: str

    @property
    def installed(self) -> bool:
        """True if the peer can take part."""
        return all(find_spec(package) is not None for package in self.packages)

    @property
    def version(self) -> str | None:
        """Version of the library; None if it is not installed."""
        try:
            return version(self.packages[0]) if self.installed else None
        except PackageNotFoundError:
            return "unknown"

    def entrants(self, problem: Problem, threads: int) -> list[Entrant]:
        """Return what this peer has for a case, set to a number of threads."""
        found: list[Entrant] = import_module(self.module).entrants(problem, threads)
        return found


_HERE = "lstm_baseline.benchmarks"

OURS = Peer("ours", ("lstm_baseline",), f"{_HERE}.ours")
PEERS = (
    Peer("PyTorch", ("torch",), f"{_HERE}.peers.torch"),
    Peer("ONNX Runtime", ("onnxruntime", "onnx"), f"{_HERE}.peers.onnxruntime"),
    Peer("JAX", ("jax", "jaxlib"), f"{_HERE}.peers.jax"),
)


def gather(problem: Problem, threads: int, peers: Sequence[Peer]) -> list[Entrant]:
    """Return ours, which comes first, and those of some peers.

    Raises
    ------
    WorkerError
        If a peer cannot do what it is asked for.
    """
    found = OURS.entrants(problem, threads)
    for peer in peers:
        try:
            found += peer.entrants(problem, threads)
        except Exception as error:
            raise WorkerError(
                f"{peer.name} {peer.version} fails in {problem.case.name}: {error}; "
                "install another version, or remove it to go without"
            ) from error
    return found
