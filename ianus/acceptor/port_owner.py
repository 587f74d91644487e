"""Finds the process that listens on a port, for the error about it. Uses /proc (proc_pid_net(5))."""
# ruff: noqa: PTH115, PTH123, PTH208  (pathlib takes 5 ms to import)

import os
import re
import time

# Of a machine with many processes; the supervisor may be the caller.
MAX_SEARCH_SECONDS = 0.2

# A line of /proc/net/tcp and tcp6: number, local address and port, remote ones, state LISTEN, ..., inode.
LISTENING = r"\s*\d+: [0-9A-F]+:([0-9A-F]{4}) [0-9A-F]+:0000 0A (?:\S+ +){5}(\d+) "


def describe_port_owner(port: int) -> str:
    """Returns name and pid of the process that listens on a TCP port.

    Returns "" if that is unknown: it belongs to another user, or is outside this container.
    """
    sockets = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    pids = sorted(int(name) for name in os.listdir("/proc") if name.isdecimal()) if sockets else []
    deadline = time.monotonic() + MAX_SEARCH_SECONDS
    # The first is usually the parent of others that have inherited the socket.
    for pid in pids:
        if _has_socket(pid, sockets):
            return describe_process(pid)
        if time.monotonic() > deadline:
            break
    return ""


def describe_process(pid: int) -> str:
    """Returns name and pid of a process, or ""."""
    try:
        # A process chooses its name itself.
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            name = re.sub(r"[^ -~]", "?", file.read().strip())
    except OSError:
        return ""
    return f"{name}, pid {pid}"


def _listening_inodes(port: int) -> set[str]:
    found = set()
    for table in ("tcp", "tcp6"):
        try:
            with open(f"/proc/net/{table}", encoding="ascii") as file:
                matches = (re.match(LISTENING, line) for line in file)
                found |= {match[2] for match in matches if match is not None and int(match[1], 16) == port}
        except OSError:
            continue  # A system without IPv6, or without /proc
    return found


def _has_socket(pid: int, sockets: set[str]) -> bool:
    try:
        return any(os.readlink(f"/proc/{pid}/fd/{fd}") in sockets for fd in os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return False  # It belongs to another user, or has exited.
