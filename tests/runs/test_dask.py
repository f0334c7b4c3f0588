"""Races on real Dask clusters: schedulers and workers are processes, and are killed."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import troubles
from lstm_baseline.contestants.contestant import Contestant
from lstm_baseline.engine.errors import FileError, WorkerError
from lstm_baseline.runs.pool import carry_out_runs
from lstm_baseline.runs.run import RESULT, RunResult
from lstm_baseline.runs.spec import RunSpec
from lstm_baseline.tasks import make_task
from lstm_baseline.training import Record, TrainingSettings
from tests.support import plain_challenger
from tests.support.processes import wait_until
from tests.support.runs import LSTM, comparable, outcomes, quiet, troubled

pytest.importorskip("distributed", reason="Dask (distributed) is not installed")

from lstm_baseline.runs import dask_workers

# Long enough that nothing has ended when the first records come.
SPECS = troubled("none", num_steps=500)
MODULES = [Path(troubles.__file__)]
SOURCE = str(Path(dask_workers.__file__).parents[2])


class Cluster:
    """A scheduler on a free port, and workers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[Any]] = []
        self.environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([SOURCE, os.environ.get("PYTHONPATH", "")]),
            "DASK_TEMPORARY_DIRECTORY": str(folder),
            "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1",
        }
        about = folder / "scheduler.json"
        self.scheduler = self.start(
            *("-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"),
            *("--no-dashboard", "--scheduler-file", str(about)),
        )
        # The file is there before it is written.
        wait_until(lambda: about.exists() and about.read_text().endswith("}"), self.scheduler)
        self.address: str = json.loads(about.read_text())["address"]

    def add_worker(
        self, *, num_threads: int = 1, nanny: bool = False, before: str = ""
    ) -> subprocess.Popen[Any]:
        """Start a worker; without a nanny none takes its place. It runs ``before`` first."""
        worker = "from distributed.cli.dask_worker import main"
        return self.start(
            *("-c", f"{worker}\n{before}\nif __name__ == '__main__': main()", self.address),
            *("--host", "127.0.0.1", "--no-dashboard", "--nthreads", str(num_threads)),
            "--nanny" if nanny else "--no-nanny",
        )

    def start(self, *arguments: str) -> subprocess.Popen[Any]:
        """Start a Python process where nothing of the tests can be imported."""
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                stdout=log,
                stderr=log,
                env=self.environment,
                cwd=self.folder,
            )
        self.processes.append(process)
        return process

    def stop(self) -> None:
        """End what still runs, workers first."""
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = Cluster(tmp_path_factory.mktemp("cluster"))
    yield made
    made.stop()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[RunResult]]:
    """A race on this machine that nothing happened to."""
    folder = tmp_path_factory.mktemp("undisturbed")
    return folder, carry_out_runs(SPECS, folder, num_workers=2, console=quiet())


def test_killed_worker_changes_nothing(
    cluster: Cluster, tmp_path: Path, undisturbed: tuple[Path, list[RunResult]]
) -> None:
    workers = [cluster.add_worker(), cluster.add_worker()]
    told: dict[str, list[int]] = {spec.name: [] for spec in SPECS}

    def kill_once(spec: RunSpec, record: Record) -> None:
        told[spec.name].append(record.step)
        if sum(map(len, told.values())) == 10:  # so both are at work, or one has yet to begin
            workers[0].kill()

    results = race(cluster, tmp_path, on_record=kill_once)
    folder, expected = undisturbed
    assert comparable(results) == comparable(expected)
    assert outcomes(tmp_path) == outcomes(folder)
    # What a run tells again when it is done again is not told twice.
    assert told == {spec.name: list(range(0, 501, 10)) for spec in SPECS}


def test_killed_scheduler_is_one_line_and_the_race_goes_on_with_another(
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    undisturbed: tuple[Path, list[RunResult]],
) -> None:
    first, second = (Cluster(tmp_path_factory.mktemp("cluster")) for _ in range(2))
    for cluster in (first, second):
        cluster.add_worker()

    def kill(spec: RunSpec, record: Record) -> None:
        if any(tmp_path.glob(f"*/{RESULT}")) and record.step > 0:
            first.scheduler.kill()

    try:
        with pytest.raises(WorkerError, match=r"^lost the scheduler at tcp.*command goes on$"):
            race(first, tmp_path, on_record=kill)
        kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob(f"*/{RESULT}")}
        assert 0 < len(kept) < len(SPECS)
        race(second, tmp_path)
    finally:
        first.stop()
        second.stop()
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert outcomes(tmp_path) == outcomes(undisturbed[0])


def test_run_that_kills_its_workers_has_failed_and_takes_no_other_with_it(
    cluster: Cluster, tmp_path: Path
) -> None:
    cluster.add_worker(nanny=True)
    first, second, third = race(cluster, tmp_path, troubled("kill"))
    assert (first.status, third.status) == ("finished", "finished")
    assert second.status == "failed"
    assert second.reason == "its process was killed 2 times, often for lack of memory"
    told = [record.step for record in second.history]
    assert told == [0, 10][: len(told)]  # the last ones may die with the worker


def test_worker_whose_results_could_differ_is_refused(cluster: Cluster, tmp_path: Path) -> None:
    worker = cluster.add_worker(before="import lstm_baseline; lstm_baseline.__version__ = '0.0.1'")
    with pytest.raises(WorkerError, match=r"has lstm-baseline 0\.0\.1, this machine .*; install"):
        race(cluster, tmp_path)
    worker.terminate()
    worker.wait(30)
    cluster.add_worker(num_threads=3)
    with pytest.raises(WorkerError, match=r"3 threads.* `dask worker --nthreads 1 --nworkers 3`"):
        race(cluster, tmp_path)
    with pytest.raises(FileError, match=r"no\.py: there is no such file"):
        race(cluster, tmp_path, modules=[tmp_path / "no.py"])


@pytest.mark.parametrize(
    "address", ["nonsense", "http://localhost:8786", "tcp://127.0.0.1:1", "tls://127.0.0.1:1"]
)
def test_wrong_address_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setattr(dask_workers, "_CONNECT_SECONDS", 1)
    with pytest.raises(WorkerError, match=f"^no Dask scheduler answers at '{address}' .*start one"):
        carry_out_runs(SPECS, tmp_path, num_workers=None, console=quiet(), scheduler=address)
    assert not list(tmp_path.iterdir())


def race(
    cluster: Cluster,
    folder: Path,
    specs: list[RunSpec] = SPECS,
    *,
    modules: list[Path] = MODULES,
    **options: Any,
) -> list[RunResult]:
    """Carry out runs on a cluster."""
    return carry_out_runs(
        specs,
        folder,
        num_workers=None,
        console=quiet(),
        scheduler=cluster.address,
        modules=modules,
        **options,
    )


def test_a_contestant_that_kills_its_process_has_failed_and_the_race_goes_on(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "kills.py"
    plain = Path(plain_challenger.__file__).read_text()
    module.write_text(f"""{plain}

class Kills(ReLUNetwork):
    def backward(self, d_outputs, cache):
        import os, signal
        os.kill(os.getpid(), signal.SIGKILL)
""")
    monkeypatch.syspath_prepend(tmp_path)
    pairs = make_task("pair-matching", num_pairs=2, num_symbols=6)
    kills = Contestant.model_validate("kills:Kills")
    settings = TrainingSettings(num_steps=2, evaluate_every=1)
    specs = [RunSpec(pairs, c, 8, settings, 0, code=c.code()) for c in (kills, LSTM)]
    cluster.add_worker()
    killed, other = race(cluster, tmp_path / "runs", specs, modules=[module])
    assert (killed.status, killed.score) == ("failed", None)
    assert "killed" in killed.reason
    assert other.status == "finished"


def test_commands_of_the_page_run_with_a_challenger_and_a_task_that_workers_lack(
    tmp_path: Path,
) -> None:
    root = Path(__file__).parents[2]
    page = (root / "docs" / "many-machines.md").read_text()
    (block,) = re.findall(r"```sh\npip install .*?\n(.*?)```", page, flags=re.DOTALL)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    here.mkdir()
    elsewhere.mkdir()
    for name in ("own_cell.py", "own_task.py"):
        shutil.copy(root / "examples" / name, here)
    own = "--tasks pair-matching,own_task:Latch --challenger own_cell:MinimalGatedUnit"
    few = f"--models lstm {own} --seeds 1 --steps 3"
    for command, run in (
        ("8786", port),
        ("dask worker", f"env -C {elsewhere} dask worker"),
        ("lstm-baseline compare", f"{sys.executable} -m lstm_baseline compare {few}"),
    ):
        assert command in block
        block = block.replace(command, run)
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": SOURCE,
    }
    with subprocess.Popen(
        ["bash", "-c", block + "wait"],
        cwd=here,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # of scheduler and workers
        text=True,
        start_new_session=True,
    ) as process:
        try:
            said, _ = process.communicate(timeout=300)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # scheduler and workers with it
    assert f"tcp://127.0.0.1:{port} has " in said
    results = [json.loads(path.read_text()) for path in here.glob(f"report/runs/*/{RESULT}")]
    assert [result["status"] for result in results] == ["finished"] * 4
