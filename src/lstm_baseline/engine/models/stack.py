"""Layers over layers, each in one direction or both.

Layer k sees the outputs of layer k − 1, and the first one x. A layer in two directions runs once
from each end of every row's valid part; its outputs are put side by side, added or averaged. Cells,
parameters and states are listed by layer, then by direction: [forward, backward] where there are
two.

Source: Schuster and Paliwal 1997 for both directions; Graves, Mohamed and Hinton 2013 for both in
every layer, as PyTorch, Keras and ONNX have them.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from lstm_baseline.engine.backend import Engine
from lstm_baseline.engine.cells.recurrence import Cell
from lstm_baseline.engine.models.dropout import Masks
from lstm_baseline.engine.shapes import FloatArray, IntArray, Params

MERGES = ("concatenate", "sum", "mean")
"""How the outputs of both directions become one."""


class StackCache(NamedTuple):
    """What ``Stack.unroll_backward`` needs."""

    caches: list[Any]
    """Of every layer and direction, from the engine."""
    state: Any
    """The last state, as ``Stack.unroll`` gives it."""
    lengths: IntArray | None
    params: list[Params]
    """As the cells had them: some weights may have been dropped."""
    weight_masks: list[FloatArray | None]
    """Of every layer and direction."""
    input_masks: list[FloatArray | None]
    """Of every layer."""
    output_mask: FloatArray | None

    @property
    def x(self) -> FloatArray:
        """(B, T, I) as the first layer saw it."""
        x: FloatArray = self.caches[0].x
        return x

    def gate(self, field: str) -> FloatArray:
        """Return a gate's values at every step, layers side by side; for one direction only."""
        return np.concatenate([cache.gate(field) for cache in self.caches], axis=-1)


class Stack(NamedTuple):
    """Runs one kind of cell in several layers and directions.

    One layer in one direction has the cell's own state, (B, ·) each; otherwise states are
    (LD, B, ·).
    """

    engine: Engine
    cell: Cell
    num_directions: int
    merge: str

    def initial_state(self, params: list[Params], num_rows: int) -> Any:
        """Return the state before the first step."""
        return _join([self.cell.initial_state(p, num_rows) for p in params])

    def unroll(
        self,
        params: list[Params],
        x: FloatArray,
        state: Any,
        lengths: IntArray | None,
        keep_cache: bool,
        masks: Masks | None,
    ) -> tuple[FloatArray, Any, Any]:
        """Run over time.

        Arguments and returns are those of an engine, but for lists of params, and the masks of
        what is dropped out (None for nothing).
        """
        if len(params) == 1 and masks is None:
            return self.engine.unroll(self.cell, params[0], x, state, lengths, keep_cache)
        D = self.num_directions
        starts = _split(state, len(params))
        kept = StackCache([], None, lengths, [], [], [], None)
        lasts = []
        for first in range(0, len(params), D):
            mask = None if masks is None else masks.for_layer_input(x, first == 0)
            kept.input_masks.append(mask)
            x = _times(x, mask)
            outputs = []
            for k in range(first, first + D):
                own, dropped, around = params[k], None, None
                if masks is not None:
                    dropped = masks.for_weights(own)
                    own = own | {"U": _times(own["U"], dropped)}
                    around = masks.for_steps(x.shape[:2], self.cell.initial_state(own, len(x)))
                y, last, cache = self.engine.unroll(
                    self.cell,
                    own,
                    _turned(x, lengths, k > first),
                    starts[k],
                    lengths,
                    keep_cache,
                    around,
                )
                outputs.append(_turned(y, lengths, k > first))
                lasts.append(last)
                kept.caches.append(cache)
                kept.params.append(own)
                kept.weight_masks.append(dropped)
            x = self._merge(outputs)
        mask = None if masks is None else masks.for_output(x)
        final = _join(lasts)
        if not keep_cache:
            return _times(x, mask), final, None
        return _times(x, mask), final, kept._replace(state=final, output_mask=mask)

    def unroll_backward(
        self, params: list[Params], d_outputs: FloatArray | None, cache: Any, d_state: Any
    ) -> tuple[list[Params], Callable[[], FloatArray], Any]:
        """Differentiate ``unroll``."""
        if not isinstance(cache, StackCache):
            d_own, d_x, d_initial = self.engine.unroll_backward(
                self.cell, params[0], d_outputs, cache, d_state
            )
            return [d_own], d_x, d_initial
        D, lengths = self.num_directions, cache.lengths
        d_lasts = _split(d_state, len(params))
        d_params: list[Params] = [{} for _ in params]
        d_states: list[Any] = [None] * len(params)
        d_outputs = None if d_outputs is None else _times(d_outputs, cache.output_mask)
        gradient_of_x: Callable[[], FloatArray] | None = None
        for first in range(len(params) - D, -1, -D):
            if gradient_of_x is not None:
                d_outputs = gradient_of_x()
            d_ys = [None] * D if d_outputs is None else self._merge_backward(d_outputs)
            parts: list[Callable[[], FloatArray]] = []
            for k, d_y in zip(range(first, first + D), d_ys, strict=True):
                backwards = k > first
                d_params[k], d_source, d_states[k] = self.engine.unroll_backward(
                    self.cell,
                    cache.params[k],
                    None if d_y is None else _turned(d_y, lengths, backwards),
                    cache.caches[k],
                    d_lasts[k],
                )
                if (dropped := cache.weight_masks[k]) is not None:
                    d_params[k]["U"] *= dropped
                parts.append(_reversed(d_source, lengths) if backwards else d_source)
            gradient_of_x = _sum_of(parts, cache.input_masks[first // D])
        assert gradient_of_x is not None
        return d_params, gradient_of_x, _join(d_states)

    def last_output(self, state: Any, cache: Any) -> FloatArray:
        """Return each row's last output, the last layer's directions merged."""
        h = state[0]
        y = self._merge([h] if h.ndim == 2 else list(h[-self.num_directions :]))
        mask = _output_mask(cache)
        return y.copy() if mask is None else y * mask[:, 0]

    def last_output_backward(self, d_last: FloatArray, cache: Any) -> FloatArray:
        """Return the gradient of the state's first array."""
        mask, h = _output_mask(cache), cache.state[0]
        if mask is not None:
            d_last = d_last * mask[:, 0]
        if h.ndim == 2:
            return d_last
        d_h: FloatArray = np.zeros_like(h)
        d_h[-self.num_directions :] = self._merge_backward(d_last)
        return d_h

    def _merge(self, outputs: list[FloatArray]) -> FloatArray:
        """Make one output of those of each direction."""
        if len(outputs) == 1:
            return outputs[0]
        if self.merge == "concatenate":
            return np.concatenate(outputs, axis=-1)
        total = outputs[0] + outputs[1]
        return total if self.merge == "sum" else total / 2

    def _merge_backward(self, d_output: FloatArray) -> list[FloatArray]:
        """Return the gradient of each direction's output."""
        if self.num_directions == 1:
            return [d_output]
        if self.merge == "concatenate":
            return np.split(d_output, 2, axis=-1)
        return [d_output if self.merge == "sum" else d_output / 2] * 2


def _split(state: Any, number: int) -> list[Any]:
    """Return the state of every layer and direction."""
    if state is None or number == 1:
        return [state] * number
    return [type(state)(*(part[k] for part in state)) for k in range(number)]


def _times(x: FloatArray, mask: FloatArray | None) -> FloatArray:
    return x if mask is None else x * mask


def _output_mask(cache: Any) -> FloatArray | None:
    return cache.output_mask if isinstance(cache, StackCache) else None


def _join(states: list[Any]) -> Any:
    """Return one state of those of all layers and directions."""
    if len(states) == 1:
        return states[0]
    return type(states[0])(*(np.stack(parts) for parts in zip(*states, strict=True)))


def reverse(x: FloatArray, lengths: IntArray | None) -> FloatArray:
    """Turn the valid part of every row of (B, T, ·) around; padding stays where it is."""
    if lengths is None:
        return x[:, ::-1]
    steps = np.arange(x.shape[1])
    turned = lengths[:, None] - 1 - steps
    return np.take_along_axis(x, np.where(turned >= 0, turned, steps)[:, :, None], axis=1)


def _turned(x: FloatArray, lengths: IntArray | None, backwards: bool) -> FloatArray:
    return reverse(x, lengths) if backwards else x


def _reversed(
    gradient: Callable[[], FloatArray], lengths: IntArray | None
) -> Callable[[], FloatArray]:
    return lambda: reverse(gradient(), lengths)


def _sum_of(
    gradients: list[Callable[[], FloatArray]], mask: FloatArray | None
) -> Callable[[], FloatArray]:
    def sum_up() -> FloatArray:
        total, *others = (gradient() for gradient in gradients)
        return _times(total + others[0] if others else total, mask)

    return sum_up
