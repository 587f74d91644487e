"""Daphne: its command line."""

import re
from collections.abc import Mapping, Sequence

from ianus.migrate.flags import FlagList
from ianus.migrate.migration import Migration

SERVER = "Daphne"

OPTIONS = FlagList(
    "--port/-p= --bind/-b= --websocket_timeout= --websocket_connect_timeout= --unix-socket/-u= --fd="
    " --endpoint/-e=+ --verbosity/-v= --http-timeout/-t= --access-log= --log-fmt= --ping-interval= --ping-timeout="
    " --websocket-max-message-size= --websocket-max-frame-size= --application-close-timeout= --root-path="
    " --proxy-headers --proxy-headers-host= --proxy-headers-port= --server-name/-s= --no-server-name"
)

# Names that differ: -b is a host, and the path of a request is passed on as it was received.
RENAMED = {"bind": "host", "access_log": "access_logfile", "root_path": "root_path_kept"}


def migrate_command(migration: Migration, words: Sequence[str], variables: Mapping[str, str]) -> None:
    """Migrates a command line."""
    flags, others = OPTIONS.parse(words, migration.need_not, migration.note)
    for flag in flags:
        _apply(migration, flag.name, "" if flag.value is None else flag.value, flag.written)
    migration.set_variables(variables)
    if others:
        migration.app = others[0]
    for other in others[1:]:
        migration.note(other, "One application is served at /; remove it.")
    migration.set("interface", "asgi")
    migration.join_address("127.0.0.1", 8000, is_additional=True)
    migration.default("lifespan", "off")
    migration.default("proxy_headers", False)
    migration.default("ws_max_size", "1M")
    migration.default("ws_ping_timeout", 30)
    migration.default("access_log_format", '%(h)s - - %(t)s "%(r)s" %(s)s %(b)s')


def _apply(migration: Migration, name: str, value: str, written: str) -> None:
    if name == "endpoint":
        _apply_endpoint(migration, value, written)
    elif name == "verbosity":
        level = {"0": "warning", "1": "info"}.get(value, "debug")
        migration.set("log_level", level, written)
        if value == "0":
            migration.set("access_log", False, written)
    elif name == "proxy_headers":
        migration.set("proxy_headers", True, written)
        migration.note(
            written,
            "Daphne believes every client. Ianus believes proxies on this machine; name another one in"
            " forwarded_allow_ips.",
        )
    elif name == "server_name":
        migration.set("server_header", False, written)
        migration.set("header", f"Server: {value}", written)
    elif name == "no_server_name":
        migration.set("server_header", False, written)
    elif name != "bind" or value:  # an empty host is the default one
        migration.option(RENAMED.get(name, name), value, written)


def _address(host: str, pairs: Mapping[str, str], plain: Sequence[str]) -> str:
    host = pairs.get("interface", host).replace("\\:", ":")
    port = pairs.get("port", plain[0] if plain else "")
    return f"[{host}]:{port}" if ":" in host.strip("[]") and "[" not in host else f"{host}:{port}"


def _apply_tls(migration: Migration, pairs: Mapping[str, str], plain: Sequence[str], written: str) -> None:
    """Applies an endpoint such as ssl:443:privateKey=key.pem:certKey=crt.pem."""
    migration.set_tls_bind(_address("0.0.0.0", pairs, plain), written)
    # Twisted reads both from the file server.pem, unless they are given.
    key = pairs.get("privateKey", "server.pem")
    migration.set("ssl_certfile", pairs.get("certKey", key), written)
    migration.set("ssl_keyfile", key, written)
    if "extraCertChain" in pairs:
        migration.note(f"extraCertChain={pairs['extraCertChain']}", "Append it to the file of the certificate.")


def _apply_endpoint(migration: Migration, value: str, written: str) -> None:
    """Applies an endpoint of Twisted, such as tcp:port=8000:interface=0.0.0.0."""
    kind, *parts = re.split(r"(?<!\\):", value)
    pairs = dict(part.split("=", 1) for part in parts if "=" in part)
    plain = [part for part in parts if "=" not in part]
    if kind in ("tcp", "tcp6"):
        migration.set("bind", _address("[::]" if kind == "tcp6" else "0.0.0.0", pairs, plain), written)
    elif kind == "unix":
        migration.set("bind", f"unix:{pairs.get('address', plain[0] if plain else '')}", written)
    elif kind == "systemd":
        migration.note(written, "Sockets of a socket unit are served without a setting.")
    elif kind == "ssl":
        _apply_tls(migration, pairs, plain, written)
    elif kind in ("txacme", "le"):
        migration.note(written, "Name a certificate and its key in ssl_certfile and ssl_keyfile (`ianus docs tls`).")
    else:
        migration.note(written, "Write the address in bind, as in HOST:PORT or unix:PATH.")
