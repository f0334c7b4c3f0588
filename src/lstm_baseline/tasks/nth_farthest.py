"""Nth Farthest: tell which vector is the nth farthest from vector m.

Each step shows a vector drawn from U(−1, 1) and its name; names are shuffled over the steps. The
question, n and m, is shown at every step. Distances are Euclidean, and vector m itself counts, at
distance 0: n = 1 asks for the farthest, n = num_vectors for m itself.

Inputs (B, num_vectors, dimensions + 3·num_vectors), by column:

===========  ======================================
dimensions   the vector
num_vectors  its name, one-hot
num_vectors  n, one-hot from n = 1; at every step
num_vectors  the name of vector m; at every step
===========  ======================================

Targets: the name of the nth farthest vector, among num_vectors classes.

Ladder, with 8 vectors of 16 dimensions: chance 12.5%; answering m when n asks for m itself and
any other vector otherwise, 25.0%; the same, with the others ranked by norm, 30.8%; ranked by their
distance from m with all but its first 1, 4 or 8 coordinates taken as 0, 32%, 36% and 42%; oracle
100%. The published "LSTM below 30%" is the plateau of the self case and the norm. An eighth of the
questions can be answered without comparing any vectors, so `NthFarthest.score_without_self` leaves
these out.

As |v − m|² = |v|² − 2v·m + |m|², the rules between norm and oracle know the norm and the product
with m in some coordinates: with D dimensions the first 1, D // 4 and D // 2, each once and if there
are more.

Source: Santoro et al. 2018 (arXiv 1806.01822), "Nth Farthest".
"""

from functools import partial
from typing import NamedTuple, final

import numpy as np

from lstm_baseline.engine.inputs import as_size
from lstm_baseline.engine.shapes import FloatArray, IntArray, NDArray
from lstm_baseline.tasks.base import GeneratedTask, Predictor
from lstm_baseline.tasks.encoding import (
    certain,
    columns,
    log_probabilities,
    one_hot,
    other_choice,
    shuffled_rows,
    uniform,
)
from lstm_baseline.tasks.metrics import ACCURACY, Batch
from lstm_baseline.tasks.telling import classes, decimals, in_a_row, ordinal


class _Story(NamedTuple):
    """The story that x shows; n and names count from 0."""

    vectors: FloatArray
    """(B, N, D)"""
    names: IntArray
    """(B, N)"""
    n: IntArray
    """(B,)"""
    m: IntArray
    """(B,)"""


def _nth_largest(scores: NDArray, story: _Story) -> IntArray:
    """Return the name (B,) of the vector with the nth largest of scores (B, N)."""
    rows = np.arange(len(scores))
    nth = np.argsort(-scores, axis=1)[rows, story.n]
    return story.names[rows, nth]


def _squared_distances(story: _Story, known: int | None = None) -> NDArray:
    """Return the squared distance of every vector from vector m (B, N), in float64.

    With ``known``, from vector m with all but its first ``known`` coordinates set to 0.
    """
    is_m = story.names == story.m[:, None]
    m = story.vectors[is_m].astype(np.float64)
    if known is not None:
        m[:, known:] = 0
    differences = story.vectors - m[:, None]
    squares: NDArray = np.einsum("bnd,bnd->bn", differences, differences)
    return squares


def _by_distance(story: _Story, m: int) -> IntArray:
    """Return the names of the vectors (B, N), farthest from vector m of the same row first."""
    about_m = story._replace(m=np.full(len(story.names), m))
    order = np.argsort(-_squared_distances(about_m), axis=1)
    return np.take_along_axis(story.names, order, axis=1)


@final
class NthFarthest(GeneratedTask):
    """Name the nth farthest vector; the module's docstring has the layout and the ladder.

    Parameters
    ----------
    num_vectors : int
        Vectors shown, at least 3.
    dimensions : int
        Components of a vector, at least 1.

    Raises
    ------
    InputError
        A parameter is out of range.
    """

    name = "nth-farthest"
    summary = "vectors are shown one after another; which is the nth farthest from vector m?"
    loss = "cross_entropy"
    metric = ACCURACY
    per_step = False

    def __init__(self, num_vectors: int = 8, dimensions: int = 16) -> None:
        self.num_vectors = as_size("num_vectors", num_vectors, at_least=3)
        self.dimensions = as_size("dimensions", dimensions, at_least=1)
        self._vector, self._name, self._n, self._m = columns(
            self.dimensions, self.num_vectors, self.num_vectors, self.num_vectors
        )
        self.input_size = self._m.stop
        self.output_size = self.num_vectors

    def sample(self, size: int, rng: np.random.Generator) -> Batch:
        """Draw independent samples: x (B, num_vectors, I), y (B,)."""
        shape = (size, self.num_vectors, self.dimensions)
        story = _Story(
            vectors=2 * rng.random(shape, dtype=np.float32) - 1,
            names=shuffled_rows(size, self.num_vectors, rng),
            n=rng.integers(self.num_vectors, size=size),
            m=rng.integers(self.num_vectors, size=size),
        )
        x = np.empty((size, self.num_vectors, self.input_size), np.float32)
        x[..., self._vector] = story.vectors
        x[..., self._name] = one_hot(story.names, self.num_vectors)
        x[..., self._n] = one_hot(story.n, self.num_vectors)[:, None]
        x[..., self._m] = one_hot(story.m, self.num_vectors)[:, None]
        return Batch(x, _nth_largest(_squared_distances(story), story))

    def predictors(self) -> list[Predictor]:
        """Return the ladder's rules."""
        return [
            Predictor("chance", "chance", "any vector", lambda x: uniform(x, self.num_vectors)),
            Predictor(
                "self case", "heuristic", "m if n asks for it, else any other", self._self_case
            ),
            Predictor(
                "self case and norm",
                "heuristic",
                "m if n asks for it, else the nth largest norm of the others",
                partial(self._as_far_as_known, known=0),
            ),
            *[
                Predictor(
                    f"m in {known} coordinate{'s' if known > 1 else ''}",
                    "heuristic",
                    "m if n asks for it, else the nth largest distance of the others from m with "
                    f"all but its first {known} taken as 0",
                    partial(self._as_far_as_known, known=known),
                )
                for known in self._known_coordinates()
            ],
            Predictor("oracle", "oracle", "the nth largest distance from m", self._oracle),
        ]

    def score_without_self(self, outputs: FloatArray, batch: Batch) -> float:
        """Return the accuracy over the questions that do not ask for m itself.

        With n = num_vectors the answer is m, which x contains: reading it off earns 1/num_vectors
        of the score and says nothing about comparing vectors. Here chance is 1/(num_vectors − 1)
        for a model that knows that m is not the answer.
        """
        others = self._read(batch.x).n != self.num_vectors - 1
        return self.metric.measure(outputs[others], Batch(batch.x[others], batch.y[others]))

    def partial_scores(self, outputs: FloatArray, batch: Batch) -> dict[str, float]:
        """Return the score over the questions that do not ask for m itself."""
        return {"without the self case": self.score_without_self(outputs, batch)}

    def with_other_questions(self, batch: Batch, rng: np.random.Generator) -> Batch:
        """Ask with another pair of n and m.

        It is drawn among all pairs whose answer is another vector. There are always some: with the
        same m, every other n has another answer.
        """
        story = self._read(batch.x)
        # All questions about a row, by m and then by n, which counts from the farthest.
        answers = np.concatenate([_by_distance(story, m) for m in range(self.num_vectors)], axis=1)
        other = other_choice(story.m * self.num_vectors + story.n, answers, rng)
        m, n = np.divmod(other, self.num_vectors)
        x = batch.x.copy()
        x[..., self._n] = one_hot(n, self.num_vectors)[:, None]
        x[..., self._m] = one_hot(m, self.num_vectors)[:, None]
        return batch._replace(x=x)

    def tell(self, x: FloatArray) -> str:
        """Return the vectors in their order, each by its distance from vector m, and the question.

        The distances are what a person would have to compute first.
        """
        story = self._read(x[None])
        (names,), (m,), (n,) = story.names + 1, story.m + 1, story.n + 1
        distances = decimals(np.sqrt(_squared_distances(story)[0]))
        shown = [
            f"vector {name}" + ("" if name == m else f" at {distance}")
            for name, distance in zip(names, distances, strict=True)
        ]
        return (
            f"vectors with their distances from vector {m}: {in_a_row(shown)}; which is the "
            f"{ordinal(int(n))} farthest from vector {m}, itself included?"
        )

    def answer(self, row: NDArray) -> str:
        """Return the vector by its name."""
        return f"vector {classes(row) + 1}"

    def _known_coordinates(self) -> list[int]:
        """Return how many coordinates of m each rule between norm and oracle knows."""
        some = {1, self.dimensions // 4, self.dimensions // 2}
        return sorted(some - {0, self.dimensions})

    def _read(self, x: FloatArray) -> _Story:
        return _Story(
            vectors=x[..., self._vector],
            names=x[..., self._name].argmax(axis=-1),
            n=x[:, 0, self._n].argmax(axis=-1),
            m=x[:, 0, self._m].argmax(axis=-1),
        )

    def _self_case(self, x: FloatArray) -> FloatArray:
        asks_m = x[:, 0, self._n][:, -1:]
        is_m = x[:, 0, self._m]
        return log_probabilities(np.where(asks_m == 1, is_m, 1 - is_m))

    def _as_far_as_known(self, x: FloatArray, known: int) -> FloatArray:
        """Rank by distance from m with all but its first known coordinates set to 0."""
        story = self._read(x)
        distances = _squared_distances(story, known)
        # Vector m ranks last, as it does by its true distance.
        distances[story.names == story.m[:, None]] = -1
        return certain(_nth_largest(distances, story), self.num_vectors)

    def _oracle(self, x: FloatArray) -> FloatArray:
        story = self._read(x)
        return certain(_nth_largest(_squared_distances(story), story), self.num_vectors)
