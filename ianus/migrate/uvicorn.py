"""Uvicorn: its command line and its variables UVICORN_*."""

from collections.abc import Mapping, Sequence

from ianus.migrate.flags import FlagList
from ianus.migrate.migration import Migration

SERVER = "Uvicorn"

OPTIONS = FlagList(
    "--host= --port= --uds= --fd= --reload --reload-dir=+ --reload-include=+ --reload-exclude=+ --reload-delay="
    " --workers= --loop= --http= --http2 --ws= --ws-max-size= --ws-max-queue= --ws-ping-interval="
    " --ws-ping-timeout= --ws-per-message-deflate= --lifespan= --interface= --env-file= --log-config= --log-level="
    " --access-log --no-access-log --use-colors --no-use-colors --proxy-headers --no-proxy-headers --server-header"
    " --no-server-header --date-header --no-date-header --forwarded-allow-ips= --root-path= --limit-concurrency="
    " --backlog= --limit-max-requests= --limit-max-requests-jitter= --timeout-keep-alive="
    " --timeout-graceful-shutdown= --timeout-worker-healthcheck= --ssl-keyfile= --ssl-certfile="
    " --ssl-keyfile-password= --ssl-version= --ssl-cert-reqs= --ssl-ca-certs= --ssl-ciphers= --header=+ --app-dir="
    " --h11-max-incomplete-event-size= --reset-contextvars --factory"
)

_PREFIX = "UVICORN_"

# Options with several values: the names of their variables, and the separators (None: spaces) there.
_LISTS = {
    "headers": ("header", None),
    "reload_dirs": ("reload_dir", ":"),
    "reload_includes": ("reload_include", None),
    "reload_excludes": ("reload_exclude", None),
}

# Values of --http and --ws that choose among parts of Uvicorn.
_IMPLEMENTATIONS = ("auto", "h11", "httptools", "zttp", "websockets", "websockets-sansio", "wsproto")

# Further variables that Uvicorn reads, and the settings.
_READ = {"WEB_CONCURRENCY": "workers", "FORWARDED_ALLOW_IPS": "forwarded_allow_ips"}


def migrate_command(migration: Migration, words: Sequence[str], variables: Mapping[str, str]) -> None:
    """Migrates a command line."""
    flags, others = OPTIONS.parse(words, migration.need_not, migration.note)
    given = {flag.name for flag in flags}
    for variable, value in variables.items():
        name = variable.removeprefix(_PREFIX).lower()
        if not variable.startswith(_PREFIX):
            migration.set_variables({variable: value}, _READ)
        elif name == "app":
            migration.app = value
        elif name in _LISTS:
            option, separator = _LISTS[name]
            for each in value.split(separator) if option not in given else ():
                _apply(migration, option, each, f"{variable}={value}")
        elif name not in given:
            _apply(migration, name, value, f"{variable}={value}")
    for flag in flags:
        _apply(migration, flag.name, flag.value if flag.value is not None else True, flag.written)
    if others:
        migration.app = others[0]
    for other in others[1:]:
        migration.note(other, "One application is served at /; remove it.")
    # The event loop of a single process opens a socket of each family, and the supervisor of several one of IPv4.
    has_supervisor = bool(migration.value("reload")) or migration.value("workers") not in (None, 1)
    migration.join_address("127.0.0.1", 8000, empty_host="0.0.0.0" if has_supervisor else "")
    if migration.has_unix_socket():
        # Uvicorn trusts no client of a Unix socket by itself.
        migration.default("forwarded_allow_ips", "127.0.0.1,::1")
    migration.default("timeout_keep_alive", 5)
    migration.default("timeout_stop", 0)


def _apply(migration: Migration, name: str, value: object, written: str) -> None:
    if name == "forwarded_allow_ips" and isinstance(value, str) and "/" in value:
        # A path stands for clients of that Unix socket.
        peers = ["unix" if peer.startswith("/") else peer for peer in value.split(",")]
        migration.set(name, ",".join(peers), written)
    elif name in ("http", "ws") and value in _IMPLEMENTATIONS:
        migration.need_not(written, "Ianus has one implementation of it")
    else:
        if name == "env_file":
            migration.env_files.clear()  # The last one of a line counts.
        migration.option(name, value, written)
