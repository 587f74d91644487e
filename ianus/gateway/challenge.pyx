"""Answers to http-01 challenges, by which authorities check that a name is one of this server (RFC 8555 section 8.3).

Facts: the answer to a challenge has its token, which is in the path, and the thumbprint of the account's key. Strategy:
so any worker of any machine answers, without a word between the process that orders a certificate and the workers. The
answer is of no use without the key of the account.

Compiled because it opens exchanges. Only requests without TLS pass here.
"""
cimport cython

from ianus.codec.base cimport Request
from ianus.exchange.gateway cimport Gateway
from ianus.exchange.http cimport Exchange, new_response, prepare_response
from ianus.exchange.in_flight_counter cimport NOT_COUNTED, InFlightKind
from ianus.exchange.response_head cimport ResponseFacts

from ianus.gateway.challenge_path import CHALLENGE_PATH


cdef list FIELDS = [(b"content-type", b"application/octet-stream"), (b"cache-control", b"no-store")]


cdef class ChallengeGateway(Gateway):
    """Answers challenges, and hands all other requests to the gateway of the applications.

    acme_thumbprint: of the key of the account that orders certificates (RFC 8555 section 8.1).
    """

    def __init__(self, Gateway applications not None, *, str acme_thumbprint not None):
        self.name = applications.name
        self.opens_tunnels = applications.opens_tunnels
        self.applications = applications
        self.thumbprint = acme_thumbprint.encode("ascii")

    cdef object open(self, Request request):
        cdef ChallengeExchange exchange
        match = CHALLENGE_PATH.fullmatch(request.raw_path) if request.method in ("GET", "HEAD") else None
        if match is None:
            return self.applications.open(request)
        exchange = ChallengeExchange.__new__(ChallengeExchange)
        exchange.gateway = self
        exchange.token = match[1]
        return exchange

    cdef bint answers_itself(self, const char* head, Py_ssize_t size) noexcept:
        return self.applications.answers_itself(head, size)


@cython.no_gc
cdef class ChallengeExchange(Exchange):
    """One challenge."""

    cdef bint start(self) except -1:
        cdef ResponseFacts facts
        cdef bytes thumbprint = (<ChallengeGateway>self.gateway).thumbprint
        head = prepare_response(self, self.session.encoder(), 200, None, FIELDS, False, False, &facts)
        self.response = new_response()
        self.response.start(self, 200, head, &facts)
        self.response.send_body(self, self.token + b"." + thumbprint, False)
        return False

    cdef InFlightKind in_flight_kind(self) noexcept:
        return NOT_COUNTED
