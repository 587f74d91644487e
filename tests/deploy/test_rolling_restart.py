"""Servers are restarted one after the other under load, and no request fails."""

import contextlib
import random
import subprocess
import time
from pathlib import Path

import pytest

from tests.deploy import files
from tests.deploy.load import Load
from tests.deploy.running import free_ports, program, replaced, running, start, status, wait_until_ready
from tests.helpers import WAIT_SECONDS, until

pytestmark = pytest.mark.conformance

# The times of haproxy.cfg and of its servers, five times as fast.
FASTER = {"inter 1s": "inter 200ms"}
DELAY = {"--drain-delay 5": "--drain-delay 1"}


def test_behind_haproxy(tmp_path: Path) -> None:
    front, *ports = free_ports(4)
    line = replaced(" ".join(files.commands()["haproxy.cfg"]), {**DELAY, "10.0.0.1": "127.0.0.1"})
    with contextlib.ExitStack() as stack:

        def run(port: int) -> "subprocess.Popen[bytes]":
            arguments = replaced(line, {"0.0.0.0:8000": f"127.0.0.1:{port}"}).split()
            return stack.enter_context(running(start(arguments, cwd=tmp_path)))

        servers = {port: run(port) for port in ports}
        for port in ports:
            wait_until_ready(("127.0.0.1", port))
        addresses = {f"10.0.0.{11 + index}:8000": f"127.0.0.1:{port}" for index, port in enumerate(ports)}
        configuration = tmp_path / "haproxy.cfg"
        configuration.write_text(
            replaced(files.HAPROXY.read_text(), {**FASTER, **addresses, "bind :80": f"bind 127.0.0.1:{front}"})
        )
        command = [program("haproxy"), "-db", "-f", str(configuration)]
        stack.enter_context(running(subprocess.Popen(command, stdout=subprocess.DEVNULL)))
        until(lambda: status(("127.0.0.1", front), "/") == 200, "HAProxy to find the servers")
        with Load(lambda: ("127.0.0.1", front)) as load:
            until(lambda: len(load.served) == len(ports), "requests to each server")
            for port, server in servers.items():
                server.terminate()
                assert server.wait(WAIT_SECONDS) == 0
                count = len(load.served)
                run(port)
                wait_until_ready(("127.0.0.1", port))
                until(lambda count=count: len(load.served) > count, "requests to the new server")  # type: ignore[misc]
    assert load.failures == []
    assert len(load.served) == 2 * len(ports)
    assert load.served.total() > 500


# Kubernetes removes a pod from the endpoints of nodes and proxies within seconds after SIGTERM.
REMOVAL_SECONDS = 3


def test_in_the_order_of_kubernetes(tmp_path: Path) -> None:
    """A new pod is started, and becomes ready. Then an old one is sent SIGTERM, and connections continue to arrive."""
    container = files.container()
    grace = files.manifests()["Deployment"]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    endpoints: list[tuple[str, int]] = []
    with contextlib.ExitStack() as stack:

        def run() -> "subprocess.Popen[bytes]":
            (port,) = free_ports(1)
            arguments = files.commands()["kubernetes"]
            line = replaced("\0".join(arguments), {"0.0.0.0:8000": f"127.0.0.1:{port}"})
            process = stack.enter_context(running(start(line.split("\0"), cwd=tmp_path)))
            wait_until_ready(("127.0.0.1", port), container["readinessProbe"]["httpGet"]["path"])
            endpoints.append(("127.0.0.1", port))
            return process

        pods = [run() for _ in range(files.manifests()["Deployment"]["spec"]["replicas"])]
        with Load(lambda: random.choice(endpoints)) as load:
            until(lambda: load.served.total() > 50, "requests")
            for pod, endpoint in zip(pods, list(endpoints), strict=True):
                run()
                pod.terminate()
                stopped = time.monotonic()
                until(lambda endpoint=endpoint: status(endpoint) == 503, "the readiness probe to fail")  # type: ignore[misc]
                assert status(endpoint, "/") == 200
                time.sleep(REMOVAL_SECONDS - (time.monotonic() - stopped))
                assert status(endpoint, "/") == 200
                endpoints.remove(endpoint)
                assert pod.wait(grace) == 0
                assert time.monotonic() - stopped < grace
    assert load.failures == []
    assert load.served.total() > 500
