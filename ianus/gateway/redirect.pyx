"""Redirects to https: the answer to all requests without TLS, except the challenges of certificate authorities.

Rules: a challenge is served as it is, since the authority may make it before there is a certificate (RFC 8555 section
8.3). Requests count for no limit, since each is answered at once.

Compiled because it opens exchanges. No request over TLS passes here.
"""
cimport cython

from ianus.codec.base cimport Request
from ianus.exchange.gateway cimport Gateway
from ianus.exchange.http cimport Exchange
from ianus.exchange.http_session cimport host_of
from ianus.exchange.in_flight_counter cimport NOT_COUNTED, InFlightKind

from ianus.gateway.challenge_path import CHALLENGE_PATH
from ianus.gateway.https_location import https_location


cdef class RedirectGateway(Gateway):
    """Redirects requests to https.

    applications: gets the requests for challenges. is_known_host: called with the host of a request, a name in lower
    case or an address. port: of https.
    """

    def __init__(self, Gateway applications not None, *, is_known_host not None, int port):
        self.name = applications.name
        self.applications = applications
        self.is_known_host = is_known_host
        self.port = port

    cdef object open(self, Request request):
        cdef RedirectExchange exchange
        if request.method in ("GET", "HEAD") and CHALLENGE_PATH.fullmatch(request.raw_path) is not None:
            return self.applications.open(request)
        exchange = RedirectExchange.__new__(RedirectExchange)
        exchange.gateway = self
        return exchange


@cython.no_gc
cdef class RedirectExchange(Exchange):
    """One request that is redirected."""

    cdef bint start(self) except -1:
        cdef RedirectGateway gateway = <RedirectGateway>self.gateway
        cdef Request request = self.request
        cdef bytes location = https_location(
            host_of(request), request.raw_path, request.query_string, gateway.port, gateway.is_known_host
        )
        if location is None:
            # RFC 9110 section 15.5.20
            self.send_error(421, "this server has no certificate for the host", [], False)
        else:
            # RFC 9110 section 15.4.2: after a 301 clients may change the method to GET, and not after a 308.
            self.send_error(
                301 if request.method in ("GET", "HEAD") else 308, None, [(b"location", location)], False
            )
        return False

    cdef InFlightKind in_flight_kind(self) noexcept:
        return NOT_COUNTED
