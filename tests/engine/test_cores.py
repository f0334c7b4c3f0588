"""How many cores this process may use: by affinity, by quota, and what is set by hand."""

import math
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lstm_baseline.engine.core import ENGINE_VARIABLE, ISA_VARIABLE
from lstm_baseline.engine.cores import cgroup_quota, num_cores
from tests.support.engines import NO_CORE, core

CHOSEN = ("OMP_NUM_THREADS", ENGINE_VARIABLE, ISA_VARIABLE)
COUNT = """
from lstm_baseline.engine.backend import describe
from lstm_baseline.engine.cores import num_cores
print(num_cores(), describe().get("threads"))
"""


def counted(*before: str, **environment: str) -> list[str]:
    """Return the numbers of cores and of threads that a new process counts."""
    environment = {k: v for k, v in os.environ.items() if k not in CHOSEN} | environment
    command = [*before, sys.executable, "-c", COUNT]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return done.stdout.split()


def write(folder: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)


V1 = "12:cpuset:/\n3:cpu,cpuacct:/slurm/job\n0::/\n"


@pytest.mark.parametrize(
    ("groups", "files", "quota"),
    [
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5),
        ("0::/\n", {"cpu.max": "max 100000\n"}, math.inf),
        ("0::/\n", {}, math.inf),
        ("0::/user/job/step\n", {"user/cpu.max": "400000 100000\n"}, 4),
        (
            "0::/user/job\n",
            {"user/cpu.max": "400000 100000\n", "user/job/cpu.max": "50000 25000\n"},
            2,
        ),
        (
            "0::/user/job\n",
            {"user/cpu.max": "100000 100000\n", "user/job/cpu.max": "max 100000\n"},
            1,
        ),
        # Inside a container the group may have the host's name, and be mounted as the root.
        ("0::/docker/5c0a\n", {"cpu.max": "300000 100000\n"}, 3),
        (
            V1,
            {
                "cpu,cpuacct/slurm/job/cpu.cfs_quota_us": "250000\n",
                "cpu,cpuacct/slurm/job/cpu.cfs_period_us": "100000\n",
            },
            2.5,
        ),
        (
            V1,
            {"cpu/slurm/cpu.cfs_quota_us": "200000\n", "cpu/slurm/cpu.cfs_period_us": "100000\n"},
            2,
        ),
        (
            V1,
            {
                "cpu/slurm/job/cpu.cfs_quota_us": "-1\n",
                "cpu/slurm/job/cpu.cfs_period_us": "100000\n",
            },
            math.inf,
        ),
        # Version 2 beside version 1, where it has no controllers.
        (V1, {"unified/cpu.max": "100000 100000\n"}, 1),
        ("0::/\n", {"cpu.max": "a few\n"}, math.inf),
        ("0::/\n", {"cpu.max": "0 0\n"}, math.inf),
    ],
)
def test_the_smallest_quota_holds(
    tmp_path: Path, groups: str, files: dict[str, str], quota: float
) -> None:
    (tmp_path / "cgroup").write_text(groups)
    write(tmp_path / "mount", files)
    assert cgroup_quota(tmp_path / "cgroup", tmp_path / "mount") == quota


def test_systems_without_control_groups(tmp_path: Path) -> None:
    assert cgroup_quota(tmp_path / "missing", tmp_path) == math.inf


@pytest.mark.parametrize(
    ("quota", "affinity", "cores"), [(2.5, 8, 2), (0.2, 8, 1), (math.inf, 3, 3), (16.0, 3, 3)]
)
def test_the_lesser_of_affinity_and_quota(
    monkeypatch: pytest.MonkeyPatch, quota: float, affinity: int, cores: int
) -> None:
    module = "lstm_baseline.engine.cores"
    monkeypatch.setattr(f"{module}.cgroup_quota", lambda *_: quota)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(affinity)), raising=False)
    assert num_cores() == cores


def test_systems_without_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr("lstm_baseline.engine.cores.cgroup_quota", lambda *_: math.inf)
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert num_cores() == 1


@pytest.mark.skipif(shutil.which("taskset") is None, reason="sets the affinity by taskset")
def test_a_process_on_one_core_starts_one_thread() -> None:
    core = str(min(os.sched_getaffinity(0)))
    assert counted("taskset", "-c", core) == ["1", "1" if core else "None"]


@pytest.mark.skipif(core is None, reason=NO_CORE)
@pytest.mark.parametrize(
    ("asked", "threads"),
    [("7", 7), ("7,2", 7), (" 3 ", 3), ("0", None), ("many", None), ("", None)],
)
def test_a_number_set_by_hand_holds(asked: str, threads: int | None) -> None:
    expected = num_cores() if threads is None else threads
    assert counted(OMP_NUM_THREADS=asked) == [str(num_cores()), str(expected)]


@pytest.fixture
def half_a_core() -> Iterator[Path]:
    """Yield the list of members of a real control group whose quota is half a core."""
    for root, files in (
        ("/sys/fs/cgroup", {"cpu.max": "50000 100000"}),
        ("/sys/fs/cgroup/cpu", {"cpu.cfs_quota_us": "50000"}),
    ):
        group = Path(root, f"lstm-baseline-test-{os.getpid()}")
        try:
            (group / "inner").mkdir(parents=True)
            for name, content in files.items():
                with (group / name).open("r+") as file:
                    file.write(content)
        except OSError:
            for folder in (group / "inner", group):
                if folder.exists():
                    folder.rmdir()
            continue
        yield group / "inner" / "cgroup.procs"
        (group / "inner").rmdir()
        group.rmdir()
        return
    pytest.skip("makes a control group, which this user may not do here")


def test_a_real_quota_of_the_group_above(half_a_core: Path) -> None:
    shell = 'echo $$ > "$0" && exec "$@"'
    cores, threads = counted("sh", "-c", shell, str(half_a_core))
    assert (cores, threads) == ("1", "1" if core else "None")
