"""The number of CPUs that this process may use, for --workers auto. The machine may have more."""
# ruff: noqa: PTH123  (pathlib takes 5 ms to import)

import math
import os
from collections.abc import Iterator


def cpus(groups: str = "/proc/self/cgroup", mounts: str = "/sys/fs/cgroup") -> int:
    """Returns the CPUs of this process, or fewer if its share of time is less: 2 with a quota of 1.5 CPUs. At least 1.

    groups: the file that names the control groups of this process. mounts: the directory in which they are mounted.
    """
    allowed = len(os.sched_getaffinity(0))
    return max(1, min([allowed, *(math.ceil(quota) for quota in _quotas(groups, mounts))]))


def _quotas(groups: str, mounts: str) -> Iterator[float]:
    """The limits of its groups and of all groups that these are in, in CPUs."""
    for line in _words(groups, "\n"):
        number, controllers, group = line.split(":", 2)
        is_v2 = number == "0"  # of the two versions of control groups
        if not is_v2 and "cpu" not in controllers.split(","):
            continue
        # A container may see its group by the name outside, and only its own group in `mounts`: the loop finds that on
        # the way up.
        while True:
            quota = _quota_v2(f"{mounts}{group}") if is_v2 else _quota_v1(f"{mounts}/cpu{group}")
            if len(quota) == 2 and quota[0].isdigit():  # Without a limit it is max, or -1.
                yield int(quota[0]) / int(quota[1])
            if group in ("", "/"):
                break
            group = group.rpartition("/")[0]


def _quota_v2(directory: str) -> list[str]:
    return _words(f"{directory}/cpu.max")


def _quota_v1(directory: str) -> list[str]:
    return _words(f"{directory}/cpu.cfs_quota_us") + _words(f"{directory}/cpu.cfs_period_us")


def _words(path: str, separator: str | None = None) -> list[str]:
    """Returns the words of a small file; none if it does not exist."""
    try:
        with open(path) as file:
            return file.read().strip().split(separator)
    except OSError:
        return []
