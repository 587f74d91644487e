"""Sends the metrics of the supervisor to statsd: the number of workers, and its own warnings and errors."""

import contextlib

from ianus.telemetry.logger import logger
from ianus.telemetry.logs import add_handler, remove_handler
from ianus.telemetry.statsd.client import StatsdClient
from ianus.telemetry.statsd.log_counter import LogCounter


class SupervisorMetrics:
    """Sends each metric at once, without a thread.

    The name of the host is resolved here alone: later it would keep the supervisor from its work. If that fails, it
    is logged, and nothing is sent. statsd_host: the address for this message.
    """

    def __init__(self, client: StatsdClient, *, statsd_host: str) -> None:
        self._client: StatsdClient | None = client
        self._workers = -1
        self._log_counter = LogCounter(lambda name: self._send(f"{name}:1|c"))
        try:
            client.resolve()
        except OSError as error:
            self._client = None
            logger.warning(
                "metrics of the supervisor are not sent to statsd at %s until a reload: %s",
                statsd_host,
                error.strerror or error,
            )
        add_handler(self._log_counter)

    def set_workers(self, count: int) -> None:
        """Sends the number of workers, if it has changed."""
        if count != self._workers:
            self._workers = count
            self._send(f"gunicorn.workers:{count}|g")

    def close(self) -> None:
        """Sends nothing more. May be called twice."""
        remove_handler(self._log_counter)
        self._client = None

    def _send(self, metric: str) -> None:
        if self._client is not None:
            # A server that is not there is reported by the workers, which send nearly all metrics.
            with contextlib.suppress(OSError):
                self._client.send([metric])
            self._client.close()  # Processes that are forked are not to have its socket.
