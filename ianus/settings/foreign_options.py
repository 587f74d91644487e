"""Options of other servers that are no settings here: what is said to those who are used to them.

Some choose among things of which there is only one here, so that a line with them can be served as it is, with
a warning. The others are about something that does not exist; the line is refused, and the hint says what does.
What has the same meaning under another name is an alias, in the table of settings (schema.py).
"""

from typing import NamedTuple


class Habit(NamedTuple):
    """An option that changes nothing.

    names: as flags.
    values: those that are accepted; none is any, and a switch has None.
    because: why it changes nothing.
    instead: what is said of other values that are like the first of a pair, a pattern; `{}` is the value.
    """

    names: str
    values: tuple[str, ...] | None
    because: str
    instead: tuple[tuple[str, str], ...] = ()


ACCEPTED = (
    Habit(
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
    Habit(
        "--http",
        ("auto", "1", "1.1", "h1", "h11", "httptools", "zttp"),
        "there is one parser, of HTTP/1.1",
        ((r".*:[0-9]+", "where to listen is said with --bind {}"),),
    ),
    Habit("--http-protocols", ("h1",), "HTTP/1.1 is what is spoken"),
    Habit("--no-proxy-headers", None, "fields of proxies are not read yet"),
    Habit("--master", None, "there is always a supervisor"),
    Habit("--respawn-failed-workers", None, "workers that die are always replaced"),
    Habit("--respawn-interval", (), "a worker that dies again and again is replaced after longer and longer pauses"),
    Habit("--initgroups", None, "--user takes all groups of the user"),
    Habit("--enable-threads", None, "an application may have threads of its own"),
    Habit("--vacuum", None, "a Unix socket is removed at the end"),
    Habit("--die-on-term", None, "TERM stops the server"),
    Habit("--task-impl", ("asyncio", "auto"), "tasks are those of asyncio"),
    Habit("--runtime-mode", (), "sockets are served by the threads that call the application"),
    Habit("--runtime-threads", (), "sockets are served by the threads that call the application"),
    Habit("--runtime-blocking-threads", (), "sockets are served by the threads that call the application"),
    Habit("--blocking-threads-idle-timeout", (), "threads that are not needed leave"),
    Habit("--manage-script-name", None, "SCRIPT_NAME is always right for a mounted application"),
    Habit("--reload-engine", (), "there is one way of watching files"),
    Habit("--worker-tmp-dir", (), "no files are used to watch workers"),
    Habit("--use-colors --no-use-colors", None, "the log has no colours"),
    Habit("--reset-contextvars", None, "every request has a context of its own"),
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

ELSEWHERE = {
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

HINTS = {flag: hint for flags, hint in ELSEWHERE.items() for flag in flags.split()}


BY_NAME = {
    flag[2:].replace("-", "_"): habit for habit in ACCEPTED for flag in habit.names.split() if flag.startswith("--")
}


def ignored(name: str, value: object) -> str:
    """The warning about an option, by its name with underscores, that changes nothing; "" if it is not accepted so."""
    habit = BY_NAME.get(name)
    if habit is None or (habit.values and value not in habit.values):
        return ""
    shown = name if habit.values is None else f"{name}={value!r}"
    return f"{shown} changes nothing: {habit.because}."


def hint(name: str) -> str:
    """What is to be said about a name, written with underscores, that is no setting; "" is nothing."""
    flag = "--" + name.replace("_", "-")
    for habit in ACCEPTED:
        if flag in habit.names.split():
            return f"Leave it out: {habit.because}."
    return HINTS.get(flag, "")
