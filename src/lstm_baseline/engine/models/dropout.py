"""Dropout in training: rates, and the masks that are drawn with them.

=================  =========================================================  ====================
rate               what it sets to 0, or keeps                                drawn anew
=================  =========================================================  ====================
dropout            outputs of a layer on their way to the next                for every step
input_dropout      features of x, and of what each further layer sees         for every sequence
output_dropout     outputs of the last layer                                  for every sequence
recurrent_dropout  features of h' before the product with U                   for every sequence
weight_drop        entries of U                                               for every batch
zoneout            units of h and c that keep their old value                 for every step
=================  =========================================================  ====================

Values that are not dropped are divided by 1 − rate, so that they stay the same on average. Outside
training nothing is dropped, and zoneout mixes old and new values by its rate. Masks are drawn with
the nearest rate that is a whole number of 65,536ths.

Sources: dropout, Zaremba, Sutskever and Vinyals 2014 (arXiv 1409.2329), as in PyTorch; masks held
over a sequence, Gal and Ghahramani 2016 (arXiv 1512.05287); weight drop, Merity, Keskar and
Socher 2018 (arXiv 1708.02182); zoneout, Krueger et al. 2017 (arXiv 1606.01305).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lstm_baseline.engine.cells import Regularization, State
from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.inputs import as_number, is_tokens
from lstm_baseline.engine.shapes import FloatArray, FloatDType, NDArray, Params

_PARTS = 2**16


class DropoutRates(NamedTuple):
    """Rates from 0 to below 1, as the table above has them; none by default."""

    dropout: float = 0.0
    input_dropout: float = 0.0
    output_dropout: float = 0.0
    recurrent_dropout: float = 0.0
    weight_drop: float = 0.0
    zoneout: tuple[float, ...] = (0.0, 0.0)
    """Rate of each array of the state: of h and of c."""

    @property
    def in_evaluation(self) -> bool:
        """True if a rate acts outside training too."""
        return any(self.zoneout)

    @classmethod
    def checked(cls, zoneout: float | Sequence[float] = 0.0, **rates: float) -> "DropoutRates":
        """Return rates from what a user gives; zoneout may be one number for h and c.

        Raises
        ------
        InputError
            If a rate is not in [0, 1).
        """
        pair = zoneout if isinstance(zoneout, list | tuple | np.ndarray) else (zoneout, zoneout)
        if len(pair) != 2:
            raise InputError(f"zoneout is {zoneout!r}; give one rate, or two: of h and of c")
        of_h, of_c = (_as_rate("zoneout", rate) for rate in pair)
        return cls(**{n: _as_rate(n, rate) for n, rate in rates.items()}, zoneout=(of_h, of_c))


NO_DROPOUT = DropoutRates()


class Masks:
    """Draws the masks of one pass, layer by layer, always in the same order.

    Parameters
    ----------
    rates
        Rates of dropout.
    rng
        Generator that draws the masks; None outside training.
    """

    def __init__(self, rates: DropoutRates, rng: np.random.Generator | None) -> None:
        self.rates, self.rng = rates, rng

    def for_layer_input(self, x: FloatArray, first: bool) -> FloatArray | None:
        """Return what to multiply the input (B, T, ·) of a layer with; None for 1."""
        if is_tokens(x):
            if self.rates.input_dropout:
                raise InputError(
                    "input_dropout drops numbers, and x holds tokens; give embedding_size, so that "
                    "it drops those of the embedding"
                )
            return None
        mask = None if first else self._dropped("dropout", x.shape, x.dtype)
        held = self._dropped("input_dropout", (len(x), 1, x.shape[2]), x.dtype)
        return held if mask is None else mask if held is None else mask * held

    def for_output(self, y: FloatArray) -> FloatArray | None:
        """Return what to multiply the output (B, T, ·) of the last layer with; None for 1."""
        return self._dropped("output_dropout", (len(y), 1, y.shape[2]), y.dtype)

    def for_weights(self, params: Params, names: Sequence[str]) -> dict[str, FloatArray]:
        """Return by name what to multiply a layer's recurrent weights with; nothing for 1."""
        masks = {n: self._dropped("weight_drop", params[n].shape, params[n].dtype) for n in names}
        return {name: mask for name, mask in masks.items() if mask is not None}

    def for_steps(self, shape: tuple[int, ...], state: State) -> Regularization | None:
        """Return what is done before and after each of (B, T) steps; None for nothing.

        Parameters
        ----------
        shape
            (B, T).
        state
            An initial state of the layer, for the shapes and dtype of its arrays.
        """
        recurrent = self._dropped("recurrent_dropout", state[0].shape, state[0].dtype)
        zoneout = None
        if any(self.rates.zoneout):
            zoneout = tuple(
                self._zones(rate, (*shape, *part.shape[1:]))
                # A state of one array takes the first rate alone.
                for rate, part in zip(self.rates.zoneout, state, strict=False)
            )
        return None if recurrent is None and zoneout is None else Regularization(recurrent, zoneout)

    def _dropped(self, name: str, shape: tuple[int, ...], dtype: FloatDType) -> FloatArray | None:
        """Return a mask of 0 and 1 / (1 − rate)."""
        rate: float = getattr(self.rates, name)
        if self.rng is None or not rate:
            return None
        kept = ~_bernoulli(self.rng, rate, shape)
        share = 1.0 - _parts(rate) / _PARTS  # the rate as drawn, so that a mask is 1 on average
        return kept.astype(dtype) * dtype.type(1.0 / share)

    def _zones(self, rate: float, shape: tuple[int, ...]) -> NDArray | float | None:
        if not rate:
            return None
        return rate if self.rng is None else _bernoulli(self.rng, rate, shape)


def _bernoulli(rng: np.random.Generator, rate: float, shape: tuple[int, ...]) -> NDArray:
    """Return an array that is True at this rate."""
    # Drawing 16 bits a number takes half the time of drawing a float32.
    return rng.integers(0, _PARTS, shape, dtype=np.uint16) < _parts(rate)


def _parts(rate: float) -> int:
    return min(round(rate * _PARTS), _PARTS - 1)


def _as_rate(name: str, value: object) -> float:
    rate = as_number(name, value)
    if not 0.0 <= rate < 1.0:
        raise InputError(f"{name} is {value!r}; give a rate from 0 to below 1")
    return rate
