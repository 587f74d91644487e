"""The lifespan protocol: notifies the application of the start and the end of the loop (asgi-lifespan 2.0).

The application is called once, in a task of its own that lives as long as the worker:

    startup() ------ lifespan.startup ------> app     waits for startup.complete or startup.failed
                     ... requests ...
    shutdown() ----- lifespan.shutdown -----> app     waits for shutdown.complete or shutdown.failed

Modes: `off` never calls it. With `on`, any failure at startup stops the server. `auto` takes an exception before
startup.complete as "this application does not know the protocol", as the specification demands, and continues
without it. In both, an application that sends startup.failed stops the server, and so does one that does not answer.
"""

import asyncio
import math
from time import monotonic
from typing import Any, Literal

from ianus.errors import StartupError, ThreadLimitError, is_thread_limit, one_line, user_traceback
from ianus.gateway.asgi.suspended import task_stack
from ianus.gateway.loading.loader import Application
from ianus.telemetry.logger import logger

Mode = Literal["auto", "on", "off"]

# Maximum time for a cancelled lifespan to end, and its part of the time of a shutdown.
ABANDON_SECONDS = 1.0
ABANDON_PART = 0.2


class Lifespan:
    """One application's life in one event loop.

    timeout_lifespan_startup: seconds; 0 means unlimited.
    state: the application's scope["state"], to be copied into the scope of every request; None if the
        protocol is not used.
    """

    def __init__(self, app: Application, *, lifespan: Mode, timeout_lifespan_startup: float) -> None:
        self.app = app
        self.lifespan = lifespan
        self.timeout_lifespan_startup = timeout_lifespan_startup or None
        self.state: dict[str, Any] | None = None
        self._task: asyncio.Task[None] | None = None
        self._asked_to_start = False  # The application has received lifespan.startup,
        self._asked_to_stop = False  # and lifespan.shutdown.

    async def startup(self) -> None:
        """Returns once the application has started, or is known to have nothing to start.

        Raises StartupError. Cancelling it cancels the application's startup; shutdown() is to be called nevertheless.
        """
        if self.lifespan == "off":
            return
        loop = asyncio.get_running_loop()
        # None: complete; a text: failed, with this message.
        self._started: asyncio.Future[str | None] = loop.create_future()
        self._stopped: asyncio.Future[str | None] = loop.create_future()
        self._stopping = asyncio.Event()
        self._waits_forever: asyncio.Future[None] = loop.create_future()
        state: dict[str, Any] = {}
        self._task = asyncio.create_task(self._run(state), name="ianus lifespan")
        try:
            await self._wait(self._started, self.timeout_lifespan_startup)
        except asyncio.CancelledError:
            # Complete in this turn of the loop, it has started, so shutdown() lets it clean up.
            if not self._started.done() or self._started.result() is not None:
                await self.abandon()
            raise
        if self._started.done():
            message = self._started.result()
            if message is not None:
                await self.abandon()
                raise self._failed(message)
            self.state = state
            self._task.add_done_callback(self._on_end)
        elif self._task.done():
            self._unsupported(self._task)
            self._task = None
        else:
            await self.abandon()
            raise StartupError(
                f"{self.app.name} did not answer lifespan.startup within {self.timeout_lifespan_startup:g} s. "
                "If it needs longer raise --timeout-lifespan-startup; if it does not know the lifespan "
                "protocol use --lifespan off."
            )

    async def shutdown(self, seconds: float) -> None:
        """Returns once the application has cleaned up, or its time is over. Failures are logged.

        Cancelling it cancels the application's clean-up.
        """
        task = self._task
        if task is None or task.done():
            return
        task.remove_done_callback(self._on_end)
        self._stopping.set()
        try:
            await self._wait_for_clean_up(task, seconds)
        finally:
            await self.abandon(min(ABANDON_SECONDS, seconds * ABANDON_PART))

    async def _wait_for_clean_up(self, task: "asyncio.Task[None]", seconds: float) -> None:
        limit = seconds * (1 - ABANDON_PART) if seconds < math.inf else None
        started = monotonic()
        await self._wait(self._stopped, limit)
        if self._stopped.done():
            message = self._stopped.result()
            if message is not None:
                logger.error("lifespan shutdown failed: %s: %s", self.app.name, message or "it gives no reason")
            # The application has answered, but may have more code to run.
            await self._wait(self._waits_forever, limit and max(limit - (monotonic() - started), 0.0))
        elif task.done():
            self._log_end(task, "while it shut down")
        else:
            logger.error(
                "lifespan shutdown cancelled after %.1f s (--timeout-lifespan-shutdown): %s; it is here:\n%s",
                monotonic() - started,
                self.app.name,
                task_stack(task) or "  (in no Python code of the application)",
            )

    def stack(self) -> str:
        """Formats the frames of the application in its lifespan, "" if there are none."""
        return task_stack(self._task) if self._task is not None else ""

    # --- The application's side ---

    async def _run(self, state: dict[str, Any]) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": state}
        try:
            await self.app.callable(scope, self._receive, self._send)
        except SystemExit as error:
            # Left alone it would end the event loop from within; the task's owner decides.
            raise _ExitError(error.code) from error

    async def _receive(self) -> dict[str, Any]:
        if not self._asked_to_start:
            self._asked_to_start = True
            return {"type": "lifespan.startup"}
        if self._asked_to_stop:
            # There is no third event. A task that waits for one is cancelled (shutdown()).
            if not self._waits_forever.done():
                self._waits_forever.set_result(None)
            await asyncio.get_running_loop().create_future()
        await self._stopping.wait()
        self._asked_to_stop = True
        return {"type": "lifespan.shutdown"}

    async def _send(self, message: Any) -> None:
        if not isinstance(message, dict):
            raise TypeError(f"an ASGI message is a dict, not {type(message).__name__}")
        kind = message.get("type")
        text = message.get("message", "")
        if not isinstance(text, str):
            raise TypeError(f"{kind}: its message is a str, not {type(text).__name__}")
        match kind:
            case "lifespan.startup.complete" | "lifespan.startup.failed":
                answer, expected = self._started, True
            case "lifespan.shutdown.complete" | "lifespan.shutdown.failed":
                answer, expected = self._stopped, self._asked_to_stop
            case _:
                raise RuntimeError(f"{kind!r} is not a message of the lifespan protocol")
        if answer.done() or not expected:
            raise RuntimeError(f"{kind} was not expected {'again' if answer.done() else 'yet'}")
        answer.set_result(text if kind.endswith("failed") else None)

    # --- The server's side ---

    async def _wait(self, answer: "asyncio.Future[Any]", limit: float | None) -> None:
        """Until the application answers, or ends, or the limit (seconds) is over."""
        awaited: set[asyncio.Future[Any]] = {answer, self._task} if self._task is not None else {answer}
        await asyncio.wait(awaited, timeout=limit, return_when=asyncio.FIRST_COMPLETED)

    async def abandon(self, seconds: float = ABANDON_SECONDS) -> None:
        """Cancels the task if it still runs and gives it a moment to obey. Its exception is dropped."""
        task, self._task = self._task, None
        if task is None:
            return
        task.remove_done_callback(self._on_end)
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=seconds)
        if done and not task.cancelled():
            task.exception()  # Seen: asyncio shall not report it as "never retrieved".

    def _failed(self, message: str) -> StartupError:
        """startup.failed: frameworks put a whole traceback into the message."""
        text = message.strip()
        name = self.app.name
        if "can't start new thread" in text:
            return ThreadLimitError(f"{name} failed to start: can't start new thread", details=text)
        if "\n" in text:
            return StartupError(f"{name} failed to start: {text.splitlines()[-1].strip()}", details=text)
        return StartupError(f"{name} failed to start: {text or 'it gives no reason (lifespan.startup.failed)'}")

    def _unsupported(self, task: "asyncio.Task[None]") -> None:
        """The application ended without an answer. Raises StartupError unless that is allowed."""
        name = self.app.name
        error = _error_of(task)
        if isinstance(error, KeyboardInterrupt):  # by a stop, as it blocked the loop
            raise StartupError(f"{name} was interrupted in its lifespan.startup.")
        if isinstance(error, _ExitError):
            raise StartupError(f"{name} called sys.exit({error.code!r}) in its lifespan.startup.")
        if error is not None and is_thread_limit(error):
            raise ThreadLimitError(
                f"{name} failed in its lifespan.startup: can't start new thread", details=user_traceback(error)
            )
        if self.lifespan == "on":
            if error is None:
                raise StartupError(
                    f"{name} returned without answering lifespan.startup, and --lifespan on insists on an "
                    "answer. Let it send lifespan.startup.complete, or use --lifespan auto."
                )
            raise StartupError(
                f"{name} failed in its lifespan.startup: {one_line(error)}. "
                "If it does not know the lifespan protocol use --lifespan auto or off.",
                details=user_traceback(error),
            )
        if error is not None and self._asked_to_start:
            # It knows the protocol well enough to listen: more likely a bug than a refusal.
            logger.warning(
                "lifespan startup raised an exception, serving without lifespan (--lifespan on prevents the start): "
                "%s\n%s",
                name,
                user_traceback(error).rstrip(),
            )
        else:
            logger.debug("lifespan is not supported: %s (%r)", name, error)

    def _on_end(self, task: "asyncio.Task[None]") -> None:
        self._log_end(task, "between startup and shutdown; it gets no lifespan.shutdown")

    def _log_end(self, task: "asyncio.Task[None]", when: str) -> None:
        error = _error_of(task)
        if error is None:
            logger.debug("lifespan returned %s: %s", when, self.app.name)
            return
        logger.error("lifespan failed %s: %s\n%s", when, self.app.name, user_traceback(error).rstrip())


class _ExitError(Exception):
    """The application called sys.exit() in its lifespan."""

    def __init__(self, code: object) -> None:
        super().__init__(f"sys.exit({code!r})")
        self.code = code


def _error_of(task: "asyncio.Task[None]") -> BaseException | None:
    if task.cancelled():
        return asyncio.CancelledError("the lifespan task was cancelled")
    return task.exception()
