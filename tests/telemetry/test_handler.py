"""The own log on a disk that is full."""

import json
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ianus.process import resources
from ianus.telemetry.logs import ErrorLog
from tests.engine import unchecked_settings

logger = logging.getLogger("ianus.error")


@pytest.fixture
def open_log() -> Iterator[Callable[..., ErrorLog]]:
    logs: list[ErrorLog] = []

    def open_log(**values: object) -> ErrorLog:
        logs.append(resources.open_log(unchecked_settings(**values)))
        return logs[-1]

    yield open_log
    for log in reversed(logs):
        log.close()


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """full_disk(True): nothing can be written to any file but the standard streams."""
    write = os.write
    is_full = False

    def limited(fd: int, data: bytes) -> int:
        if is_full and fd > 2:
            raise OSError(28, "No space left on device")
        return write(fd, data)

    monkeypatch.setattr("ianus.telemetry.handler.write", limited)

    def fill(full: bool) -> None:
        nonlocal is_full
        is_full = full

    return fill


def test_records_that_a_full_disk_takes_are_counted_and_go_to_standard_error(
    open_log: Callable[..., ErrorLog],
    full_disk: Callable[[bool], None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "error.log"
    open_log(error_logfile=str(path))
    full_disk(True)
    logger.info("one")
    logger.error("two")
    full_disk(False)
    logger.info("three")
    logger.info("four")
    assert [line.split(" +0000 ")[1] for line in capsys.readouterr().err.splitlines()] == ["INFO one", "ERROR two"]
    assert [line.split(" +0000 ")[1] for line in path.read_text().splitlines()] == [
        "ERROR error log could not be written (No space left on device): 2 record(s) went to standard error instead",
        "INFO three",
        "INFO four",
    ]


def test_a_line_that_was_cut_off_gets_an_end(
    open_log: Callable[..., ErrorLog], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "error.log"
    open_log(error_logfile=str(path), log_format="json")
    write = os.write
    left = 10

    def limited(fd: int, data: bytes) -> int:
        nonlocal left
        if fd <= 2:
            return write(fd, data)
        if not left:
            raise OSError(28, "No space left on device")
        written = write(fd, bytes(data)[:left])
        left -= written
        return written

    with monkeypatch.context() as patch:
        patch.setattr("ianus.telemetry.handler.write", limited)
        logger.info("one")
    logger.info("two")
    begun, loss, line = path.read_text().splitlines()
    assert begun == '{"time": "'
    assert "1 record(s) went to standard error" in json.loads(loss)["message"]
    assert json.loads(line)["message"] == "two"


def test_a_message_whose_arguments_do_not_fit_is_in_the_file(open_log: Callable[..., ErrorLog], tmp_path: Path) -> None:
    path = tmp_path / "error.log"
    open_log(error_logfile=str(path))
    logger.info("hello %d", "you")
    assert path.read_text().endswith(" INFO hello %d (its arguments cannot be shown: TypeError)\n")
