"""Builds the objects that serve requests, from the sockets to the applications."""

import asyncio
import functools
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from ianus.acceptor.listener import Listener
from ianus.gateway.loading.loader import Application
from ianus.process.resources import build_statsd_client, has_spool_directory
from ianus.process.transfer_queue import SIZE, TransferQueue
from ianus.process.worker.http_versions import offers_http1, offers_http2, reads_http2
from ianus.process.worker.tls import ServingTls
from ianus.settings.proxy_values import FORWARDED_FIELDS, LOCAL_PEERS
from ianus.settings.schema import Settings
from ianus.telemetry.logs import LogFile, access_logger

if TYPE_CHECKING:
    from ianus.acceptor.byte_filter import ByteFilterFactory
    from ianus.acceptor.reactor import Reactor
    from ianus.acceptor.transfers import Transfers
    from ianus.codec.base import Request
    from ianus.codec.limits import Limits
    from ianus.exchange.base import SessionFactory
    from ianus.exchange.forwarded import ForwardedRules
    from ianus.exchange.gateway import Gateway
    from ianus.exchange.http1_session import Http1SessionFactory
    from ianus.exchange.http2_session import Http2SessionFactory
    from ianus.exchange.http_session import HttpSessionFactory
    from ianus.exchange.service import Deadlines, Service, WebSocketRules
    from ianus.gateway.asgi.exchange import AsgiExchange
    from ianus.gateway.asgi.gateway import AsgiGateway
    from ianus.gateway.health import HealthGateway
    from ianus.gateway.threads.executor import Executor
    from ianus.gateway.threads.pool import ThreadPool
    from ianus.gateway.wsgi.exchange import WsgiExchange
    from ianus.gateway.wsgi.gateway import WsgiGateway
    from ianus.gateway.wsgi.spool import Spool
    from ianus.telemetry.access_log import AccessLog
    from ianus.telemetry.observer import Observer
    from ianus.telemetry.statsd.reporter import StatsdReporter

# The buffer that all connections of a worker receive into. It has to hold two of the longest lines.
RECEIVE_BYTES = 256 * 1024


def import_compiled_modules(apps: Sequence[Application], settings: Settings) -> None:
    """Imports the modules that build_stack() needs, for processes that are forked later."""
    import ianus.acceptor.poll.epoll
    import ianus.acceptor.reactor
    import ianus.acceptor.transfers
    import ianus.telemetry.access_log

    if offers_http1(settings):
        import ianus.codec.http1.codec
        import ianus.exchange.http1_session
    if reads_http2(settings) or (settings.uses_tls() and offers_http2(settings)):
        import ianus.codec.http2.codec
        import ianus.exchange.http2_session
        import ianus.exchange.protocol_choice
    if any(app.interface == "wsgi" for app in apps):
        import ianus.gateway.threads.pinned
        import ianus.gateway.threads.pool
        import ianus.gateway.wsgi.spool
    if any(app.interface != "wsgi" for app in apps):
        import ianus.gateway.asgi.gateway  # noqa: F401


class ServingStack(NamedTuple):
    """The compiled objects of a worker.

    sessions: makes the sessions of connections to the addresses of --bind. plain_sessions: those of connections without
    TLS, the same if there is none. filters: encrypt the connections, None without TLS.
    asgi: the gateways of ASGI applications, whose calls are tasks of the loop.
    pool: the threads that call WSGI applications, if there is one.
    """

    reactor: "Reactor"
    sessions: "SessionFactory"
    plain_sessions: "SessionFactory"
    filters: "ByteFilterFactory | None"
    service: "Service"
    access_log: "AccessLog | None"
    statsd: "StatsdReporter | None"
    asgi: "tuple[AsgiGateway, ...]"
    pool: "ThreadPool | None"

    def accept_from(self, listener: Listener) -> None:
        """Accepts connections from a listening socket."""
        if listener.is_tls:
            self.reactor.listen(listener.sock, self.sessions, self.filters)
        else:
            self.reactor.listen(listener.sock, self.plain_sessions)

    def start_observers(self) -> None:
        """Starts their threads."""
        for each in (self.access_log, self.statsd):
            if each is not None:
                each.start()

    def close_observers(self) -> None:
        """Has them write or send the rest, for at most some seconds."""
        for each in (self.access_log, self.statsd):
            if each is not None:
                each.close()


def build_stack(
    apps: Sequence[Application],
    settings: Settings,
    loop: asyncio.AbstractEventLoop,
    states: Sequence[dict[str, Any] | None],
    access_file: LogFile | None,
    on_max_requests: Callable[[], None],
    https_port: int,
    tls: ServingTls | None = None,
) -> ServingStack:
    """Builds the objects, without starting them.

    states: the lifespan state of each application. on_max_requests: called once after --max-requests, in the thread
    that serves the reactor. https_port: the port of the addresses with TLS. tls: None without TLS.
    """
    access_log = None if access_file is None else build_access_log(access_file.fd, settings)
    asgi = {
        app.prefix: build_asgi_gateway(app, settings, loop, state)
        for app, state in zip(apps, states, strict=True)
        if app.interface != "wsgi"
    }
    reactor = build_reactor(settings)
    for gateway in asgi.values():
        gateway.eager_start.poller = reactor
    wsgi, pool = _wsgi_gateways([app for app in apps if app.interface == "wsgi"], settings, reactor)
    router = _router({**asgi, **wsgi}, settings.root_path_kept)
    if settings.health_path:
        router = build_health_gateway(router, settings)
    statsd = build_statsd(settings) if settings.statsd_host else None
    service = build_service(router, settings, _observer(access_log, statsd), on_max_requests)
    is_known_host = tls.store.has_name if tls is not None else _is_never_known
    plain_sessions = build_plain_sessions(service, settings, https_port, is_known_host)
    sessions = build_tls_sessions(service, settings) if tls is not None else plain_sessions
    filters = tls.filters if tls is not None else None
    return ServingStack(
        reactor, sessions, plain_sessions, filters, service, access_log, statsd, tuple(asgi.values()), pool
    )


def _observer(access_log: "AccessLog | None", statsd: "StatsdReporter | None") -> "Observer | None":
    """Returns one observer for both."""
    if access_log is None or statsd is None:
        return access_log if statsd is None else statsd.samples
    from ianus.telemetry.observer import ObserverGroup

    return ObserverGroup(access_log, statsd.samples)


def find_https_port(listeners: Sequence[Listener]) -> int:
    """Returns the port of the first TCP listener with TLS, or 443 without one."""
    ports = (each.sock.getsockname()[1] for each in listeners if each.is_tls and each.sock.family != socket.AF_UNIX)
    return next(ports, 443)


# Each of these functions makes one object from settings; the tests use them too. A value that is a setting has the
# setting's name everywhere. The modules are loaded late, after all that can fail for reasons worth a message.


def build_reactor(settings: Settings) -> "Reactor":
    from ianus.acceptor.poll.epoll import Epoll
    from ianus.acceptor.reactor import Reactor

    longest_line = max(settings.limit_request_line, settings.limit_request_field_size)
    return Reactor(
        Epoll(),
        limit_connections=settings.limit_connections,
        receive_size=max(RECEIVE_BYTES, 2 * longest_line),
    )


def map_transfers(queue: TransferQueue) -> "Transfers":
    import mmap

    from ianus.acceptor.transfers import Transfers
    from ianus.runtime.mapped_memory import MappedMemory

    return Transfers(queue, MappedMemory(mmap.mmap(queue.memory_fd, SIZE, prot=mmap.PROT_READ)))


def build_sessions(service: "Service", settings: Settings) -> "SessionFactory":
    return _with_proxy_header(_plain_http_sessions(service, settings, service.gateway), settings)


def build_tls_sessions(service: "Service", settings: Settings) -> "SessionFactory":
    """Returns the sessions of connections that are encrypted."""
    hsts = settings.hsts.encode("ascii")
    sessions = _http_sessions(
        service, settings, service.gateway, "https", hsts, with_http2=offers_http2(settings), reads_preface=False
    )
    return _with_proxy_header(sessions, settings)


def build_plain_sessions(
    service: "Service", settings: Settings, https_port: int, is_known_host: Callable[[str], bool]
) -> "SessionFactory":
    """Returns the sessions of connections without TLS, on which the server may answer requests itself."""
    gateway: Gateway = service.gateway
    if settings.acme_thumbprint:
        from ianus.gateway.challenge import ChallengeGateway

        gateway = ChallengeGateway(gateway, acme_thumbprint=settings.acme_thumbprint)
    if settings.https_redirect:
        from ianus.gateway.redirect import RedirectGateway

        port = settings.https_redirect_port or https_port
        gateway = RedirectGateway(gateway, is_known_host=is_known_host, port=port)
        if settings.health_path:
            # Balancers check the port without TLS, too.
            gateway = build_health_gateway(gateway, settings)
    return _with_proxy_header(_plain_http_sessions(service, settings, gateway), settings)


def _is_never_known(name: str) -> bool:
    """Stands for the names of certificates of a server without TLS."""
    return False


def _plain_http_sessions(service: "Service", settings: Settings, gateway: "Gateway") -> "SessionFactory":
    with_http2 = reads_http2(settings)
    return _http_sessions(
        service, settings, gateway, settings.url_scheme, b"", with_http2=with_http2, reads_preface=with_http2
    )


def _http_sessions(
    service: "Service",
    settings: Settings,
    gateway: "Gateway",
    url_scheme: str,
    hsts: bytes,
    *,
    with_http2: bool,
    reads_preface: bool,
) -> "SessionFactory":
    """Returns the sessions of connections in the versions of HTTP that the settings allow.

    reads_preface: connections of HTTP/2 are recognised by their first bytes, since they have no negotiation.
    """
    versions: list[HttpSessionFactory] = []
    if offers_http1(settings):
        versions.append(_http1_sessions(service, settings, hsts))
    if with_http2:
        versions.append(_http2_sessions(service, settings, hsts, gateway.opens_tunnels))
    for each in versions:
        each.set_scheme(url_scheme)
        each.set_gateway(gateway)
    if len(versions) == 1:
        return versions[0]
    from ianus.exchange.protocol_choice import ProtocolChoice

    return ProtocolChoice(*versions, reads_preface=reads_preface)


def _http1_sessions(service: "Service", settings: Settings, hsts: bytes) -> "Http1SessionFactory":
    from ianus.codec.http1.codec import Http1Factory
    from ianus.exchange.http1_session import Http1SessionFactory

    codecs = Http1Factory(build_limits(settings))
    if hsts:
        codecs.set_hsts(hsts)
    return Http1SessionFactory(service, codecs)


def _http2_sessions(service: "Service", settings: Settings, hsts: bytes, opens_tunnels: bool) -> "Http2SessionFactory":
    from ianus.codec.http2.codec import Http2Factory
    from ianus.exchange.http2_session import Http2SessionFactory

    codecs = Http2Factory(
        build_limits(settings),
        max_concurrent_streams=settings.http2_max_concurrent_streams,
        stream_window=settings.http2_initial_window_size,
        connection_window=settings.http2_initial_connection_window_size,
        extended_connect=opens_tunnels,
    )
    if hsts:
        codecs.set_hsts(hsts)
    return Http2SessionFactory(service, codecs)


def _with_proxy_header(sessions: "SessionFactory", settings: Settings) -> "SessionFactory":
    if settings.proxy_protocol == "off":
        return sessions
    from ianus.acceptor.proxied_session import ProxiedSessionFactory
    from ianus.runtime.trusted_peers import TrustedPeers

    return ProxiedSessionFactory(
        sessions,
        proxy_protocol=settings.proxy_protocol,
        is_allowed=TrustedPeers(settings.proxy_allow_ips).__contains__,
        timeout_request_header=settings.timeout_request_header,
    )


def build_uncounted_sessions(service: "Service", settings: Settings) -> "SessionFactory":
    """Returns sessions with the gateway of this service, whose requests are neither logged nor counted, nor limited."""
    from ianus.codec.http1.codec import Http1Factory
    from ianus.exchange.http1_session import Http1SessionFactory

    unlimited = replace(settings, limit_concurrency=0, limit_websockets=0, max_requests=0)
    uncounted = build_service(service.gateway, unlimited, None, None)
    uncounted.note_serving()
    return Http1SessionFactory(uncounted, Http1Factory(build_limits(settings)))


def build_service(
    gateway: "Gateway",
    settings: Settings,
    observer: "Observer | None",
    on_max_requests: Callable[[], None] | None,
) -> "Service":
    from ianus.exchange.service import Service

    return Service(
        gateway,
        deadlines=build_deadlines(settings),
        websocket_rules=build_websocket_rules(settings),
        forwarded=build_forwarded(settings),
        tls_host_check=settings.tls_host_check,
        queue_time=settings.queue_time,
        observer=observer,
        date_header=settings.date_header,
        server_header=settings.server_header,
        header=settings.header,
        limit_concurrency=settings.limit_concurrency,
        limit_websockets=settings.limit_websockets,
        limit_thread_websockets=limit_thread_websockets(settings),
        request_id_header=settings.request_id_header,
        max_requests=choose_max_requests(settings),
        ws_drain_spread=settings.ws_drain_spread,
        on_max_requests=on_max_requests,
    )


def build_limits(settings: Settings) -> "Limits":
    from ianus.codec.limits import Limits

    return Limits(
        limit_request_line=settings.limit_request_line,
        limit_request_field_size=settings.limit_request_field_size,
        limit_request_fields_size=settings.limit_request_fields_size,
        limit_request_fields=settings.limit_request_fields,
        max_request_body_size=settings.max_request_body_size,
    )


def build_deadlines(settings: Settings) -> "Deadlines":
    from ianus.exchange.service import Deadlines

    # After it WebSockets are closed, which also needs time.
    budget = settings.stop_budget()
    max_idle = max(budget.cancel_after - settings.ws_drain_spread, 0.0) / 2
    return Deadlines(
        timeout_request_header=settings.timeout_request_header,
        timeout_keep_alive=settings.timeout_keep_alive,
        timeout_request_body=settings.timeout_request_body,
        limit_body_rate=settings.limit_body_rate,
        limit_body_rate_grace=settings.limit_body_rate_grace,
        timeout_write=settings.timeout_write,
        drain_idle=min(settings.timeout_drain_idle, max_idle),
    )


def build_forwarded(settings: Settings) -> "ForwardedRules | None":
    """Returns the rules for fields of proxies, or None if they are not read."""
    if settings.proxy_headers is False:
        return None
    from ianus.exchange.forwarded import ForwardedRules

    given = (
        settings.proxy_headers,
        settings.forwarded_headers,
        settings.forwarded_fields,
        settings.forwarded_allow_ips,
    )
    return ForwardedRules(
        forwarded_headers=settings.forwarded_headers or "x-forwarded",
        forwarded_fields=FORWARDED_FIELDS if settings.forwarded_fields is None else settings.forwarded_fields,
        forwarded_allow_ips=LOCAL_PEERS if settings.forwarded_allow_ips is None else settings.forwarded_allow_ips,
        # Without such a setting, a middleware of the application may read them.
        strips=any(value is not None for value in given),
    )


def build_websocket_rules(settings: Settings) -> "WebSocketRules":
    from ianus.exchange.service import WebSocketRules

    return WebSocketRules(
        ws_max_size=settings.ws_max_size,
        ws_max_queue=settings.ws_max_queue,
        ws_ping_interval=settings.ws_ping_interval,
        ws_ping_timeout=settings.ws_ping_timeout,
        ws_close_timeout=settings.ws_close_timeout,
        ws_per_message_deflate=settings.ws_per_message_deflate,
        ws_deflate_level=settings.ws_deflate_level,
    )


def build_access_log(fd: int, settings: Settings) -> "AccessLog":
    """Writes to the file, or through Python's logging if --log-config names an access logger; then to a file if one was
    named.
    """
    from ianus.telemetry.access_log import INTERVAL_SECONDS, AccessLog

    # After a HUP that removed --log-config, the supervisor still has its loggers.
    if settings.log_config and (name := access_logger()):
        from ianus.telemetry import access_records

        records = access_records.AccessRecords(
            name, access_log_format=settings.access_log_format, log_format=settings.log_format
        )
        return AccessLog(
            -1 if settings.access_logfile == "-" else fd,
            records.line_format,
            access_log_exclude=settings.access_log_exclude,
            interval=access_records.INTERVAL_SECONDS,
            sink=records,
        )
    from ianus.telemetry.line_format import LineFormat

    return AccessLog(
        fd,
        LineFormat(access_log_format=settings.access_log_format, log_format=settings.log_format),
        access_log_exclude=settings.access_log_exclude,
        interval=INTERVAL_SECONDS,
    )


def build_statsd(settings: Settings) -> "StatsdReporter":
    from ianus.telemetry.statsd.reporter import StatsdReporter

    return StatsdReporter(build_statsd_client(settings), statsd_host=settings.statsd_host)


def build_asgi_gateway(
    app: Application, settings: Settings, loop: asyncio.AbstractEventLoop, state: dict[str, Any] | None = None
) -> "AsgiGateway":
    from ianus.gateway.asgi.gateway import AsgiGateway

    return AsgiGateway(
        app.callable,
        loop=loop,
        name=app.name,
        root_path=settings.root_path,
        root_path_kept=settings.root_path_kept,
        mount_prefix=app.prefix,
        asgi_sendfile=settings.asgi_sendfile,
        early_hints=settings.early_hints,
        open_websocket=_open_websocket if settings.ws == "auto" else None,
        state=state,
    )


def _open_websocket(request: "Request") -> "AsgiExchange | None":
    # Loaded with the first handshake: many applications never see one.
    from ianus.gateway.asgi.websocket import open_websocket

    return open_websocket(request)


def _wsgi_gateways(
    apps: Sequence[Application], settings: Settings, reactor: "Reactor"
) -> "tuple[dict[str, WsgiGateway], ThreadPool | None]":
    """Returns the gateways by prefix, and the threads that they share."""
    if not apps:
        return {}, None
    from ianus.gateway.wsgi.spool import Spool

    pool = build_thread_pool(settings)
    spool = Spool(settings.spool_dir, settings.limit_spool, in_memory=not has_spool_directory(settings))
    add_connection = functools.partial(reactor.accepting.add_connection, reactor)
    return {app.prefix: build_wsgi_gateway(app, settings, pool, spool, add_connection) for app in apps}, pool


def build_thread_pool(settings: Settings) -> "ThreadPool":
    from ianus.gateway.threads.pool import ThreadPool

    return ThreadPool(max_calls=max_calls(settings))


def max_calls(settings: Settings) -> int:
    """Returns the maximum number of concurrent calls of WSGI applications."""
    return settings.max_threads if settings.threads == "auto" else settings.threads


def limit_thread_websockets(settings: Settings) -> int:
    """Returns the number of threads that WebSockets of WSGI applications may hold.

    A quarter of the threads, and at least one, remains for requests.
    """
    calls = max_calls(settings)
    return calls - max(1, calls // 4)


def build_wsgi_gateway(
    app: Application,
    settings: Settings,
    executor: "Executor",
    spool: "Spool",
    add_connection: "Callable[[socket.socket, SessionFactory], None]",
) -> "WsgiGateway":
    from ianus.gateway.wsgi.gateway import WsgiGateway

    return WsgiGateway(
        app.callable,
        executor=executor,
        name=app.name,
        root_path=settings.root_path,
        root_path_kept=settings.root_path_kept,
        mount_prefix=app.prefix,
        multithread=settings.threads != 1,
        multiprocess=settings.workers != 1,
        request_buffer=settings.request_buffer,
        response_buffer=settings.response_buffer,
        spool=spool,
        sendfile=settings.sendfile,
        early_hints=settings.early_hints,
        header_map=settings.header_map,
        open_websocket=_open_wsgi_websocket if settings.ws == "auto" else None,
        add_connection=add_connection,
    )


def _open_wsgi_websocket(request: "Request") -> "WsgiExchange | None":
    # As in _open_websocket().
    from ianus.gateway.wsgi.websocket import open_websocket

    return open_websocket(request)


def _router(gateways: "dict[str, Gateway]", root_path_kept: str) -> "Gateway":
    """Returns the gateway for all requests."""
    if len(gateways) == 1:
        return gateways[""]
    from ianus.gateway.mounts import Mounts

    # A prefix that a proxy has kept in the path precedes the path of the mount.
    return Mounts([(root_path_kept + prefix if prefix else "", gateway) for prefix, gateway in gateways.items()])


def build_health_gateway(applications: "Gateway", settings: Settings) -> "HealthGateway":
    from ianus.gateway.health import HealthGateway

    return HealthGateway(applications, health_path=settings.health_path)


def choose_max_requests(settings: Settings) -> int:
    """Returns this worker's number of requests, 0: unlimited. It is random, so that workers are not replaced at
    once."""
    if not settings.max_requests or not settings.max_requests_jitter:
        return settings.max_requests
    import random

    return settings.max_requests + random.randint(0, settings.max_requests_jitter)
