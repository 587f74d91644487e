"""slowhttptest, a tool of others, against the server with tight deadlines: other clients are served meanwhile."""

import re
import shutil
import subprocess
from collections.abc import Callable

import pytest

from tests.helpers import Server, url_of

pytestmark = [
    pytest.mark.conformance,
    pytest.mark.skipif(shutil.which("slowhttptest") is None, reason="slowhttptest is not installed"),
]


@pytest.mark.parametrize(
    "attack",
    [
        pytest.param(["-H", "-i", "1"], id="headers that never end"),
        pytest.param(["-B", "-i", "1", "-s", "8192"], id="bodies that never end"),
        pytest.param(
            ["-X", "-w", "10", "-y", "20", "-n", "1", "-z", "8", "-k", "3"], id="answers that are hardly read"
        ),
    ],
)
def test_slow_clients(start_server: Callable[..., Server], attack: list[str]) -> None:
    server = start_server(
        *("--timeout-request-header", "3", "--timeout-request-body", "3", "--timeout-write", "3", "--no-access-log")
    )
    url = url_of(server.address, "/large?1000000" if "-X" in attack else "/size")
    command = ["slowhttptest", *attack, "-c", "300", "-r", "100", "-l", "12", "-p", "5", "-u", url]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        while process.poll() is None:
            assert server.get().body == b"hello\n"
        text = re.sub(r"\x1b\[[0-9;]*m", "", process.stdout.read() if process.stdout else "")
    finally:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()
    states = re.findall(r"service available:\s+(\w+)", text)
    assert states, text
    assert set(states) == {"YES"}, text
