"""Gunicorn: its command line, GUNICORN_CMD_ARGS and its configuration in Python."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ianus.migrate.flags import Flag, FlagList
from ianus.migrate.migration import Migration, sentence
from ianus.migrate.python_file import PythonConfiguration, read_configuration
from ianus.settings.foreign_files import GUNICORN, HOOKS, Ignored, Refused, Renamed
from ianus.settings.gunicorn_arguments import GUNICORN_VARIABLE, split_arguments

SERVER = "Gunicorn"
FILE = "gunicorn.conf.py"

OPTIONS = FlagList(
    "--config/-c= --bind/-b=+ --backlog= --workers/-w= --worker-class/-k= --threads= --worker-connections="
    " --max-requests= --max-requests-jitter= --timeout/-t= --graceful-timeout= --keep-alive= --limit-request-line="
    " --limit-request-fields= --limit-request-field_size= --reload --reload-engine= --reload-extra-file=+ --spew"
    " --check-config --print-config --preload --no-sendfile --reuse-port --chdir= --daemon/-D --env/-e=+ --pid/-p="
    " --worker-tmp-dir= --user/-u= --group/-g= --umask/-m= --initgroups --forwarded-allow-ips= --access-logfile="
    " --disable-redirect-access-to-syslog --access-logformat= --error-logfile/--log-file= --log-level="
    " --capture-output --logger-class= --log-config= --log-config-json= --log-syslog-to= --log-syslog"
    " --log-syslog-prefix= --log-syslog-facility= --enable-stdio-inheritance/-R --statsd-host= --dogstatsd-tags="
    " --statsd-prefix= --enable-backlog-metric --name/-n= --pythonpath= --paste/--paster= --proxy-protocol="
    " --proxy-allow-from= --protocol= --uwsgi-allow-from= --keyfile= --certfile= --ssl-version= --cert-reqs="
    " --ca-certs= --suppress-ragged-eofs --do-handshake-on-connect --ciphers= --http-protocols= --http2-cleartext="
    " --http2-max-concurrent-streams= --http2-initial-window-size= --http2-max-frame-size="
    " --http2-max-header-list-size= --paste-global=+ --permit-obsolete-folding --strip-header-spaces"
    " --permit-unconventional-http-method --permit-unconventional-http-version --casefold-http-method"
    " --forwarder-headers= --header-map= --asgi-loop= --asgi-lifespan= --asgi-disconnect-grace-period="
    " --websocket-max-message-size= --http-parser= --root-path= --dirty-app=+ --dirty-workers= --dirty-timeout="
    " --dirty-threads= --dirty-graceful-timeout= --control-socket= --control-socket-mode= --no-control-socket"
)

# Options whose names in a configuration file differ.
FILE_NAMES = {
    "keep_alive": "keepalive",
    "preload": "preload_app",
    "no_sendfile": "sendfile",
    "env": "raw_env",
    "pid": "pidfile",
    "access_logfile": "accesslog",
    "access_logformat": "access_log_format",
    "error_logfile": "errorlog",
    "log_level": "loglevel",
    "log_config": "logconfig",
    "log_config_json": "logconfig_json",
    "log_syslog": "syslog",
    "log_syslog_to": "syslog_addr",
    "log_syslog_prefix": "syslog_prefix",
    "log_syslog_facility": "syslog_facility",
    "reload_extra_file": "reload_extra_files",
    "name": "proc_name",
    "proxy_allow_from": "proxy_allow_ips",
    "uwsgi_allow_from": "uwsgi_allow_ips",
    "paste_global": "raw_paste_global_conf",
    "dirty_app": "dirty_apps",
    "no_control_socket": "control_socket_disable",
}
# Switches that are on by default.
_ON = ("sendfile", "suppress_ragged_eofs")

_OPTION_NAMES = {file_name: name for name, file_name in FILE_NAMES.items()}

# Beside the answers of foreign_options.py.
ADVICE = {
    "check_config": "Write it on the command line: `ianus --check-config`.",
    "print_config": "Write it on the command line: `ianus --print-config`.",
    "secure_scheme_headers": "The scheme is that of X-Forwarded-Proto, or of Forwarded (forwarded_headers); let the"
    " proxy send one of them.",
    "logconfig_dict": "Write the dictionary to a .json file and name it in log_config.",
}

# Variables that Gunicorn reads, and the settings.
_READ = {"WEB_CONCURRENCY": "workers", "FORWARDED_ALLOW_IPS": "forwarded_allow_ips", "PORT": "bind"}

_UVICORN_WORKER = r"uvicorn(_worker|\.workers)\.Uvicorn(H11)?Worker"
_GREENLETS = r"gevent.*|geventwebsocket.*|eventlet|tornado"


def migrate_command(migration: Migration, words: Sequence[str], variables: Mapping[str, str]) -> None:
    """Migrates a command line. Reads the configuration file that it, or the current folder, has."""
    flags, others = OPTIONS.parse(words, migration.need_not, migration.note)
    early, _ = OPTIONS.parse(split_arguments(variables.get(GUNICORN_VARIABLE, "")), migration.need_not, migration.note)
    named = [flag.value for flag in (*early, *flags) if flag.name == "config" and flag.value]
    file = named[-1] if named else FILE if Path(FILE).is_file() else ""
    # On a line all values of a repeatable option count together, and instead of those of the file.
    line = {_file_name(flag) for flag in flags}
    if file:
        migration.files.append(file)
        configuration = read_configuration(file)
        overridden = line.union(map(_file_name, early))
        values = {name: value for name, value in configuration.values.items() if name not in overridden}
        _migrate_values(migration, configuration._replace(values=values), file)
    for flag in (*(each for each in early if _file_name(each) not in line), *flags):
        if flag.name != "config":
            value = flag.name != "no_sendfile" if flag.value is None else flag.value
            _apply(migration, _file_name(flag), value, flag.written)
    for name, value in variables.items():
        if name in _READ and migration.has(_READ[name]):
            migration.need_not(f"{name}={value}", f"{_READ[name]} is given, and has precedence in Gunicorn too")
        elif name != GUNICORN_VARIABLE:
            _set_variable(migration, name, value)
    if others:
        migration.app = others[0]
    for other in others[1:]:
        migration.note(other, "One application is served at /; Gunicorn ignores this word, or passes it to APP.")
    _finish(migration)


def _file_name(flag: Flag) -> str:
    return FILE_NAMES.get(flag.name, flag.name)


def migrate_python_file(migration: Migration, path: str) -> None:
    """Migrates a gunicorn.conf.py."""
    _migrate_values(migration, read_configuration(f"file:{path}"), f"file:{path}")
    _finish(migration)


def _migrate_values(migration: Migration, file: PythonConfiguration, source: str) -> None:
    hooks = [name for name, value in file.values.items() if name in HOOKS.split() and callable(value)]
    for name, value in file.values.items():
        if name in hooks:
            continue
        written = f"{name} = {value!r}"
        is_known = name in GUNICORN or name in _SPECIAL or name in ADVICE
        if not is_known and _OPTION_NAMES.get(name, name) not in OPTIONS.names():
            if name in file.unread and isinstance(value, (str, int, float, list)):
                migration.note_unknown(written, "Gunicorn has no such setting, and ignores it.")
        elif value is not None and value not in ([], {}) and (value is not False or name in _ON):
            comment = f"computed here: {file.computed[name]}" if name in file.computed else ""
            _apply(migration, name, value, written, comment)
        else:
            migration.is_recognised = True
    if hooks:
        module = source.removeprefix("python:")
        name = module if module != source else f"file:{file.path}"
        migration.set("hooks", name, comment=f"calls {', '.join(hooks)}")
    if Path(file.path).name == FILE and not migration.is_empty():
        advice = "keep it without its settings" if hooks else "remove it after the migration"
        migration.note(file.path, f"Ianus reads this file too, after ianus.toml; {advice}.")


def _apply(migration: Migration, name: str, value: object, written: str, comment: str = "") -> None:
    """Applies an option by its name in a file."""
    entry = GUNICORN.get(name)
    if name in _SPECIAL:
        _SPECIAL[name](migration, value, written)
        if comment and name in migration.settings:
            migration.settings[name] = migration.settings[name]._replace(comment=comment)
    elif name in ADVICE:
        migration.note(written, ADVICE[name])
    elif isinstance(entry, Renamed):
        converted = entry.convert(value)
        if converted is None:
            migration.note(written, sentence(entry.reason))
        else:
            migration.set(entry.setting, converted, written, comment)
    elif isinstance(entry, Refused):
        migration.note(written, entry.hint)
    elif isinstance(entry, Ignored):
        migration.need_not(written, entry.reason)
    else:
        migration.option(_OPTION_NAMES.get(name, name), value, written)


def _apply_worker_class(migration: Migration, value: object, written: str) -> None:
    text = value if isinstance(value, str) else getattr(value, "__qualname__", str(value))
    if re.fullmatch(_UVICORN_WORKER, text) or text == "asgi":
        migration.set("interface", "asgi", written)
        migration.need_not(written, "every worker serves ASGI applications")
    elif re.fullmatch(_GREENLETS, text):
        migration.note(
            written,
            "Remove it and the monkey-patching; a pool of threads serves requests that wait. It has at most 64 threads"
            " a worker; raise max_threads if more wait at the same time.",
        )
        _keep_threads(migration)
    elif text in ("sync", "gthread"):
        migration.need_not(written, "Ianus has one kind of worker")
    else:
        migration.note(
            written,
            "Worker classes of your own are not supported. Keep its effect by settings, hooks or a middleware.",
        )
        _keep_threads(migration)


def _keep_threads(migration: Migration) -> None:
    """Has the pool of threads in place of Gunicorn's single one."""
    if migration.value("threads") is None:
        migration.set("threads", "auto")


def _apply_access_log(migration: Migration, value: object, written: str) -> None:
    if value == "/dev/null":
        migration.set("access_log", False, written)
    else:
        migration.set("access_log", True)
        migration.option("access_logfile", value, written)


def _apply_umask(migration: Migration, value: object, written: str) -> None:
    text = str(value)
    if isinstance(value, int):
        text = f"{value:o}"
    elif re.fullmatch(r"[1-9][0-9]*", text):
        text = f"{int(text):o}"  # Gunicorn takes it as a decimal number.
    migration.set("umask", text, written)


def _apply_bind(migration: Migration, value: object, written: str) -> None:
    addresses = re.split(r"\s*,\s*", value) if isinstance(value, str) else value
    for each in addresses if isinstance(addresses, (list, tuple)) else [addresses]:
        migration.set("bind", each, written)


def _apply_peers(migration: Migration, value: object, written: str) -> None:
    # Gunicorn trusts each client of a Unix socket, in addition to the list.
    peers = value if isinstance(value, str) else ",".join(map(str, value)) if isinstance(value, (list, tuple)) else ""
    migration.set("forwarded_allow_ips", peers if peers == "*" or "$" in peers else f"{peers},unix", written)


def _set_variable(migration: Migration, name: str, value: str, read: Mapping[str, str] = _READ) -> None:
    if name == "SCRIPT_NAME" and value:
        migration.set("root_path_kept", value, f"{name}={value}", "Gunicorn reads SCRIPT_NAME")
    migration.set_variables({name: value}, read)


def _apply_env(migration: Migration, value: object, written: str) -> None:
    for text in [value] if isinstance(value, str) else value if isinstance(value, (list, tuple)) else []:
        name, _, content = str(text).partition("=")
        _set_variable(migration, name, content, read={})


def _apply_python_path(migration: Migration, value: object, written: str) -> None:
    migration.set("pythonpath", str(value).split(","), written)


def _apply_app(migration: Migration, value: object, written: str) -> None:
    migration.app = str(value)


def _apply_reload_files(migration: Migration, value: object, written: str) -> None:
    for each in [value] if isinstance(value, str) else value if isinstance(value, (list, tuple)) else []:
        folder, _, name = str(each).rpartition("/")
        migration.set("reload_dir", ["."])
        migration.set("reload_dir", [folder or "."], written)
        migration.set("reload_include", ["*.py"])
        migration.set("reload_include", [name], written)


_SPECIAL: Mapping[str, Callable[[Migration, object, str], None]] = {
    "worker_class": _apply_worker_class,
    "accesslog": _apply_access_log,
    "umask": _apply_umask,
    "bind": _apply_bind,
    "forwarded_allow_ips": _apply_peers,
    "raw_env": _apply_env,
    "wsgi_app": _apply_app,
    "pythonpath": _apply_python_path,
    "reload_extra_files": _apply_reload_files,
}


def _finish(migration: Migration) -> None:
    """Adds Gunicorn's defaults."""
    # PORT is read by Gunicorn too.
    if "PORT" not in os.environ:
        migration.join_address("127.0.0.1", 8000)
    is_asgi = migration.value("interface") == "asgi"
    if is_asgi:
        migration.settings.pop("threads", None)
    else:
        migration.default("threads", 1)
        # Gunicorn takes the scheme alone from a proxy; its ASGI workers, which are Uvicorn's, take the address as well.
        migration.default("forwarded_fields", ["proto"])
    migration.default("timeout_stop", 30)
    if migration.value("threads") not in (None, 1) or is_asgi:
        migration.default("timeout_keep_alive", 2)
    migration.default("access_log", False)
    if migration.value("access_log"):
        migration.default("access_log_format", '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"')
