"""Relative paths of settings, resolved when the server starts.

An application may change the current directory (os.chdir()) while it is loaded or later, and log files are opened after
that. Relative paths mean the directory of --chdir, which is relative to the one in which the server was started.
"""
# ruff: noqa: PTH109, PTH117, PTH118  (pathlib takes 5 ms to import)

import dataclasses
import os

from ianus.settings import values
from ianus.settings.schema import Settings, table

# Linux: 108 bytes with the final NUL (unix(7)).
MAX_SOCKET_PATH_BYTES = 107

_PATH_PARSERS = (values.path, values.log_file)


def resolve_paths(settings: Settings) -> Settings:
    """Returns the settings with every path absolute, except those of sockets.

    A socket's path has at most 107 bytes, so it is used as it was written; the listener resolves it when it is opened.
    """
    changes: dict[str, object] = {}
    for name, setting, _ in table():
        if setting.parse in _PATH_PARSERS:
            value = getattr(settings, name)
            if name == "log_config" and value.startswith("{"):
                continue  # a dictionary as JSON
            base = settings.chdir if name != "chdir" else ""
            resolved = tuple(_resolve(each, base) for each in value) if setting.repeatable else _resolve(value, base)
            if resolved != value:
                changes[name] = resolved
    return dataclasses.replace(settings, **changes) if changes else settings  # type: ignore[arg-type]


def resolve_sockets(settings: Settings) -> Settings:
    """Returns the settings with absolute paths of sockets, if those are not too long."""
    bind, insecure_bind = (
        tuple(
            values.UnixBind(path)
            if isinstance(each, values.UnixBind)
            and len(os.fsencode(path := _resolve(each.path, settings.chdir))) <= MAX_SOCKET_PATH_BYTES
            else each
            for each in binds
        )
        for binds in (settings.bind, settings.insecure_bind)
    )
    if bind + insecure_bind == settings.all_binds():
        return settings
    return dataclasses.replace(settings, bind=bind, insecure_bind=insecure_bind)


def _resolve(path: str, base: str) -> str:
    """Returns the path as an absolute one. base: the directory of a relative one, relative to the current directory."""
    if path in ("", "-") or os.path.isabs(path):
        return path
    try:
        joined = os.path.join(os.getcwd(), base, path)
    except OSError:
        return path  # The current directory was removed.
    # After a link, `..` is not the parent directory in the text.
    return joined if ".." in path.split("/") else os.path.normpath(joined)
