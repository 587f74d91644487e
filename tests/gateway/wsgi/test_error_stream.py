"""wsgi.errors: lines become records, those of two threads never mix, and records that are fed back make no loop."""

import io
import logging
import sys
import threading
import traceback
from collections.abc import Iterator

import pytest

from ianus.gateway.wsgi.error_stream import ErrorStream

logger = logging.getLogger("ianus.app")


class Records(logging.Handler):
    """Keeps the logged records."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.levels: set[int] = set()

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())
        self.levels.add(record.levelno)


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[Records]:
    records = Records()
    monkeypatch.setattr(logger, "propagate", False)
    logger.addHandler(records)
    yield records
    logger.removeHandler(records)


@pytest.fixture
def stream() -> ErrorStream:
    return ErrorStream()


def test_a_line_is_an_error_of_the_application(stream: ErrorStream, log: Records) -> None:
    assert stream.write("something is wrong\n") == 19
    assert log.texts == ["something is wrong"]
    assert log.levels == {logging.ERROR}


def test_a_line_in_parts_is_one_record(stream: ErrorStream, log: Records) -> None:
    print("a", "line", 3, file=stream)
    stream.write("half a ")
    assert log.texts == ["a line 3"]
    stream.write("line\nand the next")
    assert log.texts == ["a line 3", "half a line"]


def test_flush_logs_an_unfinished_line(stream: ErrorStream, log: Records) -> None:
    stream.write("no end")
    stream.flush()
    stream.flush()
    assert log.texts == ["no end"]
    stream.write("new\n")
    assert log.texts == ["no end", "new"]


def test_lines_of_one_write_are_one_record(stream: ErrorStream, log: Records) -> None:
    try:
        raise ValueError("broken")
    except ValueError:
        stream.write("failed\n" + traceback.format_exc())
    (record,) = log.texts
    assert record.startswith("failed\nTraceback (most recent call last):\n")
    assert record.endswith("\nValueError: broken")


def test_writelines_takes_any_iterable(stream: ErrorStream, log: Records) -> None:
    stream.writelines(iter(["one\n", "two\nthr", "ee\n"]))
    assert log.texts == ["one\ntwo\nthree"]


def test_empty_lines_are_no_records(stream: ErrorStream, log: Records) -> None:
    stream.write("")
    stream.write("\n")
    stream.write("\n\ntext\n\n")
    assert log.texts == ["text"]


def test_any_text_can_be_written(stream: ErrorStream, log: Records) -> None:
    text = "100 % {} %s %(x)s \x00 \udcff \U0001f511"
    stream.write(text + "\n")
    assert log.texts == [text]


def test_bytes_cannot_be_written(stream: ErrorStream, log: Records) -> None:
    with pytest.raises(TypeError):
        stream.write(b"bytes\n")  # type: ignore[arg-type]
    stream.write("text\n")
    assert log.texts == ["text"]


def test_a_line_without_an_end_does_not_fill_the_memory(stream: ErrorStream, log: Records) -> None:
    for _ in range(300):
        stream.write("." * 1000)
    stream.flush()
    assert len(log.texts) > 1
    assert "".join(log.texts) == "." * 300_000


def test_lines_of_two_threads_do_not_mix(stream: ErrorStream, log: Records) -> None:
    def other() -> None:
        stream.write("other's ")
        stream.flush()
        stream.write("and on\n")

    stream.write("mine ")
    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    stream.write("and on\n")
    assert log.texts == ["other's ", "and on", "mine and on"]


def test_records_that_return_to_the_stream_go_to_standard_error(
    stream: ErrorStream, log: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flask's documentation has the root logger write to wsgi.errors."""
    handler = logging.StreamHandler(stream)
    logger.addHandler(handler)
    terminal = io.StringIO()
    monkeypatch.setattr(sys, "stderr", terminal)
    try:
        stream.write("around\n")
        stream.write("half")
        stream.flush()
    finally:
        logger.removeHandler(handler)
    assert terminal.getvalue() == "around\nhalf\n"
    assert log.texts == ["around", "half"]


def test_a_filter_that_raises_neither_silences_the_stream_nor_reaches_the_application(
    stream: ErrorStream, log: Records, capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            raise RuntimeError("broken filter")

    broken = Broken()
    logger.addFilter(broken)
    stream.write("rescued\n")
    first, second, *_ = capsys.readouterr().err.splitlines()
    assert first.endswith(" ERROR rescued")
    assert second.endswith(
        " ERROR logging failed, the server wrote the record above itself: RuntimeError: broken filter"
    )
    logger.removeFilter(broken)
    stream.write("kept\n")
    assert log.texts == ["kept"]
