"""A task: data by seed, a loss, a metric, and a ladder of known scores."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np

from lstm_baseline.engine.shapes import FloatArray, NDArray
from lstm_baseline.own_code import is_own, name_of
from lstm_baseline.tasks.metrics import Batch, LossName, Metric, mean_of

# A number for each of a seed's streams, so that no two share their draws.
_TRAIN, _VALIDATION, _TEST, _LADDER = 1, 2, 3, 4

_MOST_BELIEFS = 2**24
"""Numbers that a rule's beliefs hold at a time."""

RungKind = Literal["chance", "heuristic", "oracle", "fitted"]
"""A fitted rung is a model without memory (``memoryless.py``): no task's ladder has it."""


class Rung(NamedTuple):
    """A step of a task's ladder: what a known rule scores."""

    name: str
    kind: RungKind
    description: str
    score: float


class Predictor(NamedTuple):
    """A rule that predicts from the inputs alone, in the form of a model's output."""

    name: str
    kind: RungKind
    description: str
    predict: Callable[[NDArray], FloatArray]
    """x (B, T, I), or tokens (B, T) -> logits or values, (B, O) or (B, T, O)."""


class Task(ABC):
    """Data for training, validation and test, reproducible by seed, with a ladder of known scores.

    The data of a seed never depends on the model, so contestants with the same seed share it.
    """

    name: str
    summary: str
    """One line: what is shown and what is asked."""
    hints: tuple[str, ...] = ()
    """Lines about what in the user's data is likely meant otherwise."""
    input_size: int
    """I, or V where x holds tokens."""
    closed_loop: int = 0
    """Steps at a row's end in which a model is tested on its own predictions; see ``series.py``."""
    tokens: bool = False
    """Whether x holds tokens (B, T), whole numbers 0 … V − 1, and not numbers (B, T, I)."""
    output_size: int
    """Classes, labels, or components of a value."""
    loss: LossName
    """Loss that is trained: of one class among several, of values, or of several labels 0 or 1."""
    metric: Metric
    per_step: bool
    """True when every step has a target, False when only the whole row has one."""

    @abstractmethod
    def train_batch(self, step: int, size: int, seed: int) -> Batch:
        """Return the batch of a training step (0, 1, …): a function of step and seed alone."""

    @abstractmethod
    def validation(self, seed: int) -> Batch:
        """Return the samples that early stopping and selection see."""

    @abstractmethod
    def test(self, seed: int) -> Batch:
        """Return the samples that only the final score sees."""

    @abstractmethod
    def ladder(self, seed: int = 0) -> list[Rung]:
        """Return the scores to hold a model against, worst first."""

    @abstractmethod
    def config(self) -> dict[str, Any]:
        """Return what defines the task, ready for JSON: its name under "task", its arguments."""

    def outputs_of(self, forward: Callable[[Batch], FloatArray], batch: Batch) -> FloatArray:
        """Return outputs for a batch of validation or test, in the form that the metric takes.

        ``forward`` gives those of a model, or a rule, for one pass over a batch. A task in closed
        loop makes several passes: what comes out is what goes in next.
        """
        return forward(batch)

    def partial_scores(self, outputs: FloatArray, batch: Batch) -> dict[str, float]:
        """Return the metric on parts of the samples that tell more than the whole, by their names.

        ``outputs`` are a model's outputs for ``batch``. Most tasks have no such parts.
        """
        return {}

    def with_other_questions(self, batch: Batch, rng: np.random.Generator) -> Batch | None:
        """Return the batch with another question in each row, its story and target unchanged.

        A control: who answers from the story alone scores the same on both; who heeds the question
        answers the other one, and falls.

        The question is drawn, all equally likely, among those that this task may ask about the same
        story and whose answer differs from that to the row's own question; where no answer differs,
        among all others. ``batch`` is left as it is. None where no part of x is a question, or
        where a story has no second one.
        """
        return None

    def tell(self, x: NDArray) -> str:
        """Return a sample as a line that tells what is shown and what is asked.

        It is one row x, (T, I) or tokens (T,).
        It needs no knowledge of the layout. Empty if the task has no such words.
        """
        return ""

    def answer(self, row: NDArray) -> str:
        """Return an answer in the words of ``tell``: the target of one row, or its prediction.

        ``row`` is a class () or (T,), or labels, logits or values (O,) or (T, O).
        """
        return ""

    def oracle_on_other_questions(self) -> float | None:
        """Return what the oracle scores with another question put to each sample.

        It answers that question, so it scores only where the answers to both are the same. None
        where no question can be put, or no oracle is known.
        """
        return None

    def _measure(self, rules: Sequence[Predictor], batch: Batch) -> list[Rung]:
        """Score every rule on one batch, worst first."""
        rungs = [
            Rung(r.name, r.kind, r.description, self.metric.measure(r.predict(batch.x), batch))
            for r in rules
        ]
        return sorted(rungs, key=lambda rung: rung.score, reverse=not self.metric.higher_is_better)


class GeneratedTask(Task):
    """A task whose samples are drawn afresh: no sample is seen twice in training.

    A constructor keeps each of its arguments as an attribute of the same name. A class of the
    user's states ``sample`` and ``predictors``, and the attributes of ``Task``: ``name``,
    ``summary``, ``input_size``, ``output_size``, ``loss``, ``metric``, ``per_step``; and
    ``tokens = True`` where x holds tokens.
    """

    noisy: bool = False
    """True if x does not tell y for certain. The oracle is then the best that a rule can do, and
    need not be perfect."""

    validation_size: int = 2000
    """Samples in validation, which is repeated throughout training."""
    test_size: int = 20_000
    """Samples in test, which is done once."""
    ladder_size: int = 20_000
    """Samples on which the ladder is measured."""

    @abstractmethod
    def sample(self, size: int, rng: np.random.Generator) -> Batch:
        """Draw independent samples; without a Python loop over them, or training waits.

        Where rows differ in length the batch has ``lengths``. Rules are given x alone, so that past
        a row's end stands what no row has, as −1; no model sees it.
        """

    @abstractmethod
    def predictors(self) -> list[Predictor]:
        """Return the ladder's rules: chance, heuristics, oracle. None of them looks at a target."""

    def train_batch(self, step: int, size: int, seed: int) -> Batch:
        """Draw the batch of a training step."""
        return self.sample(size, np.random.default_rng([seed, _TRAIN, step]))

    def validation(self, seed: int) -> Batch:
        """Draw the samples that early stopping and selection see."""
        return self.sample(self.validation_size, np.random.default_rng([seed, _VALIDATION]))

    def test(self, seed: int) -> Batch:
        """Draw the samples that only the final score sees."""
        return self.sample(self.test_size, np.random.default_rng([seed, _TEST]))

    def _measure(self, rules: Sequence[Predictor], batch: Batch) -> list[Rung]:
        """Score every rule, some rows at a time: beliefs of many classes are large."""
        a_row = self.output_size * (batch.x.shape[1] if self.per_step else 1)
        size = max(1, _MOST_BELIEFS // a_row)
        parts = [batch.rows(slice(k, k + size)) for k in range(0, len(batch.x), size)]

        def score(rule: Predictor) -> float:
            one_pass = partial(self._outputs_of_rule, rule)
            outputs = [self.outputs_of(one_pass, part) for part in parts]
            terms = [
                self.metric.terms_that_count(found, part)[0]
                for found, part in zip(outputs, parts, strict=True)
            ]
            return mean_of(np.concatenate(terms))

        rungs = [Rung(r.name, r.kind, r.description, score(r)) for r in rules]
        return sorted(rungs, key=lambda rung: rung.score, reverse=not self.metric.higher_is_better)

    def _outputs_of_rule(self, rule: Predictor, batch: Batch) -> FloatArray:
        """Return a rule's outputs for one pass over a batch."""
        outputs = rule.predict(batch.x)
        return outputs if batch.mask is None else outputs[batch.mask]

    def ladder(self, seed: int = 0) -> list[Rung]:
        """Measure every rule on fresh samples, worst first."""
        return self._measure(self.predictors(), self.ladder_samples(seed))

    def ladder_samples(self, seed: int) -> Batch:
        """Draw the samples that the ladder is measured on."""
        return self.sample(self.ladder_size, np.random.default_rng([seed, _LADDER]))

    def oracle_on_other_questions(self) -> float | None:
        """Measure the oracle on fresh samples, with another question put to each."""
        rng = np.random.default_rng([0, _LADDER])
        batch = self.sample(self.ladder_size, rng)
        other = self.with_other_questions(batch, rng)
        oracle = next((rule for rule in self.predictors() if rule.kind == "oracle"), None)
        if other is None or oracle is None:
            return None
        return self.metric.measure(oracle.predict(other.x), batch)

    def config(self) -> dict[str, Any]:
        """Return the name and the constructor's arguments.

        The name of a class of the user's is package.module:Name, by which it is found again.
        """
        cls = type(self)
        arguments = {name: getattr(self, name) for name in inspect.signature(cls).parameters}
        return {"task": name_of(cls) if is_own(cls) else self.name, **arguments}
