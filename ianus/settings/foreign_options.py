"""Options of other servers that are no settings here: what is said to those who are used to them.

Some choose among things of which there is only one here, so that a line with them can be served as it is, with
a warning. The others are about something that does not exist; the line is refused, and the hint says what does.
What has the same meaning under another name is an alias, in the table of settings (schema.py).
"""

from typing import NamedTuple


class IgnoredOption(NamedTuple):
    """An option that changes nothing.

    names: as flags.
    values: those that are accepted; none is any, and a switch has None.
    because: why it changes nothing.
    instead: what is said of other values that are like the first of a pair, a pattern; `{}` is the value.
    """

    flags: str
    values: tuple[str, ...] | None
    reason: str
    remedies: tuple[tuple[str, str], ...] = ()


IGNORED_OPTIONS = (
    IgnoredOption(
        "--worker-class -k",
        (
            "auto",
            "sync",
            "gthread",
            "asgi",
            "asyncio",
            "uvloop",
            "uvicorn.workers.UvicornWorker",
            "uvicorn.workers.UvicornH11Worker",
            "uvicorn_worker.UvicornWorker",
            "uvicorn_worker.UvicornH11Worker",
        ),
        "there is one kind of worker",
        ((r"gevent.*|eventlet|tornado", "leave it out; threads do this, see --threads"),),
    ),
    IgnoredOption(
        "--http",
        ("auto", "1", "1.1", "h1", "h11", "httptools", "zttp"),
        "there is one parser, of HTTP/1.1",
        ((r".*:[0-9]+", "where to listen is said with --bind {}"),),
    ),
    IgnoredOption("--http-protocols", ("h1",), "HTTP/1.1 is what is spoken"),
    IgnoredOption("--no-proxy-headers", None, "fields of proxies are not read yet"),
    IgnoredOption("--master", None, "there is always a supervisor"),
    IgnoredOption("--respawn-failed-workers", None, "workers that die are always replaced"),
    IgnoredOption("--respawn-interval", (), "a worker that crashes repeatedly is replaced after increasing pauses"),
    IgnoredOption("--initgroups", None, "--user takes all groups of the user"),
    IgnoredOption("--enable-threads", None, "an application may have threads of its own"),
    IgnoredOption("--vacuum", None, "a Unix socket is removed at the end"),
    IgnoredOption("--die-on-term", None, "TERM stops the server"),
    IgnoredOption("--task-impl", ("asyncio", "auto"), "tasks are those of asyncio"),
    IgnoredOption("--runtime-mode", (), "sockets are served by the threads that call the application"),
    IgnoredOption("--runtime-threads", (), "sockets are served by the threads that call the application"),
    IgnoredOption("--runtime-blocking-threads", (), "sockets are served by the threads that call the application"),
    IgnoredOption("--blocking-threads-idle-timeout", (), "threads that are not needed leave"),
    IgnoredOption("--manage-script-name", None, "SCRIPT_NAME is always right for a mounted application"),
    IgnoredOption("--reload-engine", (), "there is one way of watching files"),
    IgnoredOption("--worker-tmp-dir", (), "no files are used to watch workers"),
    IgnoredOption("--use-colors --no-use-colors", None, "the log has no colours"),
    IgnoredOption("--reset-contextvars", None, "every request has a context of its own"),
)

_HARAKIRI = (
    "A call that lasts is reported (--stuck-report-after) and not ended, because a thread cannot be; give what can hang"
    " limits of its own. --timeout is about a worker in which nothing goes on."
)
_APP = "The application is named without an option, as in `ianus main:app`."
_ADDRESS = "Where to listen is said with --bind, as in --bind 0.0.0.0:8000 or --bind unix:/run/app.sock."
_TLS = "TLS is not spoken yet; put a proxy in front."
_PROXY = (
    "Fields of proxies are not read yet: applications see the address that has connected, and the scheme http. Until"
    " then a middleware can read them, such as werkzeug.middleware.proxy_fix.ProxyFix (WSGI) or"
    " uvicorn.middleware.proxy_headers.ProxyHeadersMiddleware (ASGI)."
)
_STATIC = "Files are not served yet; a proxy or the application can."
_METRICS = "There are no metrics yet; --log-format json makes lines that a program can count."
_HTTP2 = "HTTP/2 is not spoken yet; put a proxy in front."
_SYSLOG = "There is no syslog yet; --log-config can set up Python's handler for it."

REJECTED = {
    "--no-respawn-failed-workers": "Workers that die are always replaced.",
    "--harakiri": _HARAKIRI,
    "--proxy-headers --forwarded-allow-ips --trusted-proxy": _PROXY,
    "--proxy-protocol --proxy-allow-from": _PROXY,
    "--no-ws": "It is written --ws none.",
    "--ssl --certfile --keyfile --ca-certs --cert-reqs --ciphers --verify-mode --insecure-bind": _TLS,
    "--ssl-certfile --ssl-keyfile --ssl-keyfile-password --ssl-certificate --ssl-ca --ssl-ca-certs": _TLS,
    "--ssl-cert-reqs --ssl-ciphers --ssl-version --ssl-crl --ssl-client-verify --ssl-protocol-min": _TLS,
    "--http2 --http2-cleartext --http2-max-concurrent-streams --quic-bind": _HTTP2,
    "--static-path-route --static-path-mount --static-path-expires --static-map": _STATIC,
    "--statsd-host --statsd-prefix --dogstatsd-tags --metrics --metrics-address --metrics-port": _METRICS,
    "--log-syslog --log-syslog-to --log-syslog-prefix --log-syslog-facility": _SYSLOG,
    "--daemon -D": "The server stays in the foreground; let systemd, a container or the like run it.",
    "--server-name": "Requests for every host are served; a proxy or the application can refuse some.",
    "--env -e": "Set it in the environment, as in `NAME=value ianus APP`, or in a file that --env-file names.",
    "--capture-output": "What the application prints stays where it goes.",
    "--reuse-port": "A port has one server; others can be given its socket with --bind fd://N.",
    "--reload-extra-file": "Name its directory with --reload-dir and its name with --reload-include.",
    "--reload-ignore-dirs --reload-ignore-patterns --reload-ignore-paths": "Files are left out with --reload-exclude.",
    "--debug": "More of the server's own messages are written with --log-level debug.",
    "--module --wsgi-file --wsgi --callable": _APP,
    "--http-socket --socket -s": _ADDRESS,
    "--ini": "Settings are read from ianus.toml, or from the TOML file that --config names.",
    "--completion --install-completion --show-completion": "`ianus completion bash` (zsh, fish) prints the script.",
    "--control-socket": "The server is controlled with signals; docs/operations.md has them.",
}

HINTS = {flag: hint for flags, hint in REJECTED.items() for flag in flags.split()}


IGNORED_BY_NAME = {
    flag[2:].replace("-", "_"): option
    for option in IGNORED_OPTIONS
    for flag in option.flags.split()
    if flag.startswith("--")
}


def ignored_warning(name: str, value: object) -> str:
    """The warning about an option, by its name with underscores, that changes nothing; "" if it is not accepted so."""
    option = IGNORED_BY_NAME.get(name)
    if option is None or (option.values and value not in option.values):
        return ""
    shown = name if option.values is None else f"{name}={value!r}"
    return f"{shown} changes nothing: {option.reason}."


def hint(name: str) -> str:
    """What is to be said about a name, written with underscores, that is no setting; "" is nothing."""
    flag = "--" + name.replace("_", "-")
    for option in IGNORED_OPTIONS:
        if flag in option.flags.split():
            return f"Leave it out: {option.reason}."
    return HINTS.get(flag, "")
