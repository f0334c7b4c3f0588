"""Question answering in the manner of bAbI: people go to places and take things; tell where O is.

A story has two kinds of fact, in random order: "P goes to L" and "P takes O". Every object is taken
once, by a person drawn at random; every other fact is a move, and every person moves at least once.
A person carries what she takes, so an object is where the person who took it went last. This takes
two hops, and the answer is always known. Places are drawn independently, so every place is equally
often the answer.

Inputs (B, num_facts + 1, num_persons + num_places + num_objects + 1), by column:

===========  ================================================================
num_persons  who goes or takes; empty at the last step
num_places   where she goes; empty when she takes something
num_objects  what she takes; at the last step the object asked about
1            question flag, 1 at the last step
===========  ================================================================

Targets: the place, among num_places classes.

Ladder, with its scores at the default sizes: chance 1/num_places (0.167); the last place named is
the answer for one question in num_persons, else by chance (0.375); the place named most often
(0.37); the place where most persons are, for a rule that follows the persons but no object (0.455);
the place where most objects are (0.617), for a rule that follows persons and objects but never
looks at the question, which no such rule can beat; the place where the one who took it went most
often (0.693), for a rule that makes both hops but forgets the order; oracle 1.

Source: task 2 of Weston et al. 2015 (arXiv 1502.05698), in symbols instead of words and without
putting things down.
"""

from typing import final

import numpy as np

from lstm_baseline.engine.inputs import as_size
from lstm_baseline.engine.shapes import FloatArray, IntArray, NDArray
from lstm_baseline.tasks.base import GeneratedTask, Predictor
from lstm_baseline.tasks.encoding import (
    certain,
    columns,
    largest,
    last_true,
    log_probabilities,
    one_hot,
    other_choice,
    shuffled_rows,
    uniform,
)
from lstm_baseline.tasks.metrics import ACCURACY, Batch
from lstm_baseline.tasks.telling import classes, in_a_row, numbered


@final
class QuestionAnswering(GeneratedTask):
    """Tell where an object is; the module's docstring has the layout and the ladder.

    Parameters
    ----------
    num_persons : int
        Persons, at least 2: more of them make the last place named a worse guess.
    num_objects : int
        Objects, at least 1; each is taken once.
    num_places : int
        Places, at least 2.
    num_facts : int
        Steps before the question, at least `num_persons` + `num_objects`.

    Raises
    ------
    InputError
        A parameter is out of range.
    """

    name = "qa"
    summary = "people go to places and take things; where is object O?"
    loss = "cross_entropy"
    metric = ACCURACY
    per_step = False

    def __init__(
        self, num_persons: int = 4, num_objects: int = 4, num_places: int = 6, num_facts: int = 12
    ) -> None:
        self.num_persons = as_size("num_persons", num_persons, at_least=2)
        self.num_objects = as_size("num_objects", num_objects, at_least=1)
        self.num_places = as_size("num_places", num_places, at_least=2)
        self.num_facts = as_size(
            "num_facts",
            num_facts,
            self.num_persons + self.num_objects,
            why="every person moves once or more, every object is taken once",
        )
        self._person, self._place, self._object, self._question = columns(
            self.num_persons, self.num_places, self.num_objects, 1
        )
        self.input_size = self._question.stop
        self.output_size = self.num_places

    def sample(self, size: int, rng: np.random.Generator) -> Batch:
        """Draw independent samples: x (B, num_facts + 1, I), y (B,)."""
        rows = np.arange(size)
        # Facts are listed by kind, takes by object and then moves, each with its step.
        steps = shuffled_rows(size, self.num_facts, rng)
        takes, moves = steps[:, : self.num_objects], steps[:, self.num_objects :]
        persons = rng.integers(self.num_persons, size=steps.shape)
        takers, movers = persons[:, : self.num_objects], persons[:, self.num_objects :]
        movers[:, : self.num_persons] = np.arange(self.num_persons)
        places = rng.integers(self.num_places, size=moves.shape)
        asked = rng.integers(self.num_objects, size=size)

        x = np.zeros((size, self.num_facts + 1, self.input_size), np.float32)
        x[rows[:, None], steps, persons] = 1
        x[rows[:, None], moves, self._place.start + places] = 1
        x[rows[:, None], takes, self._object.start + np.arange(self.num_objects)] = 1
        x[:, -1, self._object] = one_hot(asked, self.num_objects)
        x[:, -1, self._question] = 1

        taker = takers[rows, asked]
        last_move = np.where(movers == taker[:, None], moves, -1).argmax(axis=1)
        return Batch(x, places[rows, last_move])

    def predictors(self) -> list[Predictor]:
        """Return the ladder's rules."""
        return [
            Predictor("chance", "chance", "any place", lambda x: uniform(x, self.num_places)),
            Predictor(
                "last place named", "heuristic", "where the last move went", self._last_named
            ),
            Predictor("most frequent place", "heuristic", "named most often", self._most_named),
            Predictor("most crowded place", "heuristic", "where most persons are", self._crowded),
            *self._question_free(),
            *self._order_free(),
            Predictor("oracle", "oracle", "where the one who took it went last", self._oracle),
        ]

    def with_other_questions(self, batch: Batch, rng: np.random.Generator) -> Batch | None:
        """Ask for another object, if possible for one that is elsewhere; None with one object.

        It is drawn among the objects in another place than the one asked for, or among all others
        where every object is in that place.
        """
        if self.num_objects == 1:
            return None
        asked = batch.x[:, -1, self._object].argmax(axis=-1)
        other = other_choice(asked, self._object_places(batch.x), rng)
        x = batch.x.copy()
        x[:, -1, self._object] = one_hot(other, self.num_objects)
        return batch._replace(x=x)

    def tell(self, x: FloatArray) -> str:
        """Return the facts in their order, and the question."""
        facts = in_a_row(map(self._fact, x[:-1]))
        return f"{facts}; where is {numbered('object', x[-1, self._object])}?"

    def _fact(self, step: FloatArray) -> str:
        """Return one fact (I,) in words."""
        who, where = numbered("person", step[self._person]), step[self._place]
        if where.any():
            return f"{who} goes to {numbered('place', where)}"
        return f"{who} takes {numbered('object', step[self._object])}"

    def answer(self, row: NDArray) -> str:
        """Return the place."""
        return f"place {classes(row) + 1}"

    def _question_free(self) -> list[Predictor]:
        """Return the best rule that never looks at the question; a single object needs none."""
        if self.num_objects == 1:
            return []
        return [
            Predictor(
                "place of most objects",
                "heuristic",
                "where most objects are, whichever is asked for",
                self._most_objects,
            )
        ]

    def _order_free(self) -> list[Predictor]:
        """Return a rule that forgets the order; it is perfect where everybody moves just once."""
        if self.num_facts == self.num_persons + self.num_objects:
            return []
        return [
            Predictor(
                "taker's most frequent place",
                "heuristic",
                "where the one who took it went most often, in any order",
                self._taker_most_named,
            )
        ]

    def _whereabouts(self, x: FloatArray) -> IntArray:
        """Return each person's last place (B, num_persons)."""
        story = x[:, :-1]
        place = story[..., self._place]
        is_move = place.sum(axis=-1) == 1
        named = place.argmax(axis=-1)
        rows = np.arange(len(x))
        return np.stack(
            [
                named[rows, last_true(is_move & (story[..., person] == 1))]
                for person in range(self.num_persons)
            ],
            axis=1,
        )

    def _last_named(self, x: FloatArray) -> FloatArray:
        place = x[:, :-1, self._place]
        last = last_true(place.sum(axis=-1) == 1)
        return log_probabilities(place[np.arange(len(x)), last])

    def _most_named(self, x: FloatArray) -> FloatArray:
        return largest(x[:, :-1, self._place].sum(axis=1))

    def _crowded(self, x: FloatArray) -> FloatArray:
        return largest(one_hot(self._whereabouts(x), self.num_places).sum(axis=1))

    def _object_places(self, x: FloatArray) -> IntArray:
        """Return the place of each object, the last one of who took it (B, num_objects)."""
        rows = np.arange(len(x))[:, None]
        places: IntArray = self._whereabouts(x)[rows, self._takers(x)]
        return places

    def _takers(self, x: FloatArray) -> IntArray:
        """Return who took each object (B, num_objects)."""
        rows = np.arange(len(x))[:, None]
        taken = x[:, :-1, self._object].argmax(axis=1)
        takers: IntArray = x[rows, taken, self._person].argmax(axis=-1)
        return takers

    def _taker_most_named(self, x: FloatArray) -> FloatArray:
        asked = x[:, -1, self._object].argmax(axis=-1)
        taker = self._takers(x)[np.arange(len(x)), asked]
        is_hers = x[:, :-1, self._person].argmax(axis=-1) == taker[:, None]
        return largest((x[:, :-1, self._place] * is_hers[..., None]).sum(axis=1))

    def _most_objects(self, x: FloatArray) -> FloatArray:
        # Each person's last place counts as often as he or she carries an object. Every object is
        # equally likely to be asked for, so this is the likeliest answer, given the story alone.
        return largest(one_hot(self._object_places(x), self.num_places).sum(axis=1))

    def _oracle(self, x: FloatArray) -> FloatArray:
        asked = x[:, -1, self._object].argmax(axis=-1)
        places = self._object_places(x)
        return certain(places[np.arange(len(x)), asked], self.num_places)
