"""Sends the requests of a worker to statsd, and its warnings and errors."""

import threading
import time
from collections import Counter

from ianus.telemetry.logger import logger
from ianus.telemetry.logs import add_handler, remove_handler
from ianus.telemetry.statsd.client import StatsdClient
from ianus.telemetry.statsd.log_counter import LogCounter
from ianus.telemetry.statsd.request_samples import RequestSamples

# Seconds between two reports, and between two resolutions of the host's name.
INTERVAL_SECONDS = 0.5
RESOLVE_SECONDS = 300.0

# Maximum number of records that are counted in an interval.
MAX_RECORDS = 10_000

# Seconds between two messages about metrics that were lost.
WARN_SECONDS = 300.0


class StatsdReporter:
    """A thread that sleeps while there are no requests, and otherwise sends them after an interval.

    samples: an observer of the requests. statsd_host: the address for messages. interval: seconds between two reports.

    start() starts the thread, which must be after a fork; close() sends the remaining requests.
    """

    def __init__(self, client: StatsdClient, *, statsd_host: str, interval: float = INTERVAL_SECONDS) -> None:
        self.samples = RequestSamples()
        self._client = client
        self._statsd_host = statsd_host
        self._interval = interval
        self._records: list[str] = []  # names of metrics, each for one record
        self._log_counter = LogCounter(self._count_record)
        self._is_stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._resolved_at = time.monotonic()
        self._warned_at = -WARN_SECONDS

    def start(self) -> None:
        """Starts the thread."""
        add_handler(self._log_counter)
        thread = threading.Thread(target=self._run, name="ianus-statsd", daemon=True)
        thread.start()
        self._thread = thread  # Only then close() can wait for it.

    def close(self) -> None:
        """Sends the remaining requests, for at most two seconds."""
        remove_handler(self._log_counter)
        self._is_stopping.set()
        self.samples.has_samples.set()
        if self._thread is not None:
            # It may be resolving a name.
            self._thread.join(2.0)
            self._thread = None

    def _count_record(self, name: str) -> None:
        if len(self._records) < MAX_RECORDS:
            self._records.append(name)
            self.samples.has_samples.set()

    def _run(self) -> None:
        while not self._is_stopping.is_set():
            self.samples.has_samples.wait()
            self._is_stopping.wait(self._interval)
            self._report()
        self._report()
        self._client.close()

    def _report(self) -> None:
        metrics = build_metrics(*self.samples.take())
        records, self._records = self._records, []
        metrics += [f"{name}:{count}|c" for name, count in Counter(records).items()]
        now = time.monotonic()
        try:
            if now - self._resolved_at >= RESOLVE_SECONDS:
                self._resolved_at = now
                self._client.resolve()
            self._client.send(metrics)
        except OSError as error:
            if now - self._warned_at >= WARN_SECONDS:
                self._warned_at = now
                logger.warning("metrics cannot be sent to statsd at %s: %s", self._statsd_host, error.strerror or error)


def build_metrics(statuses: dict[int, int], durations: list[float], timed: int) -> list[str]:
    """Returns the metrics of requests. The parameters are the result of RequestSamples.take()."""
    if not statuses:
        return []
    # If not all durations were kept, the metric has their share.
    rate = f"|@{len(durations) / timed:.4f}" if timed > len(durations) else ""
    return [
        f"gunicorn.requests:{sum(statuses.values())}|c",
        *(f"gunicorn.request.status.{status}:{count}|c" for status, count in statuses.items()),
        *(f"gunicorn.request.duration:{duration * 1000:.3f}|ms{rate}" for duration in durations),
    ]
