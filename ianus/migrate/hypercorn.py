"""Hypercorn: its command line, its TOML file and its configuration in Python."""

import tomllib
from collections.abc import Container, Mapping, Sequence

from ianus.migrate.flags import FlagList
from ianus.migrate.log_formats import hypercorn_format, remark_on
from ianus.migrate.migration import Migration, MigrationError, index_advice, sentence, with_brackets
from ianus.migrate.python_file import read_configuration
from ianus.migrate.text_file import read_text
from ianus.settings.foreign_files import HYPERCORN, Ignored, Refused, Renamed

SERVER = "Hypercorn"
ACCESS_LOG_FORMAT = '%(h)s %(l)s %(l)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'

OPTIONS = FlagList(
    "--access-logfile/--access-log= --access-logformat= --backlog= --bind/-b=+ --ca-certs= --certfile="
    " --cert-reqs= --ciphers= --config/-c= --daemon/-D --debug --error-logfile/--log-file/--error-log="
    " --graceful-timeout= --read-timeout= --max-requests= --max-requests-jitter= --group/-g= --worker-class/-k="
    " --keep-alive= --keyfile= --keyfile-password= --insecure-bind=+ --log-config= --log-level= --pid/-p="
    " --quic-bind=+ --reload --root-path= --server-name=+ --statsd-host= --statsd-prefix= --umask/-m= --user/-u="
    " --verify-mode= --websocket-ping-interval= --workers/-w="
)

# Options whose names in a file differ.
FILE_NAMES = {
    "access_logfile": "accesslog",
    "access_logformat": "access_log_format",
    "error_logfile": "errorlog",
    "log_level": "loglevel",
    "log_config": "logconfig",
    "keep_alive": "keep_alive_timeout",
    "pid": "pid_path",
    "reload": "use_reloader",
    "server_name": "server_names",
}
# Switches that are on by default.
_ON = ("include_server_header", "include_date_header", "daemon")

_OPTION_NAMES = {file_name: name for name, file_name in FILE_NAMES.items()}

# Beside the answers of foreign_options.py and foreign_files.py.
ADVICE = index_advice(
    {
        "alt_svc_headers": "HTTP/3 is not supported; put a proxy in front.",
        "logconfig_dict": "Write the dictionary to a .json file and name it in log_config.",
    }
)


def migrate_command(migration: Migration, words: Sequence[str], variables: Mapping[str, str]) -> None:
    """Migrates a command line, with the file that it names."""
    flags, others = OPTIONS.parse(words, migration.need_not, migration.note)
    overridden = {FILE_NAMES.get(flag.name, flag.name) for flag in flags}
    for flag in flags:
        if flag.name == "config" and flag.value:
            migration.files.append(flag.value)
            values, unread = _read_named_file(flag.value)
            values = {name: value for name, value in values.items() if name not in overridden}
            _migrate_values(migration, values, unread)
    for flag in flags:
        if flag.name != "config":
            name = FILE_NAMES.get(flag.name, flag.name)
            _apply(migration, name, True if flag.value is None else flag.value, flag.written)
    migration.set_variables(variables)
    if others:
        _set_app(migration, others[0])
    for other in others[1:]:
        migration.note(other, "One application is served at /; remove it.")
    _finish(migration)


def migrate_toml(migration: Migration, text: str, path: str) -> None:
    """Migrates a hypercorn.toml. Raises MigrationError."""
    values = _parse(text, path)
    _migrate_values(migration, values, values)
    _finish(migration)


def migrate_python_file(migration: Migration, path: str) -> None:
    """Migrates a configuration in Python."""
    configuration = read_configuration(f"file:{path}")
    _migrate_values(migration, configuration.values, configuration.unread)
    _finish(migration)


def _parse(text: str, path: str) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise MigrationError(f"{path} is not valid TOML: {error}.") from None


def _read_named_file(name: str) -> tuple[Mapping[str, object], Container[str]]:
    """Returns the values, and the names that no other line reads."""
    if name.startswith(("python:", "file:")):
        configuration = read_configuration(name)
        return configuration.values, configuration.unread
    values = _parse(read_text(name), name)
    return values, values


def _migrate_values(migration: Migration, values: Mapping[str, object], unread: Container[str]) -> None:
    """Migrates the values of a file. unread: the names that no other line reads, so that they are not variables."""
    for name, value in values.items():
        is_known = (
            name in HYPERCORN
            or name in ADVICE
            or name == "application_path"
            or _OPTION_NAMES.get(name, name) in OPTIONS.names()
        )
        written = f"{name} = {value!r}"
        if is_known and value not in (None, [], {}) and (value is not False or name in _ON):
            _apply(migration, name, value, written)
        elif is_known:
            migration.is_recognised = True
        elif name in unread and isinstance(value, (str, int, float, list)):
            migration.note_unknown(written, "Hypercorn has no such setting, and ignores it.")


def _apply(migration: Migration, name: str, value: object, written: str) -> None:
    """Applies an option by its name in a file."""
    entry = HYPERCORN.get(name)
    if name in ADVICE:
        migration.note(written, ADVICE[name])
    elif name == "application_path":
        _set_app(migration, str(value))
    elif name == "worker_class":
        _apply_worker_class(migration, str(value), written)
    elif name == "umask":
        # Hypercorn takes it as a decimal number: -m 007 is 7, and -m 22 is 0o26.
        migration.set("umask", f"{int(str(value)):o}" if str(value).isdecimal() else value, written)
    elif name == "accesslog":
        migration.set("access_log", True)
        migration.set("access_logfile", value, written)
    elif name == "access_log_format":
        text = hypercorn_format(str(value))
        migration.set("access_log_format", text, written, remark_on(text))
    elif name in ("bind", "insecure_bind"):
        for each in value if isinstance(value, (list, tuple)) else [value]:
            # The last colon precedes the port, also of an IPv6 address.
            migration.set(name, with_brackets(each) if isinstance(each, str) else each, written)
    elif isinstance(entry, Renamed):
        converted = entry.convert(value)
        if converted is None:
            migration.note(written, sentence(entry.reason))
        else:
            migration.set(entry.setting, converted, written)
    elif isinstance(entry, Refused):
        migration.note(written, entry.hint)
    elif isinstance(entry, Ignored):
        migration.need_not(written, entry.reason)
    else:
        migration.option(_OPTION_NAMES.get(name, name), value, written)


def _apply_worker_class(migration: Migration, value: str, written: str) -> None:
    if value == "uvloop":
        migration.set("loop", "uvloop", written)
    elif value == "trio":
        migration.note(written, "Trio is not supported; applications run on asyncio. anyio runs on both.")
    else:
        migration.set("loop", value, written)


def _set_app(migration: Migration, app: str) -> None:
    for mode in ("asgi", "wsgi"):
        if app.startswith(f"{mode}:"):
            migration.set("interface", mode, app)
            app = app.removeprefix(f"{mode}:")
    # Hypercorn's default attribute; that of Ianus is `application` first.
    migration.app = app if ":" in app else f"{app}:app"


def _finish(migration: Migration) -> None:
    """Adds Hypercorn's defaults."""
    migration.join_address("127.0.0.1", 8000)
    # Hypercorn believes no proxy; its ProxyFixMiddleware is a part of the application.
    migration.default("proxy_headers", False)
    migration.default("timeout_keep_alive", 5)
    migration.default("timeout_stop", 3)
    migration.default("ws_ping_interval", 0)
    migration.default("access_log", False)
    _finish_http2(migration)
    if migration.value("access_log"):
        migration.default("access_log_format", hypercorn_format(ACCESS_LOG_FORMAT))


def _finish_http2(migration: Migration) -> None:
    """Adds HTTP/2 as Hypercorn serves it without TLS: always."""
    has_tls = migration.value("ssl_certfile") is not None
    if not has_tls and migration.has("insecure_bind"):
        migration.drop("insecure_bind", "Hypercorn listens there only if it has a certificate")
    if not has_tls and migration.settings.pop("http2", None) is not None:
        migration.need_not("alpn_protocols", "without TLS, clients choose the version by their first bytes")
    if not has_tls or migration.value("insecure_bind"):
        migration.default("http2_cleartext", True)
