"""A trained model over text: bits per character of a file, and text drawn from the model.

A model of text takes characters as tokens, and gives logits of the next one. Characters that its
training text had too rarely, or not at all, share its last class, if there is such a class.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lstm_baseline.engine.activations import log_softmax
from lstm_baseline.engine.errors import FileError, InputError
from lstm_baseline.engine.models import LSTM
from lstm_baseline.engine.shapes import FloatArray, IntArray
from lstm_baseline.tasks.text import code_points, encode, parts
from lstm_baseline.tasks.user_file import read_user_file
from lstm_baseline.usage.predict import write_table
from lstm_baseline.usage.trained import Trained, read_trained

OTHER = "\N{REPLACEMENT CHARACTER}"
"""What is shown for a character without a class of its own."""

_WINDOW = 64
"""Characters of a window where the model's training does not say."""
_WINDOWS_AT_ONCE = 64


class TextModel:
    """A model of text and its characters.

    Raises
    ------
    FileError
        If the model is none of text.
    """

    def __init__(self, path: Path) -> None:
        self.trained: Trained = read_trained(path)
        self.model = self.trained.model
        labels, size = self.trained.labels, self.model.input_size
        known = [label for label in labels or () if isinstance(label, str) and len(label) == 1]
        if labels is None or size != len(labels) or [*known, None][:size] != labels:
            raise FileError(
                f"{path} is no model of text with its labels.json; train --text makes one"
            )
        if getattr(self.model, "bidirectional", False):
            raise InputError(f"{path} reads in both directions, so it cannot foretell characters")
        self.characters = "".join(known)
        self._points = np.array([ord(character) for character in known], np.int64)
        if (np.diff(self._points) <= 0).any():
            raise FileError(f"{path}: the characters of labels.json are not in ascending order")
        window = self.trained.task.get("window")
        self.window = window if isinstance(window, int) and window > 1 else _WINDOW

    def encode(self, name: str, points: IntArray) -> IntArray:
        """Return the classes of code points (N,).

        Raises
        ------
        InputError
            If the model has no class for a character; ``name`` says where it stands.
        """
        codes = encode(points, self._points)
        unknown = codes == self.model.input_size
        if unknown.any():
            place = int(unknown.argmax())
            raise InputError(
                f"{name} has {chr(points[place])!r} at character {place}, which this model has"
                f" never seen; it knows {len(self.characters)} characters"
            )
        return codes

    def bits(self, codes: IntArray) -> FloatArray:
        """Return −log₂ p of every character but the first, (N − 1,), window after window.

        As in the score that ``train`` prints, each window starts from the initial state.
        """
        found = []
        starts = np.arange(0, len(codes) - 1, self.window)
        for some in np.array_split(starts, math.ceil(len(starts) / _WINDOWS_AT_ONCE)):
            lengths = np.minimum(self.window, len(codes) - 1 - some)
            rows = codes[(some[:, None] + np.arange(self.window + 1)).clip(max=len(codes) - 1)]
            log_p = log_softmax(
                self.model.forward(rows[:, :-1], lengths=lengths).astype(np.float64)
            )
            terms = np.take_along_axis(log_p, rows[:, 1:, None], axis=-1)[..., 0]
            found.append(-terms[np.arange(self.window) < lengths[:, None]] / math.log(2))
        return np.concatenate(found)

    def next_probabilities(self, codes: IntArray) -> FloatArray:
        """Return the probability of each class after the last window of codes, (V,)."""
        logits = self.model.forward(codes[None, -self.window :], return_sequences=False)[0]
        return np.asarray(np.exp(log_softmax(logits.astype(np.float64))))

    def generate(
        self, prompt: str, length: int, temperature: float, rng: np.random.Generator
    ) -> Iterator[str]:
        """Draw characters that follow a prompt, one by one.

        Each is drawn from softmax(logits / temperature); at temperature 0 it is the most probable.
        The class of all other characters is never drawn.

        Parameters
        ----------
        prompt
            Text to go on from. If it is empty, a line end, or the first character that the model
            knows, is put before the text.
        length
            Number of characters to draw.
        temperature
            0 or more; below 1 the probable ones become more probable.
        rng
            Source of the draws.

        Raises
        ------
        InputError
            If the prompt has a character for which the model has no class, or the temperature is
            negative or not finite.
        """
        if not (math.isfinite(temperature) and temperature >= 0):
            raise InputError(f"temperature is {temperature}; give a number of at least 0")
        prompt = prompt or ("\n" if "\n" in self.characters else self.characters[0])
        points = np.array([ord(character) for character in prompt], np.int64)
        return self._draw(self.encode("the prompt", points), length, temperature, rng)

    def _draw(
        self, codes: IntArray, length: int, temperature: float, rng: np.random.Generator
    ) -> Iterator[str]:
        runner = self.model.freeze() if isinstance(self.model, LSTM) else self.model
        state = None
        for _ in range(length):
            y, *state = runner.forward(codes[None], return_state=True, initial_state=state)
            logits = y[0, -1, : len(self.characters)].astype(np.float64)
            if temperature == 0:
                drawn = int(logits.argmax())
            else:
                # Differences first, so that a temperature near 0 overflows to −inf and not to NaN.
                with np.errstate(over="ignore"):
                    p = np.exp((logits - logits.max()) / temperature)
                drawn = int(rng.choice(len(p), p=p / p.sum()))
            codes = np.array([drawn])
            yield self.characters[drawn]


class TextPrediction(NamedTuple):
    """What a model makes of a text."""

    characters: str
    """Classes of the model; one more than these may share a last class."""
    codes: IntArray
    """(N,) class of each character of the text."""
    bits: FloatArray
    """(N − 1,) −log₂ p of each character but the first."""
    next_probabilities: FloatArray
    """(V,) probability of each class after the end of the text."""
    test_bits: float | None
    """Bits per character of the test part, if the model was trained on this very file."""

    def lines(self) -> Iterator[str]:
        """Yield what a person wants to know."""
        yield f"bits per character: {self.bits.mean():.4f} over {len(self.bits):,} characters"
        others = int((self.codes == len(self.characters)).sum())
        if others:
            yield f"{others:,} of the text's characters have no class of their own, and share one"
        if self.test_bits is not None:
            yield (
                "the model was trained on 80% of this very file; the last 10%, which it has not"
                f" seen: {self.test_bits:.4f}"
            )
        best = np.argsort(-self.next_probabilities, kind="stable")[:5]
        listed = ", ".join(f"{self._name(k)!r} {self.next_probabilities[k]:.1%}" for k in best)
        yield f"next character: {listed}"

    def write(self, path: Path) -> None:
        """Write a line for each character as .csv, or the arrays bits and codes as .npz.

        Raises
        ------
        InputError
            If the path has another ending.
        WriteError
            If the file cannot be written.
        """
        write_table(path, self._table(), {"bits": self.bits, "codes": self.codes})

    def _table(self) -> Iterator[list[Any]]:
        yield ["position", "character", "bits"]
        for place, (code, bits) in enumerate(zip(self.codes[1:], self.bits, strict=True), 1):
            yield [place, self._name(code), str(bits)]

    def _name(self, code: int) -> str:
        return self.characters[code] if code < len(self.characters) else OTHER


def predict_text(model_path: Path, text: Path) -> TextPrediction:
    """Measure how well a model of text foretells a file's characters.

    Parameters
    ----------
    model_path
        The folder that ``lstm-baseline train --text`` wrote, or the model in it.
    text
        A UTF-8 file of at least two characters.

    Raises
    ------
    FileError
        If a file is missing, damaged or of the wrong kind.
    InputError
        If the text has a character for which the model has no class.
    """
    model = TextModel(model_path)
    file = read_user_file(text)
    points = code_points(file)
    if len(points) < 2:
        raise FileError(f"{file.path} has {len(points)} characters; expected at least 2")
    codes = model.encode(str(file.path), points)
    test_bits = None
    if model.trained.task.get("sha256") == file.sha256:
        test_bits = float(model.bits(codes[parts(len(points))[1] :]).mean())
    return TextPrediction(
        model.characters, codes, model.bits(codes), model.next_probabilities(codes), test_bits
    )
