"""Changes of Python's logging by an application neither stop the server nor hide its messages."""

import logging
import logging.config
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ianus.telemetry.logger import SafeLogger, fallback

NAME = "ianus.error"


class BrokenFilter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        raise RuntimeError("no request")


class BrokenHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        raise RuntimeError("no request")


class LeavingHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        sys.exit("no request")


class HandlerThatLogs(logging.Handler):
    """Logs a further record for each record, without end."""

    def emit(self, record: logging.LogRecord) -> None:
        logging.getLogger(NAME).error("again")


class BrokenFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        raise RuntimeError("no request")


class FormattingHandler(logging.Handler):
    """As many handlers of libraries, it does not call handleError()."""

    def emit(self, record: logging.LogRecord) -> None:
        self.format(record)


def raises(*args: Any, **how: Any) -> Any:
    raise RuntimeError("no request")


@pytest.fixture
def server_log() -> Iterator[logging.Logger]:
    """The logger, which is as it was before afterwards."""
    logger = logging.getLogger(NAME)
    before = logger.handlers[:], logger.filters[:], logger.level, logger.propagate, logger.disabled
    factory = logging.getLogRecordFactory()
    fallback._traceback_at = -1000.0
    logger.setLevel(logging.INFO)
    yield logger
    logger.handlers[:], logger.filters[:], logger.level, logger.propagate, logger.disabled = before
    logging.setLogRecordFactory(factory)


def add_filter(logger: logging.Logger, patch: pytest.MonkeyPatch) -> None:
    logger.addFilter(BrokenFilter())


def add_filter_function(logger: logging.Logger, patch: pytest.MonkeyPatch) -> None:
    logger.addFilter(raises)


def add_handler(logger: logging.Logger, patch: pytest.MonkeyPatch) -> None:
    logger.addHandler(BrokenHandler())


def add_filter_to_handler(logger: logging.Logger, patch: pytest.MonkeyPatch) -> None:
    handler = logging.NullHandler()
    handler.handle = handler.filter  # type: ignore[method-assign]
    handler.addFilter(BrokenFilter())
    logger.addHandler(handler)


def add_formatter(logger: logging.Logger, patch: pytest.MonkeyPatch) -> None:
    handler = FormattingHandler()
    handler.setFormatter(BrokenFormatter())
    logger.addHandler(handler)


def set_factory(logger: logging.Logger, patch: pytest.MonkeyPatch) -> None:
    logging.setLogRecordFactory(raises)


def factory_of_wrong_type(logger: logging.Logger, patch: pytest.MonkeyPatch) -> None:
    logging.setLogRecordFactory(lambda *args, **how: None)  # type: ignore[arg-type]


def handler_of_the_root(logger: logging.Logger, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(logging.getLogger(), "handlers", [BrokenHandler()])


def exit_in_handler(logger: logging.Logger, patch: pytest.MonkeyPatch) -> None:
    logger.addHandler(LeavingHandler())


def handler_that_logs(logger: logging.Logger, patch: pytest.MonkeyPatch) -> None:
    logger.addHandler(HandlerThatLogs())


def patch_logger(logger: logging.Logger, patch: pytest.MonkeyPatch) -> None:
    """As error trackers do."""
    patch.setattr(logging.Logger, "callHandlers", raises)


def patch_handle(logger: logging.Logger, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(logger, "handle", raises)


Break = Callable[[logging.Logger, pytest.MonkeyPatch], None]
BREAKS: list[Break] = [
    add_filter, add_filter_function, add_handler, add_filter_to_handler, add_formatter, set_factory,
    factory_of_wrong_type, handler_of_the_root, exit_in_handler, handler_that_logs, patch_logger, patch_handle,
]  # fmt: skip


@pytest.mark.parametrize("break_logging", BREAKS, ids=lambda each: each.__name__)
def test_the_message_and_the_failure_are_on_standard_error(
    break_logging: Break,
    server_log: logging.Logger,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with monkeypatch.context() as patch:
        break_logging(server_log, patch)
        try:
            raise ValueError("of the application")
        except ValueError as error:
            SafeLogger(NAME).error("%s: %s", "failed", "GET /\n", exc_info=error)
    lines = capsys.readouterr().err.splitlines()
    first = next(index for index, line in enumerate(lines) if line.endswith(" ERROR failed: GET /"))
    assert any(line == "    ValueError: of the application" for line in lines[first:])
    (failure,) = (line for line in lines if " logging failed, " in line)
    assert failure.endswith(("RuntimeError: no request", "SystemExit: no request")) or break_logging in (
        factory_of_wrong_type,
        handler_that_logs,
    )


def test_an_interrupt_passes(server_log: logging.Logger) -> None:
    """The last of three SIGINTs interrupts all code, a handler that blocks included."""

    def interrupt(record: logging.LogRecord) -> bool:
        raise KeyboardInterrupt

    server_log.addFilter(interrupt)
    with pytest.raises(KeyboardInterrupt):
        SafeLogger(NAME).info("hello")


def test_the_traceback_of_a_failure_is_not_repeated_for_each_record(
    server_log: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    server_log.addFilter(BrokenFilter())
    for _ in range(3):
        SafeLogger(NAME).info("hello")
    text = capsys.readouterr().err
    assert text.count(" logging failed, ") == 3
    assert text.count("Traceback") == 1


@pytest.mark.parametrize("stderr", [None, object()])
def test_standard_error_that_cannot_be_written(
    stderr: object,
    server_log: logging.Logger,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    server_log.addFilter(BrokenFilter())
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stderr)
        SafeLogger(NAME).warning("hello")
    assert " WARNING hello\n" in capfd.readouterr().err


def test_arguments_that_do_not_fit(server_log: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    server_log.addFilter(BrokenFilter())
    SafeLogger(NAME).warning("hello %d", "you")
    assert " WARNING hello %d (its arguments cannot be shown: TypeError)\n" in capsys.readouterr().err


def test_a_configuration_that_disables_all_loggers(
    server_log: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    """dictConfig() does so by default, whenever the application calls it."""
    server_log.propagate = True
    server_log.disabled = True
    SafeLogger(NAME).error("heard")
    assert caplog.messages == ["heard"]


def test_a_record_names_the_line_that_has_logged(server_log: logging.Logger, caplog: pytest.LogCaptureFixture) -> None:
    server_log.propagate = True
    SafeLogger(NAME).info("here")
    assert caplog.records[0].funcName == "test_a_record_names_the_line_that_has_logged"


def test_no_module_of_the_server_logs_in_another_way() -> None:
    """A log call of Python's own may raise."""
    package = Path(__file__).parents[2] / "ianus"
    sources = {path.relative_to(package).as_posix(): path.read_text() for path in package.rglob("*.py*")
               if path.suffix in {".py", ".pyx"}}  # fmt: skip
    assert len(sources) > 20
    found = {name for name, text in sources.items() if 'getLogger("ianus' in text}
    # The first configures the logger, the second hands it to the user's hooks.
    assert found == {"telemetry/logs.py", "hooks.py"}, "write: from ianus.telemetry.logger import logger"
