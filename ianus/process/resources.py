"""Opens the resources of a process before it serves: listening sockets, the log, a directory for temporary files."""
# ruff: noqa: PTH112  (pathlib takes 5 ms to import)

import os

from ianus.acceptor.listener import Listener, listen_fd, listen_tcp, listen_unix
from ianus.errors import StartupError
from ianus.settings.schema import Settings
from ianus.settings.values import Bind, FdBind, NamedFdBind, TcpBind, UnixBind
from ianus.telemetry.logs import ErrorLog


def open_listeners(settings: Settings) -> list[Listener]:
    """Listens on everything in `settings.bind`, or on nothing. Raises StartupError."""
    listeners: list[Listener] = []
    try:
        for bind in settings.bind:
            listeners += listen_on(bind, settings)
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
        isinstance(each, TcpBind) and each.port == bind.port and _is_ipv4(each) for each in settings.bind
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


def open_log(settings: Settings) -> ErrorLog:
    """The server's own log, to be opened when the application was loaded. Raises StartupError."""
    return ErrorLog(
        log_level=settings.log_level,
        log_format=settings.log_format,
        error_logfile=settings.error_logfile,
        configured=bool(settings.log_config),
    )


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
