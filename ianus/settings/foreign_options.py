"""Options of other servers that are not settings here, with a message for each.

Some options choose among alternatives of which Ianus has only one: they are accepted with a warning. The others need a
feature that Ianus does not have: they are rejected, and the hint names the alternative. An option that has the same
meaning under another name is an alias in the table of settings (schema.py).
"""

from typing import NamedTuple


class IgnoredOption(NamedTuple):
    """An option that has no effect.

    flags: its flags, separated by spaces.
    values: the accepted values; an empty tuple accepts any value, and None is a switch.
    reason: why the option has no effect.
    remedies: pairs of a pattern for other values and a hint about them, in which `{}` is the value.
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
        "Ianus has one kind of worker",
        ((r"gevent.*|eventlet|tornado", "remove it; threads do this, see --threads"),),
    ),
    IgnoredOption(
        "--http",
        ("auto", "1", "1.1", "h1", "h11", "httptools", "zttp"),
        "Ianus has one parser, for HTTP/1.1",
        ((r".*:[0-9]+", "write --bind {} to listen there"),),
    ),
    IgnoredOption("--http-protocols", ("h1",), "Ianus supports HTTP/1.1"),
    IgnoredOption("--master", None, "a supervisor is always started"),
    IgnoredOption("--respawn-failed-workers", None, "crashed workers are always replaced"),
    IgnoredOption("--respawn-interval", (), "a worker that crashes repeatedly is replaced after increasing pauses"),
    IgnoredOption("--initgroups", None, "--user takes all groups of the user"),
    IgnoredOption("--enable-threads", None, "applications may always start threads"),
    IgnoredOption("--vacuum", None, "the file of a Unix socket is removed when the server stops"),
    IgnoredOption("--die-on-term", None, "SIGTERM stops the server"),
    IgnoredOption("--task-impl", ("asyncio", "auto"), "tasks are asyncio tasks"),
    IgnoredOption("--runtime-mode", (), "sockets are served by the threads that call the application"),
    IgnoredOption("--runtime-threads", (), "sockets are served by the threads that call the application"),
    IgnoredOption("--runtime-blocking-threads", (), "sockets are served by the threads that call the application"),
    IgnoredOption("--blocking-threads-idle-timeout", (), "idle threads exit by themselves"),
    IgnoredOption("--manage-script-name", None, "SCRIPT_NAME is always set for a mounted application"),
    IgnoredOption("--reload-engine", (), "Ianus has one way of watching files"),
    IgnoredOption("--worker-tmp-dir", (), "no files are used to watch workers"),
    IgnoredOption("--use-colors --no-use-colors", None, "the log has no colours"),
    IgnoredOption("--reset-contextvars", None, "every request has a context of its own"),
)

_HARAKIRI = (
    "A call that runs too long is reported (--stuck-report-after), but a thread cannot be ended. Set timeouts in the"
    " application. --timeout replaces a worker that makes no progress at all."
)
_APP = "Name the application without an option, as in `ianus main:app`."
_ADDRESS = "Use --bind, as in --bind 0.0.0.0:8000 or --bind unix:/run/app.sock."
_TLS = "TLS is not supported yet; put a proxy in front."
_STATIC = "Static files are not supported yet; serve them with a proxy or the application."
_METRICS = "Metrics are not supported yet; --log-format json writes lines that a program can count."
_HTTP2 = "HTTP/2 is not supported yet; put a proxy in front."
_SYSLOG = "Syslog is not supported yet; --log-config can set up Python's handler for it."

REJECTED = {
    "--no-respawn-failed-workers": "Crashed workers are always replaced.",
    "--harakiri": _HARAKIRI,
    "--no-ws": "Write --ws none.",
    "--ssl --certfile --keyfile --ca-certs --cert-reqs --ciphers --verify-mode --insecure-bind": _TLS,
    "--ssl-certfile --ssl-keyfile --ssl-keyfile-password --ssl-certificate --ssl-ca --ssl-ca-certs": _TLS,
    "--ssl-cert-reqs --ssl-ciphers --ssl-version --ssl-crl --ssl-client-verify --ssl-protocol-min": _TLS,
    "--http2 --http2-cleartext --http2-max-concurrent-streams --quic-bind": _HTTP2,
    "--static-path-route --static-path-mount --static-path-expires --static-map": _STATIC,
    "--statsd-host --statsd-prefix --dogstatsd-tags --metrics --metrics-address --metrics-port": _METRICS,
    "--log-syslog --log-syslog-to --log-syslog-prefix --log-syslog-facility": _SYSLOG,
    "--daemon -D": "The server runs in the foreground; start it with systemd, a container or a similar manager.",
    "--server-name": "Requests for every host are accepted; a proxy or the application can reject some.",
    "--env -e": "Set it in the environment, as in `NAME=value ianus APP`, or in a file that --env-file names.",
    "--capture-output": "Output of the application is not redirected.",
    "--reuse-port": "A port has one server; pass its socket to others with --bind fd://N.",
    "--reload-extra-file": "Name its directory with --reload-dir and its name with --reload-include.",
    "--reload-ignore-dirs --reload-ignore-patterns --reload-ignore-paths": "Exclude files with --reload-exclude.",
    "--debug": "Use --log-level debug for more server log messages.",
    "--module --wsgi-file --wsgi --callable": _APP,
    "--http-socket --socket -s": _ADDRESS,
    "--ini": "Settings are read from ianus.toml, or from the TOML file that --config names.",
    "--completion --install-completion --show-completion": "`ianus completion bash` (zsh, fish) prints the script.",
    "--control-socket": "The server is controlled with signals; see docs/operations.md.",
}

HINTS = {flag: hint for flags, hint in REJECTED.items() for flag in flags.split()}


IGNORED_BY_NAME = {
    flag[2:].replace("-", "_"): option
    for option in IGNORED_OPTIONS
    for flag in option.flags.split()
    if flag.startswith("--")
}


def ignored_warning(name: str, value: object) -> str:
    """Returns the warning about an ignored option, by its name with underscores; "" if `value` is not ignored."""
    option = IGNORED_BY_NAME.get(name)
    if option is None or (option.values and value not in option.values):
        return ""
    text = name if option.values is None else f"{name}={value!r}"
    return f"{text} has no effect: {option.reason}."


def hint(name: str) -> str:
    """Returns the hint for a name with underscores that is not a setting; "" if there is none."""
    flag = "--" + name.replace("_", "-")
    for option in IGNORED_OPTIONS:
        if flag in option.flags.split():
            return f"Remove it: {option.reason}."
    return HINTS.get(flag, "")
