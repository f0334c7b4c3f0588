"""Test vectors for ``kernel_test.cpp``: inputs, and the reference's results for them in float64.

A file is a sequence of cases. A case is a line ``case KIND words``, followed by its arrays. An
array is a line ``array NAME size size ...``, followed by its numbers: float64 in C order,
little-endian. Lines end with a newline; there is nothing else in between.

Every input is a float32 number, so that the kernels start from the same numbers in both precisions.
The function that makes a case of a kind documents its arrays, and ``kernel_test.cpp`` reads them by
these names. A case whose words contain "together" is also used for concurrent calls.
"""

import math
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from lstm_baseline.engine.cells import (
    Cell,
    GRUEquations,
    LSTMEquations,
    LSTMVariantEquations,
    Regularization,
    recurrence,
)
from lstm_baseline.engine.cells.blocks import affine
from lstm_baseline.engine.cells.gate_activations import NAMES
from lstm_baseline.engine.cells.lstm import LSTMState
from lstm_baseline.engine.cells.relational import RelationalState
from lstm_baseline.engine.core import ENGINE_VARIABLE
from lstm_baseline.engine.models import LSTM, RelationalRNN
from lstm_baseline.training import AdamW, RMSProp, cross_entropy

Arrays = dict[str, np.ndarray]


def write_vectors(path: Path) -> None:
    """Write all cases."""
    with path.open("wb") as file, patch.dict(os.environ, {ENGINE_VARIABLE: "reference"}):
        for words, arrays in all_cases():
            file.write(f"case {words}\n".encode())
            for name, array in arrays.items():
                numbers = np.ascontiguousarray(array, "<f8")
                file.write(" ".join(map(str, ["array", name, *numbers.shape])).encode() + b"\n")
                file.write(numbers.tobytes())


def all_cases() -> Iterator[tuple[str, Arrays]]:
    """Yield the words of each case, starting with its kind, and its arrays."""
    rng = np.random.default_rng(20250801)
    for B, T, I, H, options in LSTM_CASES:
        words = f"lstm B={B} T={T} I={I} H={H} {options}".strip()
        yield words, lstm_case(rng, B, T, I, H, options)
    yield "lstm all values of the activations", activation_case()
    for B, T, I, H, options, around, pieces in VARIANT_CASES:
        words = f"lstm_variant B={B} T={T} I={I} H={H} {options}".strip()
        yield f"{words} {around} {pieces}", variant_case(rng, B, T, I, H, options, around, pieces)
    for B, T, I, H, options in GRU_CASES:
        words = f"gru B={B} T={T} I={I} H={H} {options}".strip()
        yield words, gru_case(rng, B, T, I, H, options)
    for B, T, I, options, sizes in RELATIONAL_CASES:
        words = f"relational B={B} T={T} I={I} {options}".strip() + f" {sizes}"
        yield words, relational_case(rng, B, T, I, options, **sizes)
    for rows, K, O in [(1, 1, 1), (5, 7, 3), (7, 2, 16), (13, 40, 17), (2, 9, 70), (0, 3, 4)]:
        yield f"affine rows={rows} K={K} O={O}", affine_case(rng, rows, K, O)
    for rows, K in [(1, 1), (1, 2), (5, 7), (3, 16), (4, 33)]:
        yield f"cross_entropy rows={rows} K={K}", cross_entropy_case(rng, rows, K)
    for n in (0, 1, 7, 8, 37, 1000):
        yield f"adam n={n}", adam_case(rng, n)
    for n in (0, 1, 7, 8, 37, 1000):
        yield f"adam decay n={n}", adam_case(rng, n, weight_decay=20.0)
        yield f"rmsprop n={n}", rmsprop_case(rng, n)


LSTM_CASES = [
    (1, 1, 1, 1, ""),
    (1, 5, 3, 2, "state"),
    (2, 3, 1, 7, "state last"),
    (3, 4, 5, 8, "lengths"),
    (5, 6, 2, 9, "lengths state last together"),
    (7, 3, 16, 16, "outputs-only"),
    (4, 7, 3, 17, "lengths last last-only"),
    (6, 2, 10, 31, "state last"),
    (13, 5, 4, 33, "lengths state last"),
    (23, 9, 3, 5, "lengths last together"),
    (32, 16, 5, 32, "together"),
    (3, 0, 2, 4, "state last"),
    (0, 3, 2, 4, ""),
    (4, 3, 2, 5, "no-steps state last"),
    (9, 61, 3, 5, "lengths state last"),  # more stored rows than one chunk of a sum holds
    # Fewer rows than threads share hidden units.
    (1, 6, 20, 64, "state last together"),
    (1, 4, 3, 150, ""),
    (1, 7, 2, 37, "lengths state last"),
    (2, 8, 33, 40, "lengths last together"),
    (2, 3, 10, 330, "state last"),  # more panels than are kept in the cache
    (5, 6, 11, 9, "lengths state last tokens together"),
    (2, 8, 3, 40, "lengths last tokens"),  # and fewer rows than threads
]
"""Sizes, and what else a case has; see ``lstm_case``."""


def lstm_case(
    rng: np.random.Generator, B: int, T: int, I: int, H: int, options: str = ""
) -> Arrays:
    """Return x (B, T, I), W, U, b, the arrays that the options ask for, and the results.

    state: h_first and c_first; last: d_h_last and d_c_last; last-only: no d_y; outputs-only: d_y
    and nothing else; lengths: lengths (B), with NaN behind each row's end; no-steps: all 0.
    tokens: tokens (B, T) of I kinds, no token behind a row's end, and table (I, 4H), W x + b of
    each; x and W are then empty, as kernels have them, and b is not what the table has.
    """
    inputs = gated_inputs(rng, LSTMEquations(H), B, T, I, H, options.split())
    return with_results(inputs, partial(gated_results, LSTMEquations(H)))


GRU_CASES = [
    (1, 1, 1, 1, ""),
    (1, 5, 3, 2, "state"),
    (2, 3, 1, 7, "state last"),
    (3, 4, 5, 8, "lengths"),
    (5, 6, 2, 9, "lengths state last together"),
    (7, 3, 16, 16, "outputs-only"),
    (4, 7, 3, 17, "lengths last last-only"),
    (13, 5, 40, 33, "lengths state last"),
    (23, 9, 3, 5, "lengths last together"),
    (3, 0, 2, 4, "state last"),
    (0, 3, 2, 4, ""),
    (4, 3, 2, 5, "no-steps state last"),
    (9, 61, 3, 5, "lengths state last"),  # more stored rows than one chunk of a sum holds
    (2, 3, 150, 140, "state last"),  # more terms than one chain of a sum holds
    (5, 6, 11, 9, "lengths state last tokens together"),
]
"""Sizes, and what else a case has as in ``lstm_case``."""


def gru_case(rng: np.random.Generator, B: int, T: int, I: int, H: int, options: str) -> Arrays:
    """Return x (B, T, I), W, U, b, b_u, the arrays that the options ask for, and the results."""
    inputs = gated_inputs(rng, GRUEquations(H), B, T, I, H, options.split())
    inputs["b_u"] = rng.standard_normal(H)
    return with_results(inputs, partial(gated_results, GRUEquations(H)))


def gated_inputs(
    rng: np.random.Generator, cell: Cell, B: int, T: int, I: int, H: int, words: list[str]
) -> Arrays:
    """Return x, W, U and b of a cell with a product for each gate, and what the words ask for."""
    G, parts = {LSTMEquations: 4, GRUEquations: 3}[type(cell)] * H, cell.state_type._fields
    inputs = {
        "x": rng.standard_normal((B, T, I)),
        "W": rng.standard_normal((G, I)) / math.sqrt(I),
        "U": rng.standard_normal((G, H)) / math.sqrt(H),
        "b": rng.standard_normal(G),
    }
    if "state" in words:
        inputs |= {f"{name}_first": rng.standard_normal((B, H)) for name in parts}
    if "last" in words:
        inputs |= {f"d_{name}_last": rng.standard_normal((B, H)) for name in parts}
    if "last-only" not in words:
        inputs["d_y"] = rng.standard_normal((B, T, H))
    if "lengths" in words or "no-steps" in words:
        inputs["lengths"] = some_lengths(rng, B, T) * float("no-steps" not in words)
        fill_padding(inputs, "x", "d_y")
    if "tokens" in words:
        tokens = rng.integers(0, I, (B, T)).astype(float)
        if "lengths" in inputs:
            tokens[np.arange(T) >= inputs["lengths"][:, None]] = 2**30
        inputs |= {"tokens": tokens, "table": rng.standard_normal((I, G))}
        inputs |= {"x": np.empty((B, T, 0)), "W": np.empty((G, 0))}
    return inputs


OTHERS = ("hard_sigmoid", ("leaky_relu", 0.1), "softsign")

VARIANT_CASES: list[tuple[int, int, int, int, str, dict[str, Any], dict[str, Any]]] = [
    (1, 1, 1, 1, "", {}, {"peepholes": True}),
    (5, 6, 2, 9, "lengths state last", {"r": 0.3}, {}),
    (3, 4, 5, 8, "lengths", {"drawn": 0.3}, {"projection_size": 11, "bias": False}),
    (7, 3, 16, 16, "outputs-only", {}, {"layer_norm": True}),
    (4, 7, 3, 17, "lengths last last-only", {"rate": 0.2}, {"coupled_gates": True}),
    (13, 5, 4, 33, "state last", {}, {"projection_size": 5, "clip": 0.7, "peepholes": True}),
    (23, 9, 3, 5, "lengths last together", {}, {"layer_norm": True, "peepholes": True}),
    (2, 3, 50, 40, "state last", {"r": 0.5, "drawn": 0.4}, {"activations": OTHERS}),
    (
        *(6, 5, 3, 19, "lengths state last together", {"r": 0.2, "drawn": 0.1}),
        {"layer_norm": True, "projection_size": 7, "coupled_gates": True, "clip": 1.5},
    ),
    (3, 0, 2, 4, "state last", {}, {"projection_size": 3, "layer_norm": True}),
    (0, 3, 2, 4, "", {}, {"peepholes": True, "coupled_gates": True}),
    (4, 3, 2, 5, "no-steps state last", {"drawn": 0.3}, {"projection_size": 3}),
    # More stored rows, more steps and more rows than one chain of a sum holds.
    (61, 9, 3, 5, "lengths state last", {}, {"layer_norm": True, "coupled_gates": True}),
    (2, 140, 2, 3, "state", {}, {"peepholes": True}),
    (140, 2, 2, 3, "state", {}, {"layer_norm": True, "peepholes": True}),
]
"""Sizes, what else a case has as in ``lstm_case``, what is around a step, and a variant's pieces.

r and drawn are rates of recurrent dropout and of zoneout in training, rate that of zoneout outside.
"""


def variant_case(
    rng: np.random.Generator,
    B: int,
    T: int,
    I: int,
    H: int,
    options: str,
    around: dict[str, Any],
    pieces: dict[str, Any],
) -> Arrays:
    """Return x (B, T, I), the parameters that there are, what is around the step, and the results.

    r (B, P), drawn_h (B, T, P) and drawn_c (B, T, H) are there where they are drawn. cell holds
    whether gates are coupled, the clip (0 for none), number and constants of each activation,
    whether pre-activations are kept, and the rates of zoneout of h and of c.
    """
    words = options.split()
    model = LSTM(I, H, **pieces, dtype=np.float64, rng=rng)
    cell, P = model.cell, model.width
    if isinstance(cell, LSTMEquations):
        cell = LSTMVariantEquations(H)
    inputs = {n: p + 0.3 * rng.standard_normal(p.shape) for n, p in model.params.items()}
    inputs["x"] = rng.standard_normal((B, T, I))
    widths = {"h": P, "c": H}
    if "state" in words:
        inputs |= {f"{n}_first": rng.standard_normal((B, w)) for n, w in widths.items()}
    if "last" in words:
        inputs |= {f"d_{n}_last": rng.standard_normal((B, w)) for n, w in widths.items()}
    if "last-only" not in words:
        inputs["d_y"] = rng.standard_normal((B, T, P))
    if "r" in around:
        inputs["r"] = (rng.random((B, P)) > around["r"]) / (1 - around["r"])
    if "drawn" in around:
        inputs |= {f"drawn_{n}": rng.random((B, T, w)) < around["drawn"] for n, w in widths.items()}
    if "lengths" in words or "no-steps" in words:
        inputs["lengths"] = some_lengths(rng, B, T) * float("no-steps" not in words)
        fill_padding(inputs, "x", "d_y")
    rates = [around.get("rate", 0.0)] * 2

    def results(inputs: Arrays) -> Arrays:
        params = {name: inputs[name] for name in model.params}
        zeros = {n: np.zeros((B, w), inputs["x"].dtype) for n, w in widths.items()}
        first = LSTMState(*(inputs.get(f"{n}_first", zeros[n]) for n in "hc"))
        last_gradient = LSTMState(*(inputs.get(f"d_{n}_last", zeros[n]) for n in "hc"))
        zoneout = None
        if "drawn" in around:
            zoneout = tuple(inputs[f"drawn_{n}"].astype(bool) for n in "hc")
        elif "rate" in around:
            zoneout = tuple(rates)
        y, last, cache = recurrence.unroll(
            cell,
            params,
            inputs["x"],
            first,
            lengths_of(inputs),
            regularization=Regularization(inputs.get("r"), zoneout),
        )
        d_y = np.nan_to_num(inputs["d_y"]) if "d_y" in inputs else np.zeros_like(y)
        d_params, d_x, d_first = recurrence.unroll_backward(cell, params, d_y, cache, last_gradient)
        i = np.zeros((B, T, H), y.dtype)
        for t, step in enumerate(cache.steps):
            live = np.ones(B, bool) if cache.live is None else cache.live[:, t]
            i[live, t] = step.i[live]
        return {
            "y": y,
            "h_last": last.h,
            "c_last": last.c,
            **{f"d_{name}": d for name, d in d_params.items()},
            "d_h_first": d_first.h,
            "d_c_first": d_first.c,
            "d_x": d_x,
            "i": i,
        }

    variant = cell.variant
    numbers = [float(variant.coupled_gates), variant.clip or 0.0]
    for activation in variant.activations:
        numbers += [NAMES.index(activation.name), *(*activation.constants, 0.0, 0.0)[:2]]
    plain = all(activation.name in ("sigmoid", "tanh") for activation in variant.activations)
    numbers += [float(variant.clip is not None or not plain), *rates]
    return {**with_results(inputs, results), "cell": np.asarray(numbers)}


# At least three features: a layer norm turns any two into 1 and −1.
RELATIONAL_CASES: list[tuple[int, int, int, str, dict[str, Any]]] = [
    (1, 1, 1, "", {"num_slots": 1, "num_heads": 1, "head_size": 3, "key_size": 1}),
    (3, 4, 5, "last", {"num_slots": 2, "num_heads": 3, "head_size": 5, "key_size": 2}),
    (5, 6, 2, "lengths last together", {"head_size": 3, "gate": "memory"}),
    (17, 7, 3, "lengths last", {"num_slots": 7, "num_heads": 2, "head_size": 4, "num_blocks": 2}),
    (19, 5, 4, "lengths last-only last together", {"head_size": 4, "mlp_layers": 3}),
    (35, 3, 9, "", {"num_slots": 3, "num_heads": 1, "head_size": 17, "mlp_layers": 1}),
    (2, 11, 3, "last", {"num_slots": 9, "num_heads": 5, "head_size": 3, "key_size": 7}),
    (9, 3, 2, "no-steps last", {"num_slots": 2, "num_heads": 2, "head_size": 4}),
    (4, 0, 2, "last", {"num_slots": 2, "num_heads": 2, "head_size": 4}),
    (0, 3, 2, "", {"num_slots": 2, "num_heads": 2, "head_size": 4}),
    (300, 2, 2, "lengths last", {"num_slots": 2, "num_heads": 2, "head_size": 2}),  # many parts
]
"""B, T, I, what else a case has as in ``lstm_case``, and arguments of RelationalRNN."""


def relational_case(
    rng: np.random.Generator, B: int, T: int, I: int, options: str, **sizes: Any
) -> Arrays:
    """Return x (B, T, I), memory_first (B, S, F), p0, p1, ... as RelationalRNN lists its
    parameters, sizes as ``RelationalSizes`` lists them after I, and the results.
    """
    words = options.split()
    model = RelationalRNN(I, rng=rng, dtype=np.float64, forget_bias=0.5, input_bias=-0.25, **sizes)
    cell = model.cell
    S, F = cell.num_slots, cell.slot_size
    inputs = {
        "x": rng.standard_normal((B, T, I)),
        "memory_first": cell.initial_state(model.params, B).memory
        + 0.1 * rng.standard_normal((B, S, F)),
    }
    inputs |= {
        f"p{k}": p + 0.1 * rng.standard_normal(p.shape) for k, p in enumerate(model.params.values())
    }
    if "last" in words:
        inputs["d_memory_last"] = rng.standard_normal((B, S, F))
    if "last-only" not in words:
        inputs["d_y"] = rng.standard_normal((B, T, S * F))
    if "lengths" in words or "no-steps" in words:
        inputs["lengths"] = some_lengths(rng, B, T) * float("no-steps" not in words)
        fill_padding(inputs, "x", "d_y")
    gate_width = F if cell.gate == "unit" else 1
    sizes_and_biases = [S, cell.num_heads, cell.head_size, cell.key_size, cell.num_blocks]
    sizes_and_biases += [cell.mlp_layers, gate_width, cell.forget_bias, cell.input_bias]

    def results(inputs: Arrays) -> Arrays:
        params = {name: inputs[f"p{k}"] for k, name in enumerate(model.params)}
        lengths = lengths_of(inputs)
        state = RelationalState(inputs["memory_first"])
        y, last, cache = recurrence.unroll(cell, params, inputs["x"], state, lengths)
        d_y = np.nan_to_num(inputs["d_y"]) if "d_y" in inputs else np.zeros_like(y)
        d_last = RelationalState(inputs.get("d_memory_last", np.zeros_like(last.memory)))
        d_params, d_x, d_first = recurrence.unroll_backward(cell, params, d_y, cache, d_last)
        gates = np.zeros((2, B, T, S, gate_width), y.dtype)
        for t, step in enumerate(cache.steps):
            live = np.ones(B, bool) if lengths is None else lengths > t
            gates[0, live, t], gates[1, live, t] = step.i[live], step.f[live]
        return {
            "y": y,
            "memory_last": last.memory,
            **{f"d_p{k}": d_params[name] for k, name in enumerate(params)},
            "d_memory_first": d_first.memory,
            "d_x": d_x,
            "i": gates[0],
            "f": gates[1],
        }

    return {**with_results(inputs, results), "sizes": np.asarray(sizes_and_biases)}


def some_lengths(rng: np.random.Generator, B: int, T: int) -> np.ndarray:
    """Return lengths from 0 to T, including both where there is room."""
    lengths = rng.integers(0, T + 1, B)
    lengths[:1] = T
    lengths[2:3] = 0
    return lengths.astype(float)


def lengths_of(inputs: Arrays) -> np.ndarray | None:
    """Return the rows' lengths as whole numbers, None where all have T steps."""
    return inputs["lengths"].astype(int) if "lengths" in inputs else None


def fill_padding(inputs: Arrays, *names: str) -> None:
    """Put NaN where nothing may be read."""
    for name in names:
        if name in inputs:
            for row, length in zip(inputs[name], inputs["lengths"], strict=True):
                row[int(length) :] = np.nan


def gated_results(cell: Cell, inputs: Arrays) -> Arrays:
    """Return the reference's results for ``gated_inputs``; it sees tokens as one-hot rows."""
    params = {name: inputs[name] for name in ("W", "U", "b", "b_u") if name in inputs}
    x = inputs["x"]
    if "tokens" in inputs:
        table = inputs["table"]
        x = (inputs["tokens"][..., None] == np.arange(len(table))).astype(table.dtype)
        params |= {"W": table.T, "b": np.zeros_like(params["b"])}
    zeros = np.zeros((len(inputs["x"]), inputs["U"].shape[1]), inputs["x"].dtype)
    state, parts = cell.state_type, cell.state_type._fields
    first = state(*(inputs.get(f"{name}_first", zeros) for name in parts))
    y, last, cache = recurrence.unroll(cell, params, x, first, lengths_of(inputs))
    d_last = state(*(inputs.get(f"d_{name}_last", zeros) for name in parts))
    d_y = np.nan_to_num(inputs["d_y"]) if "d_y" in inputs else np.zeros_like(y)
    d_params, d_x, d_first = recurrence.unroll_backward(cell, params, d_y, cache, d_last)
    if "tokens" in inputs:  # what is summed by token is summed elsewhere
        d_params["W"], d_x = inputs["W"], inputs["x"]
    return {
        "y": y,
        **{f"{name}_last": part for name, part in zip(parts, last, strict=True)},
        **{f"d_{name}": d for name, d in d_params.items()},
        **{f"d_{name}_first": d for name, d in zip(parts, d_first, strict=True)},
        "d_x": d_x,
    }


def activation_case() -> Arrays:
    """Return one step of an LSTM in which every hidden unit has a pre-activation of its own."""
    z = np.concatenate([np.linspace(-30, 30, 401), [-1e4, -120, -89, 89, 120, 1e4, 1e-6, -1e-6]])
    H = len(z)
    rng = np.random.default_rng(1)
    b = np.concatenate([rng.permutation(z) for _ in range(4)])
    inputs = {"x": np.ones((1, 1, 1)), "W": np.zeros((4 * H, 1)), "U": np.zeros((4 * H, H)), "b": b}
    inputs |= {"c_first": rng.standard_normal((1, H)), "d_y": rng.standard_normal((1, 1, H))}
    return with_results(inputs, partial(gated_results, LSTMEquations(H)))


def affine_case(rng: np.random.Generator, rows: int, K: int, O: int) -> Arrays:
    """Return x (rows, K), W, b and y."""
    shapes = {"x": (rows, K), "W": (O, K), "b": (O,)}
    inputs = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
    return with_results(inputs, lambda given: {"y": affine(given["x"], given["W"], given["b"])})


def cross_entropy_case(rng: np.random.Generator, rows: int, K: int) -> Arrays:
    """Return logits x (rows, K), targets (rows), the sum of all losses and d_x of their mean."""
    targets = rng.integers(0, K, rows)
    x = 5 * rng.standard_normal((rows, K))
    x[0, targets[0] - 1] += 200  # the others underflow

    def results(inputs: Arrays) -> Arrays:
        loss, d_x = cross_entropy(inputs["x"], targets)
        return {"total": np.asarray([loss * rows]), "d_x": d_x}

    return {**with_results({"x": x}, results), "targets": targets}


def adam_case(rng: np.random.Generator, n: int, weight_decay: float = 0.0) -> Arrays:
    """Return g, m, v, p (n), rates as ``AdamRates`` lists them, and what a step makes of them.

    The last rate is the share of p that weight decay leaves.
    """
    rate, num_steps, optimizer = 0.01, 7, AdamW({}, weight_decay)
    root = math.sqrt(1 - optimizer.beta_2**num_steps)
    corrected = rate * root / (1 - optimizer.beta_1**num_steps)
    rates = [optimizer.beta_1, optimizer.beta_2, corrected, optimizer.epsilon * root]
    rates.append(1 - rate * weight_decay)

    def results(inputs: Arrays) -> Arrays:
        g, m, v, p = (inputs[name].copy() for name in "gmvp")
        optimizer = AdamW({"p": p[:, None]}, weight_decay)  # a matrix, which decays
        optimizer.state |= {"m.p": m[:, None], "v.p": v[:, None]}
        optimizer.state["t"] = np.asarray([num_steps - 1.0])
        optimizer.update({"p": g[:, None]}, rate)
        squares = np.vdot(g.astype(np.float64), g.astype(np.float64))
        return {"new_m": m, "new_v": v, "new_p": p, "sum_of_squares": np.asarray([squares])}

    inputs = {name: rng.standard_normal(n) for name in "gmp"} | {"v": rng.random(n)}
    return {**with_results(inputs, results), "rates": np.asarray(rates)}


def rmsprop_case(rng: np.random.Generator, n: int) -> Arrays:
    """Return g, v, p (n), rates as ``RMSPropRates`` lists them, and what a step makes of them."""
    rate, optimizer = 0.01, RMSProp({})

    def results(inputs: Arrays) -> Arrays:
        g, v, p = (inputs[name].copy() for name in "gvp")
        optimizer = RMSProp({"p": p})
        optimizer.state["v.p"] = v
        optimizer.update({"p": g}, rate)
        return {"new_v": v, "new_p": p}

    inputs = {name: rng.standard_normal(n) for name in "gp"} | {"v": rng.random(n)}
    rates = np.asarray([optimizer.alpha, rate, optimizer.epsilon])
    return {**with_results(inputs, results), "rates": rates}


def with_results(inputs: Arrays, compute: Callable[[Arrays], Arrays]) -> Arrays:
    """Return inputs that both precisions hold, the reference's results and their noise.

    The noise of a result is one number, under the result's name and ``~``: the largest error of the
    reference itself in float32. It shows how many digits the arithmetic loses there.
    """
    rough = {name: array.astype(np.float32) for name, array in inputs.items()}
    inputs = {name: array.astype(np.float64) for name, array in rough.items()}
    results, rough_results = compute(inputs), compute(rough)
    noise = {
        f"{name}~": np.max(np.abs(results[name] - rough_results[name]), initial=0.0, keepdims=True)
        for name in results
    }
    return inputs | results | noise
