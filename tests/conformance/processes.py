"""Processes according to /proc. An exited process counts as gone, also before its parent has waited for it."""

import re
from pathlib import Path

PROC = Path("/proc")


def state(pid: int) -> tuple[str, int]:
    """The letter of its state and the number of its parent; ("X", 0) for none."""
    try:
        stat = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return "X", 0
    letter, parent = stat.rpartition(")")[2].split()[:2]
    return letter, int(parent)


def alive(pid: int) -> bool:
    return state(pid)[0] not in "XZ"


def children(pid: int) -> set[int]:
    return {child for child in everybody() if state(child)[1] == pid and alive(child)}


def name(pid: int) -> str:
    """Returns the process's name, cut by the kernel; "" when it is gone."""
    try:
        return (PROC / str(pid) / "comm").read_text().rstrip("\n")
    except OSError:
        return ""


def zombies(pid: int) -> set[int]:
    """Its children that have ended, and that it has not asked after."""
    return {child for child in everybody() if state(child) == ("Z", pid)}


def everybody() -> list[int]:
    return [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()]


def open_files(pid: int) -> list[str]:
    """Returns the open files of a process, without the inode numbers of pipes and sockets."""
    return sorted(re.sub(r"\d+", "N", str(entry.readlink())) for entry in (PROC / str(pid) / "fd").iterdir())
