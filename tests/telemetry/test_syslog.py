"""The server's own log in syslog, with real sockets."""

import contextlib
import json
import logging
import os
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ianus.process import resources
from ianus.telemetry import syslog
from ianus.telemetry.logs import ErrorLog
from tests.engine import unchecked_settings

logger = logging.getLogger("ianus.error")
PID = os.getpid()

Open = Callable[..., ErrorLog]


@pytest.fixture
def error_log(tmp_path: Path) -> Path:
    return tmp_path / "error.log"


@pytest.fixture
def open_log(error_log: Path) -> Iterator[Open]:
    with contextlib.ExitStack() as stack:

        def open_log(to: str, *, warns: bool = True, **values: object) -> ErrorLog:
            settings = unchecked_settings(
                error_logfile=str(error_log), log_syslog=True, log_syslog_to=to, process_name="shop", **values
            )
            log = resources.open_log(settings, warns=warns)
            stack.callback(log.close)
            return log

        yield open_log


@pytest.fixture
def bind() -> Iterator[Callable[..., socket.socket]]:
    with contextlib.ExitStack() as stack:

        def bind(
            family: socket.AddressFamily, kind: socket.SocketKind, address: str | tuple[str, int]
        ) -> socket.socket:
            sock = stack.enter_context(socket.socket(family, kind))
            sock.settimeout(10)
            sock.bind(address)
            if kind == socket.SOCK_STREAM:
                sock.listen()
            return sock

        yield bind


Bind = Callable[..., socket.socket]


class Clock:
    """Takes the place of the module `time`."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(syslog, "time", clock)
    return clock


# --- Datagrams ---


def test_records_go_to_a_unix_socket_and_to_the_file(
    open_log: Open, bind: Bind, tmp_path: Path, error_log: Path
) -> None:
    daemon = bind(socket.AF_UNIX, socket.SOCK_DGRAM, str(tmp_path / "log"))
    open_log(f"unix://{tmp_path}/log", log_syslog_facility="local0", log_syslog_prefix="web")
    logger.warning("caf\N{LATIN SMALL LETTER E WITH ACUTE} %s", "\x1b[0m\n<0>forged")
    logging.getLogger("ianus.app").error("of the application")
    text = f"<132>ianus.web.error: [{PID}] caf\u00e9 \\x1b[0m\n    <0>forged\0"
    assert daemon.recv(1000) == text.encode()
    assert daemon.recv(1000) == f"<131>ianus.web.error: [{PID}] of the application\0".encode()
    assert error_log.read_text().count(" WARNING caf\u00e9 ") == 1


def test_records_go_to_a_port_of_udp(open_log: Open, bind: Bind) -> None:
    daemon = bind(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0))
    open_log(f"udp://127.0.0.1:{daemon.getsockname()[1]}", log_format="json")
    logger.info("hello")
    start, _, line = daemon.recv(1000).decode().partition(": ")
    assert start == "<14>ianus.shop.error"
    assert json.loads(line.rstrip("\0"))["message"] == "hello"


def test_a_closed_log_sends_nothing(open_log: Open, bind: Bind, tmp_path: Path) -> None:
    daemon = bind(socket.AF_UNIX, socket.SOCK_DGRAM, str(tmp_path / "log"))
    log = open_log(f"unix://{tmp_path}/log#dgram")
    log.close()
    logger.error("after")
    daemon.setblocking(False)
    with pytest.raises(BlockingIOError):
        daemon.recv(1000)


# --- Streams ---


def test_records_of_a_stream_are_lines(open_log: Open, bind: Bind) -> None:
    daemon = bind(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))
    open_log(f"tcp://127.0.0.1:{daemon.getsockname()[1]}")
    connection, _ = daemon.accept()
    with connection, connection.makefile("rb") as lines:
        logger.info("one\ntwo")
        logger.info("three")
        assert lines.readline() == f"<14>ianus.shop.error: [{PID}] one\\n    two\n".encode()
        assert lines.readline() == f"<14>ianus.shop.error: [{PID}] three\n".encode()


def test_the_type_of_a_unix_socket_is_recognised(open_log: Open, bind: Bind, tmp_path: Path) -> None:
    daemon = bind(socket.AF_UNIX, socket.SOCK_STREAM, str(tmp_path / "log"))
    open_log(f"unix://{tmp_path}/log")
    connection, _ = daemon.accept()
    with connection:
        logger.info("hello")
        assert connection.recv(1000).endswith(b" hello\n")


def test_a_stream_is_opened_again(open_log: Open, bind: Bind, clock: Clock, error_log: Path) -> None:
    daemon = bind(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))
    open_log(f"tcp://127.0.0.1:{daemon.getsockname()[1]}")
    connection, _ = daemon.accept()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()  # by a reset
    logger.info("lost")
    assert "cannot send to syslog at tcp://127.0.0.1:" in error_log.read_text()
    clock.now += syslog.RETRY_SECONDS
    logger.info("connects")
    connection, _ = daemon.accept()
    with connection:
        logger.info("sends")
        received = b""
        while not received.endswith(b" sends\n"):
            received += connection.recv(1000)
    assert b" lost\n" not in received


def test_a_daemon_that_does_not_read_is_not_waited_for(
    open_log: Open, bind: Bind, clock: Clock, tmp_path: Path, error_log: Path
) -> None:
    for kind, name in ((socket.SOCK_STREAM, "stream"), (socket.SOCK_DGRAM, "dgram")):
        bind(socket.AF_UNIX, kind, str(tmp_path / name))
        log = open_log(f"unix://{tmp_path}/{name}#{name}")
        for _ in range(100):
            logger.info("x" * 50_000)
        log.close()
        assert error_log.read_text().count(f"cannot send to syslog at unix://{tmp_path}/{name}#{name} (") == 1
    assert error_log.read_text().count(" INFO xxx") == 200


# --- A daemon that is not there ---


def test_a_daemon_that_is_not_there_is_reported_and_found_later(
    open_log: Open, bind: Bind, clock: Clock, tmp_path: Path, error_log: Path
) -> None:
    open_log(f"unix://{tmp_path}/log")
    assert error_log.read_text().endswith(
        f" ERROR syslog cannot be reached at unix://{tmp_path}/log (No such file or directory); "
        "start its daemon or correct --log-syslog-to\n"
    )
    logger.info("lost")
    daemon = bind(socket.AF_UNIX, socket.SOCK_DGRAM, str(tmp_path / "log"))
    logger.info("too early for another attempt")
    clock.now += syslog.RETRY_SECONDS
    logger.info("sent")
    assert daemon.recv(1000).endswith(b" sent\0")
    assert "record(s) lost" not in error_log.read_text()
    clock.now += syslog.REPORT_SECONDS
    logger.info("sent too")
    assert error_log.read_text().endswith(" (No such file or directory): 3 record(s) lost\n")


def test_a_daemon_that_starts_again_gets_records(
    open_log: Open, bind: Bind, clock: Clock, tmp_path: Path, error_log: Path
) -> None:
    before = bind(socket.AF_UNIX, socket.SOCK_DGRAM, str(tmp_path / "log"))
    open_log(f"unix://{tmp_path}/log")
    before.close()
    (tmp_path / "log").unlink()
    logger.info("lost")
    logger.info("lost too")
    assert error_log.read_text().count("cannot send to syslog") == 1
    daemon = bind(socket.AF_UNIX, socket.SOCK_DGRAM, str(tmp_path / "log"))
    clock.now += syslog.RETRY_SECONDS
    logger.info("sent")
    assert daemon.recv(1000).endswith(b" sent\0")


def test_workers_do_not_repeat_the_report(open_log: Open, clock: Clock, error_log: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    open_log(f"tcp://127.0.0.1:{port}", warns=False)
    logger.info("lost")
    assert "syslog" not in error_log.read_text()
    clock.now += syslog.REPORT_SECONDS
    logger.info("lost too")
    assert re.search(r"\((Connection refused|no connection yet)\): 2 record\(s\) lost\n$", error_log.read_text())


def test_a_port_of_udp_that_is_closed_is_reported_after_the_first_record(open_log: Open, error_log: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    open_log(f"udp://127.0.0.1:{port}")
    logger.info("lost")
    logger.info("lost too")
    assert error_log.read_text().endswith("(Connection refused): 1 record(s) lost\n")


def test_an_unknown_host_is_looked_up_once(
    open_log: Open, clock: Clock, error_log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def getaddrinfo(*args: object, **options: object) -> list[object]:
        asked.append(args)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    open_log("udp://logs.invalid:514")
    assert "syslog cannot be reached at udp://logs.invalid:514 (Name or service not known)" in error_log.read_text()
    for _ in range(3):
        clock.now += syslog.RETRY_SECONDS
        logger.info("lost")
    assert len(asked) == 1
    clock.now += syslog.REPORT_SECONDS
    logger.info("lost")
    assert error_log.read_text().endswith(" (Name or service not known): 5 record(s) lost\n")


def test_a_connection_that_is_not_answered_is_not_waited_for(
    open_log: Open, clock: Clock, error_log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pause(seconds: float) -> None:
        clock.now += seconds

    monkeypatch.setattr(syslog, "pause", pause)
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        with socket.create_connection(address):
            open_log(f"tcp://127.0.0.1:{address[1]}")
            logger.info("lost")
            assert "(no connection yet); start its daemon" in error_log.read_text()
