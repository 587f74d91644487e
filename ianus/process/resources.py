"""Opens the resources of a process before it serves: listening sockets, the log, a directory for temporary files."""
# ruff: noqa: PTH112  (pathlib takes 5 ms to import)

import os
from typing import TYPE_CHECKING

from ianus.acceptor.listener import Listener, listen_fd, listen_tcp, listen_unix
from ianus.errors import StartupError
from ianus.settings import statsd_values, syslog_values
from ianus.settings.schema import Settings
from ianus.settings.values import Bind, FdBind, NamedFdBind, TcpBind, UnixBind
from ianus.telemetry.captured_output import CapturedOutput
from ianus.telemetry.formatters import JsonFormatter, SyslogFormatter
from ianus.telemetry.logger import logger
from ianus.telemetry.logs import ErrorLog

if TYPE_CHECKING:
    from ianus.telemetry.statsd.client import StatsdClient
    from ianus.telemetry.syslog import NonBlockingSyslogHandler


def open_listeners(settings: Settings) -> list[Listener]:
    """Listens on all addresses of the settings, or on none. Raises StartupError."""
    listeners: list[Listener] = []
    try:
        for index, bind in enumerate(settings.all_binds()):
            opened = listen_on(bind, settings)
            for listener in opened:
                # Those of --insecure-bind are the last ones.
                listener.is_tls = settings.uses_tls() and index < len(settings.bind)
            listeners += opened
    except BaseException:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def listen_on(bind: Bind, settings: Settings, *, shared: bool = False) -> list[Listener]:
    """Listens on everything that `bind` stands for. shared: workers may each have a socket. Raises StartupError."""
    if isinstance(bind, UnixBind):
        return [listen_unix(bind.path, backlog=settings.backlog, permissions=_permissions(settings))]
    if isinstance(bind, FdBind):
        return [listen_fd(bind.fd)]
    if isinstance(bind, NamedFdBind):
        # process/activation has replaced those that it can.
        raise StartupError(f"{bind}: an init system has not passed a socket to this process. Write fd://N.")
    # [::] would take the place of an IPv4 address with the same port.
    dual_stack = not any(
        isinstance(each, TcpBind) and each.port == bind.port and _is_ipv4(each) for each in settings.all_binds()
    )
    return listen_tcp(bind.host, bind.port, backlog=settings.backlog, shared=shared, dual_stack=dual_stack)


def _permissions(settings: Settings) -> int:
    """Returns the permissions of Unix sockets. A proxy is usually another user, so only settings restrict access, not
    the umask that the server was started with."""
    if settings.uds_permissions is not None:
        return settings.uds_permissions
    return 0o666 & ~(settings.umask or 0)


def _is_ipv4(bind: TcpBind) -> bool:
    return bool(bind.port) and ":" not in bind.host


def open_log(settings: Settings, *, warns: bool = True) -> ErrorLog:
    """The server's own log, to be opened when the application was loaded. Raises StartupError.

    warns: report a syslog that cannot be reached, which the supervisor does for its workers.
    """
    log = ErrorLog(
        log_level=settings.log_level,
        log_format=settings.log_format,
        error_logfile=settings.error_logfile,
        is_colored=_is_colored(settings),
        configured=bool(settings.log_config),
    )
    if settings.log_syslog:
        syslog = _connect_to_syslog(settings)
        log.add(syslog)
        if syslog.problem and warns:
            logger.error(
                "syslog cannot be reached at %s (%s); start its daemon or correct --log-syslog-to",
                settings.log_syslog_to,
                syslog.problem,
            )
    return log


def build_statsd_client(settings: Settings) -> "StatsdClient":
    """Returns a client for --statsd-host, which is not connected yet."""
    from ianus.telemetry.statsd.client import StatsdClient

    return StatsdClient(
        statsd_values.target(settings.statsd_host),
        statsd_prefix=settings.statsd_prefix,
        dogstatsd_tags=settings.dogstatsd_tags,
    )


def _connect_to_syslog(settings: Settings) -> "NonBlockingSyslogHandler":
    # Late: logging.handlers takes some ms to import.
    from ianus.telemetry.syslog import NonBlockingSyslogHandler

    target, kind = syslog_values.target(settings.log_syslog_to)
    tag = syslog_values.tag(settings.log_syslog_prefix, settings.process_name)
    handler = NonBlockingSyslogHandler(
        target,
        kind,
        log_syslog_to=settings.log_syslog_to,
        log_syslog_facility=settings.log_syslog_facility,
        tag=tag,
    )
    handler.setFormatter(JsonFormatter() if settings.log_format == "json" else SyslogFormatter())
    return handler


def capture_output(settings: Settings) -> CapturedOutput | None:
    """Has the output of this process written to the error log, if --capture-output asks for it. Raises StartupError."""
    if not settings.capture_output or settings.error_logfile == "-":
        return None
    return CapturedOutput(settings.error_logfile)


def _is_colored(settings: Settings) -> bool:
    if settings.use_colors is not None:
        return settings.use_colors
    # https://no-color.org
    return settings.error_logfile == "-" and not os.environ.get("NO_COLOR") and os.isatty(2)


def check_spool(settings: Settings) -> None:
    """Raises StartupError if no temporary files can be created in --spool-dir."""
    directory = settings.spool_dir
    if directory and not _is_writable(directory):
        raise StartupError(
            f"No temporary files can be made in {directory}. Make that directory writable, or name another one with "
            "--spool-dir."
        )


def has_spool_directory(settings: Settings) -> bool:
    """Returns whether temporary files can be created, in --spool-dir or in a directory of the system."""
    if settings.spool_dir:
        return True  # check_spool() has been called.
    named = [os.environ.get(name, "") for name in ("TMPDIR", "TEMP", "TMP")]
    # Those of Python's tempfile, which would also take the current directory.
    return any(_is_writable(each) for each in (*named, "/tmp", "/var/tmp", "/usr/tmp", "."))


def _is_writable(directory: str) -> bool:
    return os.path.isdir(directory) and os.access(directory, os.W_OK | os.X_OK)
