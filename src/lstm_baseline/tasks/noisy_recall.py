"""Noisy in-context recall: keys with values among noise; at a known key its value is to be said.

A row has one value for each key, drawn independently. It is filled from the left: with probability
``noise`` comes a noise token, otherwise a pair, a key and then its value; keys are drawn with
repetition, and the row may end between a key and its value. So noise stands anywhere between
pairs, before the first and after the last as well, and never within one. At a key that was shown
before the target is its value; no other step counts.

Inputs: tokens (B, T): V/2 keys 0 … V/2 − 1, V/2 values … V − 1, then the noise. Targets (B, T):
values, as tokens below V.

Ladder, as accuracy at the keys that come again: chance 1/V; any value 2/V; the last value; the
value shown most often so far; the last pair, whose value is right if its key is this one, and
otherwise the value shown most often; oracle 1, which keeps the pairs.

Source: Poli et al. 2024 (arXiv 2403.17844), with T = 128 and a fifth of noise, which
there comes in twos, and never after the last pair.
"""

from typing import final

import numpy as np

from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.inputs import as_number, as_size
from lstm_baseline.engine.shapes import FloatArray, NDArray
from lstm_baseline.tasks.base import GeneratedTask, Predictor
from lstm_baseline.tasks.encoding import certain, log_probabilities
from lstm_baseline.tasks.metrics import ACCURACY, Batch
from lstm_baseline.tasks.telling import classes, in_a_row


@final
class NoisyRecall(GeneratedTask):
    """Say the value of a key among noise; the module's docstring has the layout and the ladder.

    Parameters
    ----------
    vocabulary : int
        V, keys and values, an even number of at least 4.
    length : int
        T, at least V + 2, so that without noise a key comes again.
    noise : float
        Probability of a noise token where a pair could begin, at least 0 and below 1.
    noise_vocabulary : int
        Different noise tokens, at least 1.

    Raises
    ------
    InputError
        A parameter is out of range.
    """

    name = "noisy-recall"
    summary = "keys with values are shown among noise; which value belongs to a key shown before?"
    loss = "cross_entropy"
    metric = ACCURACY
    per_step = True
    tokens = True

    def __init__(
        self,
        vocabulary: int = 16,
        length: int = 64,
        noise: float = 0.2,
        noise_vocabulary: int = 16,
    ) -> None:
        self.vocabulary = as_size("vocabulary", vocabulary, at_least=4)
        if self.vocabulary % 2:
            raise InputError(f"vocabulary is {vocabulary}; give an even number: keys and values")
        self.length = as_size("length", length, at_least=self.vocabulary + 2, why="vocabulary + 2")
        self.noise = as_number("noise", noise)
        if not 0 <= self.noise < 1:
            raise InputError(f"noise is {noise!r}; give a probability of at least 0 and below 1")
        self.noise_vocabulary = as_size("noise_vocabulary", noise_vocabulary)
        self.input_size = self.vocabulary + self.noise_vocabulary
        self.output_size = self.vocabulary
        self._num_keys = self.vocabulary // 2

    def sample(self, size: int, rng: np.random.Generator) -> Batch:
        """Draw independent samples: x and y (B, T), and the mask of the keys that come again."""
        shape, half = (size, self.length), self._num_keys
        is_noise = rng.random(shape[::-1], dtype=np.float32) < self.noise
        is_key, before = np.empty_like(is_noise), np.zeros(size, bool)
        for t, noise_comes in enumerate(is_noise):
            # After a key its value comes, whatever was drawn.
            is_key[t] = before = ~(before | noise_comes)
        is_key = is_key.T
        keys = rng.integers(half, size=shape)
        values = half + rng.integers(half, size=(size, half))
        noise = rng.integers(self.vocabulary, self.input_size, size=shape)
        of_keys = values.take(keys + half * np.arange(size)[:, None])
        x = np.where(is_key, keys, noise)
        x[:, 1:] = np.where(is_key[:, :-1], of_keys[:, :-1], x[:, 1:])
        y = np.where(is_key, of_keys, 0)
        return Batch(x, y, mask=self._comes_again(x))

    def predictors(self) -> list[Predictor]:
        """Return the ladder's rules."""
        return [
            Predictor("chance", "chance", "any token but noise", self._chance),
            Predictor("any value", "heuristic", "any of the values", self._any_value),
            Predictor("last value", "heuristic", "the value shown last", self._last),
            Predictor(
                "most frequent", "heuristic", "the value shown most often so far", self._frequent
            ),
            Predictor(
                "last pair",
                "heuristic",
                "the value shown last if its key is this one, or else the most frequent one",
                self._last_pair,
            ),
            Predictor("oracle", "oracle", "the value shown with the key", self._oracle),
        ]

    def tell(self, x: NDArray) -> str:
        """Return the tokens, those of noise after a dot, and the question."""
        return f"{in_a_row(map(self._written, x.tolist()), ' ')}; which values do known keys have?"

    def answer(self, row: NDArray) -> str:
        """Return the values."""
        return in_a_row(classes(row).tolist(), " ")

    def _written(self, token: int) -> str:
        return f"·{token - self.vocabulary}" if token >= self.vocabulary else str(token)

    def _first_steps(self, x: NDArray) -> NDArray:
        """Return the step at which each key comes first, T − 1 where it never does, (B, keys)."""
        keys = np.arange(self._num_keys)
        first = np.stack([(x == key).argmax(axis=1) for key in keys], axis=1)
        is_there = np.take_along_axis(x, first, axis=1) == keys
        return np.where(is_there, first, x.shape[1] - 1)

    def _comes_again(self, x: NDArray) -> NDArray:
        """Return at which steps a key was shown before, (B, T)."""
        keys = np.where(x < self._num_keys, x, 0)
        first = np.take_along_axis(self._first_steps(x), keys, axis=1)
        return np.asarray((x < self._num_keys) & (np.arange(x.shape[1]) > first))

    def _is_value(self, x: NDArray) -> NDArray:
        return np.asarray((x >= self._num_keys) & (x < self.vocabulary))

    def _last_values(self, x: NDArray) -> NDArray:
        """Return the step of the value shown last, 0 before the first, (B, T)."""
        steps = np.arange(x.shape[1])
        return np.asarray(np.maximum.accumulate(np.where(self._is_value(x), steps, 0), axis=1))

    def _most_frequent(self, x: NDArray) -> NDArray:
        """Return which values were shown most often so far, (B, T, V); all of them at first."""
        counts = (x[..., None] == np.arange(self._num_keys, self.vocabulary)).cumsum(axis=1)
        found = np.zeros((*x.shape, self.vocabulary), bool)
        found[..., self._num_keys :] = counts == counts.max(axis=-1, keepdims=True)
        return found

    def _chance(self, x: NDArray) -> FloatArray:
        return np.zeros((*x.shape, self.output_size), np.float32)

    def _any_value(self, x: NDArray) -> FloatArray:
        of_tokens = np.arange(self.vocabulary) >= self._num_keys
        return np.broadcast_to(log_probabilities(of_tokens), (*x.shape, self.vocabulary))

    def _last(self, x: NDArray) -> FloatArray:
        value = np.take_along_axis(x, self._last_values(x), axis=1)
        return certain(np.where(self._is_value(value), value, 0), self.vocabulary)

    def _frequent(self, x: NDArray) -> FloatArray:
        return log_probabilities(self._most_frequent(x))

    def _last_pair(self, x: NDArray) -> FloatArray:
        step = self._last_values(x)
        value, key = (np.take_along_axis(x, np.maximum(at, 0), axis=1) for at in (step, step - 1))
        is_same = (x == key) & (step > 0)
        logits = self._frequent(x)
        logits[is_same] = certain(value[is_same], self.vocabulary)
        return logits

    def _oracle(self, x: NDArray) -> FloatArray:
        again = self._comes_again(x)
        after = np.minimum(self._first_steps(x) + 1, x.shape[1] - 1)
        values = np.take_along_axis(x, after, axis=1)
        found = np.take_along_axis(values, np.where(again, x, 0), axis=1)
        return certain(np.where(again, found, 0), self.vocabulary)
