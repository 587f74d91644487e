"""Messages about a failed start, and tracebacks without frames of ours."""

from collections.abc import Callable

import pytest

from ianus import errors
from ianus.errors import (
    SettingError,
    StartupError,
    closest_match,
    has_regular_links,
    one_line,
    user_traceback,
    whole_traceback,
)
from tests.e2e.exception_apps import BIG_KINDS, KINDS


def caught(call: Callable[[], object]) -> BaseException:
    try:
        call()
    except BaseException as error:  # the tests raise groups and exits, too
        return error
    raise AssertionError("nothing was raised")


def test_a_report_is_one_line() -> None:
    assert StartupError("no port").report() == "Error: no port (ianus docs starting)\n"


def test_details_precede_the_message() -> None:
    assert (
        StartupError("no port", details="Traceback\n").report() == "Traceback\n\nError: no port (ianus docs starting)\n"
    )


def test_a_setting_error_names_the_setting_and_is_a_value_error() -> None:
    error = SettingError("backlog", "'x' is not a whole number.")
    assert isinstance(error, ValueError)
    assert error.report() == "Error: backlog: 'x' is not a whole number. (ianus docs settings)\n"
    assert error.exit_code == 2


def test_an_error_in_one_line() -> None:
    assert one_line(ValueError("two\n lines.")) == "ValueError: two lines"
    assert one_line(AssertionError("")) == "AssertionError"


def test_the_nearest_name() -> None:
    assert closest_match("baklog", ["reload", "backlog"]) == "backlog"
    assert closest_match("xyzzy", ["reload", "backlog"]) == ""


def test_frames_of_other_files_stay() -> None:
    text = user_traceback(caught(lambda: 1 / 0))
    assert text.startswith("Traceback (most recent call last):\n")
    assert text.count(f'File "{__file__}"') == 2
    assert text.endswith("ZeroDivisionError: division by zero\n")


@pytest.mark.parametrize("own", [errors.PACKAGE_DIR + "gateway/x.py", "ianus/gateway/x.pyx"])
def test_frames_of_ours_are_left_out_of_an_error_its_causes_and_its_members(own: str) -> None:
    def fail(message: str, source: str = "1 / 0") -> None:
        exec(compile(source, own, "exec"))

    def cause() -> None:
        try:
            fail("inner")
        except ZeroDivisionError as error:
            raise ExceptionGroup("several", [error]) from error

    text = user_traceback(caught(cause))
    assert own not in text
    assert text.count("ZeroDivisionError") == 2
    assert "several" in text


def test_an_error_without_frames_of_the_users_has_no_traceback_header() -> None:
    def own_only() -> None:
        exec(compile("raise ValueError('x')", errors.PACKAGE_DIR + "x.py", "exec"))

    error = caught(own_only)
    assert error.__traceback__ is not None
    error.__traceback__ = error.__traceback__.tb_next.tb_next  # type: ignore[union-attr]
    assert user_traceback(error) == "ValueError: x\n"


# Those that Python's module `traceback` shows as it should.
REGULAR = [
    "own-cause", "cause-cycle", "context-cycle", "group", "group-cycle", "cancelled-group",
    "broken-str", "broken-eq", "broken-hash", "notice", "unmeant",
]  # fmt: skip


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.slow if kind in BIG_KINDS else ()) for kind in KINDS]
)
@pytest.mark.parametrize("make", [user_traceback, whole_traceback])
def test_every_exception_has_a_traceback_of_reasonable_length(make: Callable[[BaseException], str], kind: str) -> None:
    error = caught(lambda: _raise(KINDS[kind]()))
    assert has_regular_links(error) == (kind in REGULAR)
    text = make(error)
    assert "test_errors.py" in text
    assert "marked" in text or kind == "broken-str"
    assert text.count("\n") < 500


def test_a_shortened_traceback_has_the_nearest_exceptions_and_a_note() -> None:
    error: BaseException = ValueError("innermost")
    for number in range(300):
        error, cause = ValueError(f"number {number}"), error
        error.__cause__ = cause
    outermost = KeyError("outermost")
    outermost.__cause__ = error
    text = user_traceback(outermost)
    assert text.startswith("KeyError: 'outermost'\n\nThe cause of KeyError:\n\nValueError: number 299\n")
    assert "innermost" not in text
    assert text.endswith("\nFurther causes, contexts and members are left out.\n")


def test_the_line_of_an_error_whose_text_fails() -> None:
    assert "str() failed" in one_line(KINDS["broken-str"]())


def _raise(error: BaseException) -> None:
    raise error
