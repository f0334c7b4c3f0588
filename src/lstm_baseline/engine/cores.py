"""How many of the machine's cores this process may use.

A scheduler such as Slurm, ``taskset`` or a container gives a process fewer cores than the machine
has, by affinity (which cores) or by a quota (how much of their time). Threads beyond those only
wait for each other.
"""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_CGROUP_V2 = ""
"""Name of the controllers in the line of ``/proc/self/cgroup`` that is of version 2."""


def num_cores() -> int:
    """Return how many cores this process may use, by its affinity and its quota; at least 1."""
    allowed = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    quota = cgroup_quota(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup"))
    # Rounded down: of two threads in a quota of 1.5 cores one would wait for the other.
    return max(1, int(min(allowed, quota)))


def cgroup_quota(membership: Path, root: Path) -> float:
    """Return the number of cores whose time the control groups of a process allow, or infinity.

    The smallest quota holds, of the process's own group and of all above it. See the kernel's
    documentation: "CPU Interface Files" of cgroup v2, "CFS Bandwidth Control" of version 1.

    Parameters
    ----------
    membership
        ``/proc/self/cgroup``: a line for each hierarchy, of number, controllers and group.
    root
        Where the hierarchies are mounted.
    """
    try:
        lines = membership.read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return float("inf")  # no Linux, or no control groups
    quotas = [float("inf")]
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if controllers == _CGROUP_V2:
            for folder in _folders([root, root / "unified"], group):
                quotas.append(_ratio(_numbers(folder / "cpu.max")))
        elif "cpu" in controllers.split(","):
            for folder in _folders([root / controllers, root / "cpu"], group):
                names = "cpu.cfs_quota_us", "cpu.cfs_period_us"
                quotas.append(_ratio([n for name in names for n in _numbers(folder / name)]))
    return min(quotas)


def _folders(mounts: list[Path], group: str) -> Iterator[Path]:
    """Yield the folders of a group and of all groups above it.

    A container may see its own group as the root, and its name as the host has it; then only the
    root is there.
    """
    path = PurePosixPath(group.removeprefix("/"))
    for mount in mounts:
        for part in (path, *path.parents):
            yield mount / part


def _numbers(file: Path) -> list[float]:
    """Return the numbers in a file; none if it is not there or says "max"."""
    try:
        return [float(word) for word in file.read_text().split()]
    except (OSError, ValueError):
        return []


def _ratio(quota_and_period: list[float]) -> float:
    """Return quota / period; a missing or negative quota is none."""
    if len(quota_and_period) != 2 or min(quota_and_period) <= 0:
        return float("inf")
    quota, period = quota_and_period
    return quota / period
