"""Layers over layers, each in one direction or both.

Layer k sees the outputs of layer k − 1, and the first one x. A layer in two directions runs once
from each end of every row's valid part; its outputs are put side by side. Cells, parameters and
states are listed by layer, then by direction: [forward, backward] where there are two.

Source: Schuster and Paliwal 1997 for both directions; Graves, Mohamed and Hinton 2013 for both in
every layer, as PyTorch, Keras and ONNX have them.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from lstm_baseline.backend import Engine
from lstm_baseline.cells.recurrence import Cell
from lstm_baseline.shapes import FloatArray, IntArray, Params


class StackCache(NamedTuple):
    """What ``Stack.unroll_backward`` needs."""

    caches: list[Any]
    """Of every layer and direction, from the engine."""
    state: Any
    """The last state, (LD, B, ·) each."""
    lengths: IntArray | None

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

    One layer in one direction is run as it is, and its state is the cell's own, (B, ·); otherwise
    states are (LD, B, ·).
    """

    engine: Engine
    cell: Cell
    num_directions: int

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
    ) -> tuple[FloatArray, Any, Any]:
        """Run over time; arguments and returns are those of an engine, but for lists of params."""
        if len(params) == 1:
            return self.engine.unroll(self.cell, params[0], x, state, lengths, keep_cache)
        lasts, caches = [], []
        for first in range(0, len(params), self.num_directions):
            outputs = []
            for k in range(first, first + self.num_directions):
                start = None if state is None else type(state)(*(part[k] for part in state))
                backwards = k > first
                y, last, cache = self.engine.unroll(
                    self.cell,
                    params[k],
                    reverse(x, lengths) if backwards else x,
                    start,
                    lengths,
                    keep_cache,
                )
                outputs.append(reverse(y, lengths) if backwards else y)
                lasts.append(last)
                caches.append(cache)
            x = outputs[0] if len(outputs) == 1 else np.concatenate(outputs, axis=-1)
        final = _join(lasts)
        if not keep_cache:
            return x, final, None
        return x, final, StackCache(caches, final, lengths)

    def unroll_backward(
        self, params: list[Params], d_outputs: FloatArray | None, cache: Any, d_state: Any
    ) -> tuple[list[Params], Callable[[], FloatArray], Any]:
        """Differentiate ``unroll``."""
        if len(params) == 1:
            d_own, d_x, d_initial = self.engine.unroll_backward(
                self.cell, params[0], d_outputs, cache, d_state
            )
            return [d_own], d_x, d_initial
        D, lengths = self.num_directions, cache.lengths
        d_params: list[Params] = [{} for _ in params]
        d_states: list[Any] = [None] * len(params)
        gradient_of_x: Callable[[], FloatArray] | None = None
        for first in range(len(params) - D, -1, -D):
            if gradient_of_x is not None:
                d_outputs = gradient_of_x()
            parts: list[Callable[[], FloatArray]] = []
            for k in range(first, first + D):
                backwards = k > first
                d_last = None if d_state is None else type(d_state)(*(part[k] for part in d_state))
                d_y = None
                if d_outputs is not None:
                    d_y = np.split(d_outputs, D, axis=-1)[k - first]
                    d_y = reverse(d_y, lengths) if backwards else d_y
                d_params[k], d_source, d_states[k] = self.engine.unroll_backward(
                    self.cell, params[k], d_y, cache.caches[k], d_last
                )
                parts.append(_reversed(d_source, lengths) if backwards else d_source)
            gradient_of_x = _sum_of(parts)
        assert gradient_of_x is not None
        return d_params, gradient_of_x, _join(d_states)

    def last_output(self, state: Any) -> FloatArray:
        """Return each row's last output, the last layer's directions side by side."""
        h: FloatArray = state[0]
        if h.ndim == 2:
            return h.copy()
        return np.concatenate(h[-self.num_directions :], axis=-1)

    def last_output_backward(self, d_last: FloatArray, state: Any) -> FloatArray:
        """Return the gradient of the state's first array."""
        if state[0].ndim == 2:
            return d_last
        d_h: FloatArray = np.zeros_like(state[0])
        d_h[-self.num_directions :] = np.split(d_last, self.num_directions, axis=-1)
        return d_h


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


def _reversed(
    gradient: Callable[[], FloatArray], lengths: IntArray | None
) -> Callable[[], FloatArray]:
    return lambda: reverse(gradient(), lengths)


def _sum_of(gradients: list[Callable[[], FloatArray]]) -> Callable[[], FloatArray]:
    def sum_up() -> FloatArray:
        total, *others = (gradient() for gradient in gradients)
        return total + others[0] if others else total

    return sum_up
