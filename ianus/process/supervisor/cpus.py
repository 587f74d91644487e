"""The number of CPUs that this process may use, for --workers auto. The machine may have more."""

import math
import os
from collections.abc import Iterator

from ianus.process.supervisor.control_groups import GROUPS, MOUNTS, directories, read_words


def cpus(groups: str = GROUPS, mounts: str = MOUNTS) -> int:
    """Returns the CPUs of this process, or fewer if its share of time is less: 2 with a quota of 1.5 CPUs. At least 1.

    groups, mounts: as in control_groups.
    """
    allowed = len(os.sched_getaffinity(0))
    return max(1, min([allowed, *(math.ceil(quota) for quota in _quotas(groups, mounts))]))


def _quotas(groups: str, mounts: str) -> Iterator[float]:
    """The limits of its groups and of all groups that these are in, in CPUs."""
    for is_v2, directory in directories("cpu", groups, mounts):
        quota = _quota_v2(directory) if is_v2 else _quota_v1(directory)
        if len(quota) == 2 and quota[0].isdigit():  # Without a limit it is max, or -1.
            yield int(quota[0]) / int(quota[1])


def _quota_v2(directory: str) -> list[str]:
    return read_words(f"{directory}/cpu.max")


def _quota_v1(directory: str) -> list[str]:
    return read_words(f"{directory}/cpu.cfs_quota_us") + read_words(f"{directory}/cpu.cfs_period_us")
