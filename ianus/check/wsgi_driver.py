"""Calls a WSGI application for each probe, in a thread, as a server does; also through wsgiref.validate."""

import sys
import threading
import warnings
from collections.abc import Callable, Iterable
from time import perf_counter, thread_time
from typing import Any
from wsgiref.validate import WSGIWarning, validator

from ianus.check.places import Place, place_in_application, place_of_callable, place_of_error, place_of_frame
from ianus.check.probes import (
    FAILED_STATUS,
    MAX_BODY_BYTES,
    MAX_REPEATS,
    METHODS,
    REPEAT_SECONDS,
    STREAM_SECONDS,
    Measurement,
    Probe,
)
from ianus.check.timing import CallRecorder, Sampler
from ianus.check.violations import Violations
from ianus.check.wsgi_rules import ErrorsStream, InputStream, ResponseCalls
from ianus.errors import one_line
from ianus.gateway.loading.loader import Application


class WsgiDriver:
    """Drives one application. timeout: seconds for a response."""

    def __init__(self, app: Application, violations: Violations, *, timeout: float) -> None:
        self.app, self.violations, self.timeout = app, violations, timeout
        self.place = place_of_callable(app.callable)
        self.recorder: CallRecorder | None = None

    def run(self, paths: list[str], host: str) -> list[Measurement]:
        """Sends all probes, and returns a measurement of GET for each path."""
        measurements = []
        for path in paths:
            first = Measurement(path)
            for method in METHODS:
                probe = Probe(method, path, host)
                measurement = Measurement(path)
                if not self._in_thread(probe, lambda p=probe, m=measurement: self._recorded(p, m)):  # type: ignore[misc]
                    first.is_stuck = True
                    break
                if method == "GET":
                    first = measurement
                if not measurement.is_stream:
                    self._in_thread(probe, lambda p=probe: self._validated(p))  # type: ignore[misc]
            measurements.append(self._measure(Probe("GET", path, host), first))
        return measurements

    def _measure(self, probe: Probe, first: Measurement) -> Measurement:
        """Repeats a probe in one thread, and returns the fastest response."""
        if first.is_stream or not first.status or first.status >= FAILED_STATUS:
            return first
        found: list[Measurement] = []

        def repeat() -> None:
            started = perf_counter()
            for _ in range(MAX_REPEATS):
                found.append(self._call(probe, Measurement(probe.target)))
                if perf_counter() - started > REPEAT_SECONDS:
                    break

        self._in_thread(probe, repeat, seconds=self.timeout * 2)
        if not found:
            return first
        best = min(found, key=lambda each: each.seconds)
        best.place = best.place or first.place
        return best

    def _in_thread(self, probe: Probe, call: Callable[[], object], *, seconds: float = 0.0) -> bool:
        """Makes a call in a thread. Returns whether it has returned in time; the thread is abandoned if not."""
        limit = seconds or self.timeout + STREAM_SECONDS
        thread = threading.Thread(target=call, name="ianus-check", daemon=True)
        thread.start()
        thread.join(limit)
        if not thread.is_alive():
            return True
        place = place_of_frame(sys._current_frames().get(thread.ident or 0))
        self.violations.note(f"{probe} did not end within {limit:g} s; the application is at {place}")
        return False

    def _recorded(self, probe: Probe, measurement: Measurement) -> None:
        self.recorder = CallRecorder()
        with self.recorder:
            self._call(probe, measurement)

    def _call(self, probe: Probe, measurement: Measurement) -> Measurement:
        """Calls the application, checks the response and measures it."""
        calls = ResponseCalls(probe.method, self._report_to(probe))
        environ = make_environ(probe, self._report_to(probe))
        started, cpu = perf_counter(), thread_time()
        with Sampler(lambda: started) as sampler:
            try:
                result = self.app.callable(environ, calls.start_response)
                if calls.check_result(result, self.place):
                    self._iterate(result, calls, measurement, started)
            except BaseException as error:
                self._report_error(error, calls, probe)
            measurement.seconds, measurement.cpu = perf_counter() - started, thread_time() - cpu
        measurement.place = sampler.place
        measurement.status, measurement.size = calls.status, calls.length.sent
        return measurement

    def _iterate(self, result: Any, calls: ResponseCalls, measurement: Measurement, started: float) -> None:
        first_at = 0.0
        count = 0
        is_complete = True
        try:
            iterator = iter(result)
            calls.is_iterating = True
            for item in iterator:
                count += 1
                calls.check_item(item, result, self.place)
                first_at = first_at or perf_counter()
                if perf_counter() - first_at > STREAM_SECONDS or calls.length.sent > MAX_BODY_BYTES:
                    measurement.is_stream, is_complete = True, False
                    break
        finally:
            if hasattr(result, "close"):
                result.close()
        if is_complete:
            calls.check_count(result, count)
        calls.end(self.place, is_complete=is_complete)

    def _report_error(self, error: BaseException, calls: ResponseCalls, probe: Probe) -> None:
        if self.violations.has(str(probe)):
            return  # The exception is probably a consequence.
        handler = self.recorder.handler if self.recorder is not None else None
        text = f"the application raised {one_line(error):.300}"
        self.violations.add("wsgi-exception", text, place_of_error(error), str(probe), handler)

    # --- wsgiref.validate ---

    def _validated(self, probe: Probe) -> None:
        """Makes the same request through wsgiref.validate, and reports an error that the own rules have not found."""
        if self.violations.has(str(probe)):
            return  # The validator stops at the first error, and has no line of it.
        ignored: Callable[..., None] = lambda *_: None  # noqa: E731
        calls = ResponseCalls(probe.method, ignored)
        environ = make_environ(probe, ignored)
        checked = validator(self._with_content_type)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", WSGIWarning)
            try:
                result = checked(environ, calls.start_response)
                try:
                    for _ in result:
                        pass
                finally:
                    result.close()  # type: ignore[attr-defined]
            except AssertionError as error:
                text = str(error) or "an assertion of wsgiref.validate failed"
                place = _place_before_validator(error) or self.place
                self.violations.add("wsgi-validate", f"{text:.300}", place, str(probe))
            except BaseException:
                return  # Without the validator there is none: it lacks methods that are optional.

    def _with_content_type(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Calls the application. The validator gets a Content-Type, on which it insists, and PEP 3333 does not.

        It also insists on a size for read(), without which frameworks call it.
        """
        environ["wsgi.input"] = InputStream(lambda *_: None)

        def start(status: Any, headers: Any, *more: Any) -> Any:
            if type(headers) is list:
                others = [item for item in headers if str(item[0]).lower() != "content-type"]
                has_body = str(status)[:3] not in ("204", "304")
                headers = [*others, ("Content-Type", "text/plain")] if has_body else others
            return start_response(status, headers, *more)

        return self.app.callable(environ, start)  # type: ignore[no-any-return]

    def _report_to(self, probe: Probe) -> Callable[[str, str, Place | None], None]:
        def report(rule: str, message: str, place: Place | None) -> None:
            handler = self.recorder.handler if self.recorder is not None else None
            self.violations.add(rule, message, place or self.place, str(probe), handler)

        return report


def make_environ(probe: Probe, report: Callable[[str, str, Place | None], None]) -> dict[str, Any]:
    """Returns the environ of a probe. Misuse of its streams is reported."""
    return {
        "REQUEST_METHOD": probe.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": probe.wsgi_path,
        "QUERY_STRING": probe.query,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": "50000",
        "HTTP_HOST": probe.host,
        "HTTP_USER_AGENT": "ianus-check",
        "HTTP_ACCEPT": "*/*",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": InputStream(report),
        "wsgi.errors": ErrorsStream(report),
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }


def _place_before_validator(error: BaseException) -> Place | None:
    """Returns the line of the application that called the validator, or None."""
    places = []
    traceback = error.__traceback__
    while traceback is not None:
        place = place_in_application(traceback.tb_frame)
        if place is not None and place.file == traceback.tb_frame.f_code.co_filename:
            places.append(Place(place.file, traceback.tb_lineno, place.function))
        traceback = traceback.tb_next
    return places[-1] if places else None
