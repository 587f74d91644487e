"""Calls an ASGI application for each probe, in an event loop of its own, as a server does."""

import asyncio
import contextlib
import inspect
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Generator, Iterator
from time import perf_counter
from types import FrameType, TracebackType
from typing import Any

from ianus.check.asgi_rules import (
    DENIAL,
    EARLY_HINT,
    PATHSEND,
    TRAILERS,
    ZEROCOPYSEND,
    LifespanMessages,
    ResponseMessages,
    WebSocketMessages,
    kind_name,
)
from ianus.check.places import Place, place_of_error, place_of_frame
from ianus.check.probes import (
    FAILED_STATUS,
    MAX_REPEATS,
    MAX_STREAM_REPEATS,
    METHODS,
    REPEAT_SECONDS,
    STREAM_SECONDS,
    Measurement,
    Probe,
)
from ianus.check.timing import CallRecorder, MeasuredSelector, Sampler
from ianus.check.violations import Violations
from ianus.errors import StartupError, one_line
from ianus.gateway.loading.loader import Application

# Seconds for an application to end after the client has disconnected, and those in which send() has no effect before it
# raises an exception.
END_SECONDS = 2.0
SILENT_SECONDS = 0.2
MAX_INTERRUPTS = 3

LIFESPAN_PROBE = "lifespan"
SPEC_VERSION = "2.3"  # as gateway/asgi/scope


class DisconnectedProbeError(OSError):
    """send() is called after the client has disconnected (ASGI HTTP, "Disconnected Client - send exception")."""


class BlockedLoopError(BaseException):
    """Interrupts a call that has blocked the event loop for too long."""


class AsgiDriver:
    """Drives one application. place: its first line. timeout: seconds for a response."""

    def __init__(self, app: Application, violations: Violations, *, place: Place | None, timeout: float) -> None:
        self.app, self.violations, self.place, self.timeout = app, violations, place, timeout
        self.recorder = CallRecorder()
        self.selector = MeasuredSelector()
        self.websocket_paths: list[str] = []
        self.state: dict[str, Any] | None = None
        self._loop_thread = threading.get_ident()

    def run(self, paths: list[str], host: str) -> list[Measurement]:
        """Sends all probes, and returns a measurement of GET for each path."""
        loop = asyncio.SelectorEventLoop(self.selector)
        loop.set_exception_handler(lambda *_: None)
        asyncio.set_event_loop(loop)
        try:
            return loop.run_until_complete(self._run(paths, host))
        except SystemExit as error:
            # A task of the application that is not the one of its call.
            self.violations.add("asgi-exception", "the application called sys.exit()", place_of_error(error), "")
            return []
        except RuntimeError as error:
            if "loop stopped" not in str(error):
                raise
            self.violations.add("asgi-exception", "the application stopped the event loop", self.place, "")
            return []
        finally:
            _cancel_tasks(loop)
            asyncio.set_event_loop(None)
            # Not asyncio.Runner, which waits for calls in the threads of the loop, for ever if one is stuck.
            loop.close()

    async def _run(self, paths: list[str], host: str) -> list[Measurement]:
        lifespan = _LifespanCall(self)
        await lifespan.start()
        measured = []
        for path in paths:
            for method in METHODS:
                with self.recorder:
                    measurement = await self._request(Probe(method, path, host))
                if method == "GET":
                    measured.append(measurement)
                if measurement.is_stuck:
                    break  # So would be the others.
            with self.recorder:
                await self._handshake(Probe("GET", path, host))
        measurements = [
            await self._measure(Probe("GET", path, host), first) for path, first in zip(paths, measured, strict=True)
        ]
        await lifespan.stop()
        return measurements

    async def _measure(self, probe: Probe, first: Measurement) -> Measurement:
        """Repeats a probe and returns the fastest response. The first one, which imports modules, does not count."""
        if not first.status or first.is_stuck or first.status >= FAILED_STATUS:
            return first
        started = perf_counter()
        found = []
        for _ in range(MAX_STREAM_REPEATS if first.is_stream else MAX_REPEATS):
            found.append(await self._request(probe))
            if perf_counter() - started > REPEAT_SECONDS and not first.is_stream:
                break
        best = min(found, key=lambda each: each.seconds)
        # Other processes can only add time, to each of the figures.
        best.loop_blocked = min(each.loop_blocked for each in found)
        best.loop_cpu = min(each.loop_cpu for each in found)
        best.in_threads = any(each.in_threads for each in found)
        best.place = next((each.place for each in found if each.place is not None), None)
        return best

    async def _request(self, probe: Probe) -> Measurement:
        call = _HttpCall(self, probe)
        return await call.run()

    async def _handshake(self, probe: Probe) -> None:
        call = _WebSocketCall(self, probe)
        await call.run()
        if call.messages.is_accepted:
            self.websocket_paths.append(probe.target)

    def scope(self, probe: Probe) -> dict[str, Any]:
        """Returns the entries that scopes of requests and of WebSockets share."""
        scope: dict[str, Any] = {
            "asgi": {"version": "3.0", "spec_version": SPEC_VERSION},
            "http_version": "1.1",
            "path": probe.path,
            "raw_path": probe.raw_path,
            "query_string": probe.query.encode(),
            "root_path": "",
            "client": ("127.0.0.1", 50_000),
            "server": ("127.0.0.1", 8_000),
        }
        if self.state is not None:
            scope["state"] = dict(self.state)
        return scope

    def on_send(self, take: Callable[[Any, Place | None], None], message: Any, frame: FrameType, probe: str) -> None:
        """Checks a call of send(), which `frame` makes."""
        place = place_of_frame(frame)
        if threading.get_ident() != self._loop_thread:
            text = "send() is called in another thread than the one of the event loop"
            self.violations.add("asgi-thread", text, place, probe)
        take(message, place)

    def report_to(self, probe: str) -> Callable[[str, str, Place | None], None]:
        def report(rule: str, message: str, place: Place | None) -> None:
            self.violations.add(rule, message, place or self.place, probe, self.recorder.handler)

        return report


class ExitedProbeError(Exception):
    """The application called sys.exit() for a request, which would end the event loop."""


class _Call:
    """One call of the application. The subclass has the scope, the events and the rules."""

    def __init__(self, driver: AsgiDriver, probe: str) -> None:
        self.driver, self.probe = driver, probe
        self.report = driver.report_to(probe)
        self.sends: list[_Send] = []
        self.disconnected = asyncio.Event()
        self.disconnected_at = 0.0
        self.changed = asyncio.Event()
        self.task: asyncio.Task[Any] | None = None

    def start_call(self, scope: dict[str, Any]) -> None:
        self.task = asyncio.create_task(self._call(scope))
        self.task.add_done_callback(lambda _: self.changed.set())

    async def _call(self, scope: dict[str, Any]) -> None:
        result = self.driver.app.callable(scope, self.receive, self.send)
        if not inspect.isawaitable(result):
            text = f"the application returned {kind_name(result)}, not an awaitable"
            self.report("asgi-call", text, self.driver.place)
            return
        try:
            await result
        except SystemExit as error:
            raise ExitedProbeError(f"sys.exit({error.code!r})").with_traceback(error.__traceback__) from None

    async def receive(self) -> dict[str, Any]:
        raise NotImplementedError

    def take(self, message: Any, place: Place | None) -> None:
        raise NotImplementedError

    def send(self, message: Any) -> "_Send":
        call = _Send(self._send(message, sys._getframe(1)), sys._getframe(1))
        self.sends.append(call)
        return call

    async def _send(self, message: Any, frame: FrameType) -> None:
        if self.disconnected_at:
            # So that a stream without an end gives others a turn.
            await asyncio.sleep(0)
            if perf_counter() - self.disconnected_at > SILENT_SECONDS:
                raise DisconnectedProbeError("the client has disconnected")
            return
        self.driver.on_send(self.take, message, frame, self.probe)
        self.changed.set()
        await asyncio.sleep(0)

    def disconnect(self) -> None:
        self.disconnected_at = perf_counter()
        self.disconnected.set()

    async def wait_until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Waits until the condition is true or the application has returned. Returns whether one of these is so."""
        assert self.task is not None
        end = perf_counter() + seconds
        while not condition() and not self.task.done():
            self.changed.clear()
            try:
                async with asyncio.timeout(max(end - perf_counter(), 0)):
                    await self.changed.wait()
            except TimeoutError:
                return condition() or self.task.done()
        return True

    async def finish(self, seconds: float) -> bool:
        """Waits for the application to return. Returns whether it has; if not, it is cancelled."""
        assert self.task is not None
        if not await self.wait_until(self.task.done, seconds):
            self.task.cancel()
            await asyncio.wait({self.task}, timeout=END_SECONDS)
            return False
        return True

    def error(self) -> BaseException | None:
        """Returns the exception of the application, or None."""
        if self.task is None or not self.task.done() or self.task.cancelled():
            return None
        return self.task.exception()

    def check_sends(self) -> None:
        """Reports calls of send() that the application has not awaited."""
        for call in self.sends:
            if not call.is_started:
                self.report("asgi-not-awaited", "send() is called without await, so nothing is sent", call.place)
                call.close()
        self.sends.clear()


class _Send(Coroutine[Any, Any, None]):
    """The awaitable that send() returns. is_started: it was awaited."""

    def __init__(self, coroutine: Coroutine[Any, Any, None], frame: FrameType) -> None:
        self._coroutine = coroutine
        self.is_started = False
        self.place = place_of_frame(frame)

    def __await__(self) -> Generator[Any, Any, None]:
        self.is_started = True
        return self._coroutine.__await__()

    def send(self, value: Any) -> Any:
        self.is_started = True
        return self._coroutine.send(value)

    def throw(
        self,
        kind: type[BaseException] | BaseException,
        value: BaseException | object = None,
        traceback: TracebackType | None = None,
    ) -> Any:
        self.is_started = True
        return self._coroutine.throw(kind)

    def close(self) -> None:
        self._coroutine.close()


class _HttpCall(_Call):
    """A request and its response."""

    def __init__(self, driver: AsgiDriver, probe: Probe) -> None:
        super().__init__(driver, str(probe))
        self.request = probe
        self.messages = ResponseMessages(probe.method, self.report)
        self.take = self.messages.take  # type: ignore[method-assign]
        self._has_received = False

    async def receive(self) -> dict[str, Any]:
        if not self._has_received:
            self._has_received = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.disconnected.wait()
        return {"type": "http.disconnect"}

    async def run(self) -> Measurement:
        scope = self.driver.scope(self.request) | {
            "type": "http",
            "method": self.request.method,
            "scheme": "http",
            "headers": [(b"host", self.request.host.encode()), (b"user-agent", b"ianus-check"), (b"accept", b"*/*")],
            "extensions": {TRAILERS: {}, PATHSEND: {}, ZEROCOPYSEND: {}, EARLY_HINT: {}},
        }
        selector = self.driver.selector
        self.driver.recorder.forget()
        measurement = Measurement(self.request.target)
        await asyncio.sleep(0)  # The work of earlier probes is not part of this one.
        with Sampler(lambda: selector.running_since, others=True) as sampler, interrupted(self.driver.timeout + 1):
            selector.reset()
            started = perf_counter()
            self.start_call(scope)
            has_ended = await self._wait_for_response(measurement)
            measurement.seconds = perf_counter() - started
        measurement.loop_blocked, measurement.loop_cpu = selector.blocked, selector.cpu
        measurement.cpu, measurement.place = selector.busy_cpu, sampler.place
        measurement.in_threads = sampler.in_threads
        measurement.status, measurement.size = self.messages.status, self.messages.length.sent
        if has_ended:
            self.disconnected.set()  # receive() has http.disconnect after a response as well.
        else:
            self.disconnect()
        await self._check_end(measurement, has_ended)
        return measurement

    async def _wait_for_response(self, measurement: Measurement) -> bool:
        """Returns whether the response is complete, or the application has returned."""
        messages = self.messages
        if not await self.wait_until(lambda: messages.status > 0, self.driver.timeout):
            return False
        # An event stream may send its head long before the first event.
        seconds = STREAM_SECONDS if messages.is_event_stream else self.driver.timeout
        if not await self.wait_until(lambda: messages.length.sent > 0 or messages.is_complete, seconds):
            measurement.is_stream = True
            return False
        if not await self.wait_until(lambda: messages.is_complete, STREAM_SECONDS):
            measurement.is_stream = True
            return False
        return True

    async def _check_end(self, measurement: Measurement, has_ended: bool) -> None:
        assert self.task is not None
        has_returned = await self.finish(self.driver.timeout if has_ended else END_SECONDS)
        error = self.error()
        measurement.is_stuck = not has_returned or isinstance(error, BlockedLoopError)
        self.check_sends()
        if isinstance(error, BlockedLoopError):
            place = place_of_error(error)
            text = f"{self.probe} blocked the event loop for {self.driver.timeout:g} s and was interrupted at {place}"
            self.driver.violations.note(text)
        elif error is not None and not isinstance(error, DisconnectedProbeError):
            self._report_error(error)
        elif not has_returned and measurement.is_stream:
            text = f"the application does not end within {END_SECONDS:g} s after http.disconnect"
            self.report("asgi-disconnect", text, self.messages.start_place)
        elif not has_returned:
            end = "return after its response" if has_ended else "answer"
            self.driver.violations.note(f"{self.probe} did not {end} within {self.driver.timeout:g} s")
        elif has_ended and not self.driver.violations.has(self.probe):
            self.messages.end(self.driver.place)
        elif has_ended:
            self.messages.check_length()

    def _report_error(self, error: BaseException) -> None:
        place = place_of_error(error)
        if self.messages.is_complete:
            # Middleware of frameworks answers 500 and raises the exception for the log of the server.
            self.driver.violations.note(
                f"{self.probe} is answered with {self.messages.status}, then raises {one_line(error)} at {place}"
            )
        elif self.driver.violations.has(self.probe):
            return  # The exception is probably a consequence.
        else:
            act = "called" if isinstance(error, ExitedProbeError) else "raised"
            text = str(error) if isinstance(error, ExitedProbeError) else one_line(error)
            self.report("asgi-exception", f"the application {act} {text:.300}", place)


class _WebSocketCall(_Call):
    """A handshake of a WebSocket. The client disconnects when it is answered."""

    def __init__(self, driver: AsgiDriver, probe: Probe) -> None:
        super().__init__(driver, f"WebSocket {probe.target}")
        self.request = probe
        self.messages = WebSocketMessages(self.report)
        self.take = self.messages.take  # type: ignore[method-assign]
        self._has_received = False

    async def receive(self) -> dict[str, Any]:
        if not self._has_received:
            self._has_received = True
            return {"type": "websocket.connect"}
        await self.disconnected.wait()
        return {"type": "websocket.disconnect", "code": 1005, "reason": ""}

    async def run(self) -> None:
        scope = self.driver.scope(self.request) | {
            "type": "websocket",
            "scheme": "ws",
            "headers": [
                (b"host", self.request.host.encode()),
                (b"connection", b"Upgrade"),
                (b"upgrade", b"websocket"),
                (b"sec-websocket-version", b"13"),
                (b"sec-websocket-key", b"AAAAAAAAAAAAAAAAAAAAAA=="),
            ],
            "subprotocols": [],
            "extensions": {DENIAL: {}},
        }
        self.driver.recorder.forget()
        with interrupted(self.driver.timeout + 1):
            self.start_call(scope)
            await self.wait_until(lambda: self.messages.is_answered, self.driver.timeout)
            # Time for messages that the application sends at once.
            await asyncio.sleep(0.05 if self.messages.is_accepted else 0)
        # After a disconnect frameworks raise an exception of their own, to end the handler.
        ended_early = self.task is not None and self.task.done()
        self.disconnect()
        has_returned = await self.finish(END_SECONDS)
        error = self.error()
        self.check_sends()
        if not has_returned and self.messages.is_accepted:
            text = f"the application does not end within {END_SECONDS:g} s after websocket.disconnect"
            self.report("asgi-ws-disconnect", text, self.driver.place)
        elif not has_returned and not self.messages.is_answered:
            self.driver.violations.note(f"{self.probe}: no answer within {self.driver.timeout:g} s")
        elif error is None:
            if not self.driver.violations.has(self.probe):
                self.messages.end(self.driver.place)
        elif self.messages.is_answered and ended_early:
            self.driver.violations.note(f"{self.probe} raises {one_line(error)} at {place_of_error(error)}")
        # An exception before the answer is the way to reject a protocol (ASGI, "Protocol Specifications").


class _LifespanCall(_Call):
    """The lifespan of the application, which lasts as long as the probes."""

    def __init__(self, driver: AsgiDriver) -> None:
        super().__init__(driver, LIFESPAN_PROBE)
        self.messages = LifespanMessages(self.report)
        self.take = self.messages.take  # type: ignore[method-assign]
        self._events = ["lifespan.startup", "lifespan.shutdown"]
        self._shutdown = asyncio.Event()
        self._has_received = False

    async def receive(self) -> dict[str, Any]:
        if len(self._events) == 1:
            await self._shutdown.wait()
            self.messages.is_stopping = True
        if not self._events:
            await asyncio.get_running_loop().create_future()
        self._has_received = True
        return {"type": self._events.pop(0)}

    async def start(self) -> None:
        state: dict[str, Any] = {}
        violations = self.driver.violations
        with interrupted(self.driver.timeout + 1):
            scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": state}
            self.start_call(scope)
            is_answered = await self.wait_until(lambda: self.messages.is_started, self.driver.timeout)
        self.check_sends()
        if self.messages.failure is not None:
            text = self.messages.failure.strip().rpartition("\n")[2] or "it gives no reason"
            violations.note(f"lifespan startup failed: {text}")
        elif self.messages.is_started:
            self.driver.state = state
        elif not is_answered:
            text = f"lifespan.startup is not answered within {self.driver.timeout:g} s"
            self.report("asgi-lifespan", text, self.driver.place)
        elif self.error() is None and not violations.has(self.probe):
            violations.note(
                "The application returns from the lifespan scope without an answer. A server cannot distinguish that"
                ' from a start: raise an exception for a scope["type"] that it does not know.'
            )
        elif self._has_received and self.error() is not None:
            violations.note(f"lifespan startup raised {one_line(self.error() or SystemError())}; it is served without")

    async def stop(self) -> None:
        assert self.task is not None
        if self.task.done() or not self.messages.is_started or self.messages.failure is not None:
            await self.finish(0)
            return
        self._shutdown.set()
        with interrupted(self.driver.timeout + 1):
            has_ended = await self.wait_until(lambda: self.messages.is_stopped, self.driver.timeout)
        error = self.error()
        if error is not None:
            self.driver.violations.note(f"lifespan shutdown raised {one_line(error)} at {place_of_error(error)}")
        elif not has_ended or not self.messages.is_stopped:
            self.report("asgi-lifespan-shutdown", "lifespan.shutdown is not answered", self.driver.place)
        await self.finish(END_SECONDS)
        self.check_sends()


def _cancel_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """Cancels the tasks that the application has started, and gives them a moment to end."""
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        with interrupted(END_SECONDS), contextlib.suppress(SystemExit):
            loop.run_until_complete(asyncio.wait(tasks, timeout=END_SECONDS))
    for task in tasks:
        if task.done() and not task.cancelled():
            task.exception()  # Seen: asyncio shall not report it.


@contextlib.contextmanager
def interrupted(seconds: float) -> Iterator[None]:
    """Interrupts code that blocks the event loop for longer, by an exception in it.

    A loop that runs has stopped to wait by then, so a timer alone can interrupt it. It works in the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    count = 0

    def interrupt(signal_number: int, frame: FrameType | None) -> None:
        nonlocal count
        count += 1
        if count > MAX_INTERRUPTS:
            sys.stderr.write(f"Error: The application blocks the event loop at {place_of_frame(frame)}, for ever.\n")
            os._exit(StartupError.exit_code)
        raise BlockedLoopError

    before = signal.signal(signal.SIGALRM, interrupt)
    # Repeated, since an application may catch BaseException. If it does so again and again, the process ends.
    signal.setitimer(signal.ITIMER_REAL, seconds + STREAM_SECONDS, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
