"""Configuration files of gunicorn and hypercorn: the names in them, and the meaning of their values here.

The names that Ianus has as settings or aliases keep their meaning. The others are in the tables of this module, each
with the setting that it stands for, or with the reason why it has no effect, or with a hint if the server cannot do it.
Values that change nothing at home (None, False, "", 0) are skipped.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from ianus.errors import SettingError
from ianus.settings.foreign_options import HINTS, IGNORED_BY_FLAG, flag_of
from ianus.settings.layers import Given

# A file that has a function of one of these names has hooks (ianus/hooks.py).
HOOKS = """on_starting on_reload when_ready pre_fork post_fork post_worker_init worker_int worker_abort pre_exec
    pre_request post_request child_exit worker_exit nworkers_changed on_exit ssl_context"""

Convert = Callable[[object], object]


class Renamed(NamedTuple):
    """A name that stands for a setting of Ianus.

    setting: a name or an alias of the setting. convert: makes the setting's value; None has no equivalent.
    reason: why a value has none.
    """

    setting: str
    convert: Convert = lambda value: value
    reason: str = ""


class Ignored(NamedTuple):
    """A name whose values have no effect. usual: the value at home if the name is not given."""

    reason: str
    usual: object = None


class Refused(NamedTuple):
    """A name whose values cannot be honoured, and must not be ignored. usual: as in Ignored."""

    hint: str
    usual: object = None


FileEntry = Renamed | Ignored | Refused


class Translation(NamedTuple):
    """A configuration file of another server, translated.

    path: of the file. given: the values that have an equivalent. ignored: "name (reason)" of each other value.
    has_hooks: functions of the file are hooks.
    """

    path: str
    given: list[Given]
    ignored: list[str]
    has_hooks: bool = False


# --- Conversions ---


def _largest_at_zero(value: object) -> object:
    return "1M" if value in (0, "0") and value is not False else value


def _second_at_zero(value: object) -> object:
    # Gunicorn kills the workers at once, and to Ianus 0 means without a limit.
    return 1 if value in (0, "0") and value is not False else value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _safe_header_map(value: object) -> object:
    return "drop" if value == "refuse" else value


def _offers_http2(value: object) -> object:
    # A list, or its text. Clients without HTTP/2 are served, too.
    return "h2" in str(value)


def _log_config(value: object) -> object:
    if isinstance(value, str):
        if value.startswith("toml:"):
            return None
        return value.removeprefix("json:")
    return value


# --- The tables ---

_PARSER = "Ianus has one parser, which follows RFC 9112"
_ALWAYS_STARTED = "write the option on the command line"

# Names with the meaning that they have as a setting or an alias.
_SAME = """bind backlog workers threads worker_connections max_requests max_requests_jitter timeout reload preload_app
    syslog syslog_addr syslog_prefix syslog_facility statsd_host statsd_prefix dogstatsd_tags
    sendfile chdir pythonpath capture_output pidfile user group umask forwarded_allow_ips access_log_format proc_name
    proxy_protocol proxy_allow_ips limit_request_fields raw_env asgi_loop asgi_lifespan websocket_max_message_size
    certfile keyfile ca_certs cert_reqs ciphers http2_cleartext http2_max_concurrent_streams
    http2_initial_window_size"""
_SAME_IN_HYPERCORN = "read_timeout websocket_ping_interval keyfile_password verify_mode ssl_handshake_timeout"

# Names of gunicorn that are options without effect (foreign_options.py). A file may have variables with other names.
_NAMES_WITHOUT_EFFECT = """reload_engine reuse_port worker_tmp_dir initgroups disable_redirect_access_to_syslog
    logger_class enable_stdio_inheritance suppress_ragged_eofs do_handshake_on_connect http2_max_frame_size
    http2_max_header_list_size asgi_disconnect_grace_period http_parser"""
_WITHOUT_EFFECT = frozenset(_NAMES_WITHOUT_EFFECT.split())

GUNICORN: dict[str, FileEntry] = {
    **{name: Renamed(name) for name in _SAME.split()},
    "wsgi_app": Renamed("app"),
    # The path is passed on as it was received.
    "root_path": Renamed("root_path_kept"),
    "keepalive": Renamed("timeout_keep_alive"),
    "graceful_timeout": Renamed("timeout_stop", _second_at_zero),
    "limit_request_line": Renamed("limit_request_line", _largest_at_zero),
    "limit_request_field_size": Renamed("limit_request_field_size", _largest_at_zero),
    "tmp_upload_dir": Renamed("spool_dir"),
    "errorlog": Renamed("error_logfile"),
    "loglevel": Renamed("log_level", _lower),
    "logconfig": Renamed("log_config", _log_config, "a configuration of logging in TOML is not supported"),
    "logconfig_json": Renamed("log_config"),
    "header_map": Renamed("header_map", _safe_header_map),
    "reload_extra_files": Ignored("name their directory with reload_dir and their names with reload_include"),
    "check_config": Ignored(_ALWAYS_STARTED),
    "print_config": Ignored(_ALWAYS_STARTED),
    "secure_scheme_headers": Ignored(
        "X-Forwarded-Proto of trusted proxies has the scheme",
        {"X-FORWARDED-PROTOCOL": "ssl", "X-FORWARDED-PROTO": "https", "X-FORWARDED-SSL": "on"},
    ),
    "forwarder_headers": Ignored("forwarded_fields has the fields that are believed", "SCRIPT_NAME,PATH_INFO"),
    "http_protocols": Renamed("http2", _offers_http2),
    "control_socket": Ignored("admin_bind opens a socket that shows the state"),
    "control_socket_mode": Ignored("the admin socket is for the user of the server alone"),
    "daemon": Refused(HINTS["--daemon"]),
    "spew": Refused(HINTS["--spew"]),
    "permit_obsolete_folding": Refused(HINTS["--permit-obsolete-folding"]),
    "strip_header_spaces": Refused(HINTS["--strip-header-spaces"]),
    "permit_unconventional_http_method": Refused(HINTS["--permit-unconventional-http-method"]),
    "permit_unconventional_http_version": Refused(HINTS["--permit-unconventional-http-version"]),
    "casefold_http_method": Refused(HINTS["--casefold-http-method"]),
    "paste": Refused(HINTS["--paste"]),
    "protocol": Refused("Only HTTP is supported.", "http"),
    "dirty_apps": Refused(HINTS["--dirty-app"]),
    "ssl_version": Ignored("the lowest version is ssl_min_version, and the highest TLS 1.3", 2),
    "enable_backlog_metric": Refused(HINTS["--enable-backlog-metric"]),
}

HYPERCORN: dict[str, FileEntry] = {
    **GUNICORN,
    **{name: Renamed(name) for name in _SAME_IN_HYPERCORN.split()},
    "statsd_host": Refused(
        "Metrics have Gunicorn's names, such as gunicorn.requests; write statsd_host into ianus.toml if that is right."
    ),
    # Of multiprocessing: Hypercorn does not run in the background.
    "daemon": Ignored("workers always end with the server", True),
    "include_server_header": Renamed("server_header"),
    "include_date_header": Renamed("date_header"),
    "keep_alive_timeout": Renamed("timeout_keep_alive"),
    "startup_timeout": Renamed("timeout_lifespan_startup"),
    "pid_path": Renamed("pid_file"),
    "use_reloader": Renamed("reload"),
    "h11_max_incomplete_size": Renamed("limit_request_fields_size"),
    "h2_max_concurrent_streams": Renamed("http2_max_concurrent_streams"),
    "wsgi_max_body_size": Renamed("max_request_body_size"),
    "shutdown_timeout": Ignored("timeout_stop is the maximum time of the whole stop"),
    "keep_alive_max_requests": Ignored("connections have no maximum number of requests"),
    "max_app_queue_size": Ignored("bodies are read as fast as the application takes them"),
    "h11_pass_raw_headers": Ignored(_PARSER),
    "h2_max_header_list_size": Ignored("limit_request_fields_size limits the fields of a request"),
    "h2_max_inbound_frame_size": Ignored("frames have the smallest maximum size that HTTP/2 allows, 16 KiB"),
    "verify_flags": Ignored("ssl_crl has the lists of revoked certificates"),
    "alpn_protocols": Renamed("http2", _offers_http2),
    "quic_bind": Refused("HTTP/3 is not supported yet; put a proxy in front."),
    "server_names": Refused("Requests for every host are accepted; a proxy or the application can reject some."),
}


def translate(
    content: Mapping[str, object], path: str, text: str = "", *, is_gunicorn: bool = True, has_hooks: bool = False
) -> Translation:
    """Translates the values of a file. text: its source, for line numbers. has_hooks: functions can be hooks.

    Names that the other server does not have are ignored, as there. Raises SettingError that names all values which
    cannot be honoured.
    """
    entries = GUNICORN if is_gunicorn else HYPERCORN
    translation = Translation(path, [], [], has_hooks and any(content.get(name) for name in HOOKS.split()))
    problems: list[str] = []
    refused: dict[str, list[str]] = {}
    for name, value in content.items():
        origin = f"{path}{_line_number(name, text)}"
        # A file that may be of both servers is not of Hypercorn if it runs in the background.
        entry = (GUNICORN if name == "daemon" and "hypercorn" not in path else entries).get(name)
        if name == "accesslog":
            translation.given.extend(_access_log(value, origin))
        elif name == "worker_class":
            problems += _add_worker_class(value, origin, translation)
        elif name == "logconfig_dict":
            _add_log_config(value, origin, translation)
        elif entry is None:
            is_of_server = name in _WITHOUT_EFFECT or (name == "debug" and not is_gunicorn)
            option = IGNORED_BY_FLAG.get(flag_of(name)) if is_of_server else None
            if option is not None and value:
                translation.ignored.append(f"{name} ({option.reason_for(str(value)) or option.reason})")
        elif isinstance(entry, Renamed):
            # An empty forwarded_allow_ips trusts no proxy.
            if value is not None and (value != "" or name == "forwarded_allow_ips"):
                _add(entry, name, value, origin, translation)
        elif value and value != entry.usual:
            if isinstance(entry, Refused):
                refused.setdefault(entry.hint, []).append(name)
            else:
                translation.ignored.append(f"{name} ({entry.reason})")
    problems += [f"{', '.join(names)} cannot be used. {hint}" for hint, names in refused.items()]
    if problems:
        error = SettingError(path, " ".join(problems))
        error.page = "gunicorn"  # It has the files of both servers.
        raise error
    return translation


def closest_setting(name: str) -> str:
    """Returns the setting of Ianus that a name of gunicorn's or hypercorn's files stands for; "" if there is none."""
    entry = HYPERCORN.get(name)
    if name == "accesslog":
        return "access_logfile"
    return entry.setting if isinstance(entry, Renamed) else ""


def _line_number(name: str, text: str) -> str:
    """Returns ":" and the number of the last line that sets a name at the top of a file; "" if there is none."""
    lines = [*re.finditer(rf"^[\"']?{re.escape(name)}[\"']?[ \t]*(?::[^=\n]+)?=", text, re.MULTILINE)]
    return f":{text.count(chr(10), 0, lines[-1].start()) + 1}" if lines else ""


def _add(entry: Renamed, name: str, value: object, origin: str, translation: Translation) -> None:
    converted = entry.convert(value)
    if converted is None:
        translation.ignored.append(f"{name} = {value} ({entry.reason})")
    else:
        translation.given.append(Given(entry.setting, converted, f"{origin}: {name}", origin))


def _access_log(value: object, origin: str) -> Iterator[Given]:
    label = f"{origin}: accesslog"
    yield Given("access_log", value is not None, label, origin)
    if value is not None:
        yield Given("access_logfile", value, label, origin)


def _add_worker_class(value: object, origin: str, translation: Translation) -> Iterator[str]:
    """Adds the event loop, or the reason why a class of workers has no effect. Yields the problem of another one."""
    name = f"{value.__module__}:{value.__qualname__}" if isinstance(value, type) else str(value or "sync")
    option = IGNORED_BY_FLAG["--worker-class"]
    reason = option.reason_for(name) or (option.reason if isinstance(value, type) else "")
    if not reason:
        yield f"worker_class {name!r} is not supported: {option.remedy_for(name)}."
    elif name in ("asyncio", "uvloop"):  # of hypercorn
        translation.given.append(Given("loop", name, f"{origin}: worker_class", origin))
    elif name not in ("sync", "gthread", "asgi"):
        translation.ignored.append(f"worker_class ({reason})")


# gunicorn adds it.
_VERSION = {"version": 1}


def _add_log_config(value: Any, origin: str, translation: Translation) -> None:
    if not value:
        return
    import json  # Late: only for a configuration of logging.

    try:
        translation.given.append(Given("log_config", json.dumps(_VERSION | value), f"{origin}: logconfig_dict", origin))
    except (TypeError, ValueError):
        translation.ignored.append(
            "logconfig_dict (it has objects that are not JSON; configure logging in the application)"
        )
