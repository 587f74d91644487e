"""Runs a server in a network of its own, so that lines with ports such as 80 and 8000 can be taken as they are.

    unshare -rn python -P driver.py  < TASK.json  > OUTCOME.json

TASK has `command`, `cwd`, `env`, `requests` ([path, {field: value}] each), `fd` (a number at which the server inherits
a listening socket, or -1; with LISTEN_FDS in `env` it is a Unix socket of systemd), `seconds` (maximum time until it
listens), `concurrent` (a number of requests to /slow that are sent at once), and `idle` (true if the time is measured
until an idle connection is closed).
OUTCOME has `exit_code` and `output`, and for a server that has answered `addresses`, `responses` (one to each request,
from the first address), `statuses` (of the concurrent requests) and `idle` (seconds).
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

INHERITED_PORT = 9000
INHERITED_PATH = "gunicorn.sock"


def listening(cwd: Path) -> list[str]:
    """Returns the addresses that this network listens on: HOST:PORT, and paths of Unix sockets below `cwd`."""
    found = []
    for table, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            local, state = line.split()[1], line.split()[3]
            if state == "0A":
                digits, port = local.split(":")
                words = [bytes.fromhex(digits[i : i + 8])[::-1] for i in range(0, len(digits), 8)]
                host = socket.inet_ntop(family, b"".join(words))
                found.append(f"[{host}]:{int(port, 16)}" if ":" in host else f"{host}:{int(port, 16)}")
    found += [str(path.relative_to(cwd)) for path in cwd.rglob("*") if path.is_socket()]
    return sorted(set(found))


def connect(address: str, cwd: Path) -> socket.socket:
    host, colon, port = address.rpartition(":")
    if colon:
        host = host.strip("[]")
        return socket.create_connection(({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), int(port)), 10)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(10)
    connection.connect(str(cwd / address))
    return connection


def request(address: str, cwd: Path, path: str, fields: dict[str, str]) -> dict[str, Any]:
    """Returns status, fields in lower case and body of a response; {} if there is none."""
    head = "".join(f"{name}: {value}\r\n" for name, value in {"Host": "localhost", **fields}.items())
    try:
        with connect(address, cwd) as client:
            client.sendall(f"GET {path} HTTP/1.1\r\n{head}Connection: close\r\n\r\n".encode())
            data = b""
            while part := client.recv(65536):
                data += part
    except OSError:
        return {}
    lines, _, body = data.partition(b"\r\n\r\n")
    status, *received = lines.decode("latin-1").split("\r\n")
    if not status:
        return {}
    named = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in received}
    if named.get("transfer-encoding") == "chunked":
        body = body.partition(b"\r\n")[2].partition(b"\r\n")[0]
    return {"status": int(status.split()[1]), "fields": named, "body": body.decode("utf-8", "replace")}


def measure_idle(address: str, cwd: Path) -> float:
    """Returns the time after which the server closes an idle connection, in seconds; 5 is the maximum."""
    with connect(address, cwd) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        client.recv(65536)
        client.settimeout(5)
        start = time.monotonic()
        try:
            while client.recv(65536):
                start = time.monotonic()
        except TimeoutError:
            pass
        return time.monotonic() - start


def observe(task: dict[str, Any], cwd: Path, address: str) -> dict[str, Any]:
    """Sends the requests of the task to a server that answers."""
    outcome: dict[str, Any] = {"responses": [request(address, cwd, *each) for each in task["requests"]]}
    if count := task.get("concurrent"):
        with ThreadPoolExecutor(count) as pool:
            answers = pool.map(lambda _: request(address, cwd, "/slow", {}), range(count))
            outcome["statuses"] = sorted(each.get("status", 0) for each in answers)
    if task.get("idle"):
        outcome["idle"] = measure_idle(address, cwd)
    outcome["addresses"] = listening(cwd)  # all of them: the server answers
    return outcome


def run(task: dict[str, Any]) -> dict[str, Any]:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    cwd = Path(task["cwd"])
    inherited = task["fd"]
    is_unit = "LISTEN_FDS" in task["env"]
    # systemd sets the process id.
    shell = ["sh", "-c", f'export LISTEN_PID=$$; exec "$@" {inherited}<&9', "sh"] if inherited >= 0 else []
    with tempfile.TemporaryFile() as output, socket.socket(socket.AF_UNIX if is_unit else socket.AF_INET) as listener:
        if inherited >= 0:
            listener.bind(str(cwd / INHERITED_PATH) if is_unit else ("127.0.0.1", INHERITED_PORT))
            listener.listen(10)
            os.dup2(listener.fileno(), 9)
        process = subprocess.Popen(
            [*shell, *task["command"]],
            cwd=cwd,
            env={**os.environ, **task["env"]},
            stdin=None if inherited == 0 else subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=[9] if inherited >= 0 else [],
        )
        outcome: dict[str, Any] = {"addresses": [], "responses": []}
        deadline = time.monotonic() + task["seconds"]
        while process.poll() is None and time.monotonic() < deadline:
            addresses = listening(cwd)
            if addresses and request(addresses[0], cwd, "/", {}):
                outcome |= observe(task, cwd, addresses[0])
                break
            time.sleep(0.05)
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            outcome["exit_code"] = process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            outcome["exit_code"] = None
        output.seek(0)
        outcome["output"] = output.read().decode("utf-8", "replace")
    return outcome


if __name__ == "__main__":
    json.dump(run(json.load(sys.stdin)), sys.stdout)
