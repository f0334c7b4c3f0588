"""What handing out runs costs: on one and two workers, local ones and those of Dask.

Run ``python measurements/workers.py``; ``--rounds`` and ``--steps`` make it longer or shorter.
The same runs are carried out by one and by two workers of this machine and of a Dask cluster on it,
in turns. With T₁ and T₂ the medians, the efficiency of two workers is T₁ / (2 T₂). Two runs side by
side may each take longer than one alone, whoever hands them out, for the cores share their caches
and their clock: the seconds that a run spends in training steps, s₁ and s₂, show how much, and no
way to hand out runs reaches more than s₁ / s₂. All results are held against each other: they must
agree in every bit.

The rate of each is measured with runs of no training step on a task of four samples. The bytes of a
run are those of its files.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from distributed import Client
from rich.console import Console

from lstm_baseline.benchmarks.machine import describe_machine
from lstm_baseline.contestants.contestant import Contestant
from lstm_baseline.runs.local_workers import WORKER_ENVIRONMENT
from lstm_baseline.runs.pool import carry_out_runs
from lstm_baseline.runs.run import read_result
from lstm_baseline.runs.saved_model import MODEL
from lstm_baseline.runs.spec import RunSpec
from lstm_baseline.tasks import make_task
from lstm_baseline.training import Record, TrainingSettings

LSTM = Contestant.model_validate("lstm")
NUM_RUNS = 8
NUM_EMPTY_RUNS = 200
NUM_WORKERS = (1, 2)


class Race(NamedTuple):
    """What a race took."""

    seconds: float
    """From its start to its end; the start of local processes is part of it."""
    runs_per_second: float
    """Once all workers are at work."""
    training_seconds: float
    """That the median run spent in its training steps."""


def timed_runs(num_steps: int) -> list[RunSpec]:
    """Return equal runs of seconds each."""
    settings = TrainingSettings(num_steps=num_steps, batch_size=32, evaluate_every=100)
    return [RunSpec(make_task("qa"), LSTM, 64, settings, seed) for seed in range(NUM_RUNS)]


def empty_runs() -> list[RunSpec]:
    """Return runs with next to nothing to do."""
    task = make_task("adding", length=2)
    task.validation_size = task.test_size = 4
    settings = TrainingSettings(num_steps=1, batch_size=1, evaluate_every=1)
    return [RunSpec(task, LSTM, 2, settings, seed) for seed in range(NUM_EMPTY_RUNS)]


@contextmanager
def dask_cluster(num_workers: int) -> Iterator[str]:
    """Start a scheduler and workers and yield the scheduler's address."""
    with tempfile.TemporaryDirectory() as folder:
        about = Path(folder) / "scheduler.json"
        environment = os.environ | {
            f"DASK_DISTRIBUTED__NANNY__PRE_SPAWN_ENVIRON__{name}": value
            for name, value in WORKER_ENVIRONMENT.items()
        }
        scheduler, workers = (
            subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    f"distributed.cli.dask_{role}",
                    "--host",
                    "127.0.0.1",
                    *options,
                ],
                env=environment,
                cwd=folder,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for role, options in {
                "scheduler": ["--port", "0", "--no-dashboard", "--scheduler-file", str(about)],
                "worker": [
                    *("--scheduler-file", str(about), "--nthreads", "1", "--no-dashboard"),
                    *("--nworkers", str(num_workers)),
                ],
            }.items()
        )
        try:
            while not (about.exists() and about.read_text().endswith("}")):
                time.sleep(0.1)
            yield json.loads(about.read_text())["address"]
        finally:
            for process in (workers, scheduler):
                process.terminate()
                process.wait()


@contextmanager
def ready(scheduler: str, num_workers: int) -> Iterator[str | None]:
    """Yield the address of a scheduler whose workers are all there; none for local ones."""
    if scheduler == "local":
        yield None
        return
    with dask_cluster(num_workers) as address:
        with Client(address, set_as_default=False) as client:
            client.wait_for_workers(num_workers)
        yield address


def race(specs: list[RunSpec], folder: Path, scheduler: str, num_workers: int) -> Race:
    """Carry out runs and take the time."""
    ends = []

    def note(spec: RunSpec, record: Record) -> None:
        if record.step == spec.settings.num_steps:
            ends.append(time.perf_counter())

    with ready(scheduler, num_workers) as address:
        started = time.perf_counter()
        carry_out_runs(
            specs,
            folder,
            num_workers=num_workers,
            console=Console(quiet=True),
            scheduler=address,
            on_record=note,
        )
        seconds = time.perf_counter() - started
    # The start is over when each worker has had a few runs.
    first = min(10, len(specs) // 2)
    rate = (len(specs) - 1 - first) / (ends[-1] - ends[first])
    results = [read_result(spec, folder / spec.name) for spec in specs]
    return Race(seconds, rate, statistics.median(result.seconds for result in results))


def measure(num_rounds: int, num_steps: int) -> dict[str, Any]:
    """Take all times in turns."""
    cases = [(scheduler, count) for scheduler in ("local", "dask") for count in NUM_WORKERS]
    races: dict[tuple[str, int], list[Race]] = {case: [] for case in cases}
    rates: dict[tuple[str, int], list[float]] = {case: [] for case in cases}
    specs, empty = timed_runs(num_steps), empty_runs()
    models: dict[str, set[bytes]] = {spec.name: set() for spec in specs}
    with tempfile.TemporaryDirectory() as name:
        for k in range(num_rounds):
            for case in cases:
                folder = Path(name) / f"{k}-{'-'.join(map(str, case))}"
                races[case].append(race(specs, folder, *case))
                for spec in specs:
                    models[spec.name].add((folder / spec.name / MODEL).read_bytes())
                rates[case].append(race(empty, folder / "empty", *case).runs_per_second)
                print(k, *case, races[case][-1], f"{rates[case][-1]:.0f} empty runs/s", flush=True)
        assert all(len(found) == 1 for found in models.values()), "the bits of a model differ"
        files = {path.name: path.stat().st_size for path in (folder / specs[0].name).iterdir()}
    seconds, training_seconds = (
        {
            case: statistics.median(getattr(race, name) for race in found)
            for case, found in races.items()
        }
        for name in ("seconds", "training_seconds")
    )
    return {
        "machine": describe_machine()._asdict(),
        "steps": num_steps,
        "runs": len(specs),
        "rounds": num_rounds,
        "seconds": {f"{name} {count}": seconds[name, count] for name, count in cases},
        "all_seconds": {
            f"{name} {count}": [race.seconds for race in races[name, count]]
            for name, count in cases
        },
        "training_seconds_of_a_run": {
            f"{name} {count}": training_seconds[name, count] for name, count in cases
        },
        "efficiency_of_2": {
            name: seconds[name, 1] / (2 * seconds[name, 2]) for name in ("local", "dask")
        },
        "most_that_the_cores_allow": {
            name: training_seconds[name, 1] / training_seconds[name, 2]
            for name in ("local", "dask")
        },
        "empty_runs_per_second": {
            f"{name} {count}": statistics.median(rates[name, count]) for name, count in cases
        },
        "bytes_of_a_run": files,
    }


def main() -> None:
    """Measure, and write ``workers.json``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=3000, help="of each timed run")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    results = measure(options.rounds, options.steps)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "workers.json").write_text(json.dumps(results, indent=2) + "\n")
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
