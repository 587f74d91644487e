"""Granian: its command line and its variables GRANIAN_*."""

import re
from collections.abc import Mapping, Sequence

from ianus.migrate.flags import FlagList
from ianus.migrate.log_formats import granian_format
from ianus.migrate.migration import Migration

SERVER = "Granian"

OPTIONS = FlagList(
    "--host= --port= --uds= --uds-permissions= --interface= --http= --ws --no-ws --workers= --blocking-threads="
    " --blocking-threads-idle-timeout= --runtime-threads= --runtime-blocking-threads= --runtime-mode= --loop="
    " --task-impl= --backlog= --backpressure= --http1-buffer-size= --http1-header-read-timeout= --http1-keep-alive"
    " --no-http1-keep-alive --http1-pipeline-flush --no-http1-pipeline-flush --http2-adaptive-window"
    " --no-http2-adaptive-window --http2-initial-connection-window-size= --http2-initial-stream-window-size="
    " --http2-keep-alive-interval= --http2-keep-alive-timeout= --http2-max-concurrent-streams= --http2-max-frame-size="
    " --http2-max-headers-size= --http2-max-send-buffer-size= --log --no-log --log-level= --log-config= --access-log"
    " --no-access-log --access-log-fmt= --ssl-certificate= --ssl-keyfile= --ssl-keyfile-password= --ssl-protocol-min="
    " --ssl-ca= --ssl-crl=+ --ssl-client-verify --no-ssl-client-verify --url-path-prefix= --respawn-failed-workers"
    " --no-respawn-failed-workers --respawn-interval= --rss-sample-interval= --rss-samples= --workers-lifetime="
    " --workers-max-rss= --workers-kill-timeout= --factory --no-factory --working-dir= --env-files=+"
    " --static-path-route=+ --static-path-mount=+ --static-path-dir-to-file= --static-path-expires= --metrics"
    " --no-metrics --metrics-scrape-interval= --metrics-address= --metrics-port= --reload --no-reload --reload-paths=+"
    " --reload-ignore-dirs=+ --reload-ignore-patterns=+ --reload-ignore-paths=+ --reload-tick="
    " --reload-ignore-worker-failure --no-reload-ignore-worker-failure --process-name= --pid-file="
    # An option of Granian before 2.0.
    " --threads="
)

# Variables whose names differ from those of their options.
VARIABLES = {
    "log_enabled": "log",
    "log_access_enabled": "access_log",
    "log_access_fmt": "access_log_fmt",
    "websockets": "ws",
    "metrics_enabled": "metrics",
}

# Options that take several values, with colons or with spaces between them in a variable.
_PATHS = ("env_files", "reload_paths", "reload_ignore_paths", "static_path_mount", "ssl_crl")
_LISTS = ("static_path_route", "reload_ignore_dirs", "reload_ignore_patterns")

# Beside the answers of foreign_options.py.
_DEFAULTS = ("no_factory", "no_reload", "ws")

_PREFIX = "GRANIAN_"
_OFF = ("0", "false", "no", "off", "f", "n")


def migrate_command(migration: Migration, words: Sequence[str], variables: Mapping[str, str]) -> None:
    """Migrates a command line."""
    flags, others = OPTIONS.parse(words, migration.need_not, migration.note)
    given = {flag.name for flag in flags}
    interface = variables.get(f"{_PREFIX}INTERFACE", "")
    for variable, value in variables.items():
        name = variable.removeprefix(_PREFIX).lower()
        name = VARIABLES.get(name, name)
        if not variable.startswith(_PREFIX):
            migration.set_variables({variable: value})
        elif name not in given:
            _apply_variable(migration, name, value, f"{variable}={value}")
    for flag in flags:
        if flag.name == "interface" and flag.value:
            interface = flag.value
        _apply(migration, flag.name, True if flag.value is None else flag.value, flag.written)
    if interface in ("", "rsgi"):
        migration.note(
            f"--interface {interface or 'rsgi (the default)'}",
            "RSGI is not supported; give the ASGI or WSGI application of your framework.",
        )
    if others:
        migration.app = others[0]
    for other in others[1:]:
        migration.note(other, "One application is served at /; remove it.")
    if migration.value("ssl_ca_certs") and migration.value("ssl_cert_reqs") != "required":
        migration.set("ssl_cert_reqs", "optional", comment="Granian checks the certificates that clients send")
    migration.join_address("127.0.0.1", 8000)
    # Granian has no setting for these: it believes no proxy, and stops when all requests have ended.
    migration.default("proxy_headers", False)
    migration.default("timeout_stop", 0)
    migration.default("access_log", False)
    migration.default_http2()
    if migration.value("access_log"):
        migration.default("access_log_format", '%(t)s %(h)s - "%(m)s %(U)s %(H)s" %(s)s %(M)s')


def _apply_variable(migration: Migration, name: str, value: str, written: str) -> None:
    """Applies a variable; a switch has a value there."""
    if name in _PATHS or name in _LISTS:
        for each in value.split(":" if name in _PATHS else None):
            _apply(migration, name, each, written)
    elif f"no_{name}" not in OPTIONS.names():
        _apply(migration, name, value, written)
    elif value.lower() in _OFF:
        _apply(migration, f"no_{name}", True, written)
    else:
        _apply(migration, name, True, written)


def _apply(migration: Migration, name: str, value: object, written: str) -> None:
    if name == "interface":
        _apply_interface(migration, str(value), written)
    elif name in _DEFAULTS:
        migration.need_not(written, "it is the default")
    elif name == "ssl_crl" and (first := migration.value("ssl_crl")):
        migration.note(written, f"One file has all lists of revoked certificates: append this one to {first}.")
    elif name == "no_ws":
        migration.set("ws", "none", written)
    elif name == "access_log_fmt":
        migration.set("access_log_format", granian_format(str(value)), written)
    elif name in ("workers_lifetime", "workers_kill_timeout") and (seconds := _seconds(str(value))):
        migration.set(name, seconds, written)
    else:
        migration.option(name, value, written)


def _apply_interface(migration: Migration, interface: str, written: str) -> None:
    if interface == "asginl":
        migration.set("interface", "asgi", written)
        migration.set("lifespan", "off", written)
    elif interface != "rsgi":
        migration.set("interface", interface, written)


def _seconds(text: str) -> float:
    """Converts a duration such as 1h30m or 2d to seconds; 0 if it is not one."""
    parts = re.findall(r"([0-9]+)([dhms])", text)
    if "".join(f"{number}{unit}" for number, unit in parts) != text:
        return 0
    return float(sum(int(number) * {"d": 86400, "h": 3600, "m": 60, "s": 1}[unit] for number, unit in parts))
