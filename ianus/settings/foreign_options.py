"""Options of other servers that are not settings here, with a message for each.

Some options choose among alternatives of which Ianus has only one: they are accepted with a warning. The others need a
feature that Ianus does not have: they are rejected, and the hint names the alternative. An option that has the same
meaning under another name is an alias in the table of settings (schema.py). An option whose value decides about its
meaning is rewritten by line_words.py.
"""

import re
from typing import NamedTuple


class IgnoredOption(NamedTuple):
    """An option that has no effect.

    flags: its flags, separated by spaces.
    values: the accepted values; an empty tuple accepts any value, and None is a switch.
    reason: why the option has no effect.
    remedies: pairs of a pattern for values that are rejected and a hint about them, in which `{}` is the value.
    notes: pairs of a pattern for further values and the reason why these have no effect.
    """

    flags: str
    values: tuple[str, ...] | None
    reason: str
    remedies: tuple[tuple[str, str], ...] = ()
    notes: tuple[tuple[str, str], ...] = ()

    def reason_for(self, value: str) -> str:
        """Returns why `value` has no effect; "" if it is not accepted."""
        if self.values is None or value in self.values:
            return self.reason
        if any(re.fullmatch(pattern, value) for pattern, _ in self.remedies):
            return ""
        for pattern, reason in self.notes:
            if re.fullmatch(pattern, value):
                return reason
        return "" if self.values else self.reason

    def remedy_for(self, value: str) -> str:
        """Returns the advice about a value that is not accepted."""
        hints = (hint.format(value) for pattern, hint in self.remedies if re.fullmatch(pattern, value))
        return next(hints, self.reason)


_GREENLETS = "calls run in threads, at most --max-threads at once, and no module is patched"
_OFF = "Ianus does not have this feature, so it is off"
_LOGGER = "--log-config sets up Python's logging, and the loggers are ianus.error and ianus.access"
_SENT_AS_READY = "output is sent as soon as the client takes it"
_RUNTIME = "sockets are served by the threads that call the application"

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
        (("trio", "Ianus runs asyncio applications; serve one that needs trio with Hypercorn"),),
        (
            (r"gevent\w*|eventlet|tornado|.*(?i:gevent|eventlet|tornado)\w*Worker", _GREENLETS),
            (r"[\w.:#]+[.:#]\w+", "Ianus has one kind of worker; give the settings of this class as options"),
        ),
    ),
    IgnoredOption("--logger-class", (), _LOGGER),
    IgnoredOption("--http-parser", ("auto", "fast", "python"), "Ianus has one parser, for HTTP/1.1"),
    IgnoredOption(
        "--protocol",
        ("http",),
        "Ianus supports HTTP/1.1",
        (("uwsgi", "the protocol of uWSGI is not supported; let the proxy send HTTP, as with proxy_pass of nginx"),),
    ),
    IgnoredOption("--master", None, "a supervisor is always started"),
    IgnoredOption("--respawn-failed-workers", None, "crashed workers are always replaced"),
    IgnoredOption("--respawn-interval", (), "a worker that crashes repeatedly is replaced after increasing pauses"),
    IgnoredOption("--rss-sample-interval --rss-samples", (), "the memory of workers is measured in fixed intervals"),
    IgnoredOption("--initgroups", None, "--user takes all groups of the user"),
    IgnoredOption("--enable-threads", None, "applications may always start threads"),
    IgnoredOption("--vacuum", None, "the file of a Unix socket is removed when the server stops"),
    IgnoredOption("--die-on-term", None, "SIGTERM stops the server"),
    IgnoredOption("--enable-stdio-inheritance -R", None, "workers always have the standard streams of the server"),
    IgnoredOption("--no-control-socket", None, "there is no control socket"),
    IgnoredOption("--disable-redirect-access-to-syslog", None, "the access log is not sent to syslog"),
    IgnoredOption("--reuse-port", None, "connections are spread over the workers without it; a port has one server"),
    IgnoredOption(
        "--task-impl", ("asyncio", "auto"), "tasks are asyncio tasks", (("rust", "remove it; tasks are asyncio tasks"),)
    ),
    IgnoredOption("--runtime-mode --runtime-threads --runtime-blocking-threads", (), _RUNTIME),
    IgnoredOption("--blocking-threads-idle-timeout", (), "idle threads exit by themselves"),
    IgnoredOption("--manage-script-name", None, "SCRIPT_NAME is always set for a mounted application"),
    IgnoredOption("--reload-engine", (), "Ianus has one way of watching files"),
    IgnoredOption("--reload-ignore-worker-failure", None, "a failed reload does not stop the server"),
    IgnoredOption("--worker-tmp-dir", (), "no files are used to watch workers"),
    IgnoredOption("--reset-contextvars", None, "every request has a context of its own"),
    IgnoredOption("--debug", None, "--log-level debug logs more, and PYTHONASYNCIODEBUG=1 has asyncio's checks"),
    IgnoredOption("--no-log", None, "--log-level critical logs only fatal errors"),
    IgnoredOption("--log", None, "the server always has a log"),
    IgnoredOption("--log-fmt", (), "--log-format json is the other format, and --log-config sets up Python's logging"),
    IgnoredOption("--no-metrics --no-ssl-client-verify --no-reload-ignore-worker-failure", None, _OFF),
    IgnoredOption("--no-http2-adaptive-window --http2-adaptive-window", None, "the windows are those of the settings"),
    IgnoredOption("--http2-max-frame-size", (), "frames have the smallest maximum size that HTTP/2 allows, 16 KiB"),
    IgnoredOption(
        "--http2-max-header-list-size --http2-max-headers-size",
        (),
        "--limit-request-fields-size limits the fields of a request",
    ),
    IgnoredOption(
        "--http2-keep-alive-interval --http2-keep-alive-timeout",
        (),
        "--timeout-keep-alive and --timeout-write end connections whose clients are gone",
    ),
    IgnoredOption("--http2-max-send-buffer-size", (), "an application waits while its client does not read"),
    IgnoredOption("--http1-keep-alive", None, "--timeout-keep-alive limits the time of idle connections"),
    IgnoredOption("--http1-pipeline-flush --no-http1-pipeline-flush", None, "finished responses are sent together"),
    IgnoredOption("--http1-buffer-size", (), "--limit-request-fields-size limits the size of a request head"),
    IgnoredOption(
        "--asgi-disconnect-grace-period --application-close-timeout",
        (),
        "an application may continue after its client has disconnected",
    ),
    IgnoredOption("--http-timeout", (), "a request may take any time; set timeouts in the application"),
    IgnoredOption("--websocket-timeout", (), "a WebSocket may stay open for any time"),
    IgnoredOption("--websocket-connect-timeout", (), "the application may take any time to accept a WebSocket"),
    IgnoredOption("--websocket-max-frame-size", (), "--ws-max-size limits messages, and so each of their frames"),
    IgnoredOption("--recv-bytes --send-bytes --outbuf-overflow", (), _SENT_AS_READY),
    IgnoredOption("--cleanup-interval --asyncore-loop-timeout", (), "each deadline is a timer of its own"),
    IgnoredOption("--asyncore-use-poll --no-asyncore-use-poll", None, "connections are watched by epoll"),
    IgnoredOption("--channel-request-lookahead", (), "a client that disconnects is noticed while its request runs"),
    IgnoredOption("--ipv4 --ipv6", None, "the address of --bind decides"),
    IgnoredOption("--log-socket-errors --no-log-socket-errors", None, "a client that disconnects is not an error"),
    IgnoredOption("--no-expose-tracebacks", None, "clients never get tracebacks"),
    IgnoredOption("--log-untrusted-proxy-headers --no-log-untrusted-proxy-headers", None, "they are not logged"),
    IgnoredOption("--clear-untrusted-proxy-headers", None, "fields of other peers are not believed"),
    IgnoredOption(
        "--trusted-proxy-count",
        ("1",),
        "the addresses in --forwarded-allow-ips decide",
        ((r"[0-9]+", "remove it, and list the addresses of all proxies in --forwarded-allow-ips"),),
    ),
    IgnoredOption("--suppress-ragged-eofs", None, "a client may end its connection without a close_notify"),
    IgnoredOption("--do-handshake-on-connect", None, "a handshake blocks no other connection"),
    IgnoredOption("--ssl-version", (), "the lowest version is that of --ssl-min-version, and the highest TLS 1.3"),
)

_HARAKIRI = (
    "A call that runs too long is reported (--stuck-report-after), but a thread cannot be ended. Set timeouts in the"
    " application. --timeout replaces a worker that makes no progress at all."
)
_APP = "Name the application without an option, as in `ianus main:app`."
_ADDRESS = "Use --bind, as in --bind 0.0.0.0:8000 or --bind unix:/run/app.sock."
_TLS = "Write --ssl-certfile FILE --ssl-keyfile FILE."
_STATIC = "Static files are not supported yet; serve them with a proxy or the application."
_METRICS = "Metrics for Prometheus are not supported yet; --statsd-host sends some to statsd."
_SERVER_NAME = (
    "For another Server field write --no-server-header --header 'Server: NAME'. Requests for every host are accepted;"
    " a proxy or the application can reject some."
)
_DIRTY = "Tasks outside of requests are not supported; run a task queue, such as Celery, beside the server."
_STRICT = "Requests that violate HTTP are rejected, since proxies read them differently; correct the client."
_UWSGI = "Start processes other than the server with systemd or a container."

REJECTED = {
    "--no-respawn-failed-workers": "Crashed workers are always replaced.",
    "--harakiri": _HARAKIRI,
    "--ssl": _TLS,
    "--quic-bind": "HTTP/3 is not supported yet; put a proxy in front.",
    "--static-path-route --static-path-mount --static-path-expires --static-path-dir-to-file --static-map": _STATIC,
    "--metrics --metrics-address --metrics-port --metrics-scrape-interval --enable-backlog-metric": _METRICS,
    "--daemon -D": "The server runs in the foreground; start it with systemd, a container or a similar manager.",
    "--server-name -s": _SERVER_NAME,
    "--reload-extra-file": "Name its directory with --reload-dir and its name with --reload-include.",
    "--reload-ignore-patterns --reload-ignore-paths": "Exclude files with --reload-exclude.",
    "--no-http1-keep-alive": "Write --timeout-keep-alive 0, which closes each connection after its response.",
    "--no-ipv4 --no-ipv6": "The address decides: --bind 0.0.0.0:8000 is IPv4 alone, --bind [::]:8000 is both.",
    "--expose-tracebacks": "Clients never get tracebacks, which the server logs.",
    "--no-clear-untrusted-proxy-headers": "Applications get such fields, but the server does not believe them.",
    "--proxy-headers-host --proxy-headers-port": "X-Forwarded-For is believed, or with --forwarded-headers Forwarded.",
    "--forwarder-headers": "X-Forwarded-Prefix sets SCRIPT_NAME after --forwarded-fields for,proto,prefix.",
    "--endpoint -e": "Use --bind, as in --bind 0.0.0.0:8000 or --bind unix:/run/app.sock, and --ssl-certfile.",
    "--dirty-app --dirty-workers --dirty-threads --dirty-timeout --dirty-graceful-timeout": _DIRTY,
    "--casefold-http-method --permit-obsolete-folding --strip-header-spaces": _STRICT,
    "--permit-unconventional-http-method --permit-unconventional-http-version": _STRICT,
    "--uwsgi-allow-from": "The protocol of uWSGI is not supported; let the proxy send HTTP.",
    "--paste --paster --paste-global": "Create the application in a module, and name it as in `ianus main:app`.",
    "--spew": "Use a debugger; --log-level debug logs more.",
    "--module --wsgi-file --wsgi --callable": _APP,
    "--http-socket --socket": _ADDRESS,
    "--ini": "Settings are read from ianus.toml. `ianus migrate FILE` prints it for a file of uWSGI.",
    "--attach-daemon --smart-attach-daemon --cron --cron2 --mule --spooler": _UWSGI,
    "--completion --install-completion --show-completion": "`ianus completion bash` (zsh, fish) prints the script.",
    "--control-socket --control-socket-mode": "The server is controlled with signals; see `ianus docs operations`.",
}

HINTS = {flag: hint for flags, hint in REJECTED.items() for flag in flags.split()}

# Rejected options that take no value, so that the next word of a line is not theirs.
_SWITCHES = (
    "--no-respawn-failed-workers --ssl --metrics"
    " --enable-backlog-metric --daemon -D --no-http1-keep-alive --no-ipv4 --no-ipv6 --expose-tracebacks"
    " --no-clear-untrusted-proxy-headers --casefold-http-method --permit-obsolete-folding --strip-header-spaces"
    " --permit-unconventional-http-method --permit-unconventional-http-version --spew --completion"
    " --install-completion --show-completion"
)
REJECTED_SWITCHES = frozenset(_SWITCHES.split())

IGNORED_BY_FLAG = {flag: option for option in IGNORED_OPTIONS for flag in option.flags.split()}


def ignored_warning(name: str, value: object) -> str:
    """Returns the warning about an ignored option, by its name with underscores; "" if `value` is not ignored."""
    option = IGNORED_BY_FLAG.get(flag_of(name))
    reason = option.reason_for(str(value)) if option is not None else ""
    if option is None or not reason:
        return ""
    text = name if option.values is None else f"{name}={value!r}"
    return f"{text} has no effect: {reason}."


def hint(name: str) -> str:
    """Returns the hint for a name with underscores that is not a setting; "" if there is none."""
    option = IGNORED_BY_FLAG.get(flag_of(name))
    return f"Remove it: {option.reason}." if option is not None else HINTS.get(flag_of(name), "")


def flag_of(name: str) -> str:
    """Returns the long flag of a name with underscores."""
    return "--" + name.replace("_", "-")
