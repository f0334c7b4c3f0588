"""Text: the next character of the user's own file.

The file is cut, in order, into 80% for training, 10% for validation and 10% for test. Classes are
the characters of the training part, at most the 256 most frequent; if the file has any other
character, one more class stands for all of these. Training windows start anywhere; validation and
test are read window after window, at most 1,000 of each, the same for every seed.

Inputs (B, window, V): the character, one-hot. Targets (B, window): the class of the next one.

Ladder, in bits per character on the test windows, from counts of the training part: any class,
log₂ V (chance); the character's frequency (unigram); its frequency after the one before (bigram).
Counts of the unigram start at one. Counts of the bigram after each character start at the
unigram's frequencies times V. There is no oracle: nobody knows the entropy of a text.
"""

from os import PathLike
from typing import Any, final

import numpy as np

from lstm_baseline.engine.errors import FileError
from lstm_baseline.engine.inputs import as_size
from lstm_baseline.engine.shapes import FloatArray, IntArray, NDArray
from lstm_baseline.tasks.base import Predictor, Rung, Task
from lstm_baseline.tasks.encoding import log_probabilities
from lstm_baseline.tasks.metrics import BITS_PER_CHARACTER, Batch
from lstm_baseline.tasks.user_file import UserFile, read_user_file

_MAX_CHARACTERS = 256
_MAX_WINDOWS = 1000
_TRAIN = 1


@final
class TextFile(Task):
    """Predict the next character of a text; the module's docstring has the layout and the ladder.

    A byte order mark is dropped, and CR LF counts as one line end.

    Parameters
    ----------
    path : path-like
        A UTF-8 file.
    window : int
        Characters of a row, at least 2.

    Attributes
    ----------
    characters : str
        The characters that are classes, in the order of the classes. `output_size` is one more if
        a last class stands for all other characters.

    Raises
    ------
    FileError
        The file cannot be read, is not UTF-8, or is too short for the window.
    InputError
        The window is not a whole number, or below 2.
    """

    loss = "cross_entropy"
    metric = BITS_PER_CHARACTER
    per_step = True
    tokens = True

    def __init__(self, path: str | PathLike[str], window: int = 64) -> None:
        self.window = as_size("window", window, at_least=2)
        file = read_user_file(path)
        points = code_points(file)
        # The smaller parts must hold a window and the character that follows it.
        needed = 10 * (self.window + 1)
        if len(points) < needed:
            raise FileError(
                f"{file.path} has {len(points)} characters; a window of {self.window} needs at"
                f" least {needed}: take a longer text or a shorter window"
            )
        ends = parts(len(points))
        known = _most_frequent(points[: ends[0]])
        if len(known) < 2:
            raise FileError(f"{file.path} repeats a single character; there is nothing to predict")
        codes = encode(points, known).astype(np.uint16)  # at most 257 classes
        self._train, self._validation, self._test = np.split(codes, ends)

        self.name = file.path.stem
        self.summary = f"{file.path.name}: which character comes next?"
        if (rare := float(np.mean(codes == len(known)))) > 0:
            self.summary += (
                f" {rare:.2%} of the text are rarer than the {len(known)} characters told apart;"
                " bits per character count all of these as one"
            )
        self.characters = "".join(map(chr, known))
        self.input_size = self.output_size = int(codes.max()) + 1
        self._config = {
            "task": self.name,
            "path": file.path.name,
            "sha256": file.sha256,
            "window": self.window,
        }

    def train_batch(self, step: int, size: int, seed: int) -> Batch:
        """Draw windows that start anywhere in the training part."""
        rng = np.random.default_rng([seed, _TRAIN, step])
        starts = rng.integers(len(self._train) - self.window, size=size)
        return self._windows(self._train, starts)

    def validation(self, seed: int) -> Batch:
        """Return the windows of the second part, the same for every seed."""
        return self._consecutive_windows(self._validation)

    def test(self, seed: int) -> Batch:
        """Return the windows of the last part, the same for every seed."""
        return self._consecutive_windows(self._test)

    def ladder(self, seed: int = 0) -> list[Rung]:
        """Measure chance, unigram and bigram on the test windows; the same for every seed."""
        test, v = self.test(seed), self.output_size
        unigram = np.bincount(self._train, minlength=v) + 1.0
        unigram /= unigram.sum()
        codes = self._train.astype(np.int64)
        pairs = np.bincount(codes[:-1] * v + codes[1:], minlength=v * v).reshape(v, v)
        bigram = pairs + v * unigram
        bigram /= bigram.sum(axis=1, keepdims=True)

        def constant(p: NDArray) -> FloatArray:
            return np.broadcast_to(log_probabilities(p), (*test.x.shape[:2], v))

        rules = [
            Predictor("uniform", "chance", "any class", lambda x: constant(np.full(v, 1 / v))),
            Predictor("unigram", "heuristic", "frequency", lambda x: constant(unigram)),
            Predictor(
                "bigram",
                "heuristic",
                "frequency after the character before",
                lambda x: log_probabilities(bigram)[x],
            ),
        ]
        return self._measure(rules, test)

    def config(self) -> dict[str, Any]:
        """Return the file's name, the digest of its content, and the window."""
        return dict(self._config)

    def _consecutive_windows(self, codes: IntArray) -> Batch:
        starts = np.arange(0, len(codes) - self.window, self.window)[:_MAX_WINDOWS]
        return self._windows(codes, starts)

    def _windows(self, codes: IntArray, starts: IntArray) -> Batch:
        """Return the windows of codes that begin at starts (B,)."""
        rows = codes[starts[:, None] + np.arange(self.window + 1)]
        return Batch(rows[:, :-1].astype(np.int64), rows[:, 1:].astype(np.int64))


def parts(num_characters: int) -> tuple[int, int]:
    """Return where a text's training part ends, and where its test part begins."""
    tenth = num_characters // 10
    return num_characters - 2 * tenth, num_characters - tenth


def code_points(file: UserFile) -> IntArray:
    """Return the text's code points (N,), without byte order mark, line ends as LF.

    Raises
    ------
    FileError
        If the file is not UTF-8.
    """
    try:
        text = file.content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FileError(
            f"{file.path} is not UTF-8 text: byte {error.start} is"
            f" 0x{file.content[error.start]:02x} ({error.reason}); convert the file to UTF-8"
        ) from None
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    return np.frombuffer(text.encode("utf-32-le"), dtype="<u4").astype(np.int64)


def encode(points: IntArray, known: IntArray) -> IntArray:
    """Return the class of each code point; len(known) for one that is not among the known.

    Parameters
    ----------
    points
        (N,) code points.
    known
        (K,) code points that have a class of their own, ascending.
    """
    codes = np.searchsorted(known, points).clip(max=len(known) - 1)
    codes[known[codes] != points] = len(known)
    return codes


def _most_frequent(points: IntArray) -> IntArray:
    """Return the most frequent code points, at most 256, in ascending order."""
    known, counts = np.unique(points, return_counts=True)
    by_count = np.argsort(-counts, kind="stable")
    return np.sort(known[by_count[:_MAX_CHARACTERS]])
