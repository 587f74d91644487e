"""Writes why a process could not start, or has crashed, to the destination of the server's own log.

At that moment the log may not be open yet, or not any more. If the log is text on standard error, the reason is plain
text for the terminal, and not a record.
"""

import sys

from ianus.errors import StartupError
from ianus.process.resources import open_log
from ianus.settings.schema import Settings
from ianus.telemetry.logger import logger


def write_failed_start(error: StartupError, settings: Settings, process: str) -> None:
    """Writes why a process of the server could not start. process: its name, such as "worker 1"."""
    if _is_plain(settings) or not _log(error, settings, process):
        sys.stderr.write(error.report())


def write_failed_command(error: StartupError, settings: Settings) -> None:
    """Writes why the command, or ianus.run(), could not start: to standard error, and into the log."""
    is_logged = not settings.log_config and not _is_plain(settings) and _log(error, settings, "server")
    if not is_logged or settings.error_logfile != "-":
        sys.stderr.write(error.report())


def write_crash(error: BaseException, settings: Settings, process: str) -> None:
    """Writes the traceback of an exception that ends a process."""
    try:
        log = open_log(settings, warns=False)
    except StartupError as failure:
        sys.stderr.write(failure.report())
        log = None
    logger.error("process crashed: %s", process, exc_info=error)
    if log is not None:
        log.close()


def _is_plain(settings: Settings) -> bool:
    """Whether the log is only text on standard error."""
    has_more = settings.log_config or settings.log_syslog
    return settings.error_logfile == "-" and settings.log_format == "text" and not has_more


def _log(error: StartupError, settings: Settings, process: str) -> bool:
    """Logs why a process could not start. Returns whether there is a log that takes it."""
    try:
        log = open_log(settings, warns=False)
    except StartupError:
        return False
    details = f"\n{error.details.rstrip()}" if error.details else ""
    logger.critical("%s failed to start: %s%s", process, error.explain(), details)
    log.close()
    return True
