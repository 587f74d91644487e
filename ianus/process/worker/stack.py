"""Builds the objects that serve requests, from the sockets to the applications."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ianus.gateway.loading.loader import Application
from ianus.settings.schema import Settings
from ianus.telemetry.logs import LogFile, access_logger

if TYPE_CHECKING:
    from ianus.acceptor.reactor import Reactor
    from ianus.codec.base import Request
    from ianus.exchange.base import SessionFactory
    from ianus.exchange.gateway import Gateway
    from ianus.exchange.service import Deadlines, Service
    from ianus.gateway.asgi.gateway import AsgiExchange, AsgiGateway
    from ianus.gateway.threads.pool import ThreadPool
    from ianus.telemetry.access_log import AccessLog

# The buffer that all connections of a worker receive into. It has to hold two of the longest lines.
RECEIVE_BYTES = 256 * 1024


def import_compiled_modules(apps: Sequence[Application]) -> None:
    """Imports the modules that build_stack() needs, for processes that are forked later."""
    import ianus.acceptor.poll.epoll
    import ianus.acceptor.reactor
    import ianus.codec.http1.codec
    import ianus.exchange.http1_session
    import ianus.telemetry.access_log

    if any(app.interface == "wsgi" for app in apps):
        import ianus.gateway.threads.pinned
        import ianus.gateway.threads.pool
        import ianus.gateway.wsgi.spool
    if any(app.interface != "wsgi" for app in apps):
        import ianus.gateway.asgi.gateway  # noqa: F401


class ServingStack(NamedTuple):
    """The compiled objects of a worker.

    sessions: makes the sessions of each listener's connections.
    asgi: the gateways of ASGI applications, whose calls are tasks of the loop.
    pool: the threads that call WSGI applications, if there is one.
    """

    reactor: "Reactor"
    sessions: "SessionFactory"
    service: "Service"
    access_log: "AccessLog | None"
    asgi: "tuple[AsgiGateway, ...]"
    pool: "ThreadPool | None"


def build_stack(
    apps: Sequence[Application],
    settings: Settings,
    loop: asyncio.AbstractEventLoop,
    states: Sequence[dict[str, Any] | None],
    access_file: LogFile | None,
    on_max_requests: Callable[[], None],
) -> ServingStack:
    """Builds the objects, without starting them.

    states: the lifespan state of each application. on_max_requests: called once after --max-requests, in the thread
    that serves the reactor.
    """
    # Loaded here, after all that can fail for reasons worth a message.
    from ianus.acceptor.poll.epoll import Epoll
    from ianus.acceptor.reactor import Reactor
    from ianus.codec.http1.codec import Http1Factory
    from ianus.codec.limits import Limits
    from ianus.exchange.http1_session import HttpSessionFactory
    from ianus.exchange.service import Service, WebSocketRules

    access_log = None if access_file is None else _access_log(access_file, settings)
    asgi = {
        app.prefix: _asgi_gateway(app, settings, loop, state)
        for app, state in zip(apps, states, strict=True)
        if app.interface != "wsgi"
    }
    wsgi, pool = _wsgi_gateways([app for app in apps if app.interface == "wsgi"], settings)
    limits = Limits(
        request_line=settings.limit_request_line,
        field_size=settings.limit_request_field_size,
        fields_size=settings.limit_request_fields_size,
        fields=settings.limit_request_fields,
        body_size=settings.max_request_body_size,
    )
    service = Service(
        _router({**asgi, **wsgi}, settings.root_path_kept),
        Http1Factory(limits),
        deadlines=_deadlines(settings),
        websocket_rules=WebSocketRules(
            max_size=settings.ws_max_size,
            max_queue=settings.ws_max_queue,
            ping_interval=settings.ws_ping_interval,
            ping_timeout=settings.ws_ping_timeout,
            close_timeout=settings.ws_close_timeout,
            deflate_level=settings.ws_deflate_level if settings.ws_per_message_deflate else 0,
            limit=settings.limit_websockets,
        ),
        access_log=access_log,
        date_header=settings.date_header,
        server_header=settings.server_header,
        headers=settings.header,
        limit_concurrency=settings.limit_concurrency,
        request_id_header=settings.request_id_header,
        max_requests=choose_max_requests(settings),
        on_max_requests=on_max_requests,
    )
    longest_line = max(settings.limit_request_line, settings.limit_request_field_size)
    reactor = Reactor(
        Epoll(),
        limit_connections=settings.limit_connections,
        receive_size=max(RECEIVE_BYTES, 2 * longest_line),
    )
    return ServingStack(reactor, HttpSessionFactory(service), service, access_log, tuple(asgi.values()), pool)


def _access_log(file: LogFile, settings: Settings) -> "AccessLog":
    """Writes to the file, or through Python's logging if --log-config names an access logger; then to a file if one was
    named.
    """
    from ianus.telemetry.access_log import AccessLog

    as_json = settings.log_format == "json"
    # After a HUP that removed --log-config, the supervisor still has its loggers.
    if settings.log_config and (name := access_logger()):
        from ianus.telemetry.access_records import INTERVAL_SECONDS, AccessRecords

        records = AccessRecords(name, settings.access_log_format, as_json=as_json)
        return AccessLog(
            -1 if settings.access_logfile == "-" else file.fd,
            records.line_format,
            exclude=settings.access_log_exclude,
            interval=INTERVAL_SECONDS,
            sink=records,
        )
    from ianus.telemetry.line_format import LineFormat

    return AccessLog(file.fd, LineFormat(settings.access_log_format, json=as_json), exclude=settings.access_log_exclude)


def _asgi_gateway(
    app: Application, settings: Settings, loop: asyncio.AbstractEventLoop, state: dict[str, Any] | None
) -> "AsgiGateway":
    from ianus.gateway.asgi.gateway import AsgiGateway

    return AsgiGateway(
        app.callable,
        loop=loop,
        name=app.name,
        root_path=settings.root_path or settings.root_path_kept,
        root_path_kept=bool(settings.root_path_kept),
        mount=app.prefix,
        sendfile=settings.asgi_sendfile,
        early_hints=settings.early_hints,
        open_websocket=_open_websocket if settings.ws == "auto" else None,
        state=state,
    )


def _open_websocket(request: "Request") -> "AsgiExchange | None":
    # Loaded with the first handshake: many applications never see one.
    from ianus.gateway.asgi.websocket import open_websocket

    return open_websocket(request)


def _wsgi_gateways(apps: Sequence[Application], settings: Settings) -> "tuple[dict[str, Gateway], ThreadPool | None]":
    """Returns the gateways by prefix, and the threads that they share."""
    if not apps:
        return {}, None
    from ianus.gateway.threads.pool import ThreadPool
    from ianus.gateway.wsgi.gateway import WsgiGateway
    from ianus.gateway.wsgi.spool import Spool

    pool = ThreadPool(threads=settings.max_threads if settings.threads == "auto" else settings.threads)
    spool = Spool(settings.spool_dir, settings.limit_spool)
    gateways: dict[str, Gateway] = {}
    for app in apps:
        gateways[app.prefix] = WsgiGateway(
            app.callable,
            executor=pool,
            name=app.name,
            root_path=settings.root_path or settings.root_path_kept,
            root_path_kept=bool(settings.root_path_kept),
            mount=app.prefix,
            multithread=settings.threads != 1,
            multiprocess=settings.workers != 1,
            request_buffer=settings.request_buffer,
            response_buffer=settings.response_buffer,
            spool=spool,
            sendfile=settings.sendfile,
            early_hints=settings.early_hints,
            keep_underscores=settings.header_map == "dangerous",
        )
    return gateways, pool


def _router(gateways: "dict[str, Gateway]", root_path_kept: str) -> "Gateway":
    """Returns the gateway for all requests."""
    if len(gateways) == 1:
        return gateways[""]
    from ianus.gateway.mounts import Mounts

    # A prefix that a proxy has kept in the path precedes the path of the mount.
    return Mounts([(root_path_kept + prefix if prefix else "", gateway) for prefix, gateway in gateways.items()])


def choose_max_requests(settings: Settings) -> int:
    """Returns this worker's number of requests, 0: unlimited. It is random, so that workers are not replaced at
    once."""
    if not settings.max_requests or not settings.max_requests_jitter:
        return settings.max_requests
    import random

    return settings.max_requests + random.randint(0, settings.max_requests_jitter)


def _deadlines(settings: Settings) -> "Deadlines":
    from ianus.exchange.service import Deadlines

    # After it WebSockets are closed, which also needs time.
    max_idle = settings.timeout_graceful_shutdown / 2 or settings.timeout_drain_idle
    return Deadlines(
        request_header=settings.timeout_request_header,
        keep_alive=settings.timeout_keep_alive,
        request_body=settings.timeout_request_body,
        body_rate=settings.limit_body_rate,
        body_rate_grace=settings.limit_body_rate_grace,
        write=settings.timeout_write,
        drain_idle=min(settings.timeout_drain_idle, max_idle),
    )
