"""Waitress: the command line of waitress-serve."""

from collections.abc import Mapping, Sequence

from ianus.migrate.flags import FlagList
from ianus.migrate.migration import Migration, with_brackets

SERVER = "Waitress"

OPTIONS = FlagList(
    "--app= --call --host= --port= --listen=+ --ipv4 --no-ipv4 --ipv6 --no-ipv6 --unix-socket="
    " --unix-socket-perms= --url-scheme= --url-prefix= --ident= --threads= --backlog= --recv-bytes= --send-bytes="
    " --outbuf-overflow= --outbuf-high-watermark= --inbuf-overflow= --connection-limit= --cleanup-interval="
    " --channel-timeout= --log-socket-errors --no-log-socket-errors --max-request-header-size="
    " --max-request-body-size= --expose-tracebacks --no-expose-tracebacks --asyncore-loop-timeout="
    " --asyncore-use-poll --no-asyncore-use-poll --channel-request-lookahead= --trusted-proxy="
    " --trusted-proxy-count= --trusted-proxy-headers= --log-untrusted-proxy-headers"
    " --no-log-untrusted-proxy-headers --clear-untrusted-proxy-headers --no-clear-untrusted-proxy-headers"
    " --server-name="
)


def migrate_command(migration: Migration, words: Sequence[str], variables: Mapping[str, str]) -> None:
    """Migrates a command line."""
    flags, others = OPTIONS.parse(words, migration.need_not, migration.note)
    for flag in flags:
        _apply(migration, flag.name, True if flag.value is None else flag.value, flag.written)
    for name, value in variables.items():
        if name == "WEB_CONCURRENCY":
            migration.note(
                f"{name}={value}", "Ianus reads it as the number of worker processes. Unset it, or set workers = 1."
            )
        else:
            migration.set_variables({name: value})
    if others:
        # Waitress takes MODULE.NAME too. pkgutil.resolve_name() imports the longest module of it.
        module, dot, name = others[0].rpartition(".")
        migration.app = f"{module}:{name}" if dot and not set(":/$") & set(others[0]) else others[0]
    for other in others[1:]:
        migration.note(other, "One application is served at /; remove it.")
    _finish(migration)


def _apply(migration: Migration, name: str, value: object, written: str) -> None:
    if name == "no_asyncore_use_poll":
        migration.need_not(written, "connections are watched by epoll")
    elif name == "app":
        migration.app = str(value)
    elif name == "listen":
        for each in str(value).split():
            # A host alone has Waitress's port, and an address without a host is a port.
            host, colon, port = each.rpartition(":")
            address = f"{host or '0.0.0.0'}:{port}" if colon and "]" not in port else f"{each}:8080"
            migration.set("bind", with_brackets(address), written)
    elif name == "ident":
        migration.set("server_header", False, written)
        if value:
            migration.set("header", f"Server: {value}", written)
    elif name == "url_prefix":
        migration.set("root_path_kept", value, written, "root_path, if the proxy strips it from requests")
    elif name == "server_name":
        migration.need_not(written, "SERVER_NAME is the host of the request")
    elif name == "threads" and isinstance(value, str) and "WEB_CONCURRENCY" in value:
        migration.note(
            written,
            "Ianus reads WEB_CONCURRENCY as the number of worker processes, not of threads. Unset it, and start with"
            f' the variable IANUS_THREADS="{value}".',
        )
    elif name == "trusted_proxy_headers":
        _apply_fields(migration, str(value), written)
    else:
        migration.option(name, value, written)


def _apply_fields(migration: Migration, value: str, written: str) -> None:
    names = value.lower().replace(",", " ").split()
    if "forwarded" in names:
        migration.set("forwarded_headers", "forwarded", written)
        return
    known = [name.removeprefix("x-forwarded-") for name in names if name != "x-forwarded-by"]
    if "x-forwarded-by" in names:
        migration.note("x-forwarded-by", "The field is not read.")
    migration.set("forwarded_fields", ",".join(known), written)


def _finish(migration: Migration) -> None:
    """Adds Waitress's defaults."""
    migration.join_address("0.0.0.0", 8080)
    migration.default("threads", 4)
    migration.default("workers", 1)
    if migration.value("forwarded_allow_ips") is None:
        migration.default("proxy_headers", False)
    elif migration.value("forwarded_fields") is None:
        migration.default("forwarded_fields", ["proto"])
    if migration.has_unix_socket():
        migration.default("uds_permissions", "600")
    migration.default("timeout_keep_alive", 120)
    migration.default("limit_connections", 100)
    migration.default("access_log", False)
