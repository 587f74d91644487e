"""The lifespan protocol: each way to answer, not to answer, and to fail, in each mode."""

import asyncio
import contextvars
import logging
import math
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import pytest

from ianus.errors import StartupError
from ianus.gateway.asgi.lifespan import Lifespan
from ianus.gateway.loading.loader import Application
from tests.rows import for_each_row

Mode = Literal["auto", "on", "off"]
MODES: list[Mode] = ["auto", "on"]


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    monkeypatch.setattr(logging.getLogger("ianus.error"), "propagate", True)
    caplog.set_level(logging.DEBUG, "ianus.error")
    return caplog


def lifespan_of(app: Any, mode: Mode = "auto", startup: float = 5.0) -> Lifespan:
    return Lifespan(Application(app, "asgi3", "main:app"), lifespan=mode, timeout_lifespan_startup=startup)


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    """Runs a scenario and checks that no task of it remains."""

    async def main() -> None:
        await scenario()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def startup_error(lifespan: Lifespan) -> StartupError:
    errors: list[StartupError] = []

    async def scenario() -> None:
        with pytest.raises(StartupError) as caught:
            await lifespan.startup()
        errors.append(caught.value)
        await lifespan.shutdown(math.inf)  # There is nothing to shut down, which is not an error.

    run(scenario)
    assert errors[0].exit_code == 3
    return errors[0]


def start_and_stop(lifespan: Lifespan, limit: float = math.inf) -> None:
    async def scenario() -> None:
        await lifespan.startup()
        await lifespan.shutdown(limit)

    run(scenario)


class Recorder:
    """An application that obeys the protocol, and notes the events."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.scope: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scope = scope
        message = await receive()
        self.events.append(message["type"])
        scope["state"]["pool"] = "open"
        await send({"type": "lifespan.startup.complete", "unknown": "keys are no error"})
        message = await receive()
        self.events.append(message["type"])
        await send({"type": "lifespan.shutdown.complete"})
        self.events.append("returned")


# --- As it should be ---


@pytest.mark.parametrize("mode", MODES)
def test_startup_and_shutdown(mode: Mode, log: pytest.LogCaptureFixture) -> None:
    app = Recorder()
    lifespan = lifespan_of(app, mode)
    assert lifespan.state is None

    async def scenario() -> None:
        await lifespan.startup()
        assert app.events == ["lifespan.startup"]
        assert lifespan.state == {"pool": "open"}
        await lifespan.shutdown(math.inf)

    run(scenario)
    assert app.events == ["lifespan.startup", "lifespan.shutdown", "returned"]
    assert app.scope["type"] == "lifespan"
    assert app.scope["asgi"] == {"version": "3.0", "spec_version": "2.0"}
    assert log.records == []


def test_off_never_calls_the_application() -> None:
    app = Recorder()
    lifespan = lifespan_of(app, "off")
    start_and_stop(lifespan)
    assert app.scope is None
    assert lifespan.state is None


def test_the_lifespan_is_one_task_in_a_context_of_its_own() -> None:
    variable = contextvars.ContextVar("variable", default="outside")
    tasks = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        tasks.append(asyncio.current_task())
        variable.set("inside")
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        assert variable.get() == "inside"
        tasks.append(asyncio.current_task())
        await send({"type": "lifespan.shutdown.complete"})

    async def scenario() -> None:
        lifespan = lifespan_of(app, "on")
        await lifespan.startup()
        assert variable.get() == "outside"
        await lifespan.shutdown(math.inf)
        assert tasks[0] is tasks[1] is not asyncio.current_task()

    run(scenario)


def test_an_application_may_answer_without_having_received() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "lifespan.startup.complete"})

    start_and_stop(lifespan_of(app, "on"))


def test_shutdown_twice_and_without_startup_is_harmless() -> None:
    app = Recorder()
    lifespan = lifespan_of(app)

    async def scenario() -> None:
        await lifespan.shutdown(math.inf)
        await lifespan.startup()
        await lifespan.shutdown(math.inf)
        await lifespan.shutdown(math.inf)

    run(scenario)
    assert app.events.count("lifespan.shutdown") == 1


def test_an_application_that_asks_for_a_third_event_is_ended(log: pytest.LogCaptureFixture) -> None:
    ended = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            while True:
                message = await receive()
                await send({"type": message["type"] + ".complete"})
        finally:
            ended.append(True)

    start_and_stop(lifespan_of(app, "on"))
    assert ended == [True]
    assert log.records == []


def test_code_after_the_answer_to_shutdown_may_finish() -> None:
    done = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        for _ in range(10):
            await asyncio.sleep(0)
        done.append(True)

    start_and_stop(lifespan_of(app))
    assert done == [True]


# --- Startup that fails ---


@pytest.mark.parametrize("mode", MODES)
def test_startup_failed_stops_the_start_with_its_message(mode: Mode) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    error = startup_error(lifespan_of(app, mode))
    assert error.message == "main:app failed to start: no database"
    assert error.details == ""


def test_startup_failed_without_a_message_is_reported() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "lifespan.startup.failed"})

    assert "it gives no reason" in startup_error(lifespan_of(app)).message


def test_a_traceback_as_the_message_is_shown_before_its_last_line() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        text = "Traceback (most recent call last):\n  File ...\nOSError: no database\n"
        await send({"type": "lifespan.startup.failed", "message": text})
        raise OSError("no database")  # as Starlette does

    error = startup_error(lifespan_of(app, "on"))
    assert error.message == "main:app failed to start: OSError: no database"
    assert error.details.startswith("Traceback")


async def raises_before_receive(scope: Any, receive: Any, send: Any) -> None:
    raise ValueError("only http")


async def raises_after_receive(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    raise ValueError("a bug")


async def returns(scope: Any, receive: Any, send: Any) -> None:
    await receive()


async def speaks_http(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})


@for_each_row("app", [raises_before_receive, raises_after_receive, returns, speaks_http])
def test_auto_continues_without_the_lifespan_of_an_application_that_does_not_answer(app: Any) -> None:
    lifespan = lifespan_of(app, "auto")
    start_and_stop(lifespan)
    assert lifespan.state is None


def test_auto_is_quiet_about_an_application_that_does_not_know_lifespan(
    log: pytest.LogCaptureFixture,
) -> None:
    start_and_stop(lifespan_of(raises_before_receive))
    assert [record.levelname for record in log.records] == ["DEBUG"]


def test_auto_warns_of_an_exception_after_the_event_was_taken(log: pytest.LogCaptureFixture) -> None:
    start_and_stop(lifespan_of(raises_after_receive))
    (record,) = log.records
    assert record.levelname == "WARNING"
    assert "serving without lifespan" in record.getMessage()
    assert record.getMessage().endswith("ValueError: a bug")
    assert "ianus/gateway" not in record.getMessage()


@pytest.mark.parametrize("app", [raises_before_receive, raises_after_receive])
def test_on_shows_the_applications_traceback_and_none_of_ours(app: Any) -> None:
    error = startup_error(lifespan_of(app, "on"))
    assert error.message.startswith("main:app failed in its lifespan.startup: ValueError: ")
    assert "--lifespan auto or off" in error.message
    assert __file__ in error.details
    assert "ianus/gateway" not in error.details


def test_an_error_without_a_text_is_reported_by_its_type() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError

    message = startup_error(lifespan_of(app, "on")).message
    assert message.startswith("main:app failed in its lifespan.startup: AssertionError. If it does not know ")


def test_on_insists_on_an_answer() -> None:
    assert "returned without answering lifespan.startup" in startup_error(lifespan_of(returns, "on")).message


@pytest.mark.parametrize("mode", MODES)
def test_sys_exit_in_startup_stops_the_start(mode: Mode) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise SystemExit(7)

    assert startup_error(lifespan_of(app, mode)).message == "main:app called sys.exit(7) in its lifespan.startup."


async def never_receives(scope: Any, receive: Any, send: Any) -> None:
    await asyncio.get_running_loop().create_future()


async def never_answers(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await receive()


@for_each_row("mode", MODES)
@for_each_row("app", [never_receives, never_answers])
def test_a_startup_that_takes_too_long_names_the_setting(app: Any, mode: Mode) -> None:
    message = startup_error(lifespan_of(app, mode, startup=0.01)).message
    assert message.startswith("main:app did not answer lifespan.startup within 0.01 s.")
    assert "--timeout-lifespan-startup" in message


def test_cancelling_startup_cancels_the_application() -> None:
    cancelled = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    async def scenario() -> None:
        starting = asyncio.create_task(lifespan_of(app).startup())
        for _ in range(5):
            await asyncio.sleep(0)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting

    run(scenario)
    assert cancelled == [True]


def test_an_application_whose_start_is_complete_when_it_is_cancelled_cleans_up() -> None:
    events: list[str] = []
    tasks: list[asyncio.Task[None]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        tasks[0].cancel()
        events.append((await receive())["type"])
        await send({"type": "lifespan.shutdown.complete"})

    async def scenario() -> None:
        lifespan = lifespan_of(app)
        tasks.append(asyncio.create_task(lifespan.startup()))
        await asyncio.wait(tasks)
        assert tasks[0].cancelled()
        await lifespan.shutdown(5)

    run(scenario)
    assert events == ["lifespan.shutdown"]


# --- Messages that do not belong there ---


@for_each_row(
    ("message", "error", "text"),
    [
        ("lifespan.startup.complete", TypeError, "an ASGI message is a dict, not str"),
        ({}, RuntimeError, "None is not a message of the lifespan protocol"),
        ({"type": "lifespan.startup"}, RuntimeError, "'lifespan.startup' is not a message"),
        ({"type": "lifespan.startup.failed", "message": b"x"}, TypeError, "its message is a str, not bytes"),
        (
            {"type": "lifespan.shutdown.complete"},
            RuntimeError,
            "lifespan.shutdown.complete was not expected yet",
        ),
    ],
)
def test_a_wrong_message_raises_in_the_application(message: Any, error: type[Exception], text: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        with pytest.raises(error, match=text):
            await send(message)
        await send({"type": "lifespan.startup.complete"})

    start_and_stop(lifespan_of(app, "on"))


def test_answering_twice_raises_in_the_application() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "lifespan.startup.complete"})
        for kind in ("lifespan.startup.complete", "lifespan.startup.failed"):
            with pytest.raises(RuntimeError, match="was not expected again"):
                await send({"type": kind})

    start_and_stop(lifespan_of(app, "on"))


# --- Between startup and shutdown, and shutdown that fails ---


def test_a_death_between_startup_and_shutdown_is_logged_once(log: pytest.LogCaptureFixture) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        raise OSError("connection lost")

    async def scenario() -> None:
        lifespan = lifespan_of(app)
        await lifespan.startup()
        for _ in range(3):
            await asyncio.sleep(0)
        await lifespan.shutdown(math.inf)

    run(scenario)
    (record,) = log.records
    assert record.levelname == "ERROR"
    assert "lifespan failed between startup and shutdown" in record.getMessage()
    assert record.getMessage().endswith("OSError: connection lost")


def test_returning_between_startup_and_shutdown_is_allowed(log: pytest.LogCaptureFixture) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})

    lifespan = lifespan_of(app)
    start_and_stop(lifespan)
    assert lifespan.state == {}
    assert [record for record in log.records if record.levelno > logging.DEBUG] == []


def shutdown_log(app: Any, log: pytest.LogCaptureFixture, limit: float = math.inf) -> str:
    start_and_stop(lifespan_of(app), limit)
    (record,) = [record for record in log.records if record.levelno >= logging.ERROR]
    return record.getMessage()


def test_shutdown_failed_is_logged_with_its_message(log: pytest.LogCaptureFixture) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await receive()
        await send({"type": "lifespan.shutdown.failed", "message": "pool is stuck"})

    assert shutdown_log(app, log) == "lifespan shutdown failed: main:app: pool is stuck"


def test_an_exception_in_shutdown_is_logged(log: pytest.LogCaptureFixture) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        raise OSError("pool is stuck")

    message = shutdown_log(app, log)
    assert message.startswith("lifespan failed while it shut down: main:app\nTraceback")
    assert message.endswith("OSError: pool is stuck")


def test_a_shutdown_that_takes_too_long_is_cancelled_and_names_the_setting(
    log: pytest.LogCaptureFixture,
) -> None:
    cancelled = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cancelled.append(True)

    message = shutdown_log(app, log, limit=0.01)
    assert message.startswith("lifespan shutdown cancelled after 0.0 s (--timeout-lifespan-shutdown): main:app; it is")
    assert message.endswith("await asyncio.get_running_loop().create_future()")
    assert cancelled == [True]


def test_cancelling_shutdown_cancels_the_application() -> None:
    cancelled = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cancelled.append(True)

    async def scenario() -> None:
        lifespan = lifespan_of(app)
        await lifespan.startup()
        stopping = asyncio.create_task(lifespan.shutdown(math.inf))
        for _ in range(5):
            await asyncio.sleep(0)
        stopping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stopping

    run(scenario)
    assert cancelled == [True]
