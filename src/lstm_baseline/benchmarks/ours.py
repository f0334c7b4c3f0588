"""Our own engine in every case."""

from collections.abc import Callable

import numpy as np

from lstm_baseline.benchmarks.cases import LEARNING_RATE, MAX_NORM, Kind, Problem
from lstm_baseline.benchmarks.entrants import CHECKED_STEPS, Answer, Entrant
from lstm_baseline.engine.cells import State
from lstm_baseline.engine.models import LSTM, FrozenLSTM, SequenceModel
from lstm_baseline.engine.shapes import FloatArray, Params
from lstm_baseline.training.losses import cross_entropy
from lstm_baseline.training.optimizers import Adam, clip_by_global_norm


def entrants(problem: Problem, threads: int) -> list[Entrant]:
    """Return ours; threads are limited from outside."""
    return [_BUILDERS[problem.case.kind](problem)]


def answer_of(problem: Problem, model: SequenceModel) -> Answer:
    """Return what a model answers to a problem, by the plain calls of its class."""
    kind = problem.case.kind
    if kind == "step":
        return {"outputs": _stream(model, problem)}
    if kind in ("forward", "ragged-forward"):
        return {"outputs": model.forward(problem.x, lengths=problem.lengths)}
    if kind in ("gradient", "ragged-gradient"):
        return _gradient(problem, model)
    return Training(problem, model).answer()


def _frozen(problem: Problem) -> FrozenLSTM:
    assert isinstance(problem.model, LSTM)
    return problem.model.freeze()


def _step(problem: Problem) -> Entrant:
    model = _frozen(problem)
    x_t = np.ascontiguousarray(problem.x[:, 0])
    state: State | None = None

    def call() -> object:
        nonlocal state
        y_t, state = model.step(x_t, state)
        return y_t

    return Entrant("ours", "ours", lambda: {"outputs": _stream(model, problem)}, call)


def _stream(model: SequenceModel | FrozenLSTM, problem: Problem) -> FloatArray:
    """Return the outputs (steps, B, H) of one input given again and again."""
    outputs: list[FloatArray] = []
    state: State | None = None
    for _ in range(CHECKED_STEPS):
        y_t, state = model.step(problem.x[:, 0], state)
        outputs.append(y_t)
    return np.stack(outputs)


def _forward(problem: Problem) -> Entrant:
    model, x, lengths = _frozen(problem), problem.x, problem.lengths

    def call() -> FloatArray:
        return model.forward(x, lengths=lengths)

    return Entrant("ours", "ours", lambda: {"outputs": call()}, call)


def _forward_and_backward(problem: Problem) -> Entrant:
    model = problem.model
    return Entrant(
        "ours",
        "ours",
        lambda: _gradient(problem, model),
        lambda: _gradient(problem, model),
    )


def _gradient(problem: Problem, model: SequenceModel) -> Answer:
    outputs, cache = model.forward_with_cache(problem.x, lengths=problem.lengths)
    return {"outputs": outputs, **model.backward(problem.d_outputs, cache).params}


def _training(problem: Problem) -> Entrant:
    # A model of its own: peers take their weights from the problem's, which must stay as it is.
    training = Training(problem, problem.model.astype(np.float32))
    return Entrant("ours", "ours", training.answer, training.step)


class Training:
    """Training steps on one batch."""

    def __init__(self, problem: Problem, model: SequenceModel) -> None:
        self.problem, self.model = problem, model
        self.optimizer = Adam(model.params)

    def step(self) -> tuple[float, Params]:
        """Take one step; return the loss before it and the clipped gradients."""
        logits, cache = self.model.forward_with_cache(self.problem.x, return_sequences=False)
        loss, d_logits = cross_entropy(logits, self.problem.targets)
        gradients = self.model.backward(d_logits, cache).params
        gradients, _ = clip_by_global_norm(gradients, MAX_NORM)
        self.optimizer.update(gradients, LEARNING_RATE)
        return loss, gradients

    def answer(self) -> Answer:
        """Return the clipped gradients of the first step and the losses of the first few."""
        steps = [self.step() for _ in range(CHECKED_STEPS)]
        return {"losses": np.array([loss for loss, _ in steps]), **steps[0][1]}


_BUILDERS: dict[Kind, Callable[[Problem], Entrant]] = {
    "step": _step,
    "forward": _forward,
    "gradient": _forward_and_backward,
    "training": _training,
    "ragged-forward": _forward,
    "ragged-gradient": _forward_and_backward,
}
