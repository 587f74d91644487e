"""The options of uWSGI that the migration knows, beside those in the table of settings."""

from ianus.migrate.migration import index_advice

SHORT = {
    "-s": "--socket",
    "-p": "--processes",
    "-t": "--harakiri",
    "-l": "--listen",
    "-b": "--buffer-size",
    "-C": "--chmod-socket",
    "-M": "--master",
    "-T": "--enable-threads",
    "-d": "--daemonize",
    "-w": "--module",
    "-H": "--home",
    "-R": "--max-requests",
    "-L": "--disable-logging",
    "-z": "--socket-timeout",
    "-i": "--single-interpreter",
    "-m": "--memory-report",
    "-S": "--set",
}

_SWITCHES = (
    "master vacuum enable-threads thunder-lock single-interpreter need-app no-orphans lazy lazy-apps die-on-term"
    " disable-logging log-4xx log-5xx log-x-forwarded-for log-master log-date strict http-keepalive http-websockets"
    " http-auto-chunked http-chunked-input http-raw-body so-keepalive stats-http manage-script-name auto-procname"
    " py-call-osafterfork memory-report ignore-sigpipe ignore-write-errors disable-write-exception catch-exceptions"
    " honour-stdin master-as-root threaded-logger log-zero reload-on-exception logformat-strftime log-format-"
    " strftime wsgi-manage-chunked-input wsgi-disable-file-wrapper no-default-app harakiri-verbose no-defer-accept"
    " gevent-monkey-patch show-config static-safe reuse-port chmod-socket chmod emperor-tyrant never-swap skip-"
    " atexit-teardown no-threads-wait cheap idle-shutdown die-on-idle"
)

# Options that take no value on a command line.
SWITCHES = frozenset(_SWITCHES.split())

_SAME = (
    "chdir config env gid http limit-post listen log-syslog loop max-requests max-worker-lifetime mount pidfile"
    " post-buffering processes pythonpath reload-on-rss syslog threads uid umask workers"
)

# Options that uWSGI has, too. A file may have values with other names of settings, such as `name`, to refer to them.
SAME = frozenset(_SAME.split())

# Names that differ, and the settings.
RENAMED = {
    "chdir2": "chdir",
    "python-path": "pythonpath",
    "pp": "pythonpath",
    "listen": "backlog",
    "max-requests-delta": "max_requests_jitter",
    "max-worker-lifetime-delta": "workers_lifetime_jitter",
    "evil-reload-on-rss": "workers_max_rss",
    "worker-reload-mercy": "timeout_stop",
    "reload-mercy": "timeout_stop",
    "buffer-size": "limit_request_fields_size",
    "add-header": "header",
    "pidfile2": "pid_file",
    "safe-pidfile": "pid_file",
    "safe-pidfile2": "pid_file",
    "procname": "process_name",
    "procname-master": "process_name",
    "http-headers-timeout": "timeout_request_header",
}

_LIMITS = "A limit of the system: set it in the service's unit (LimitAS=, MemoryMax=, TasksMax=, Nice=, CPUAffinity=)."
_PROCESSES = "Start it as a service of its own, beside Ianus; the server starts no other programs."
_ROUTES = "Let the proxy or a middleware of the application do it; the server has no rules for requests."
_TLS = "Name the certificate and its key in ssl_certfile and ssl_keyfile (`ianus docs tls`)."
_STATIC = "Static files are not supported yet; serve them with a proxy or the application."
_TOUCH = "No file is watched for this. SIGHUP reloads without a lost request: `systemctl reload`, or kill -HUP."
_HARAKIRI = (
    "A call that runs too long is reported (stuck_report_after), but a thread cannot be ended. Set timeouts in the"
    " application. `timeout` replaces a worker that makes no progress at all."
)

ADVICE = index_advice(
    {
        "cheap idle die-on-idle": "Workers are always running.",
        "chown-socket": "The socket belongs to the user of the server; a socket unit of systemd can have another owner"
        " (SocketUser=).",
        "harakiri harakiri-graceful-timeout harakiri-verbose harakiri-graceful-signal": _HARAKIRI,
        "http-timeout socket-timeout": "A response may take any time. The limits for slow clients are"
        " timeout_request_body and timeout_write.",
        "stats stats-server stats-http stats-push": 'admin_bind = "unix:/run/ianus-admin.sock" has the state as JSON:'
        " /-/status.",
        "touch-reload touch-chain-reload touch-workers-reload touch-mules-reload fs-reload": _TOUCH,
        "touch-logrotate touch-logreopen log-reopen": "SIGUSR1 opens the log files again.",
        "log-maxsize log-backupname log-truncate": "Let logrotate do it; SIGUSR1 opens the log files again.",
        "log-4xx log-5xx log-slow log-big log-ioerror": "Responses cannot be selected; access_log_exclude omits paths,"
        " and never responses with an error status.",
        "log-x-forwarded-for": "The access log has the client that a trusted proxy reports (forwarded_allow_ips).",
        "ini json include inherit xml yaml yml": "The file is not read. Write its options as an .ini or .json file.",
        "emperor": "One server has one configuration; start each with its own service.",
        "http-websockets": "`ianus docs wsgi` describes Flask-Sock and similar libraries; uwsgi.websocket_recv() is"
        " not available.",
        "attach-daemon attach-daemon2 smart-attach-daemon legion-smart-attach-daemon": _PROCESSES,
        "spooler spooler-processes spooler-import": _PROCESSES,
        "mule mules farm cron cron2 unique-cron": _PROCESSES,
        "cache cache2": "There is no cache in the server; use Redis, memcached or the framework's cache.",
        "queue sharedarea": "There is no shared memory; use Redis or a database.",
        "master-fifo": "The server is controlled with signals; `ianus docs operations` lists them.",
        "limit-as limit-nproc reload-on-as evil-reload-on-as prio cpu-affinity max-fd": _LIMITS,
        "shared-socket map-socket": "Write the address in bind.",
        "http-to-https": "https_redirect redirects the clients of insecure_bind.",
        "https2 suwsgi-socket": _TLS,
        "fastcgi-socket scgi-socket puwsgi-socket raw-socket": "Only HTTP is supported; let the proxy send HTTP.",
        "check-static static-check": _STATIC,
        "catch-exceptions": "Tracebacks are in the log, and never in a response.",
        "reload-on-exception": "An exception ends its request alone.",
        "subscribe-to subscribe2": "The server registers nowhere; name its address in the proxy.",
        "umask-socket": "Write uds_permissions.",
        "paste ini-paste ini-paste-logged": "Paste Deploy is not read; write a function that calls"
        " paste.deploy.loadapp(), and name it as the application.",
        "for if-env if-not-env if-exists if-file if-dir if-opt for-times for-glob endfor endif": "Conditions and loops"
        " are not evaluated; all options in them have been read.",
        "pyargv": "The application gets no arguments; use a variable of the environment.",
        "import python-import shared-import": "Import it in the application, or in a hook (`ianus docs hooks`).",
        "worker-exec": "Only Python applications are served.",
        "exec-asap exec-pre-app exec-post-app exec-as-root exec-as-user exec-in-jail": "Run it before the server:"
        " ExecStartPre= in the service's unit.",
        "chroot pivot-root": "Use a container, or RootDirectory= in the service's unit.",
        "log-socket rsyslog": "log_syslog = true sends the server log to syslog; --log-config can do the rest.",
        "http-enable-proxy-protocol": 'Write proxy_protocol = "auto".',
        "wsgi-disable-file-wrapper": "Write sendfile = false.",
    }
)

UNNEEDED = index_advice(
    {
        "thunder-lock": "each worker has its own socket, and connections are balanced",
        "single-interpreter": "each process has one interpreter",
        "need-app": "the server does not start without its application",
        "no-orphans": "workers exit when their supervisor is lost",
        "lazy lazy-apps": "each worker loads the application itself",
        "plugin plugins plugin-dir plugins-dir need-plugin": "Python is always there",
        "strict": "an unknown setting is always an error",
        "http-keepalive so-keepalive http-auto-chunked http-chunked-input http-raw-body http-manage-expect"
        " wsgi-manage-chunked-input": "the server has the whole of HTTP/1.1",
        "py-call-osafterfork": "Python's functions after a fork are always called",
        "ignore-sigpipe ignore-write-errors disable-write-exception write-errors-tolerance": "a lost client is not an"
        " error",
        "auto-procname procname-prefix procname-prefix-spaced procname-append": "processes have names if setproctitle"
        " is installed; process_name changes them",
        "min-worker-lifetime": "workers are replaced one after the other",
        "log-master threaded-logger log-date log-zero logformat-strftime log-format-strftime log-micros log-prefix"
        " log-encoder log-req-encoder req-log-encoder": "logs are written by each worker, with the time of each line",
        "memory-report": "admin_bind has the memory of each worker",
        "offload-threads": "responses are sent by the server's own code",
        "protocol socket-protocol": "the protocol is HTTP",
        "master-as-root": "the supervisor keeps its user, and the workers have the one of --user",
        "no-defer-accept reuse-port": "sockets are set up as they have to be",
        "max-apps honour-stdin never-swap no-threads-wait skip-atexit-teardown no-default-app": "it has no counterpart",
        "show-config": "ianus --print-config prints the settings",
        "project": "it is a placeholder",
        "base": "it is a placeholder",
    }
)

UNNEEDED_STARTS = ("http-processes", "http-workers", "gevent-", "thread-stack", "threads-stack", "http-buffer")

_STARTS = (
    ("cheaper", "The number of workers is fixed; the threads of a worker start as they are needed."),
    ("route", _ROUTES),
    ("error-route", _ROUTES),
    ("final-route", _ROUTES),
    ("static-", _STATIC),
    ("emperor", "One server has one configuration; start each with its own service."),
    ("vassal", "One server has one configuration; start each with its own service."),
    ("spooler", _PROCESSES),
    ("mule", _PROCESSES),
    ("cron", _PROCESSES),
    ("cache", "There is no cache in the server; use Redis, memcached or the framework's cache."),
    ("hook-", "Write a function in Python, in the module of hooks (`ianus docs hooks`)."),
    ("alarm", "Watch the log, or the state at admin_bind."),
    ("metric", 'Metrics of your own are not supported; statsd_host = "HOST:PORT" sends those of the server to statsd.'),
    ("carbon", 'Carbon is not supported; statsd_host = "HOST:PORT" sends metrics to statsd.'),
    ("statsd", 'statsd_host = "HOST:PORT" sends metrics under the names that Gunicorn has.'),
    ("ssl", _TLS),
    ("sni", _TLS),
    ("legion", "The server knows no other machines; use the platform's scheduler."),
    ("touch-", _TOUCH),
    ("snmp", "Watch the log, or the state at admin_bind."),
)


def advice_for(name: str) -> str:
    """Returns the advice for the family of an option; "" if it has none."""
    return next((advice for start, advice in _STARTS if name.startswith(start)), "")
