"""The scope dictionaries of ASGI HTTP requests (ASGI HTTP, "HTTP Connection Scope").

Facts: all requests share the majority of scope entries. Strategy: a scope is a copy of a template, and an entry that
equals the template's is not written.

Compiled because every ASGI request passes here: 201 instructions for ASGI hello.
"""
import sys

from cpython.dict cimport PyDict_Copy

from ianus.codec.base cimport Request
from ianus.exchange.connection_info cimport HTTP
from ianus.exchange.http cimport Exchange, note_call


# HTTP spec version 2.3, deliberately: with 2.4 Starlette stops listening for http.disconnect and waits until send()
# fails, so an idle event stream would outlive its client. gateway/asgi/discarding has the rule for send() in 2.3.
cdef str SPEC_VERSION = "2.3"

# Values of a typical request: they are in the template. HTTP_1_1 is the object of codec/http1/head.
cdef str HTTP_1_1 = sys.intern("1.1")
cdef str GET = sys.intern("GET")
cdef str POST = sys.intern("POST")
cdef bytes NO_QUERY = b""
cdef str QUEUE_TIME = "ianus.queue_time"


cdef class Scopes:
    """Makes the scopes of one application. AsgiGateway describes the parameters."""

    def __init__(
        self, *, str root_path, str root_path_kept, str mount_prefix, bint asgi_sendfile, bint early_hints, dict state,
    ):
        self.state = state
        # ASGI HTTP: `path` includes root_path, which the proxy has removed from received paths.
        self.stripped_prefix = root_path
        self.inner_path = root_path_kept + mount_prefix
        self.asgi = {"version": "3.0", "spec_version": SPEC_VERSION}
        # None stands for entries that each scope gets. They are here so that a copy has the space for them.
        self.template = {
            "type": "http",
            "asgi": None,
            "http_version": HTTP_1_1,
            "method": GET,
            "scheme": HTTP,
            "path": None,
            "raw_path": None,
            "query_string": NO_QUERY,
            # In the order in which a client sees the parts of its path.
            "root_path": root_path + self.inner_path,
            "headers": None,
            "client": None,
            "server": None,
            "extensions": None,
        }
        # RFC 9110 section 15.2, RFC 9112 section 7.1: HTTP/1.0 has neither interim responses nor chunks.
        self.extensions_1_0 = {"http.response.pathsend": {}, "http.response.zerocopysend": {}} if asgi_sendfile else {}
        self.extensions = {"http.response.trailers": {}, **self.extensions_1_0}
        if early_hints:
            self.extensions["http.response.early_hint"] = {}
        if state is not None:
            self.template["state"] = None

    cdef dict make(self, Exchange exchange):
        cdef Request request = exchange.request
        cdef dict scope
        cdef object server = exchange.connection.server
        cdef str endpoint_id
        # By identity: a reactor has one object for each address (acceptor/addresses).
        if server is not self.last_server:
            # Nearly always the same as for the last request, so it is part of the template.
            self.template["server"] = self.last_server = server
        scope = PyDict_Copy(self.template)
        # Copies, because an application may change its scope.
        scope["asgi"] = PyDict_Copy(self.asgi)
        # ASGI lifespan: a shallow copy, so that requests share the values and not the entries.
        if self.state is not None:
            scope["state"] = PyDict_Copy(self.state)
        if request.http_version is not HTTP_1_1:
            scope["http_version"] = request.http_version
            scope["extensions"] = PyDict_Copy(self.extensions_1_0)
        else:
            scope["extensions"] = PyDict_Copy(self.extensions)
        if request.method is not GET:
            # ASGI requires upper case. The response is framed by the method as it was received.
            scope["method"] = request.method if request.method is POST else request.method.upper()
        if exchange.queued_since:
            note_call(exchange)
            if exchange.shares_queue_time:
                scope["extensions"][QUEUE_TIME] = {"seconds": exchange.queue_time}
        # "*" is not a path, but the target of OPTIONS for the whole server.
        if self.stripped_prefix and request.path != "*":
            scope["path"] = self.stripped_prefix + request.path
        else:
            scope["path"] = request.path
        if exchange.prefix is not None:
            # In place of the prefix in the settings.
            scope["root_path"] = exchange.prefix + self.inner_path
            if request.path != "*":
                scope["path"] = exchange.prefix + request.path
        scope["raw_path"] = request.raw_path
        if request.query_string is not NO_QUERY:
            scope["query_string"] = request.query_string
        # The access log reads the request's own list when the response is complete, so the application gets a copy.
        scope["headers"] = request.headers if exchange.service.observer is None else request.headers[:]
        scope["client"] = exchange.connection.client
        if exchange.connection.scheme is not HTTP:
            scope["scheme"] = exchange.connection.scheme
        endpoint_id = exchange.connection.vpc_endpoint_id()
        if endpoint_id is not None:
            scope["extensions"]["ianus.proxy_protocol"] = {"aws_vpc_endpoint_id": endpoint_id}
        return scope
