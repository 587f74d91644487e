"""The control groups of this process: their limits, and the processes that the kernel has killed in them.

groups: the file that names the control groups of this process. mounts: the directory in which they are mounted.
"""
# ruff: noqa: PTH123  (pathlib takes 5 ms to import)

from collections.abc import Iterator

GROUPS, MOUNTS = "/proc/self/cgroup", "/sys/fs/cgroup"

# The first version of control groups shows "no limit" as the greatest multiple of a page below 2**63.
UNLIMITED_BYTES = 1 << 60


def directories(controller: str, groups: str, mounts: str) -> Iterator[tuple[bool, str]]:
    """Yields the directories of the groups for a controller, the innermost first, each with whether it is of version
    2. Some may not exist.
    """
    for line in read_words(groups, "\n"):
        number, controllers, group = line.split(":", 2)
        is_v2 = number == "0"  # of the two versions of control groups
        if not is_v2 and controller not in controllers.split(","):
            continue
        # A container may see its group by the name outside, and only its own group in `mounts`: the loop finds that on
        # the way up.
        while True:
            yield is_v2, f"{mounts}{group}" if is_v2 else f"{mounts}/{controller}{group}"
            if group in ("", "/"):
                break
            group = group.rpartition("/")[0]


def memory_limit(groups: str = GROUPS, mounts: str = MOUNTS) -> int:
    """Returns the bytes of memory that the processes of the innermost limited group may have; 0 for no limit."""
    limits = []
    for is_v2, directory in directories("memory", groups, mounts):
        words = read_words(f"{directory}/{'memory.max' if is_v2 else 'memory.limit_in_bytes'}")
        if len(words) == 1 and words[0].isdigit() and int(words[0]) < UNLIMITED_BYTES:
            limits.append(int(words[0]))
    return min(limits, default=0)


def count_memory_kills(groups: str = GROUPS, mounts: str = MOUNTS) -> int:
    """Returns the number of processes of the innermost group that the kernel has killed for want of memory; 0 if it is
    not known.
    """
    for is_v2, directory in directories("memory", groups, mounts):
        lines = read_words(f"{directory}/{'memory.events' if is_v2 else 'memory.oom_control'}", "\n")
        for name, _, number in (line.partition(" ") for line in lines):
            if name == "oom_kill" and number.isdigit():
                return int(number)
    return 0


class MemoryKills:
    """Distinguishes processes that the kernel has killed for want of memory from others that SIGKILL has ended."""

    def __init__(self, groups: str = GROUPS, mounts: str = MOUNTS) -> None:
        self._groups, self._mounts = groups, mounts
        self._seen = count_memory_kills(groups, mounts)

    def take_one(self) -> bool:
        """Returns whether there is one more than at the last call."""
        # The kernel counts before it sends the signal.
        if count_memory_kills(self._groups, self._mounts) <= self._seen:
            return False
        self._seen += 1
        return True


def read_words(path: str, separator: str | None = None) -> list[str]:
    """Returns the words of a small file; none if it does not exist."""
    try:
        with open(path) as file:
            return file.read().strip().split(separator)
    except OSError:
        return []
