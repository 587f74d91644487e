"""The scope dictionaries of ASGI HTTP requests (ASGI HTTP, "HTTP Connection Scope").

Facts: all requests share the majority of scope entries, and applications nearly never change the dictionaries in a
scope. Strategy: a scope is a copy of a template, and an entry that equals the template's is not written. The
dictionaries in it are copies as well, and are used again if the application has neither kept nor changed them.

Compiled because every ASGI request passes here: 502 instructions for ASGI hello.
"""
cimport cython
import sys

from cpython.dict cimport PyDict_Copy, PyDict_GetItemWithError, PyDict_Next, PyDict_Size
from cpython.object cimport PyObject

from ianus.codec.base cimport Request
from ianus.exchange.connection_info cimport HTTP
from ianus.exchange.http cimport Exchange, note_call
from ianus.exchange.tls_facts cimport TlsFacts


# HTTP spec version 2.3, deliberately: with 2.4 Starlette stops listening for http.disconnect and waits until send()
# fails, so an idle event stream would outlive its client. gateway/asgi/discarding has the rule for send() in 2.3.
cdef str SPEC_VERSION = "2.3"

# Values of a typical request: they are in the template. HTTP_1_1 is the object of codec/http1/head.
cdef str HTTP_1_1 = sys.intern("1.1")
cdef str GET = sys.intern("GET")
cdef str POST = sys.intern("POST")
cdef bytes NO_QUERY = b""
cdef str QUEUE_TIME = "ianus.queue_time"
cdef str TLS = sys.intern("tls")


cdef enum:
    MAX_FREE_PARTS = 64     # about 1 KiB each


cdef extern from *:
    """
    /* Without the GIL, a count of references can change at any time. */
    #ifdef Py_GIL_DISABLED
    #define ianus_is_unshared(object) 0
    #else
    #define ianus_is_unshared(object) (Py_REFCNT(object) == 2)
    #endif
    """
    bint is_unshared "ianus_is_unshared"(PyObject* object)


# It has references to dictionaries that nothing else has when it is used again.
@cython.no_gc
cdef class ScopeParts:
    pass


cdef bint is_unchanged(PyObject* part, dict original) noexcept:
    """Whether a copy belongs to no application, and has the same objects in the same order as the original.

    part: borrowed from its ScopeParts, which has one reference, as the template has. One of this call would count.
    """
    cdef PyObject* key
    cdef PyObject* value
    cdef PyObject* original_key
    cdef PyObject* original_value
    cdef Py_ssize_t position = 0, original_position = 0
    if not is_unshared(part) or PyDict_Size(<object>part) != PyDict_Size(original):
        return False
    # By identity: no code runs that could change them.
    while PyDict_Next(original, &original_position, &original_key, &original_value):
        if not PyDict_Next(<object>part, &position, &key, &value) or key != original_key or value != original_value:
            return False
    return True


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

    cdef ScopeParts acquire(self):
        cdef ScopeParts parts = self.free
        if parts is not None:
            self.free = parts.next
            self.free_count -= 1
            parts.next = None
            return parts
        parts = ScopeParts.__new__(ScopeParts)
        parts.template = PyDict_Copy(self.template)
        # Copies, because an application may change its scope.
        parts.template["asgi"] = parts.asgi = PyDict_Copy(self.asgi)
        parts.template["extensions"] = parts.extensions = PyDict_Copy(self.extensions)
        if self.state is not None:
            # ASGI lifespan: a shallow copy, so that requests share the values and not the entries.
            parts.template["state"] = parts.state = PyDict_Copy(self.state)
        return parts

    cdef int release(self, ScopeParts parts) except -1:
        if (
            self.free_count < MAX_FREE_PARTS
            and is_unchanged(<PyObject*>parts.asgi, self.asgi)
            and self.has_original_extensions(parts)
            and (self.state is None or is_unchanged(<PyObject*>parts.state, self.state))
        ):
            parts.next = self.free
            self.free = parts
            self.free_count += 1
        return 0

    cdef bint has_original_extensions(self, ScopeParts parts) except -1:
        if parts.tls_facts is None:
            return is_unchanged(<PyObject*>parts.extensions, self.extensions)
        # The two references to the extension of TLS are those of the two dictionaries.
        return is_unchanged(<PyObject*>parts.extensions, parts.extensions_original) and is_unchanged(
            PyDict_GetItemWithError(parts.extensions_original, TLS), parts.tls_original
        )

    cdef int set_tls_facts(self, ScopeParts parts, TlsFacts facts) except -1:
        """Makes the extensions of a connection. Connections without a client certificate share their facts."""
        parts.tls_facts = facts
        parts.extensions_original = parts.tls_original = None
        parts.template["extensions"] = parts.extensions = PyDict_Copy(self.extensions)
        if facts is not None:
            tls = tls_extension(facts)
            parts.tls_original = PyDict_Copy(tls)
            parts.extensions[TLS] = tls
            parts.extensions_original = PyDict_Copy(parts.extensions)
        return 0

    cdef dict make(self, Exchange exchange, ScopeParts parts):
        cdef Request request = exchange.request
        cdef dict scope
        cdef object server = exchange.connection.server
        cdef str endpoint_id
        cdef TlsFacts tls = exchange.connection.tls_facts()
        # By identity: a reactor has one object for each address (acceptor/addresses).
        if server is not parts.last_server:
            # Nearly always the same as for the last request, so it is part of the template.
            parts.template["server"] = parts.last_server = server
        if tls is not parts.tls_facts:
            self.set_tls_facts(parts, tls)
        scope = PyDict_Copy(parts.template)
        if request.http_version is not HTTP_1_1:
            scope["http_version"] = request.http_version
            if request.http_version == "1.0":
                scope["extensions"] = PyDict_Copy(self.extensions_1_0)
                if tls is not None:
                    scope["extensions"][TLS] = tls_extension(tls)
        if request.method is not GET:
            # ASGI requires upper case. The response is framed by the method as it was received.
            scope["method"] = request.method if request.method is POST else request.method.upper()
        if exchange.queued_since:
            note_call(exchange)
            if exchange.shares_queue_time:
                add_extension(scope, QUEUE_TIME, {"seconds": exchange.queue_time})
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
            add_extension(scope, "ianus.proxy_protocol", {"aws_vpc_endpoint_id": endpoint_id})
        return scope


cdef dict tls_extension(TlsFacts facts):
    """Builds the entry of the TLS extension (ASGI TLS, "TLS Connection Scope"). The application may change it."""
    return {
        "server_cert": facts.server_certificate,
        "client_cert_chain": facts.client_chain,
        "client_cert_name": facts.client_name,
        "client_cert_error": facts.client_error,
        "tls_version": facts.version,
        "cipher_suite": facts.cipher_suite,
    }


cdef int add_extension(dict scope, str name, dict value) except -1:
    # In a copy: those of `parts` stay as they are, and are used again.
    cdef dict extensions = PyDict_Copy(scope["extensions"])
    extensions[name] = value
    scope["extensions"] = extensions
    return 0
