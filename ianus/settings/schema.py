"""The table of settings: each is declared once, here, and nowhere else.

A field of Settings has everything about a setting: default, parser, unit, description, and its names in other servers.
The command line is built from it (cli.py), and docs/settings.md is written from it (docs_page.py). Values of files and
the environment are checked and printed by it (sources.py, toml_dump.py).

Settings are plain immutable data. Nothing here opens, imports or starts anything. Of the other folders only errors.py
is imported, so that any process can load the table at little cost.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, dataclass_transform

from ianus.errors import ConflictError, SettingError
from ianus.settings import foreign_values, proxy_values, statsd_values, syslog_values, tls_values, values
from ianus.settings.layers import Layer, as_written, index_names, values_from
from ianus.settings.setting import Alias, Setting, choice, count, field, flag, mebibytes, path, seconds, size, texts
from ianus.settings.stop_budget import StopBudget, smallest_total, stop_budget
from ianus.settings.values import AdminBind, Bind, Header, Mount, TcpBind

# The headings of the help page and of docs/settings.md, in the order of both.
APPLICATION = "Application and address"
TLS = "TLS"
HTTP2 = "HTTP/2"
PROXIES = "Proxies"
WORKERS = "Workers"
WSGI = "WSGI and threads"
TIMEOUTS = "Timeouts"
LIMITS = "Limits"
RESPONSES = "Responses"
WEBSOCKET = "WebSocket"
LOGGING = "Logging"
HEALTH = "Health"
PROCESS = "Process"
DEVELOPMENT = "Development"
CONFIGURATION = "Configuration"


@dataclass_transform(kw_only_default=True, frozen_default=True)
def _settings_class(cls: type) -> type:
    """Makes the class of the fields below.

    A start would take 10 ms longer with the methods that dataclass() generates for 190 fields.
    """
    return dataclass(init=False, repr=False, eq=False, frozen=True, slots=True)(cls)


@_settings_class
class Settings:
    """The values of all settings. Times are in seconds, sizes in bytes; the table names the meaning of 0.

    Only the given values count: no file and no variable of the environment is read.
    `ianus.settings.sources.read_sources()` reads those.

    Raises SettingError for an invalid value.
    """

    bind: tuple[Bind, ...] = field(
        (TcpBind(values.DEFAULT_HOST, values.DEFAULT_PORT),),
        values.bind,
        APPLICATION,
        "Listen on HOST:PORT, [IPv6]:PORT, unix:PATH, fd://N or fd://NAME.",
        "PORT alone is 127.0.0.1:PORT, HOST alone has the port of --port or else 8000, commas separate several."
        " An empty HOST is every interface, port 0 is any free port. [::] accepts IPv4 connections too. Sockets of an"
        " init system (LISTEN_FDS) are served without --bind; NAME is one of theirs.",
        common=True,
        metavar="ADDRESS",
        short="-b",
        repeatable=True,
        split=values.split_binds,
        aliases=(
            Alias("listen"),
            Alias("uds", "unix:{}".format, is_single=True),
            Alias("unix_socket", "unix:{}".format, is_single=True),
            Alias("fd", "fd://{}".format, is_single=True),
        ),
    )
    uds_permissions: int | None = field(
        None,
        values.permissions,
        APPLICATION,
        "Permissions of Unix sockets, such as 660.",
        "The default is 666 without the bits of --umask, so that every user can connect.",
        metavar="OCTAL",
        to_text="{:o}".format,
        aliases="unix_socket_perms",
    )
    backlog: int = count(
        2048,
        APPLICATION,
        "Maximum number of connections that wait to be accepted.",
        "The kernel may allow fewer.",
        minimum=1,
    )
    mount: tuple[Mount, ...] = field(
        (),
        values.mount,
        APPLICATION,
        "Serve another application below a path, such as /api=api:app.",
        "The longest matching path wins; APP serves all other paths.",
        metavar="/PATH=APP",
        repeatable=True,
        is_table=True,
        to_text=values.mount_to_text,
    )
    factory: bool = flag(False, APPLICATION, "Call APP to create the application.", common=True, aliases="call")
    app_dir: str = path(
        ".",
        APPLICATION,
        "Import the application from this directory first.",
        common=True,
        metavar="DIR",
        aliases="working_dir",
    )
    interface: Literal["auto", "asgi", "asgi3", "asgi2", "wsgi"] = choice(
        "auto",
        APPLICATION,
        "Interface of the application.",
        "auto inspects the parameters of the application; asgi is version 2 or 3.",
        names="auto asgi asgi3 asgi2 wsgi",
        parse=foreign_values.interface,
    )
    loop: Literal["auto", "asyncio", "uvloop"] = choice(
        "auto",
        APPLICATION,
        "Event loop of ASGI applications.",
        "auto is uvloop if it is installed and an ASGI application is served.",
        names="auto asyncio uvloop",
        aliases="asgi_loop",
    )
    lifespan: Literal["auto", "on", "off"] = choice(
        "auto",
        APPLICATION,
        "Send lifespan events (start and stop) to ASGI applications.",
        "auto continues without them if an application does not support them.",
        names="auto on off",
        aliases="asgi_lifespan",
    )
    root_path: str = field(
        "",
        values.root_path,
        APPLICATION,
        "Path prefix that a proxy strips from requests, such as /api.",
        common=True,
        metavar="PATH",
    )
    root_path_kept: str = field(
        "",
        values.root_path,
        APPLICATION,
        "Path prefix that a proxy keeps in requests, such as /api.",
        metavar="PATH",
        aliases="url_path_prefix url_prefix",
    )

    ssl_certfile: tuple[str, ...] = path(
        (),
        TLS,
        "File with a certificate and its chain, in PEM form; turns TLS on.",
        "Repeat it, each with its key, for further names or key types. Clients get the one for the name that they ask"
        " for, and the first one for any other name. Changed files are loaded without a restart.",
        common=True,
        metavar="FILE",
        repeatable=True,
        aliases=(Alias("certfile", is_single=True), Alias("ssl_certificate", is_single=True)),
    )
    ssl_keyfile: tuple[str, ...] = path(
        (),
        TLS,
        "File with the private key of a certificate, in PEM form.",
        "Without it, the file of the certificate has the key, too.",
        common=True,
        metavar="FILE",
        repeatable=True,
        aliases=(Alias("keyfile", is_single=True),),
    )
    ssl_cert_dir: str = path(
        "",
        TLS,
        "Directory with certificates and keys; turns TLS on.",
        "It may have NAME.crt or NAME.pem with NAME.key, fullchain.pem with privkey.pem, tls.crt with tls.key, or files"
        " with both; so may its subdirectories.",
        metavar="DIR",
    )
    ssl_keyfile_password: str = field(
        "",
        tls_values.password,
        TLS,
        "Password of encrypted keys.",
        "Other users see it in a command line; give it in the environment or a file.",
        metavar="PASSWORD",
        is_secret=True,
        aliases="keyfile_password",
    )
    ssl_min_version: Literal["1.2", "1.3"] = choice(
        "1.2",
        TLS,
        "Lowest version of TLS.",
        names="1.2 1.3",
        parse=tls_values.min_version,
        aliases="ssl_protocol_min",
    )
    ssl_ciphers: str = field(
        "ECDHE+AESGCM:ECDHE+CHACHA20",
        values.text,
        TLS,
        "Cipher suites for TLS 1.2, in OpenSSL's notation.",
        "The default is those with forward secrecy and authenticated encryption.",
        metavar="LIST",
        aliases="ciphers",
    )
    ssl_ca_certs: str = path(
        "",
        TLS,
        "Certificates of authorities that issue the clients' certificates.",
        "In PEM form. Needs --ssl-cert-reqs.",
        metavar="FILE",
        aliases="ca_certs ssl_ca",
    )
    ssl_cert_reqs: Literal["none", "optional", "required"] = choice(
        "none",
        TLS,
        "Ask clients for certificates.",
        "With optional, clients without one are served, too. An invalid certificate always ends the handshake."
        " Applications get the certificate.",
        names="none optional required",
        parse=tls_values.cert_reqs,
        aliases=(
            Alias("cert_reqs"),
            Alias("verify_mode"),
            Alias("ssl_client_verify", tls_values.client_verify),
        ),
    )
    ssl_crl: str = path(
        "",
        TLS,
        "Lists of certificates of clients that were revoked, in PEM form.",
        "Every authority that issues certificates of clients needs one then. SIGHUP loads changed ones.",
        metavar="FILE",
    )
    ssl_context_factory: str = field(
        "",
        tls_values.context_factory,
        TLS,
        "Function that returns an ssl.SSLContext; turns TLS on.",
        "It is called as FUNCTION(config, default_factory), as in Uvicorn.",
        metavar="MODULE:FUNCTION",
    )
    tls_engine: Literal["auto", "openssl", "python"] = choice(
        "auto",
        TLS,
        "Interface to OpenSSL.",
        "openssl calls the library of Python's ssl module directly, and takes less CPU time. python uses the ssl"
        " module. auto is openssl if it is available.",
        names="auto openssl python",
    )
    timeout_tls_handshake: float = seconds(
        10.0,
        TLS,
        "Maximum time of a handshake, counted from the start of its connection.",
        aliases="ssl_handshake_timeout",
    )
    limit_handshakes: int = count(
        1000,
        TLS,
        "Maximum number of handshakes in progress in a worker.",
        "Further connections wait in the backlog.",
        zero_means="no limit",
    )
    tls_host_check: bool = flag(
        False,
        TLS,
        "Refuse requests over TLS for a host that is not in the certificate.",
        "The answer is 421, and clients repeat them on a connection of their own. Requests that a trusted proxy"
        " forwards are not checked.",
    )
    tls_handshake_log: bool = flag(
        False, TLS, "Log each handshake: client, version, cipher and name.", "The level is info."
    )

    proxy_protocol: Literal["off", "v1", "v2", "auto"] = choice(
        "off",
        APPLICATION,
        "Expect the PROXY protocol, by which a proxy sends the client's address.",
        "auto accepts both versions. A connection that does not start with a header is closed.",
        names="off v1 v2 auto",
        parse=foreign_values.proxy_protocol,
    )
    proxy_allow_ips: tuple[str, ...] = field(
        proxy_values.LOCAL_PEERS,
        proxy_values.peers,
        APPLICATION,
        "Peers that may send a PROXY header: addresses, networks, unix or *.",
        "unix stands for all clients of Unix sockets, and * for every peer. Connections of other peers are closed.",
        metavar="LIST",
        to_text=",".join,
        aliases="proxy_allow_from",
    )

    tls_dev: bool = flag(
        False,
        TLS,
        "Serve with a self-signed certificate for development.",
        "It is for localhost, 127.0.0.1 and ::1, and is kept in a private folder of the user's cache. No client trusts"
        " it.",
    )
    tls_auto: tuple[str, ...] = field(
        (),
        tls_values.automatic_name,
        TLS,
        "Get and renew a certificate for this name by ACME, as from Let's Encrypt.",
        "Commas separate several. You agree to the terms of the authority. It connects to each name, at port 443 or 80."
        " It needs the package acme (pip install acme).",
        metavar="NAME",
        repeatable=True,
        split=tls_values.split_names,
    )
    tls_auto_dir: str = path(
        "",
        TLS,
        "Private folder of the certificates of --tls-auto, and of the account.",
        "Several machines may share it. The default is $STATE_DIRECTORY, or else ianus in ~/.local/state.",
        metavar="DIR",
    )
    tls_auto_authority: str = field(
        "letsencrypt",
        tls_values.authority,
        TLS,
        "Authority of --tls-auto: letsencrypt, letsencrypt-staging or a URL.",
        "Try with the staging environment of Let's Encrypt first: its limits are wider, and no client trusts it. A URL"
        " is that of an ACME directory.",
        metavar="AUTHORITY",
    )
    tls_auto_challenge: Literal["auto", "http-01", "tls-alpn-01"] = choice(
        "auto",
        TLS,
        "How the authority of --tls-auto checks that a name is that of this server.",
        "With http-01 it requests a path at port 80 of the name, which has to lead to --insecure-bind. With tls-alpn-01"
        " it makes a handshake at port 443, which has to lead to --bind without a proxy that decrypts. auto is http-01"
        " with --insecure-bind, and otherwise tls-alpn-01.",
        names="auto http-01 tls-alpn-01",
    )
    acme_thumbprint: str = field(
        "",
        tls_values.thumbprint,
        TLS,
        "Answer challenges (http-01) for the ACME account with this thumbprint.",
        "For another program that orders certificates, such as acme.sh in its stateless mode. They are answered at the"
        " addresses without TLS. --tls-auto has its own account.",
        metavar="THUMBPRINT",
    )
    tls_auto_email: str = field(
        "",
        values.text,
        TLS,
        "Contact of a new account of --tls-auto.",
        metavar="ADDRESS",
    )
    insecure_bind: tuple[Bind, ...] = field(
        (),
        values.bind,
        TLS,
        "Listen here without TLS, beside the addresses of --bind with TLS.",
        "As --bind, but there is no default. With --https-redirect the applications get no requests from here.",
        metavar="ADDRESS",
        repeatable=True,
        split=values.split_binds,
    )
    https_redirect: bool = flag(
        False,
        TLS,
        "Redirect requests to --insecure-bind to https.",
        "The status is 301 for GET and HEAD, and 308 for other methods. Hosts without a certificate are answered with"
        " 421. Requests for /.well-known/acme-challenge/ are served.",
    )
    https_redirect_port: int = count(
        0,
        TLS,
        "Port of https in redirects.",
        "It differs from the port of --bind if the platform or a firewall maps ports.",
        maximum=65535,
        zero_means="the first port of --bind",
    )
    hsts: str = field(
        "",
        tls_values.hsts,
        TLS,
        "Have browsers use https alone for this time, such as 31536000 (seconds).",
        "It is the field Strict-Transport-Security of all responses over TLS, unless they have their own. The options"
        " of the field may follow, as in '31536000; includeSubDomains; preload'. Browsers do not forget it before the"
        " time has passed, so start with a short one.",
        metavar="VALUE",
    )

    http: Literal["auto", "1", "2"] = choice(
        "auto",
        HTTP2,
        "Versions of HTTP.",
        "auto is HTTP/1.0 and 1.1, and HTTP/2 with TLS or --http2-cleartext. 1 is HTTP/1.0 and 1.1 alone, 2 is HTTP/2"
        " alone, also without TLS.",
        names="auto 1 2",
        parse=foreign_values.http,
        aliases=(Alias("http_protocols", foreign_values.http_protocols),),
    )
    http2: bool = flag(
        True,
        HTTP2,
        "Offer HTTP/2 to clients with TLS.",
        "They choose it in the handshake. Without TLS, see --http2-cleartext.",
    )
    http2_cleartext: bool = flag(
        False,
        HTTP2,
        "Accept HTTP/2 without TLS, from clients that start with it.",
        "As a proxy does that is set up for it, such as with grpc_pass of nginx. An upgrade from HTTP/1.1 is not"
        " supported.",
    )
    http2_max_concurrent_streams: int = count(
        128,
        HTTP2,
        "Maximum number of concurrent requests of a connection.",
        "Requests that the client has cancelled count until the application has returned.",
        minimum=1,
        maximum=65535,
    )
    http2_initial_window_size: int = size(
        262144,
        HTTP2,
        "Bytes of a body that a client may send before they are taken.",
        "It limits the memory for a request whose application does not read its body.",
        minimum=65535,
        maximum=2**30,
        aliases="http2_initial_stream_window_size",
    )
    http2_initial_connection_window_size: int = size(
        1048576,
        HTTP2,
        "The same for all requests of a connection together.",
        minimum=65535,
        maximum=2**30,
    )

    proxy_headers: bool | None = field(
        None,
        values.optional(values.boolean),
        PROXIES,
        "Believe fields such as X-Forwarded-For of trusted proxies, by default on.",
        "Trusted are the peers in --forwarded-allow-ips.",
        to_text=values.boolean_to_text,
    )
    forwarded_allow_ips: tuple[str, ...] | None = field(
        None,
        values.optional(proxy_values.peers),
        PROXIES,
        "Trust these proxies, by default 127.0.0.1,::1,unix.",
        "Addresses, networks, unix for all clients of Unix sockets, and * for every peer. The default is for proxies on"
        " this machine.",
        metavar="LIST",
        to_text=",".join,
        variable="FORWARDED_ALLOW_IPS",
        aliases="trusted_proxy",
    )
    forwarded_headers: Literal["x-forwarded", "forwarded"] | None = choice(
        None,
        PROXIES,
        "Family of fields that trusted proxies send, by default x-forwarded.",
        "x-forwarded stands for X-Forwarded-For, X-Forwarded-Proto and so on, forwarded for the field Forwarded of RFC"
        " 7239. The other family is not believed.",
        names="x-forwarded forwarded",
        parse=values.optional(values.choice("x-forwarded", "forwarded")),
    )
    forwarded_fields: tuple[str, ...] | None = field(
        None,
        values.optional(proxy_values.forwarded_fields),
        PROXIES,
        "Fields of the family that are believed, by default for,proto.",
        "All are for, proto, host, port and prefix. Add a field only if the proxy sets or removes it in each request: a"
        " client could forge it otherwise. port and prefix are fields of x-forwarded alone.",
        metavar="LIST",
        to_text=",".join,
        aliases="trusted_proxy_headers",
    )
    url_scheme: Literal["http", "https"] = choice(
        "http",
        PROXIES,
        "Scheme of requests in which no trusted proxy reports one.",
        "https is for a proxy that takes only https and does not report it.",
        names="http https",
    )
    queue_time: bool = flag(
        False,
        PROXIES,
        "Give applications the time that each request has waited for its call.",
        "It counts from the X-Request-Start of a trusted proxy, or else from its arrival in the kernel."
        " Requests with X-Request-Start always have it.",
    )

    workers: int | Literal["auto"] = field(
        1,
        values.workers,
        WORKERS,
        "Number of worker processes.",
        "auto is one for each CPU that the server may use, or fewer if the container has little memory.",
        common=True,
        metavar="auto|N",
        short="-w",
        variable="WEB_CONCURRENCY",
        aliases="processes",
    )
    preload: bool = flag(
        False,
        WORKERS,
        "Load the application once and fork the workers from it.",
        "The workers share the memory of the loaded application.",
        common=True,
        aliases="preload_app",
    )
    timeout: float = seconds(
        30.0,
        WORKERS,
        "Maximum time without any progress before a worker is replaced.",
        "A single request may take longer.",
        zero_means="never",
        short="-t",
        aliases="timeout_worker_healthcheck",
    )
    max_requests: int = count(
        0, WORKERS, "Replace a worker after this number of requests.", zero_means="never", aliases="limit_max_requests"
    )
    max_requests_jitter: int = count(
        0,
        WORKERS,
        "Maximum random addition to --max-requests for each worker.",
        zero_means="none",
        aliases="limit_max_requests_jitter",
    )
    workers_lifetime: float = seconds(
        0.0, WORKERS, "Replace a worker after this time.", zero_means="never", aliases="max_worker_lifetime"
    )
    workers_lifetime_jitter: float = seconds(
        0.0, WORKERS, "Maximum random addition to --workers-lifetime for each worker.", zero_means="none"
    )
    workers_max_rss: int = mebibytes(
        0,
        WORKERS,
        "Replace a worker whose resident memory exceeds this size.",
        zero_means="never",
        aliases="reload_on_rss",
    )
    workers_max_rss_jitter: int = mebibytes(
        0, WORKERS, "Maximum random addition to --workers-max-rss for each worker.", zero_means="none"
    )
    hooks: str = field(
        "",
        values.hooks,
        WORKERS,
        "Module whose functions are called when the server or a worker changes.",
        "file:FILE is a file, such as file:gunicorn.conf.py. `ianus docs hooks` describes the functions.",
        metavar="MODULE",
    )

    threads: int | Literal["auto"] = field(
        "auto",
        values.threads,
        WSGI,
        "Maximum number of concurrent WSGI calls in a worker.",
        "1 calls applications strictly one after the other. auto starts threads as calls block, at most --max-threads.",
        common=True,
        metavar="auto|N",
        aliases="blocking_threads",
    )
    max_threads: int = count(
        64, WSGI, "Maximum number of threads for --threads auto.", minimum=1, maximum=values.MAX_THREADS
    )
    switch_interval: float = seconds(
        0.001,
        WSGI,
        "Time that a thread runs Python code while another one waits to run.",
        zero_means="Python's own",
    )
    stuck_report_after: float = seconds(
        30.0, WSGI, "Log the stack of a WSGI call that runs longer than this time.", zero_means="never"
    )
    request_buffer: int = size(
        1 << 18,
        WSGI,
        "Maximum size of a request body in memory; a temporary file holds the rest.",
        aliases="inbuf_overflow post_buffering",
    )
    response_buffer: int = size(
        1 << 20,
        WSGI,
        "Maximum size of queued output before the thread of a response waits.",
        "Output is queued while the client is slow.",
        aliases="outbuf_high_watermark",
    )
    spool_dir: str = path(
        "",
        WSGI,
        "Directory of temporary files for request bodies.",
        "The default is the system's directory.",
        metavar="DIR",
    )
    limit_spool: int = size(
        8 << 30,
        WSGI,
        "Maximum total size of temporary files.",
        "A request that exceeds it is answered with 503.",
        zero_means="no limit",
    )
    header_map: Literal["drop", "dangerous"] = choice(
        "drop",
        WSGI,
        "Drop request fields with _ in their names, or keep them.",
        "In an environ they have the same key as fields with a - in that place, so a client can use them to forge"
        " such fields.",
        names="drop dangerous",
        parse=foreign_values.header_map,
    )

    timeout_request_header: float = seconds(
        10.0,
        TIMEOUTS,
        "Maximum time to receive a request head, counted from its first byte.",
        aliases=(Alias("http1_header_read_timeout", values.milliseconds),),
    )
    timeout_keep_alive: float = seconds(
        75.0,
        TIMEOUTS,
        "Maximum time that a connection waits for its next request.",
        zero_means="close after each response",
        aliases="keep_alive channel_timeout",
    )
    timeout_request_body: float = seconds(
        30.0,
        TIMEOUTS,
        "Maximum time between two parts of a request body.",
        "Time in which the server does not read the body is not counted.",
        aliases="read_timeout",
    )
    timeout_write: float = seconds(60.0, TIMEOUTS, "Maximum time in which a client reads nothing of a response.")
    timeout_lifespan_startup: float = seconds(60.0, TIMEOUTS, "Maximum time for the startup of an ASGI application.")
    timeout_stop: float = seconds(
        25.0,
        TIMEOUTS,
        "Maximum time of a stop, from its signal to the exit of the last process.",
        "Each part of the stop has a share of it, as `ianus docs operations` describes.",
        common=True,
        aliases=tuple(
            Alias(name, foreign_values.stop_seconds)
            for name in ("graceful_timeout", "timeout_graceful_shutdown", "workers_kill_timeout")
        ),
    )
    timeout_lifespan_shutdown: float = seconds(
        0.0,
        TIMEOUTS,
        "Part of --timeout-stop that is kept for the shutdown of ASGI applications.",
        zero_means="a fifth of it, at most 5s",
    )
    drain_delay: float = seconds(
        0.0,
        TIMEOUTS,
        "Time from SIGTERM until new connections are refused.",
        "The health path is answered with 503 in this time, which is a part of --timeout-stop.",
        zero_means="none",
    )
    timeout_drain_idle: float = seconds(
        2.0,
        TIMEOUTS,
        "Time that a replaced worker keeps idle connections for one more request.",
        zero_means="close at once",
    )

    limit_request_line: int = size(8192, LIMITS, "Maximum size of a request line.", minimum=64, maximum=1 << 20)
    limit_request_field_size: int = size(
        16384, LIMITS, "Maximum size of one header field.", minimum=64, maximum=1 << 20
    )
    limit_request_fields_size: int = size(
        65536,
        LIMITS,
        "Maximum total size of the header fields of a request.",
        minimum=64,
        maximum=1 << 24,
        aliases="h11_max_incomplete_event_size max_request_header_size",
    )
    limit_request_fields: int = count(
        100, LIMITS, "Maximum number of header fields of a request.", minimum=1, maximum=10000
    )
    max_request_body_size: int = size(
        1 << 30, LIMITS, "Maximum size of a request body.", zero_means="no limit", aliases="limit_post"
    )
    limit_body_rate: int = size(
        240,
        LIMITS,
        "Minimum average rate of a request body.",
        maximum=2**31 - 1,
        unit="bytes a second",
        zero_means="no limit",
    )
    limit_body_rate_grace: float = seconds(
        10.0, LIMITS, "Time from the start of a body before its rate is checked.", zero_means="no grace"
    )
    limit_concurrency: int = count(
        0,
        LIMITS,
        "Maximum number of requests in flight in a worker.",
        "A request whose response is complete counts while its application still runs. Further requests are answered"
        " with 503.",
        zero_means="no limit",
    )
    limit_connections: int = count(
        0,
        LIMITS,
        "Maximum number of open connections of a worker.",
        "Further connections wait in the backlog.",
        zero_means="no limit",
        aliases="backpressure worker_connections connection_limit",
    )

    date_header: bool = flag(True, RESPONSES, "Add a Date field.")
    server_header: bool = flag(True, RESPONSES, "Add a Server field.")
    header: tuple[Header, ...] = field(
        (),
        values.header,
        RESPONSES,
        "Add a field to every response.",
        metavar="'NAME: VALUE'",
        repeatable=True,
        is_table=True,
        separator="\n",
        to_text=values.header_to_text,
        aliases="headers",
    )
    request_id_header: str = field(
        "",
        values.field_name,
        RESPONSES,
        "Field that carries the id of a request, such as x-request-id.",
        "The id is taken from the request, or created if there is none, and sent with the response.",
        metavar="NAME",
    )
    sendfile: bool = flag(
        True, RESPONSES, "Send files of WSGI applications with the kernel's sendfile().", "This is wsgi.file_wrapper."
    )
    asgi_sendfile: bool = flag(
        False,
        RESPONSES,
        "Offer sendfile() to ASGI applications (pathsend and zerocopysend).",
        "Middleware of the application must support these messages.",
    )
    early_hints: bool = flag(
        False,
        RESPONSES,
        "Offer early hints (status 103) to applications.",
        "Clients and proxies must support them.",
    )

    ws: Literal["auto", "none"] = choice(
        "auto",
        WEBSOCKET,
        "Accept WebSocket handshakes.",
        "With none, a handshake is an ordinary request. Names of libraries, as in Uvicorn, mean auto.",
        names="auto none",
        parse=foreign_values.websockets,
    )
    ws_max_size: int = size(
        16 << 20,
        WEBSOCKET,
        "Maximum size of a message after decompression.",
        "A larger message closes its connection with code 1009.",
        zero_means="no limit",
        aliases="websocket_max_message_size",
    )
    ws_max_queue: int = count(
        32,
        WEBSOCKET,
        "Maximum number of messages that wait for the application.",
        "At this number the server pauses reading from the connection.",
        minimum=1,
        maximum=1 << 16,
    )
    ws_ping_interval: float = seconds(
        20.0,
        WEBSOCKET,
        "Time without input before a ping is sent.",
        zero_means="never",
        aliases="websocket_ping_interval ping_interval",
    )
    ws_ping_timeout: float = seconds(
        20.0,
        WEBSOCKET,
        "Maximum time without input after a ping before the connection is closed.",
        zero_means="no limit",
        aliases="websocket_ping_timeout ping_timeout",
    )
    ws_close_timeout: float = seconds(
        10.0, WEBSOCKET, "Maximum time for a client to answer a close frame.", zero_means="do not wait"
    )
    ws_per_message_deflate: bool = flag(
        True, WEBSOCKET, "Compress messages for clients that offer it.", aliases="websocket_per_message_deflate"
    )
    ws_deflate_level: int = count(
        1,
        WEBSOCKET,
        "Compression level of messages, from 1 (fastest) to 9 (smallest).",
        "9 takes several times the CPU time of 1, and its messages are only a little smaller. At level 1, messages of"
        " 4 KiB or more take a fifth of the time if the package isal is installed.",
        minimum=1,
        maximum=9,
    )
    ws_drain_spread: float = seconds(
        0.0,
        WEBSOCKET,
        "Time over which a stop closes WebSockets and event streams, one by one.",
        "It is a part of --timeout-stop.",
        zero_means="all at once",
    )
    limit_websockets: int = count(
        0,
        WEBSOCKET,
        "Maximum number of open WebSockets of a worker.",
        "Further handshakes are answered with 503. WebSockets do not count for --limit-concurrency.",
        zero_means="no limit",
    )

    access_log: bool = flag(True, LOGGING, "Log each response.", common=True)
    access_logfile: str = path(
        "-", LOGGING, "File of the access log; - is standard output.", metavar="FILE", parse=values.log_file
    )
    access_log_format: str = field(
        "",
        values.access_log_format,
        LOGGING,
        "Format of the access log in Gunicorn's atoms, such as '%(h)s %(s)s'.",
        "The default is the combined format with the duration.",
        metavar="FORMAT",
        aliases="access_logformat access_log_fmt",
    )
    access_log_exclude: tuple[str, ...] = field(
        (),
        values.utf8_text,
        LOGGING,
        "Do not log responses for a path; a * at its end matches any rest.",
        "Responses with an error status are logged all the same.",
        metavar="PATH",
        repeatable=True,
    )
    error_logfile: str = path(
        "-",
        LOGGING,
        "File of the server log; - is standard error.",
        metavar="FILE",
        parse=values.log_file,
        aliases="log_file error_log",
    )
    log_level: Literal["critical", "error", "warning", "info", "debug"] = choice(
        "info",
        LOGGING,
        "Minimum level of server log messages.",
        common=True,
        names="critical error warning info debug",
        parse=foreign_values.log_level,
    )
    log_format: Literal["text", "json"] = choice("text", LOGGING, "Format of both logs.", names="text json")
    use_colors: bool | None = field(
        None,
        values.optional(values.boolean),
        LOGGING,
        "Colour the levels of the server's log, by default on a terminal.",
        "The variable NO_COLOR turns colours off as well.",
        to_text=values.boolean_to_text,
    )
    log_config: str = path(
        "",
        LOGGING,
        "Configure Python's logging from a .ini, .json or .yaml file.",
        metavar="FILE",
        aliases="log_config_json",
    )
    log_syslog: bool = flag(
        False,
        LOGGING,
        "Send the server log to syslog too.",
        "The access log is not sent.",
        aliases="syslog",
    )
    log_syslog_to: str = field(
        "udp://localhost:514",
        syslog_values.address,
        LOGGING,
        "Address of syslog: udp://HOST:PORT, tcp://HOST:PORT or unix://PATH.",
        "A path may end in #dgram or #stream. Has no effect without --log-syslog.",
        metavar="ADDRESS",
        aliases="syslog_addr",
    )
    log_syslog_prefix: str = field(
        "",
        syslog_values.prefix,
        LOGGING,
        "Name the records in syslog ianus.NAME.error.",
        "The default is the name of --process-name.",
        metavar="NAME",
        aliases="syslog_prefix",
    )
    log_syslog_facility: str = field(
        "user",
        syslog_values.facility,
        LOGGING,
        "Facility of the records in syslog, such as daemon or local0.",
        choices=syslog_values.FACILITIES,
        metavar="NAME",
        aliases="syslog_facility",
    )
    statsd_host: str = field(
        "",
        statsd_values.address,
        LOGGING,
        "Send metrics to statsd at HOST:PORT or unix://PATH.",
        "They are requests, their durations, workers, and errors in the log, under Gunicorn's names.",
        metavar="ADDRESS",
    )
    statsd_prefix: str = field(
        "", statsd_values.prefix, LOGGING, "Put NAME. in front of the names of metrics.", metavar="NAME"
    )
    dogstatsd_tags: str = field(
        "",
        statsd_values.tags,
        LOGGING,
        "Add tags to all metrics, such as env:prod,region:eu.",
        "Only for Datadog's server and others that read its format.",
        metavar="TAGS",
    )
    watch_loop: int = field(
        0,
        values.integer(0, 3_600_000, "milliseconds, such as 100"),
        LOGGING,
        "Log the stack of code that blocks the event loop longer than this time.",
        unit="milliseconds",
        zero_means="never",
        metavar="MS",
    )

    health_path: str = field(
        "",
        values.request_path,
        HEALTH,
        "Path of health checks that the server answers itself, such as /up.",
        "GET and HEAD are answered with 200 while the server serves, and with 503 while it starts or stops. The"
        " application does not see them, and they are neither logged nor counted.",
        metavar="PATH",
    )

    admin_bind: AdminBind | None = field(
        None,
        values.admin_bind,
        HEALTH,
        "Answer health checks and show the state on unix:PATH or 127.0.0.1:PORT.",
        "The supervisor answers /-/live, /-/ready and /-/status (JSON). A Unix socket is for the user of the server"
        " alone; other addresses than those of this machine are refused.",
        metavar="ADDRESS",
    )

    warmup: tuple[str, ...] = field(
        (),
        values.request_target,
        HEALTH,
        "Request this path of the application before connections are accepted.",
        "The start fails if the response has a status of 500 or more, or is not complete within"
        " --timeout-lifespan-startup. These requests are not logged.",
        metavar="PATH",
        repeatable=True,
    )
    warmup_host: str = field(
        "localhost",
        values.host,
        HEALTH,
        "Host of the requests of --warmup.",
        "An application that checks the host needs one of its own.",
        metavar="HOST",
    )

    chdir: str = path(
        "",
        PROCESS,
        "Change to this directory before the application is loaded.",
        "Relative paths of all other settings start there, except those of --config and --env-file.",
        metavar="DIR",
    )
    pythonpath: tuple[str, ...] = field(
        (),
        values.path,
        PROCESS,
        "Search modules in this directory too.",
        "Commas separate several. The directory of --app-dir precedes them, and all others follow.",
        metavar="DIR",
        repeatable=True,
        split=values.split_paths,
    )
    pid_file: str = path("", PROCESS, "Write the process id to this file.", metavar="FILE", aliases="pid pidfile")
    capture_output: bool = flag(
        False,
        PROCESS,
        "Write the output of workers to the file of --error-logfile.",
        "Without a file it has no effect.",
    )
    user: str = field(
        "",
        values.account,
        PROCESS,
        "Run the workers as this user, with all groups of the user.",
        "Only root can do this. The sockets are opened before.",
        metavar="USER",
        short="-u",
        aliases="uid",
    )
    group: str = field(
        "",
        values.account,
        PROCESS,
        "Run the workers as this group in place of the user's own.",
        metavar="GROUP",
        short="-g",
        aliases="gid",
    )
    umask: int | None = field(
        None,
        values.permissions,
        PROCESS,
        "Permissions to remove from new files, such as 027.",
        "The default is the mask with which the server was started.",
        metavar="OCTAL",
        to_text="{:o}".format,
        short="-m",
    )
    process_name: str = field(
        "",
        values.text,
        PROCESS,
        "Name of the processes in ps and top, in place of ianus.",
        "ps shows it if setproctitle is installed.",
        metavar="NAME",
        short="-n",
        aliases="name proc_name",
    )

    reload: bool = flag(False, DEVELOPMENT, "Restart the workers when a file changes.", common=True)
    reload_dir: tuple[str, ...] = field(
        (),
        values.path,
        DEVELOPMENT,
        "Watch the files of this directory.",
        "The default is the directory of --app-dir.",
        metavar="DIR",
        repeatable=True,
        aliases="reload_dirs reload_paths",
    )
    reload_include: tuple[str, ...] = texts(
        ("*.py",), DEVELOPMENT, "Watch files whose names match.", metavar="GLOB", aliases="reload_includes"
    )
    reload_exclude: tuple[str, ...] = texts(
        (),
        DEVELOPMENT,
        "Do not watch files whose names match.",
        metavar="GLOB",
        aliases="reload_excludes reload_ignore_dirs",
    )
    reload_delay: float = seconds(
        0.25,
        DEVELOPMENT,
        "Time to wait for further changes before a restart.",
        zero_means="no wait",
        aliases=(Alias("reload_tick", values.milliseconds),),
    )

    def __eq__(self, other: object) -> bool:
        return type(other) is Settings and all(getattr(self, name) == getattr(other, name) for name, _, _ in table())

    def __repr__(self) -> str:
        """Returns the values that differ from their defaults, without secrets."""
        values = [
            f"{name}={'...' if setting.is_secret else repr(getattr(self, name))}"
            for name, setting, default in table()
            if getattr(self, name) != default
        ]
        return f"Settings({', '.join(values)})"

    def _check_together(self) -> None:
        tls_values.check_tls(self)
        _check_binds(self)
        _check_mounts(self.mount)
        _check_stop(self)
        if self.root_path and self.root_path_kept:
            raise ConflictError(
                ("root_path", "root_path_kept"),
                "{} is given together with {}; give one, since a proxy strips the prefix or keeps it.",
            )
        wrong = {"port", "prefix"} & set(self.forwarded_fields or ())
        if wrong and self.forwarded_headers == "forwarded":
            raise ConflictError(
                ("forwarded_fields", "forwarded_headers"),
                f"{{}} with {{}} forwarded has {min(wrong)}, which the field Forwarded cannot have; remove it.",
            )
        if self.access_log_format and self.log_format == "json":
            raise ConflictError(
                ("access_log_format", "log_format"), "{} has no effect with {} json; remove one of them."
            )

    def all_binds(self) -> tuple[Bind, ...]:
        """Returns the addresses of --bind, then those of --insecure-bind."""
        return self.bind + self.insecure_bind

    def stop_budget(self) -> StopBudget:
        """Returns the times of a stop."""
        return stop_budget(self.timeout_stop, self.timeout_lifespan_shutdown)

    def uses_tls(self) -> bool:
        """Returns whether the addresses of --bind have TLS."""
        return bool(self.ssl_certfile or self.ssl_cert_dir or self.ssl_context_factory or self.tls_dev or self.tls_auto)

    @classmethod
    def from_values(cls, given: Mapping[str, object]) -> "Settings":
        """Makes settings with `given` in place of the defaults, each as text or as a native value.

        The names may be aliases, and host and port. A value of None counts as not given.

        Raises SettingError for an invalid value and TypeError for a setting that does not exist.
        """
        return cls.from_layer(values_from(given, NAMES))

    @classmethod
    def from_layer(cls, merged: Layer) -> "Settings":
        """Makes settings of merged layers. An error names the source of the value. Raises SettingError."""
        names = cls.__dataclass_fields__
        try:
            return cls(**{name: given.value for name, given in merged.items() if name in names})
        except ConflictError as error:
            # One of them may have its default value, which no source has given.
            written = tuple(
                as_written(merged[name]) if name in merged else f"--{name.replace('_', '-')}" for name in error.settings
            )
            raise ConflictError(written, error.template, page=error.page) from None
        except SettingError as error:  # Several values that do not go together, for example a repeated address.
            raise SettingError(merged[error.setting].label, error.problem) from None


def _init(self: Settings, **given: Any) -> None:
    """Creates Settings; accepts the names that other servers use, too."""
    if not given.keys() <= Settings.__dataclass_fields__.keys():
        given = {name: each.value for name, each in values_from(given, NAMES).items()}
    for name, setting, default in table():
        value = given.get(name)
        try:
            # dataclasses.replace() gives all values again, also the defaults, and checking takes time.
            value = default if value is None or value is default else setting.check(value)
        except ValueError as error:
            raise SettingError(name, str(error)) from None
        object.__setattr__(self, name, value)
    self._check_together()


# Type checkers know the parameters by the fields.
Settings.__init__ = _init  # type: ignore[method-assign]


# Inputs that are not fields of Settings: the halves of an address, the application, and files to read.
EXTRA_INPUTS = {
    "host": Setting(values.host, "Host to listen on, if --bind is not given.", APPLICATION, metavar="HOST"),
    "port": Setting(
        values.port,
        "Port to listen on, if --bind is not given.",
        APPLICATION,
        metavar="PORT",
        short="-p",
        variable="PORT",
    ),
    "app": Setting(values.text, "The application, as on the command line.", APPLICATION, metavar="APP"),
    "config": Setting(
        values.path,
        "Read settings from this file: TOML, or Python as in gunicorn.",
        CONFIGURATION,
        "The default is ianus.toml, or else [tool.ianus] in pyproject.toml; and gunicorn.conf.py. file:FILE and"
        " python:MODULE are written in Python, in the names of gunicorn or hypercorn; so is hypercorn.toml.",
        common=True,
        metavar="FILE",
        short="-c",
    ),
    "env_file": Setting(
        values.path,
        "Set the variables of this file that are not in the environment yet.",
        CONFIGURATION,
        metavar="FILE",
        repeatable=True,
        aliases=(Alias("env_files"),),
    ),
    "env": Setting(
        values.variable,
        "Set a variable of the environment, as in NAME=value.",
        CONFIGURATION,
        metavar="NAME=VALUE",
        repeatable=True,
        separator="\n",
        aliases=(Alias("raw_env"),),
    ),
}


def table() -> Iterator[tuple[str, Setting, Any]]:
    """Yields (name, setting, default) of every setting, in the order of the help page."""
    for each in dataclasses.fields(Settings):
        yield each.name, each.metadata["setting"], each.default


def inputs() -> Iterator[tuple[str, Setting]]:
    """Yields (name, setting) of every input that a source can give."""
    for name, setting, _ in table():
        yield name, setting
    yield from EXTRA_INPUTS.items()


# Every name that an input can be given by.
NAMES = index_names(inputs())


def _check_stop(settings: Settings) -> None:
    """Checks that the parts of a stop fit into its total."""
    total, lifespan, delay = settings.timeout_stop, settings.timeout_lifespan_shutdown, settings.drain_delay
    if not total:
        if lifespan:
            raise ConflictError(
                ("timeout_lifespan_shutdown", "timeout_stop"), "{} is a part of {}, which has no limit; remove one."
            )
        return
    free = settings.stop_budget().cancel_after
    parts = {"timeout_lifespan_shutdown": lifespan, "drain_delay": delay, "ws_drain_spread": settings.ws_drain_spread}
    needed = delay + settings.ws_drain_spread
    if free <= 0 or 0 < free <= needed:
        name = max(parts, key=lambda name: parts[name])
        raise ConflictError(
            (name, "timeout_stop"),
            f"{{0}} does not fit into {{1}} ({total:g} s), which has {max(free, 0):.3g} s for --drain-delay,"
            f" --ws-drain-spread and requests; raise {{1}} to {smallest_total(lifespan, needed)}s, or lower {{0}}.",
        )


def _check_binds(settings: Settings) -> None:
    if not settings.bind:
        raise SettingError("bind", "no address to listen on; give at least one.")
    groups = {
        "admin_bind": () if settings.admin_bind is None else (settings.admin_bind,),
        "insecure_bind": settings.insecure_bind,
        "bind": settings.bind,
    }
    seen: dict[Bind, str] = {}
    for name, binds in groups.items():
        for each in binds:
            first = None if isinstance(each, TcpBind) and each.port == 0 else seen.get(each)
            if first == name:
                raise SettingError(name, f"{each} is given twice; remove one.")
            if first is not None:
                raise ConflictError((first, name), f"{{}} and {{}} are both {each}; give each its own port or path.")
            seen[each] = name
    if settings.tls_auto and settings.tls_dev:
        raise ConflictError(("tls_auto", "tls_dev"), "{} is given together with {}; remove one.", page="tls")
    if settings.https_redirect and not settings.insecure_bind:
        raise ConflictError(
            ("https_redirect", "insecure_bind"),
            "{} is for requests without TLS; name their address with {}.",
            page="tls",
        )


def _check_mounts(mounts: tuple[Mount, ...]) -> None:
    prefixes = [each.prefix for each in mounts]
    for index, prefix in enumerate(prefixes):
        if prefix in prefixes[:index]:
            raise SettingError("mount", f"{prefix} is given twice; remove one.")
