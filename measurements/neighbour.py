"""What a busy neighbour costs: another process that never rests, beside the core's threads.

Run ``python measurements/neighbour.py``. It times calls alone and beside the other process, in
turns. The ratio is that of the means, since a call that is held up is held up for milliseconds. On
C cores with C threads and one process that never rests a fair system leaves C − 1/2 cores, so no
ratio is below C / (C − 1/2): 1.33 on two cores.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from lstm_baseline import LSTM
from lstm_baseline.benchmarks.machine import describe_machine

SIZES = ((16, 50, 32, 64), (32, 50, 32, 64), (64, 100, 64, 128), (128, 35, 256, 512))
SECONDS = 0.5


def calls(B: int, T: int, I: int, H: int) -> dict[str, Callable[[], object]]:
    """Return what is timed at one size."""
    rng = np.random.default_rng(0)
    model = LSTM(I, H, dtype=np.float32, rng=rng)
    x = rng.standard_normal((B, T, I)).astype(np.float32)
    d_outputs = rng.standard_normal((B, T, H)).astype(np.float32)

    def step() -> None:
        _, cache = model.forward_with_cache(x)
        model.backward(d_outputs, cache)

    return {"forward": lambda: model.forward(x), "training step": step}


def mean_seconds(call: Callable[[], object]) -> float:
    """Return the mean time of a call, of at least four."""
    call()
    started, number = time.perf_counter(), 0
    while number < 4 or time.perf_counter() - started < SECONDS:
        call()
        number += 1
    return (time.perf_counter() - started) / number


def measure(num_rounds: int) -> dict[str, Any]:
    """Take all times in turns."""
    results = {}
    for size in SIZES:
        for name, call in calls(*size).items():
            alone, beside = [], []
            for _ in range(num_rounds):
                alone.append(mean_seconds(call))
                with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as neighbour:
                    time.sleep(0.2)
                    beside.append(mean_seconds(call))
                    neighbour.kill()
            ratio = statistics.median(beside) / statistics.median(alone)
            results[f"{name} {'×'.join(map(str, size))}"] = {
                "alone_ms": 1e3 * statistics.median(alone),
                "beside_ms": 1e3 * statistics.median(beside),
                "ratio": ratio,
            }
            print(f"{name:14} {size}: {ratio:.2f}", flush=True)
    return {"machine": describe_machine()._asdict(), "rounds": num_rounds, "calls": results}


def main() -> None:
    """Measure, and write ``neighbour.json``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    results = measure(options.rounds)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "neighbour.json").write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
