"""Autobahn's test suite, the yardstick of WebSocket implementations, as kosoku drives it, against an echo.

Its reports stay in build/autobahn, a folder for each section; index.html leads to the bytes sent and received.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.conformance.websocket_bridge import bridge
from tests.helpers import Server, TlsAddress, check_no_leaks, stop_all, url_of
from tests.proxies.forwarders import haproxy

pytestmark = [
    pytest.mark.conformance,
    # `make conformance` installs it.
    pytest.mark.skipif(find_spec("kosoku") is None, reason="kosoku is not installed"),
]

APPS = Path(__file__).parent
ROOT = APPS.parents[1]
REPORTS = ROOT / "build/autobahn"

# The sections of the suite, with the number of cases that each has: one that is lost is not one that passed.
SECTIONS = {
    "1": (16, "frames"),
    "2": (11, "pings and pongs"),
    "3": (7, "reserved bits"),
    "4": (10, "opcodes"),
    "5": (20, "fragmentation"),
    "6": (145, "UTF-8"),
    "7": (37, "closing"),
    "9": (54, "limits and performance"),
    "10": (1, "fragments that the driver makes"),
    "12.1": (18, "deflate: JSON"),
    "12.2": (18, "deflate: a picture"),
    "12.3": (17, "deflate: a play"),
    "12.4": (18, "deflate: HTML"),
    "12.5": (18, "deflate: what is compressed already"),
    "13.1": (18, "deflate: an offer without parameters"),
    "13.2": (18, "deflate: server_no_context_takeover"),
    "13.3": (18, "deflate: server_max_window_bits=9"),
    "13.4": (18, "deflate: server_max_window_bits=15"),
    "13.5": (18, "deflate: server_max_window_bits=9, server_no_context_takeover"),
    "13.6": (18, "deflate: server_max_window_bits=15, server_no_context_takeover"),
    "13.7": (18, "deflate: three offers"),
}
# 1,000 times 128 KiB in fragments of 256 bytes: the driver takes minutes over it, with any server.
EXCLUDED = "12.3.15"

# Cases that the suite itself does not decide: whether a message is still sent when a close follows it at once (7.1.6),
# and close codes beyond those of RFC 6455 (7.13).
INFORMATIONAL = {"7.1.6", "7.13.1", "7.13.2"}
# One piece has a message and, after it, a protocol error. The suite would have the message answered first;
# RFC 6455, 7.1.7 has the connection fail, and no application runs before all received bytes are parsed.
NON_STRICT = {"3.2", "3.3", "3.4", "4.1.3", "4.1.4", "4.1.5", "4.2.3", "4.2.4", "4.2.5", "5.15"}


# Frames and deflate are the same code over HTTP/2, and the sections of deflate take five minutes over a bridge.
OVER_HTTP2 = [name for name in SECTIONS if "IANUS_LONG" in os.environ or not name.startswith(("12.", "13."))]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server("echo_app:app", "--no-access-log", cwd=tmp_path_factory.mktemp("server"), app_dir=APPS)
    yield server
    stop_all([server], check_no_leaks)


@pytest.fixture(scope="module")
def url(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL for the suite. It has no TLS of its own, so HAProxy adds that."""
    assert isinstance(server.address, tuple)
    with contextlib.ExitStack() as stack:
        address = server.address
        if isinstance(address, TlsAddress):
            address = stack.enter_context(haproxy(address, tmp_path_factory.mktemp("haproxy"), ""))
        yield url_of(address, "", "ws")


@pytest.fixture(scope="module")
def bridged_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL for the suite, which knows HTTP/1.1 only: a bridge takes each connection to a stream of HTTP/2."""
    options = ("--no-access-log", "--http", "2", "--http2-cleartext")
    server = Server("echo_app:app", *options, cwd=tmp_path_factory.mktemp("server"), app_dir=APPS)
    assert isinstance(server.address, tuple)
    with bridge(server.address) as address:
        yield url_of(address, "", "ws")
    stop_all([server], check_no_leaks)


@pytest.mark.parametrize("section", [pytest.param(name, id=f"{name} {what}") for name, (_, what) in SECTIONS.items()])
def test_autobahn(url: str, section: str) -> None:
    run_section(url, section, REPORTS / section)


@pytest.mark.plain
@pytest.mark.parametrize("section", [pytest.param(name, id=f"{name} {SECTIONS[name][1]}") for name in OVER_HTTP2])
def test_autobahn_over_http2(bridged_url: str, section: str) -> None:
    """RFC 8441."""
    run_section(bridged_url, section, REPORTS / "http2" / section)


def run_section(url: str, section: str, reports: Path) -> None:
    """Runs the cases of the section, and asserts that all were run with an allowed result."""
    driver = (sys.executable, "-m", "tests.conformance.autobahn")
    options = ("--include", f"{section}.*", "--exclude", EXCLUDED, "--outdir", str(reports))
    shutil.rmtree(reports, ignore_errors=True)
    command = (*driver, *options, url)
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0, done.stdout
    (cases,) = json.loads((reports / "index.json").read_text()).values()
    assert len(cases) == SECTIONS[section][0]
    verdicts = {name: {case["behavior"], case["behaviorClose"]} for name, case in cases.items()}
    surprising = {name: verdict for name, verdict in verdicts.items() if not verdict <= allowed(name)}
    assert not surprising


def allowed(case: str) -> set[str]:
    """Returns the allowed results of the case."""
    if case in INFORMATIONAL:
        return {"INFORMATIONAL"}
    return {"OK", "NON-STRICT"} if case in NON_STRICT else {"OK"}
