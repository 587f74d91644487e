"""The error log and the metrics of the supervisor: opened at the start, replaced at a reload."""
# ruff: noqa: PTH100, PTH118  (pathlib takes 5 ms to import)

import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ianus.errors import StartupError
from ianus.process.resources import build_statsd_client, open_log
from ianus.settings.schema import Settings
from ianus.telemetry.logger import logger
from ianus.telemetry.logs import ErrorLog, apply_config

if TYPE_CHECKING:
    from ianus.telemetry.statsd.supervisor_metrics import SupervisorMetrics


class ServerLog:
    """The log of the present settings. Raises StartupError if it cannot be opened."""

    def __init__(self, settings: Settings) -> None:
        self._log = _open(settings)
        self._metrics = _open_metrics(settings)

    def replace(self, settings: Settings, before: Settings) -> None:
        """Opens the log of other settings. Raises StartupError; then the log is that of the settings `before`."""
        self.close()
        try:
            self._log = _open(settings)
            self._metrics = _open_metrics(settings)
        except StartupError:
            self._log = _open(before)
            self._metrics = _open_metrics(before)
            raise

    def reopen(self) -> None:
        """Opens the log file again, which a program for log rotation may have renamed."""
        try:
            self._log.file.reopen()
        except OSError as error:
            logger.error("cannot reopen log file, keeping the old one: %s: %s", self._log.file.path, error)

    def set_workers(self, count: int) -> None:
        """Sends the number of workers to statsd, if it has changed and there is a --statsd-host."""
        if self._metrics is not None:
            self._metrics.set_workers(count)

    def close(self) -> None:
        """Closes the log."""
        if self._metrics is not None:
            self._metrics.close()
        self._log.close()


def _open(settings: Settings) -> ErrorLog:
    if settings.log_config:
        before = set(sys.modules)
        apply_config(settings.log_config, settings.app_dir)
        _unload(set(sys.modules) - before, settings.app_dir)
    return open_log(settings)


def _open_metrics(settings: Settings) -> "SupervisorMetrics | None":
    if not settings.statsd_host:
        return None
    from ianus.telemetry.statsd.supervisor_metrics import SupervisorMetrics

    return SupervisorMetrics(build_statsd_client(settings), statsd_host=settings.statsd_host)


def _unload(names: Iterable[str], app_dir: str) -> None:
    """Has workers import these modules again if they are the application's: a reload is to load their new source."""
    folder = os.path.join(os.path.abspath(app_dir), "")
    for name in names:
        if (getattr(sys.modules.get(name), "__file__", None) or "").startswith(folder):
            del sys.modules[name]
