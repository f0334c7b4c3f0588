"""The cases that are timed, their weights and data, and the arithmetic that each needs.

Everything is float32. A problem's weights are those a model starts with, with biases and gains
moved off 0 and 1, so that none of them can be dropped or swapped without showing.
"""

from fnmatch import fnmatchcase
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.models import LSTM, RelationalRNN
from lstm_baseline.engine.shapes import FloatArray, IntArray

Kind: TypeAlias = Literal[
    "step", "forward", "gradient", "training", "ragged-forward", "ragged-gradient"
]
Model: TypeAlias = LSTM | RelationalRNN

KINDS: dict[Kind, str] = {
    "step": "streaming step",
    "forward": "forward",
    "gradient": "forward and backward",
    "training": "training step",
    "ragged-forward": "forward, rows of 1 to T steps",
    "ragged-gradient": "forward and backward, rows of 1 to T steps",
}
"""Names of the kinds of cases."""

MODELS = {"lstm": "LSTM", "relational": "relational memory"}

NUM_SLOTS, NUM_HEADS, HEAD_SIZE = 4, 4, 16
"""Heads of every relational memory here; its slots are 64 wide."""

NUM_CLASSES = 8
LEARNING_RATE = 1e-3
MAX_NORM = 0.1
"""Largest norm of the gradient: below the norms that come up, so that clipping has work to do."""


class Case(NamedTuple):
    """One thing to time.

    ``step`` is one call for one step, the state carried from call to call. ``forward`` is
    inference over a sequence. ``gradient`` is forward, then backward from a gradient at every
    output to every parameter, none to x. ``training`` is forward, readout of the last output,
    cross-entropy, backward, clipping by the global norm and Adam. ``ragged`` is forward or gradient
    of rows whose lengths are drawn from 1 to T; outputs past a row's end are 0.
    """

    kind: Kind
    model: Literal["lstm", "relational"]
    B: int
    T: int
    I: int
    H: int
    """Hidden units of an LSTM, width of a slot of a relational memory."""
    quick: bool = True
    """True if ``--quick`` includes the case."""
    memory: bool = False
    """True if the memory of the case is measured too."""

    @property
    def name(self) -> str:
        """The text that ``--only`` matches."""
        return f"{self.kind}-{self.model}-{self.B}x{self.T}x{self.I}x{self.H}"

    @property
    def group(self) -> str:
        """The common heading of cases that belong together."""
        return f"{KINDS[self.kind]}, {MODELS[self.model]}"

    @property
    def sizes(self) -> str:
        """B, T, I and H, for readers."""
        return f"{self.B}×{self.T}×{self.I}×{self.H}"


CASES = (
    Case("step", "lstm", 1, 1, 32, 64),
    Case("forward", "lstm", 1, 100, 64, 256),
    Case("forward", "lstm", 2, 10, 32, 64),
    Case("forward", "lstm", 32, 16, 5, 32),
    Case("forward", "lstm", 32, 50, 32, 64),
    Case("forward", "lstm", 64, 100, 64, 128),
    Case("forward", "lstm", 128, 35, 512, 512, quick=False),
    Case("gradient", "lstm", 2, 10, 32, 64),
    Case("gradient", "lstm", 32, 16, 5, 32),
    Case("gradient", "lstm", 32, 50, 32, 64),
    Case("gradient", "lstm", 64, 100, 64, 128, memory=True),
    Case("gradient", "lstm", 128, 35, 512, 512, quick=False),
    Case("ragged-forward", "lstm", 8, 2000, 64, 64),
    Case("ragged-gradient", "lstm", 8, 2000, 64, 64),
    Case("training", "lstm", 32, 16, 5, 96, memory=True),
    Case("training", "relational", 32, 16, 5, NUM_HEADS * HEAD_SIZE, memory=True),
    Case("training", "relational", 64, 7, 21, NUM_HEADS * HEAD_SIZE, memory=True),
)


def select_cases(pattern: str | None = None, *, quick: bool = False) -> tuple[Case, ...]:
    """Return the cases whose name holds a pattern, in which * stands for anything.

    Raises
    ------
    InputError
        If there is none.
    """
    cases = tuple(case for case in CASES if case.quick or not quick)
    if pattern is None:
        return cases
    chosen = tuple(case for case in cases if fnmatchcase(case.name, f"*{pattern}*"))
    if not chosen:
        names = ", ".join(case.name for case in cases)
        raise InputError(f"no case has {pattern!r} in its name; there are: {names}")
    return chosen


class Problem(NamedTuple):
    """A case with weights and data, the same for every entrant."""

    case: Case
    model: Model
    """Ours, in float32; peers take its weights."""
    x: FloatArray
    """(B, T, I)."""
    d_outputs: FloatArray
    """(B, T, H) gradient at every output, for ``gradient``."""
    targets: IntArray
    """(B,) classes, for ``training``."""
    lengths: IntArray | None
    """(B,) valid steps of each row, for ``ragged``."""

    @property
    def num_steps(self) -> int:
        """Valid steps of all rows."""
        return self.case.B * self.case.T if self.lengths is None else int(self.lengths.sum())


def make_problem(case: Case) -> Problem:
    """Return weights and data of a case, always the same."""
    rng = np.random.default_rng(0)
    model = make_model(case, np.float32)
    for value in model.params.values():
        if value.ndim == 1:
            value += 0.1 * rng.standard_normal(value.shape, np.float32)
    return Problem(
        case,
        model,
        rng.standard_normal((case.B, case.T, case.I), np.float32),
        rng.standard_normal((case.B, case.T, model.width), np.float32),
        rng.integers(NUM_CLASSES, size=case.B),
        rng.integers(1, case.T + 1, size=case.B) if case.kind.startswith("ragged") else None,
    )


def make_model(case: Case, dtype: npt.DTypeLike, engine: str = "auto") -> Model:
    """Return the model of a case with the weights that it starts with."""
    output_size = NUM_CLASSES if case.kind == "training" else None
    if case.model == "lstm":
        return LSTM(case.I, case.H, output_size, dtype=dtype, rng=0, engine=engine)
    return RelationalRNN(
        case.I,
        output_size,
        num_slots=NUM_SLOTS,
        num_heads=NUM_HEADS,
        head_size=HEAD_SIZE,
        dtype=dtype,
        rng=0,
        engine=engine,
    )


def flops(problem: Problem) -> int:
    """Return the floating-point operations that a case cannot do without.

    Only matrix products count, a multiplication and an addition each: for an LSTM 2·4H·(I + H)
    forward for every valid step, for any model its ``flops_per_step``, and the readout once a row.
    The backward pass of a product is two more of its size, so it doubles what forward took, less
    the one that would give the gradient of x, which nobody asks for. What an entrant computes
    beyond that, or in another way, does not count.
    """
    case, model = problem.case, problem.model
    readout = 2 * model.width * (model.output_size or 0)
    step = model.flops_per_step - readout
    forward = problem.num_steps * step + case.B * readout
    if case.kind in ("step", "forward", "ragged-forward"):
        return forward
    d_x = 2 * model.params[model.cell.input_weights[0]].size * problem.num_steps
    return int(3 * forward - d_x)
