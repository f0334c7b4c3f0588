"""Layers over layers, each in one direction or both.

Layer k sees the outputs of layer k − 1; the first layer sees x. A layer in two directions runs once
from each end of every row's valid part; its outputs are put side by side, added or averaged.
Parameters and states are listed by layer, then by direction: [forward, backward] if there are two.

Source: Schuster and Paliwal 1997 for both directions; Graves, Mohamed and Hinton 2013 for both in
every layer, as in PyTorch, Keras and ONNX.
"""

from collections import namedtuple
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple, overload

import numpy as np

from lstm_baseline.engine.backend import Engine, UnrolledCache
from lstm_baseline.engine.cells import Cell, State
from lstm_baseline.engine.inputs import as_size, one_of
from lstm_baseline.engine.models.dropout import Masks
from lstm_baseline.engine.shapes import FloatArray, IntArray, Params, Sequences

MERGES = ("concatenate", "sum", "mean")
"""Rules by which the outputs of both directions become one."""


class Layers(NamedTuple):
    """Number and directions of the layers, and where they start."""

    num_layers: int = 1
    bidirectional: bool = False
    merge: str = MERGES[0]
    """Rule by which the outputs of both directions become one."""
    learned_state: bool = False
    """Whether the state before the first step is learned, one for all rows."""

    @property
    def suffixes(self) -> list[str]:
        """Endings of the names of parameters, by layer and direction; empty where there is one."""
        directions = ("", "_reverse") if self.bidirectional else ("",)
        if self.num_layers == len(directions) == 1:
            return [""]
        return [f"_l{k}{direction}" for k in range(self.num_layers) for direction in directions]

    @classmethod
    def checked(cls, **given: Any) -> "Layers":
        """Return what a user's arguments describe.

        Raises
        ------
        InputError
            If the number of layers or the merge is not valid.
        """
        taken = cls(**given)
        return cls(
            as_size("num_layers", taken.num_layers),
            bool(taken.bidirectional),
            one_of("merge", taken.merge, MERGES),
            bool(taken.learned_state),
        )


ONE_LAYER = Layers()


class StackGradients(NamedTuple):
    """Gradients by layer and direction, of x, and of the initial state."""

    params: list[Params]
    x: Callable[[], FloatArray | None]
    """None for tokens."""
    initial_state: State


class Stack:
    """Cells in several layers and directions.

    A single layer in one direction has the cell's own state, with arrays (B, …). Layers of one size
    share a state with arrays (LD, B, …). For layers of different sizes, one named tuple holds the
    arrays of each layer, (B, …), by name: h_l0, c_l0, h_l1 and so on.

    Parameters
    ----------
    cells
        Cell of each layer; both directions have its sizes.
    layers
        Number and directions of the layers.
    """

    def __init__(self, cells: Sequence[Cell[Any, Any]], layers: Layers) -> None:
        self.cells, self.layers = tuple(cells), layers
        self.num_directions = 2 if layers.bidirectional else 1
        self.suffixes = layers.suffixes
        self.is_uniform = all(cell.config == self.cells[0].config for cell in self.cells)
        """True if all layers are of one size."""
        self.batch_axis = 1 if self.is_uniform and len(self.suffixes) > 1 else 0
        """The axis of the state's arrays that counts rows."""
        side_by_side = layers.bidirectional and layers.merge == "concatenate"
        self.widths = [cell.output_size * (2 if side_by_side else 1) for cell in self.cells]
        """Features of each layer's output."""

    def inputs(self, input_size: int) -> list[tuple[Cell[Any, Any], int]]:
        """Return the cell of every layer and direction, and the features that it sees."""
        seen = [input_size, *self.widths[:-1]]
        D = self.num_directions
        return [pair for pair in zip(self.cells, seen, strict=True) for _ in range(D)]

    def initial_state(self, params: list[Params], num_rows: int) -> State:
        """Return the state before the first step, as the cells have it."""
        D = self.num_directions
        return self.join(
            [self.cells[k // D].initial_state(p, num_rows) for k, p in enumerate(params)]
        )

    def unroll(
        self,
        engine: Engine,
        params: list[Params],
        x: Sequences,
        state: State | None,
        lengths: IntArray | None,
        keep_cache: bool,
        masks: Masks | None,
    ) -> tuple[FloatArray, State, "StackCache | None"]:
        """Run over time.

        Arguments and returns are those of an engine, except that ``params`` is a list and ``masks``
        are those of dropout (None for no dropout).
        """
        if len(params) == 1 and masks is None:
            y, last, cache = engine.unroll(self.cells[0], params[0], x, state, lengths, keep_cache)
            return y, last, None if cache is None else StackCache(self, lengths, last, [cache])
        D = self.num_directions
        starts = self.split(state)
        caches: list[UnrolledCache] = []
        input_masks, weight_masks, lasts = [], [], []
        for layer, cell in enumerate(self.cells):
            mask = None if masks is None else masks.for_layer_input(x, layer == 0)
            input_masks.append(mask)
            x = _times(x, mask)
            outputs = []
            for k in range(D * layer, D * (layer + 1)):
                own, dropped, around = params[k], dict[str, FloatArray](), None
                if masks is not None:
                    dropped = masks.for_weights(own, cell.recurrent_weights)
                    own = own | {name: own[name] * mask for name, mask in dropped.items()}
                    around = masks.for_steps(x.shape[:2], cell.initial_state(own, len(x)))
                backwards = k > D * layer
                y, last, cache = engine.unroll(
                    cell,
                    own,
                    _turned(x, lengths, backwards),
                    starts[k],
                    lengths,
                    keep_cache,
                    around,
                )
                outputs.append(_turned(y, lengths, backwards))
                lasts.append(last)
                weight_masks.append(dropped)
                if cache is not None:
                    caches.append(cache)
            x = self.merge(outputs)
        output_mask = None if masks is None else masks.for_output(x)
        last = self.join(lasts)
        kept = StackCache(self, lengths, last, caches, input_masks, weight_masks, output_mask)
        return _times(x, output_mask), last, kept if keep_cache else None

    def last_output(self, state: State, mask: FloatArray | None) -> FloatArray:
        """Return each row's last output, the last layer's directions merged.

        ``mask`` is the mask of the outputs, (B, 1, ·), or None.
        """
        D = self.num_directions
        last = [part[0] for part in self.split(state)[-D:]]
        size = self.cells[-1].output_size
        y = self.merge([part.reshape(len(part), size) for part in last])
        if mask is not None:
            return y * mask[:, 0]
        return y.copy() if D == 1 else y

    def last_output_backward(
        self, d_last: FloatArray, state: State, mask: FloatArray | None, d_state: State | None
    ) -> State:
        """Return the gradient of the last state: ``d_state``, and what the last output adds."""
        D = self.num_directions
        if mask is not None:
            d_last = d_last * mask[:, 0]
        lasts = self.split(state)
        d_lasts = self.split(d_state)
        for k, d_y in zip(range(-D, 0), self.merge_backward(d_last), strict=True):
            d_h = d_y.reshape(lasts[k][0].shape)
            given = d_lasts[k]
            if given is None:
                rest = [np.zeros_like(part) for part in lasts[k][1:]]
            else:
                d_h, rest = given[0] + d_h, list(given[1:])
            d_lasts[k] = self._state_type(d_h, *rest)
        return self.join(
            [
                self._state_type(*map(np.zeros_like, last)) if d_last is None else d_last
                for last, d_last in zip(lasts, d_lasts, strict=True)
            ]
        )

    def merge(self, outputs: list[FloatArray]) -> FloatArray:
        """Make one output of those of each direction."""
        if len(outputs) == 1:
            return outputs[0]
        if self.layers.merge == "concatenate":
            return np.concatenate(outputs, axis=-1)
        total = outputs[0] + outputs[1]
        return total if self.layers.merge == "sum" else total / 2

    def merge_backward(self, d_output: FloatArray) -> list[FloatArray]:
        """Return the gradient of each direction's output."""
        if not self.layers.bidirectional:
            return [d_output]
        if self.layers.merge == "concatenate":
            return np.split(d_output, 2, axis=-1)
        return [d_output if self.layers.merge == "sum" else d_output / 2] * 2

    @property
    def _state_type(self) -> type[Any]:
        """The named tuple of one layer's state."""
        return self.cells[0].state_type

    def join(self, states: Sequence[State]) -> State:
        """Return one state of those of all layers and directions."""
        if len(states) == 1:
            return states[0]
        if self.is_uniform:
            parts = [np.stack(parts) for parts in zip(*states, strict=True)]
            uniform: State = self._state_type(*parts)
            return uniform
        kind = _named(self._state_type.__name__, self._state_type._fields, tuple(self.suffixes))
        named: State = kind(*(part for own in states for part in own))
        return named

    @overload
    def split(self, state: State) -> list[State]: ...

    @overload
    def split(self, state: State | None) -> list[State | None]: ...

    def split(self, state: State | None) -> list[State] | list[State | None]:
        """Return the state of every layer and direction; None for each where there is none."""
        number = len(self.suffixes)
        if state is None:
            nothing: list[State | None] = [None] * number
            return nothing
        if number == 1:
            return [state]
        if self.is_uniform:
            return [self._state_type(*(part[k] for part in state)) for k in range(number)]
        size = len(self._state_type._fields)
        return [self._state_type(*state[size * k : size * (k + 1)]) for k in range(number)]


class StackCache(NamedTuple):
    """Record of ``Stack.unroll`` for its derivative."""

    stack: Stack
    lengths: IntArray | None
    state: State
    """The last state, as ``Stack.unroll`` gives it."""
    caches: list[UnrolledCache]
    """Caches of every layer and direction, from the engine."""
    input_masks: list[FloatArray | None] | None = None
    """Input masks of every layer; None for one layer in which nothing is dropped."""
    weight_masks: Sequence[dict[str, FloatArray]] = ()
    """Weight masks of every layer and direction."""
    output_mask: FloatArray | None = None

    @property
    def x(self) -> Sequences:
        """The inputs as the first layer saw them."""
        return self.caches[0].x

    def gate(self, field: str) -> FloatArray:
        """Return a gate's values at every step, layers side by side; for one direction only."""
        values = [cache.gate(field) for cache in self.caches]
        return values[0] if len(values) == 1 else np.concatenate(values, axis=-1)

    def backward(self, d_outputs: FloatArray | None, d_state: State | None) -> StackGradients:
        """Differentiate the pass."""
        if self.input_masks is None:
            d_own, d_x, d_initial = self.caches[0].backward(d_outputs, d_state)
            return StackGradients([d_own], d_x, d_initial)
        D, lengths, number = self.stack.num_directions, self.lengths, len(self.caches)
        d_lasts = self.stack.split(d_state)
        d_params: list[Params] = [{} for _ in range(number)]
        d_states: list[State] = [()] * number
        d_outputs = None if d_outputs is None else _times(d_outputs, self.output_mask)
        gradient_of_x: Callable[[], FloatArray | None] | None = None
        for layer in range(number // D - 1, -1, -1):
            if gradient_of_x is not None:
                d_outputs = gradient_of_x()
            d_ys = [None] * D if d_outputs is None else self.stack.merge_backward(d_outputs)
            parts: list[Callable[[], FloatArray | None]] = []
            for k, d_y in zip(range(D * layer, D * (layer + 1)), d_ys, strict=True):
                backwards = k > D * layer
                d_params[k], d_source, d_states[k] = self.caches[k].backward(
                    None if d_y is None else _turned(d_y, lengths, backwards), d_lasts[k]
                )
                for name, mask in self.weight_masks[k].items():
                    d_params[k][name] *= mask
                parts.append(_reversed(d_source, lengths) if backwards else d_source)
            gradient_of_x = _sum_of(parts, self.input_masks[layer])
        assert gradient_of_x is not None
        return StackGradients(d_params, gradient_of_x, self.stack.join(d_states))


@cache
def _named(name: str, fields: tuple[str, ...], suffixes: tuple[str, ...]) -> type[Any]:
    """Return the named tuple of the states of layers that differ in size."""
    names = [f"{field}{suffix}" for suffix in suffixes for field in fields]
    # No module has this class by name, so a pickled state says how to make it.
    own = {
        "__slots__": (),
        "__reduce__": lambda state: (_named_state, (name, fields, suffixes, tuple(state))),
    }
    return type(name, (namedtuple(name, names),), own)


def _named_state(
    name: str, fields: tuple[str, ...], suffixes: tuple[str, ...], parts: State
) -> State:
    state: State = _named(name, fields, suffixes)(*parts)
    return state


def _times(x: FloatArray, mask: FloatArray | None) -> FloatArray:
    return x if mask is None else x * mask


def reverse(x: Sequences, lengths: IntArray | None) -> Sequences:
    """Turn the valid part of every row of (B, T, …) around; padding stays where it is."""
    if lengths is None:
        return x[:, ::-1]
    steps = np.arange(x.shape[1])
    turned = lengths[:, None] - 1 - steps
    places = np.where(turned >= 0, turned, steps)
    return x[np.arange(len(x))[:, None], places]


def _turned(x: FloatArray, lengths: IntArray | None, backwards: bool) -> FloatArray:
    return reverse(x, lengths) if backwards else x


def _reversed(
    gradient: Callable[[], FloatArray | None], lengths: IntArray | None
) -> Callable[[], FloatArray | None]:
    def turn() -> FloatArray | None:
        d_x = gradient()
        return None if d_x is None else reverse(d_x, lengths)

    return turn


def _sum_of(
    gradients: list[Callable[[], FloatArray | None]], mask: FloatArray | None
) -> Callable[[], FloatArray | None]:
    if len(gradients) == 1 and mask is None:
        return gradients[0]

    def sum_up() -> FloatArray | None:
        parts = [part for gradient in gradients if (part := gradient()) is not None]
        if not parts:  # x holds tokens
            return None
        return _times(parts[0] + parts[1] if parts[1:] else parts[0], mask)

    return sum_up
