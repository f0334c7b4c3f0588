"""What the LSTM's variants cost beside the plain LSTM: forward, and forward with backward.

Run ``python measurements/variants.py``. Every variant's outputs and gradients are held against
the reference engine first. Then all are timed in turns, each beside a plain LSTM, and the time for
one floating-point operation of the matrix products is divided by that of the plain LSTM: 1 would be
a piece that costs nothing, or what a projection or a coupled gate adds or saves in products.

Dropout is timed in training; zoneout is too, and forward is its evaluation.
"""

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from lstm_baseline import LSTM
from lstm_baseline.benchmarks.machine import describe_machine
from lstm_baseline.benchmarks.timing import wait_until_quiet
from lstm_baseline.engine.threads import limit_threads

B, T, I, H = 64, 100, 64, 128
ROUNDS = 40
TOLERANCE = 1e-3
"""Of gradients in float32, by their largest: sums of 6,400 terms that cancel."""

VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "peepholes": {"peepholes": True},
    "projection to 64": {"projection_size": 64},
    "coupled gates": {"coupled_gates": True},
    "clip": {"clip": 3.0},
    "layer norm": {"layer_norm": True},
    "hard sigmoid": {"activations": ("hard_sigmoid", "tanh", "tanh")},
    "zoneout": {"zoneout": 0.1},
    "recurrent dropout": {"recurrent_dropout": 0.1},
    "input and output dropout": {"input_dropout": 0.1, "output_dropout": 0.1},
    "weight drop": {"weight_drop": 0.1},
}


def passes(options: dict[str, Any]) -> tuple[LSTM, Callable[[], Any], Callable[[], Any]]:
    """Return a model, its forward pass, and forward with backward as in training."""
    model = LSTM(I, H, **options, rng=0)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((B, T, I), np.float32)
    d_y = rng.standard_normal((B, T, model.width), np.float32)

    def both() -> Any:
        y, cache = model.forward_with_cache(x, rng=np.random.default_rng(1))
        return {"y": y, **model.backward(d_y, cache).params}

    return model, lambda: model.forward(x), both


def check(name: str, options: dict[str, Any]) -> None:
    """Hold a variant's numbers against the reference engine's."""
    _, _, ours = passes(options)
    _, _, reference = passes(options | {"engine": "reference"})
    expected = reference()
    for key, value in ours().items():
        error = np.abs(value - expected[key]).max() / np.abs(expected[key]).max()
        assert error < TOLERANCE, f"{name}: {key} is off by {error:.1e}"


def seconds(call: Callable[[], Any]) -> float:
    """Return how long a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def measure(threads: int) -> dict[str, dict[str, float]]:
    """Time all variants in turns."""
    with limit_threads(threads):
        runs = {name: passes(options) for name, options in VARIANTS.items()}
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
        for _, forward, both in runs.values():
            forward()
            both()
        wait_until_quiet()
        for _ in range(ROUNDS):
            for name, (_, forward, both) in runs.items():
                times[name].append((seconds(forward), seconds(both)))
    found = {}
    for name, (model, _, _) in runs.items():
        forward, both = (statistics.median(t) for t in zip(*times[name], strict=True))
        found[name] = {"forward": forward, "both": both, "flops": float(model.flops_per_step)}
    return found


def main() -> None:
    """Check, measure, print a table and write it beside the other results."""
    for name, options in VARIANTS.items():
        check(name, options)
    results: dict[str, Any] = {
        "machine": describe_machine()._asdict(),
        "sizes": [B, T, I, H],
        "threads": {},
    }
    for threads in (1, 2):
        found = measure(threads)
        results["threads"][threads] = found
        plain = found["plain"]
        print(f"{threads} thread{'s'[: threads - 1]}: ms, and time per operation / plain")
        for name, times in found.items():
            share = plain["flops"] / times["flops"]
            columns = [
                f"{1e3 * times[key]:7.2f} {times[key] / plain[key] * share:5.2f}"
                for key in ("forward", "both")
            ]
            print(f"  {name:<26} forward {columns[0]}   with backward {columns[1]}")
    path = Path(__file__).parent / "results" / "variants.json"
    path.write_text(json.dumps(results, indent=1, default=str) + "\n")
    print(f"results: {path}")


if __name__ == "__main__":
    main()
