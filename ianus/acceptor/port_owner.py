"""Finds the process that listens on a port, for the error about it. Uses /proc (proc_pid_net(5))."""
# ruff: noqa: PTH115, PTH123, PTH208  (pathlib takes 5 ms to import)

import os
import re
import time

# Of a machine with many processes; the supervisor may be the caller.
MAX_SEARCH_SECONDS = 0.2

MAX_LINE_BYTES = 4096
MAX_SHOWN_CHARACTERS = 100

# A line of /proc/net/tcp and tcp6: number, local address and port, remote ones, state LISTEN, ..., inode.
LISTENING = r"\s*\d+: [0-9A-F]+:([0-9A-F]{4}) [0-9A-F]+:0000 0A (?:\S+ +){5}(\d+) "


def describe_port_owner(port: int) -> str:
    """Returns the command and the pid of the process that listens on a TCP port.

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
    """Returns the command and the pid of a process, or ""."""
    name = _command_of(pid)
    return f"{name}, pid {pid}" if name else ""


def _command_of(pid: int) -> str:
    """Returns the words of a process up to its first option, whose values may be secrets; "" if it has exited."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read(MAX_LINE_BYTES).decode(errors="replace").split("\0")
        if not words[0].strip():  # The kernel's own process, or a process that has exited.
            # Only 15 bytes, which other users can read, too.
            with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
                words = [file.read().strip()]
    except OSError:
        return ""
    if " " in words[0]:  # A title, as of setproctitle
        words[0] = words[0].partition(" -")[0]
    else:
        words[0] = words[0].rpartition("/")[2]
    is_module = words[1:2] == ["-m"]
    end = next((at for at in range(3 if is_module else 1, len(words)) if words[at].startswith("-")), len(words))
    # Arguments of an application may be secrets, too, and a process chooses its words itself.
    line = re.sub(r"\(.+\)", "(...)", " ".join(words[:end]).strip())
    line = re.sub(r"[^ -~]", "?", line)
    return line if len(line) <= MAX_SHOWN_CHARACTERS else f"{line[:MAX_SHOWN_CHARACTERS]}..."


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
