"""Options of models: sorted and checked here; their defaults stand where they are used."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypedDict

from lstm_baseline.engine.cells import LSTMVariant
from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.inputs import as_size
from lstm_baseline.engine.models.dropout import DropoutRates
from lstm_baseline.engine.models.embedding import PLAIN, Tokens
from lstm_baseline.engine.models.stack import Layers
from lstm_baseline.engine.wording import did_you_mean


class SequenceKeywords(TypedDict, total=False):
    """Options of every model: ``Layers``, ``DropoutRates`` and ``Tokens``."""

    num_layers: int
    bidirectional: bool
    merge: str
    learned_state: bool
    dropout: float
    input_dropout: float
    output_dropout: float
    recurrent_dropout: float
    weight_drop: float
    zoneout: float | Sequence[float]
    embedding_size: int | None
    tied: bool


class LSTMKeywords(SequenceKeywords, total=False):
    """Options of the LSTM: those, and ``LSTMVariant``."""

    projection_size: int | None
    peepholes: bool
    coupled_gates: bool
    layer_norm: bool
    bias: bool
    clip: float | None
    activations: Sequence[Any]


class LSTMOptions(NamedTuple):
    """All that an LSTM is besides its sizes; the plain one is ``LSTMOptions()``."""

    layers: Layers = Layers()
    variant: LSTMVariant = LSTMVariant()
    rates: DropoutRates = DropoutRates()
    tokens: Tokens = PLAIN

    @classmethod
    def checked(cls, given: Mapping[str, object]) -> "LSTMOptions":
        """Return what a user's keywords describe.

        Raises
        ------
        InputError
            If a value is not valid.
        TypeError
            If there is no such keyword.
        """
        layers, variant, rates, tokens = sort_keywords(
            given, Layers, LSTMVariant, DropoutRates, Tokens
        )
        return cls(
            Layers.checked(**layers),
            LSTMVariant.checked(**variant),
            DropoutRates.checked(**rates),
            Tokens.checked(**tokens),
        )

    def changed(self) -> dict[str, object]:
        """Return the options that differ from the plain LSTM's, by their keywords."""
        return {name: value for own in self for name, value in changed(own).items()}


def changed(options: Any) -> dict[str, object]:
    """Return the fields of a named tuple that differ from their defaults."""
    plain = type(options)()._asdict()
    return {name: value for name, value in options._asdict().items() if value != plain[name]}


def sort_keywords(given: Mapping[str, object], *kinds: Any) -> list[dict[str, Any]]:
    """Return the keywords that belong to each kind of options."""
    known = {name for kind in kinds for name in kind._fields}
    for name in given:
        if name not in known:
            raise TypeError(
                f"got an unexpected keyword argument {name!r}{did_you_mean(name, known)}"
            )
    return [{n: value for n, value in given.items() if n in kind._fields} for kind in kinds]


def show_keywords(cls: type, *kinds: Any) -> None:
    """Let ``help`` and ``inspect.signature`` show a constructor's options by their names."""
    signature = inspect.signature(cls)
    own = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    options = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default)
        for kind in kinds
        for name, default in kind._field_defaults.items()
    ]
    cls.__signature__ = signature.replace(parameters=[*own, *options])  # type: ignore[attr-defined]


def hidden_sizes(hidden_size: object, given: Mapping[str, object]) -> list[int]:
    """Return the hidden size of each layer.

    Parameters
    ----------
    hidden_size
        One size for all layers, or a sequence with one for each.
    given
        Keywords, of which only num_layers is read.
    """
    if not isinstance(hidden_size, list | tuple):
        num_layers = as_size("num_layers", given.get("num_layers", 1))
        return [as_size("hidden_size", hidden_size)] * num_layers
    sizes = [as_size("hidden_size", size) for size in hidden_size]
    if not sizes or given.get("num_layers", len(sizes)) != len(sizes):
        layers = f" and num_layers {given['num_layers']!r}" if "num_layers" in given else ""
        raise InputError(f"hidden_size is {hidden_size!r}{layers}; give one size for each layer")
    return sizes


def by_layer(cells: Sequence[Any]) -> Any:
    """Return the hidden size of all layers, or a tuple of one for each where they differ."""
    sizes = tuple(cell.hidden_size for cell in cells)
    return sizes[0] if len(set(sizes)) == 1 else sizes
