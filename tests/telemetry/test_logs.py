"""The server's own log: its handlers and its formats. A client cannot forge a line of it."""

import json
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ianus.errors import StartupError
from ianus.process import resources
from ianus.telemetry.formatters import JsonFormatter, TextFormatter
from ianus.telemetry.logs import ErrorLog, LogFile, access_logger, apply_config
from tests.engine import unchecked_settings

logger = logging.getLogger("ianus.error")


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("", "ianus", "ianus.error", "ianus.app")]
    before = [(each.handlers[:], each.level, each.propagate, each.disabled) for each in loggers]
    yield
    for each, (handlers, level, propagate, disabled) in zip(loggers, before, strict=True):
        each.handlers[:], each.propagate, each.disabled = handlers, propagate, disabled
        each.setLevel(level)


Open = Callable[..., ErrorLog]


@pytest.fixture
def open_log() -> Iterator[Open]:
    opened: list[ErrorLog] = []

    def open_log(**values: object) -> ErrorLog:
        opened.append(resources.open_log(unchecked_settings(**values)))
        return opened[-1]

    yield open_log
    for log in opened:
        log.close()


# --- Handlers ---


def test_the_log_is_written_to_standard_error_with_time_and_level(
    open_log: Open, capsys: pytest.CaptureFixture[str]
) -> None:
    open_log()
    logger.info("hello")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4} INFO hello\n", capsys.readouterr().err)


def test_records_of_applications_go_there_too(
    open_log: Open, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    app = logging.getLogger("ianus.app")
    open_log()
    app.error("to the terminal")
    assert capsys.readouterr().err.endswith(" ERROR to the terminal\n")
    open_log(error_logfile=str(tmp_path / "error.log"))
    app.error("to the file")
    assert (tmp_path / "error.log").read_text().endswith(" ERROR to the file\n")


def test_the_log_can_be_configured_alone(open_log: Open, capsys: pytest.CaptureFixture[str]) -> None:
    app = logging.getLogger("ianus.app")
    app.addHandler(logging.NullHandler())
    open_log()
    app.error("from the application")
    logger.error("from the server")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(" ERROR from the server")


def test_the_log_is_appended_to_a_file(open_log: Open, tmp_path: Path) -> None:
    path = tmp_path / "error.log"
    path.write_text("before\n")
    open_log(error_logfile=str(path))
    logger.info("hello \N{SNOWMAN} \udc80")
    assert re.fullmatch(r"before\n.* INFO hello \N{SNOWMAN} \\udc80\n", path.read_text("utf-8"))


def test_a_new_file_can_be_read_by_others(open_log: Open, tmp_path: Path) -> None:
    umask = os.umask(0)
    try:
        open_log(error_logfile=str(tmp_path / "error.log"))
    finally:
        os.umask(umask)
    assert (tmp_path / "error.log").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("path", "fix"),
    [
        (".", "Name a file in it"),
        ("none/error.log", "Create its directory"),
        ("a\0b", "Let this user write there"),
    ],
)
def test_a_file_that_cannot_be_opened_is_reported(
    path: str, fix: str, open_log: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StartupError, match=rf"cannot be opened \(.*\)\. {fix}, .* with --error-logfile; - is"):
        open_log(error_logfile=path)
    assert logger.handlers == []


@pytest.mark.parametrize("name", ["ianus", "ianus.error"])
def test_handlers_that_the_user_configured_are_kept(name: str, open_log: Open) -> None:
    handler = logging.NullHandler()
    logging.getLogger(name).addHandler(handler)
    open_log()
    assert logger.handlers == ([handler] if name == "ianus.error" else [])
    assert logger.propagate


def test_a_file_is_written_beside_the_users_handlers(open_log: Open, tmp_path: Path) -> None:
    handler = logging.NullHandler()
    logger.addHandler(handler)
    open_log(error_logfile=str(tmp_path / "error.log"))
    logger.error("hello")
    assert handler in logger.handlers
    assert "hello" in (tmp_path / "error.log").read_text()


def test_handlers_of_the_root_count_where_they_were_configured_for_the_server(
    open_log: Open, capsys: pytest.CaptureFixture[str]
) -> None:
    logging.getLogger().addHandler(logging.NullHandler())
    open_log(log_config="logging.ini")
    logger.error("to the root")
    assert capsys.readouterr().err == ""
    open_log()
    logger.error("to the terminal")
    assert "to the terminal" in capsys.readouterr().err


def test_a_logger_that_the_applications_configuration_disabled_is_revived(
    open_log: Open, capsys: pytest.CaptureFixture[str]
) -> None:
    logger.disabled = logging.getLogger("ianus").disabled = True
    open_log()
    logger.error("heard")
    assert "heard" in capsys.readouterr().err


def test_the_level_is_that_of_the_settings_or_of_the_user(open_log: Open) -> None:
    log = open_log(log_level="warning")
    assert logger.level == logging.WARNING
    log.close()
    logging.getLogger("ianus").setLevel("DEBUG")
    open_log(log_level="warning")
    assert logger.getEffectiveLevel() == logging.DEBUG


@pytest.mark.parametrize("name", ["ianus.error", "ianus.app"])
def test_closing_restores_the_loggers(name: str, open_log: Open, tmp_path: Path) -> None:
    logger = logging.getLogger(name)
    before = logger.handlers[:], logger.level, logger.propagate
    log = open_log(error_logfile=str(tmp_path / "error.log"))
    fd = log.file.fd
    log.close()
    log.close()
    assert (logger.handlers, logger.level, logger.propagate) == before
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


# --- Rotation ---


def test_a_renamed_file_is_created_again_with_the_same_descriptor(open_log: Open, tmp_path: Path) -> None:
    path = tmp_path / "error.log"
    log = open_log(error_logfile=str(path))
    logger.error("one")
    fd = log.file.fd
    path.rename(tmp_path / "error.log.1")
    logger.error("two")
    log.file.reopen()
    logger.error("three")
    assert log.file.fd == fd
    assert not os.get_inheritable(fd)
    assert "two" in (tmp_path / "error.log.1").read_text()
    assert path.read_text().endswith(" ERROR three\n")


def test_a_standard_stream_is_neither_opened_nor_closed() -> None:
    file = LogFile("-", "--access-logfile", 1)
    assert file.fd == 1
    file.reopen()
    file.close()
    os.fstat(1)


# --- Formats ---


def record(message: str, *arguments: object, error: BaseException | None = None) -> logging.LogRecord:
    told = None if error is None else (type(error), error, error.__traceback__)
    return logging.LogRecord("ianus.error", logging.ERROR, __file__, 1, message, arguments, told)


def failed(text: str) -> ValueError:
    try:
        raise ValueError(text)
    except ValueError as error:
        return error


@pytest.mark.parametrize("evil", ["\n", "\r", "\x1b[31m", "\x7f", "\x9b31m", "\u2028", "\u202e", "\x85", "\v", "\0"])
def test_a_text_can_neither_forge_a_line_nor_drive_a_terminal(evil: str) -> None:
    for formatter in (TextFormatter(), JsonFormatter()):
        text = formatter.format(
            record("%s", f"a{evil}2026-01-01 00:00:00 +0000 INFO b", error=failed(f"c{evil}2026 d"))
        )
        first, *rest = text.split("\n")
        assert "a" in first
        assert all(line.startswith("    ") for line in rest)
        assert all(line.isprintable() for line in (first, *rest))


def test_levels_have_colours_on_a_terminal() -> None:
    formatter = TextFormatter(is_colored=True)
    plain = TextFormatter().format(record("ERROR \x1b[0m"))
    assert formatter.format(record("ERROR \x1b[0m")) == plain.replace(" ERROR", " \x1b[31mERROR\x1b[0m", 1)
    debug = record("x")
    debug.levelname, debug.ianus_already_formatted = "DEBUG", True
    assert formatter.format(debug) == "x", "text with a stamp of its own"


def test_a_traceback_has_lines_of_its_own() -> None:
    first, *rest = TextFormatter().format(record("it %s", "failed", error=failed("why"))).split("\n")
    assert first.endswith(" ERROR it failed")
    assert rest[0] == "    Traceback (most recent call last):"
    assert rest[-1] == "    ValueError: why"


def test_a_record_as_json_is_one_object_in_one_line() -> None:
    text = JsonFormatter().format(record('it "%s"\n', "f\xe4iled", error=failed("why")))
    assert "\n" not in text
    assert text.isascii()
    line = json.loads(text)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert line.pop("exception").endswith("\nValueError: why")
    assert line == {"level": "error", "logger": "ianus.error", "message": 'it "f\xe4iled"\n'}


def test_json_can_be_chosen(open_log: Open, capsys: pytest.CaptureFixture[str]) -> None:
    open_log(log_format="json")
    logger.warning("hello")
    line = json.loads(capsys.readouterr().err)
    assert (line["level"], line["message"]) == ("warning", "hello")
    assert "exception" not in line


# --- The user's own configuration ---

INI = """
[loggers]
keys=root
[handlers]
keys=file
[formatters]
keys=plain
[logger_root]
level=INFO
handlers=file
[handler_file]
class=FileHandler
formatter=plain
args=("own.log",)
[formatter_plain]
format=own %(message)s
"""
DICT = {
    "version": 1,
    "formatters": {"plain": {"format": "own %(message)s"}},
    "handlers": {"file": {"class": "logging.FileHandler", "filename": "own.log", "formatter": "plain"}},
    "root": {"level": "INFO", "handlers": ["file"]},
}


@pytest.mark.parametrize("name", ["logging.ini", "logging.conf", "logging.json", "logging.yaml", "logging.YML"])
def test_python_logging_is_configured_from_a_file(
    name: str, open_log: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    # JSON is YAML, too.
    Path(name).write_text(INI if name.endswith(("ini", "conf")) else json.dumps(DICT))
    apply_config(name, ".")
    open_log(log_config="logging.ini")
    logger.info("hello")
    for handler in logging.getLogger().handlers:
        handler.close()
    assert Path("own.log").read_text() == "own hello\n"


def test_python_logging_is_configured_by_a_dictionary_as_json(
    open_log: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This is logconfig_dict of gunicorn, whose loggers have other names."""
    monkeypatch.chdir(tmp_path)
    others = {key: value for key, value in DICT.items() if key != "root"}
    own = {"gunicorn.error": {"level": "INFO", "handlers": ["file"]}, "gunicorn.access": {}}
    apply_config(json.dumps(others | {"loggers": own}), ".")
    assert access_logger() == "gunicorn.access"
    open_log(log_config="{}")
    logger.info("hello")
    for handler in logging.getLogger("gunicorn.error").handlers:
        handler.close()
    assert Path("own.log").read_text() == "own hello\n"
    with pytest.raises(StartupError, match=r"^The logging configuration logconfig_dict cannot be used "):
        apply_config('{"version": 2}', ".")


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.json", "{", "JSONDecodeError"),
        ("a.json", '{"version": 2}', "Unsupported version: 2"),
        ("a.json", '{"version": 1, "handlers": {"x": {"class": "no.such"}}}', "Unable to configure handler 'x': "),
        ("a.yaml", "a: [", "ParserError"),
        ("a.ini", "nonsense", ""),
        ("a.json", "\xff", "UnicodeDecodeError"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_reported(name: str, text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(text.encode("latin-1"))
    with pytest.raises(StartupError, match=re.escape(name) + r" cannot be used \(.*" + told):
        apply_config(str(tmp_path / name), ".")


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.json", "[]", "is a list at its top; it has to be a dictionary, "),
        ("a.yaml", "- a", "is a list at its top; it has to be a dictionary, "),
        ("a.yaml", "", "is empty; it has to be a dictionary, "),
        ("a.ini", "", r"lacks \[loggers\], \[handlers\], \[formatters\], which "),
        ("a.ini", INI.replace("[formatters]", "[formats]"), r"lacks \[formatters\], which "),
    ],
)
def test_a_configuration_of_another_shape_is_reported(name: str, text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(StartupError, match=rf"^The logging configuration .*{re.escape(name)} {told}.*\.$"):
        apply_config(str(tmp_path / name), ".")


def test_a_missing_configuration_is_reported(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match=r"none\.ini cannot be read \(No such file or directory\)"):
        apply_config(str(tmp_path / "none.ini"), ".")


def test_yaml_without_its_package_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    (tmp_path / "a.yaml").write_text("version: 1")
    with pytest.raises(StartupError, match=r"pip install PyYAML"):
        apply_config(str(tmp_path / "a.yaml"), ".")
