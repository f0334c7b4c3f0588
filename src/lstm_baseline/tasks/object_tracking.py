"""Object tracking: objects wander over a board, one is shown at a time; tell where object k is.

Every object starts at a random cell. At each step one of them takes a step of a random walk (left,
right, up, down or none; a step off the board is not taken) and is shown at its new cell. Every
object is shown at least once, so the answer is always the last sighting of the object asked about.

Inputs (B, num_sightings + 1, num_objects + 2·grid + 1), by column:

==============  ============================================================
num_objects     the object shown; at the last step the object asked about
grid            the column of its cell, one-hot; empty at the last step
grid            the row of its cell, one-hot; empty at the last step
1               question flag, 1 at the last step
==============  ============================================================

Targets: the cell, row·grid + column, among grid² classes (``target="cell"``), or column and row,
each scaled to [0, 1] (``target="position"``).

Ladder: a walk of this kind keeps uniform cells uniform, and objects are independent. So chance is
1/grid², or the variance of a uniform coordinate, (grid + 1)/(12·(grid − 1)). The cell shown last,
of whichever object, is right for one question in num_objects, else by chance. For positions the
rule answers the point 1/num_objects of the way from the middle to that cell: this weight gives the
least squared error, 1 − 1/num_objects² of the variance. Who follows every object but never looks at
the question does best with the cell where most objects were last seen (0.373 with 3 objects on
5 × 5 cells), or with the mean of their last positions, 1 − 1/num_objects of the variance (0.083).
The oracle is exact.

Source: this project. If some objects were never shown, some questions would have no answer.
"""

from typing import Literal, final

import numpy as np

from lstm_baseline.engine.inputs import as_size, one_of
from lstm_baseline.engine.shapes import FloatArray, IntArray, NDArray
from lstm_baseline.tasks.base import GeneratedTask, Predictor
from lstm_baseline.tasks.encoding import certain, columns, largest, last_true, one_hot, other_choice
from lstm_baseline.tasks.metrics import ACCURACY, MEAN_SQUARED_ERROR, Batch
from lstm_baseline.tasks.telling import classes, decimals, in_a_row, numbered

_MOVES = np.array([(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)])


@final
class ObjectTracking(GeneratedTask):
    """Tell where an object was last seen; the module's docstring has the layout and the ladder.

    Parameters
    ----------
    num_objects : int
        Objects on the board, at least 2.
    grid : int
        Columns and rows of the board, at least 2.
    num_sightings : int
        Steps before the question, at least `num_objects`.
    target : {"cell", "position"}
        Classification over cells, or regression of column and row.

    Raises
    ------
    InputError
        A parameter is out of range.
    """

    summary = "objects wander over a board, one is shown at a time; where is object k?"
    per_step = False

    def __init__(
        self,
        num_objects: int = 3,
        grid: int = 5,
        num_sightings: int = 10,
        target: Literal["cell", "position"] = "cell",
    ) -> None:
        self.num_objects = as_size("num_objects", num_objects, at_least=2)
        self.grid = as_size("grid", grid, at_least=2)
        self.num_sightings = as_size(
            "num_sightings",
            num_sightings,
            self.num_objects,
            why="every object is shown once or more",
        )
        self.target = one_of("target", target, ("cell", "position"))
        self._object, self._column, self._row, self._question = columns(
            self.num_objects, self.grid, self.grid, 1
        )
        self.input_size = self._question.stop
        if self.target == "cell":
            self.name = "object-tracking"
            self.output_size = self.grid**2
            self.loss = "cross_entropy"
            self.metric = ACCURACY
        else:
            self.name = "object-tracking-position"
            self.output_size = 2
            self.loss = "mean_squared_error"
            self.metric = MEAN_SQUARED_ERROR

    def sample(self, size: int, rng: np.random.Generator) -> Batch:
        """Draw independent samples: x (B, num_sightings + 1, I), y (B,) or (B, 2)."""
        rows = np.arange(size)
        shown = self._draw_shown(size, rng)
        moves = _MOVES.take(rng.integers(len(_MOVES), size=shown.shape), axis=0)
        position = rng.integers(self.grid, size=(size, self.num_objects, 2))
        seen = np.empty((size, self.num_sightings, 2), np.int64)
        for step in range(self.num_sightings):
            moved = position[rows, shown[:, step]] + moves[:, step]
            np.maximum(moved, 0, out=moved)
            np.minimum(moved, self.grid - 1, out=moved)
            position[rows, shown[:, step]] = seen[:, step] = moved
        asked = rng.integers(self.num_objects, size=size)

        x = np.zeros((size, self.num_sightings + 1, self.input_size), np.float32)
        x[:, :-1, self._object] = one_hot(shown, self.num_objects)
        x[:, :-1, self._column] = one_hot(seen[..., 0], self.grid)
        x[:, :-1, self._row] = one_hot(seen[..., 1], self.grid)
        x[:, -1, self._object] = one_hot(asked, self.num_objects)
        x[:, -1, self._question] = 1
        answer = position[rows, asked]
        return Batch(x, self._cell(answer) if self.target == "cell" else self._scaled(answer))

    def predictors(self) -> list[Predictor]:
        """Return the ladder's rules."""
        if self.target == "cell":
            chance = Predictor("chance", "chance", "any cell", self._constant)
            last_seen = "the cell shown last, whichever object was there"
            all_objects = Predictor(
                "fullest cell",
                "heuristic",
                "where most objects were last seen, whichever is asked for",
                self._all_objects,
            )
        else:
            chance = Predictor("constant mean", "chance", "the middle of the board", self._constant)
            last_seen = "the cell shown last, 1/num_objects of the way to it from the middle"
            all_objects = Predictor(
                "mean of all objects",
                "heuristic",
                "mean of every object's last position, whichever is asked for",
                self._all_objects,
            )
        return [
            chance,
            Predictor("last position seen", "heuristic", last_seen, self._last_seen),
            all_objects,
            Predictor("oracle", "oracle", "the last sighting of the one asked for", self._oracle),
        ]

    def with_other_questions(self, batch: Batch, rng: np.random.Generator) -> Batch:
        """Ask for another object, if possible for one that is elsewhere.

        It is drawn among the objects last seen in another cell than the one asked for, or among all
        others where every object was last seen in that cell.
        """
        asked = batch.x[:, -1, self._object].argmax(axis=-1)
        other = other_choice(asked, self._cell(self._last_positions(batch.x)), rng)
        x = batch.x.copy()
        x[:, -1, self._object] = one_hot(other, self.num_objects)
        return batch._replace(x=x)

    def tell(self, x: FloatArray) -> str:
        """Return the sightings in their order, and the question."""
        seen = [
            f"{numbered('object', step[self._object])} at {self._told(position)}"
            for step, position in zip(x[:-1], self._seen(x[None])[0], strict=True)
        ]
        return f"{in_a_row(seen)}; where is {numbered('object', x[-1, self._object])}?"

    def answer(self, row: NDArray) -> str:
        """Return column and row: from 1 on of a cell, from 0 to 1 of a position."""
        if self.target == "position":
            return "column {}, row {}".format(*decimals(row))
        down, across = divmod(int(classes(row)), self.grid)
        return self._told(np.array([across, down]))

    def _told(self, position: IntArray) -> str:
        """Return column and row (2,) in the words of an answer."""
        if self.target == "position":
            return self.answer(self._scaled(position))
        return "column {}, row {}".format(*(position + 1))

    def _draw_shown(self, size: int, rng: np.random.Generator) -> IntArray:
        """Draw the object of each step (B, num_sightings), each object once or more."""
        shown = rng.integers(self.num_objects, size=(size, self.num_sightings))
        shown[:, : self.num_objects] = np.arange(self.num_objects)
        return rng.permuted(shown, axis=1, out=shown)

    def _cell(self, position: IntArray) -> IntArray:
        """Return the class (…) of column and row (…, 2)."""
        return position[..., 1] * self.grid + position[..., 0]

    def _scaled(self, position: NDArray) -> FloatArray:
        """Return column and row (…, 2), scaled to [0, 1]."""
        return np.divide(position, self.grid - 1, dtype=np.float32)

    def _seen(self, x: FloatArray) -> IntArray:
        """Return column and row of every sighting (B, num_sightings, 2)."""
        story = x[:, :-1]
        return np.stack(
            [story[..., self._column].argmax(axis=-1), story[..., self._row].argmax(axis=-1)],
            axis=-1,
        )

    def _last_positions(self, x: FloatArray) -> IntArray:
        """Return column and row where each object was last seen (B, num_objects, 2)."""
        shown = x[:, :-1, self._object] == 1
        seen, rows = self._seen(x), np.arange(len(x))
        last = [seen[rows, last_true(shown[..., k])] for k in range(self.num_objects)]
        return np.stack(last, axis=1)

    def _constant(self, x: FloatArray) -> FloatArray:
        return np.full((len(x), self.output_size), 0.5, np.float32)

    def _last_seen(self, x: FloatArray) -> FloatArray:
        last = self._seen(x)[:, -1]
        if self.target == "cell":
            return certain(self._cell(last), self.output_size)
        return 0.5 + (self._scaled(last) - 0.5) / self.num_objects

    def _all_objects(self, x: FloatArray) -> FloatArray:
        # Every object is equally likely to be asked for. So these are the likeliest cell and the
        # expected position, given the story alone.
        positions = self._last_positions(x)
        if self.target == "cell":
            return largest(one_hot(self._cell(positions), self.output_size).sum(axis=1))
        mean: FloatArray = self._scaled(positions).mean(axis=1)
        return mean

    def _oracle(self, x: FloatArray) -> FloatArray:
        asked = x[:, -1:, self._object].argmax(axis=-1)
        sighting = last_true(x[:, :-1, self._object].argmax(axis=-1) == asked)
        found = self._seen(x)[np.arange(len(x)), sighting]
        if self.target == "cell":
            return certain(self._cell(found), self.output_size)
        return self._scaled(found)
