"""Polyphonic music: the notes of the next frame, from the user's own file of piano rolls.

A piece is a row of frames, one every so many beats; a frame is the set of keys, of the 88 of a
piano, that sound in it. Two kinds of files are read, as the four collections of Boulanger-
Lewandowski et al. (JSB chorales, Nottingham, MuseData, Piano-midi.de) are passed on:

- ``.json``: an object with the lists "train", "valid" and "test" of pieces, each a list of frames,
  each a list of pitches as MIDI numbers them, 21 (A0) to 108 (C8);
- ``.mat`` of MATLAB, where SciPy is installed: cells "traindata", "validdata"
  and "testdata" of pieces, each an array (frames, 88) of 0 and 1.

Inputs: (B, T, 88), the frames but the last of each piece. Targets (B, T, 88): the next frame. Rows
are whole pieces; a batch is as long as its longest. The file's digest is part of the task's
configuration, and a collection that is known by it is named.

Ladder, as negative log-likelihood per frame, the sum over the 88 keys, on the test pieces: even
odds for each key (chance); each key's share of the training frames; its share after frames with it
and after frames without it. There is no oracle.

Source: Boulanger-Lewandowski, Bengio and Vincent 2012 (arXiv 1206.6392); as a test of recurrent
networks, Chung, Gulcehre, Cho and Bengio 2014 (arXiv 1412.3555).
"""

import io
import json
from collections.abc import Sequence
from os import PathLike
from typing import Any, final

import numpy as np

from lstm_baseline.engine.errors import FileError, InputError
from lstm_baseline.engine.shapes import FloatArray, NDArray
from lstm_baseline.engine.wording import counted
from lstm_baseline.tasks.base import Predictor, Rung, Task
from lstm_baseline.tasks.epochs import Epochs
from lstm_baseline.tasks.metrics import NEGATIVE_LOG_LIKELIHOOD, Batch
from lstm_baseline.tasks.user_file import UserFile, read_user_file

FORMATS = (".json", ".mat")
KEYS = 88
_LOWEST = 21
"""The pitch of the lowest key."""
_PARTS = {
    "train": ("train", "traindata"),
    "validation": ("valid", "validdata"),
    "test": ("test", "testdata"),
}
"""Names of the parts, in .json and in .mat."""
_KNOWN = {
    "ac0e608527cc411c7e21ef7d38be47f0de7fb6b13b3ae168b8eccf1c2a9b18d4": "JSB chorales",
    "2db9329f1881a1d3f49703ec556bf1d6f84b4f6c1d702c156536e93cf31e1c91": "JSB chorales",
    "88fb80b22829a815e8105da538d94ae803773158507e2145938351f35142390a": "JSB chorales in eighths",
    "8730aca7b64e7d29493733d1cf19fad4a5b351d8f1845e57dac27728104fd39f": "JSB chorales in 16ths",
    "79294cc374f9252e95ef4b703161524c1c53dc1f712c236f00f1c1f5d54af5a7": "JSB chorales in 16ths",
    "d154f7ca2e90799dc1dc011d8fc048f2fc6ef3f7c69d974b9cf27a471634fbea": "Nottingham",
    "e8d9eb422ec3833c25f43a9f854d4ee0b9118a20b45f2c183395cdc30ffa14ff": "MuseData",
    "990a8a71d5764a7eaa3e78d9e5023d1470380fe2db3a1448265a97a24c8b1c34": "Piano-midi.de",
}
"""Collections by the digest of the files in which they are passed on."""


@final
class MusicFile(Task):
    """Predict the next frame of a piece; the module's docstring has the layout and the ladder.

    Parameters
    ----------
    path : path-like
        A .json or .mat file of piano rolls.

    Raises
    ------
    FileError
        The file cannot be read, is damaged, or holds something else.
    """

    input_size = output_size = KEYS
    loss = "binary_cross_entropy"
    metric = NEGATIVE_LOG_LIKELIHOOD
    per_step = True

    def __init__(self, path: str | PathLike[str]) -> None:
        file = read_user_file(path)
        read = _read_mat if file.path.suffix.lower() == ".mat" else _read_json
        try:
            self._pieces = {part: _checked(part, pieces) for part, pieces in read(file).items()}
        except InputError as error:
            raise FileError(f"{file.path}: {error}") from None
        self.name = file.path.stem
        numbers = " + ".join(str(len(pieces)) for pieces in self._pieces.values())
        longest = max(len(piece) for pieces in self._pieces.values() for piece in pieces)
        known = _KNOWN.get(file.sha256)
        self.summary = (
            f"{file.path.name}{f' ({known}, by its digest)' if known else ''}: which keys sound"
            f" next? {numbers} pieces of up to {counted(longest, 'frame')} of {KEYS} keys"
        )
        self._config = {
            "task": self.name,
            "path": file.path.name,
            "sha256": file.sha256,
            "keys": KEYS,
        }
        self._epochs = Epochs()

    def train_batch(self, step: int, size: int, seed: int) -> Batch:
        """Return training pieces, shuffled anew in each epoch; epochs follow without a gap."""
        pieces = self._pieces["train"]
        rows = self._epochs.batch(np.arange(len(pieces)), step, size, seed)
        return _batch([pieces[row] for row in rows])

    def validation(self, seed: int) -> Batch:
        """Return the file's pieces for validation, the same for every seed."""
        return _batch(self._pieces["validation"])

    def test(self, seed: int) -> Batch:
        """Return the file's test pieces, the same for every seed."""
        return _batch(self._pieces["test"])

    def ladder(self, seed: int = 0) -> list[Rung]:
        """Measure on the test pieces what can be said of each key alone; no seed matters."""
        pieces = self._pieces["train"]
        before = np.concatenate([piece[:-1] for piece in pieces]) == 1
        after = np.concatenate([piece[1:] for piece in pieces]) == 1
        share = _log_odds(after.sum(axis=0), len(after))
        still = _log_odds((after & before).sum(axis=0), before.sum(axis=0))
        new = _log_odds((after & ~before).sum(axis=0), (~before).sum(axis=0))
        rules = [
            Predictor("even odds", "chance", "each key on or off", lambda x: np.zeros_like(x)),
            Predictor(
                "share",
                "heuristic",
                "how often each key sounds in the training pieces",
                lambda x: np.broadcast_to(share, x.shape),
            ),
            Predictor(
                "frame before",
                "heuristic",
                "how often each key sounds after a frame with it, and without",
                lambda x: np.where(x == 1, still, new),
            ),
        ]
        return self._measure(rules, self.test(seed))

    def config(self) -> dict[str, Any]:
        """Return the file's name, the digest of its content, and the number of keys."""
        return dict(self._config)


def _batch(pieces: Sequence[NDArray]) -> Batch:
    """Return pieces (frames, 88) as rows, without what stands past the longest."""
    lengths = np.array([len(piece) - 1 for piece in pieces])
    x = np.zeros((len(pieces), lengths.max(), KEYS), np.float32)
    y = np.zeros_like(x)
    for row, piece in enumerate(pieces):
        x[row, : lengths[row]], y[row, : lengths[row]] = piece[:-1], piece[1:]
    return Batch(x, y, lengths)


def _log_odds(times: NDArray, of: NDArray | int) -> FloatArray:
    """Return ln p / (1 − p) for keys that sounded so many times; half a time is added to each."""
    odds: FloatArray = np.log((times + 0.5) / (of - times + 0.5)).astype(np.float32)
    return odds


def _checked(part: str, pieces: list[NDArray]) -> list[NDArray]:
    """Return the pieces of a part that have a next frame."""
    kept = [piece for piece in pieces if len(piece) > 1]
    if not kept:
        raise InputError(f"{part} holds no piece of at least 2 frames")
    return kept


def _read_json(file: UserFile) -> dict[str, list[NDArray]]:
    try:
        content = json.loads(file.content)
    except (ValueError, RecursionError) as error:
        raise FileError(f"{file.path} is no JSON ({error})") from None
    found = {}
    for part, (name, _) in _PARTS.items():
        pieces = content.get(name) if isinstance(content, dict) else None
        if not isinstance(pieces, list):
            raise InputError(f'there is no list "{name}"; expected "train", "valid" and "test"')
        found[part] = [_roll(f"{name}[{k}]", piece) for k, piece in enumerate(pieces)]
    return found


def _roll(name: str, piece: object) -> NDArray:
    """Return a piece, a list of lists of pitches, as an array (frames, 88)."""
    if not isinstance(piece, list) or not all(isinstance(frame, list) for frame in piece):
        raise InputError(f"{name} is no list of frames, each a list of pitches")
    roll = np.zeros((len(piece), KEYS), np.uint8)
    for k, frame in enumerate(piece):
        for pitch in frame:
            # Collections have rests, and lost notes, as −1 or null.
            if pitch is None or pitch == -1:
                continue
            whole = isinstance(pitch, int | float) and pitch == pitch // 1
            key = int(pitch) - _LOWEST if whole and abs(pitch) < 1000 else -1
            if not 0 <= key < KEYS:
                raise InputError(
                    f"{name}[{k}] holds {pitch!r}; expected pitches from {_LOWEST} to"
                    f" {_LOWEST + KEYS - 1}"
                )
            roll[k, key] = 1
    return roll


def _read_mat(file: UserFile) -> dict[str, list[NDArray]]:
    try:
        from scipy.io import loadmat
    except ImportError:
        raise InputError(
            "a .mat file is read by SciPy, which is not installed: pip install scipy"
        ) from None
    try:
        content = loadmat(io.BytesIO(file.content))
    except Exception as error:  # a damaged file raises anything from ValueError to zlib.error
        raise InputError(f"it is no .mat file that SciPy reads ({error})") from None
    found = {}
    for part, (_, name) in _PARTS.items():
        cells = content.get(name)
        if not isinstance(cells, np.ndarray) or cells.dtype != object:
            raise InputError(f"there are no cells {name}; expected {', '.join(_NAMES)}")
        found[part] = [_array(f"{name}{{{k + 1}}}", cell) for k, cell in enumerate(cells.ravel())]
    return found


_NAMES = tuple(name for _, name in _PARTS.values())


def _array(name: str, cell: object) -> NDArray:
    """Return a cell as an array (frames, 88) of 0 and 1."""
    if not isinstance(cell, np.ndarray) or cell.ndim != 2 or cell.shape[1] != KEYS:
        shape = getattr(cell, "shape", None)
        raise InputError(f"{name} has shape {shape}; expected (frames, {KEYS})")
    if cell.dtype.kind not in "biuf" or not np.isin(cell, (0, 1)).all():
        raise InputError(f"{name} holds other numbers than 0 and 1")
    return cell.astype(np.uint8)
