"""Error answers. They go through build_head() like an application's, so they carry the same fields."""
from cpython.bytes cimport PyBytes_GET_SIZE

from ianus.codec.base cimport FRAMING_LENGTH
from ianus.exchange.base cimport ExchangeHost
from ianus.exchange.response_head cimport ResponseFacts, build_head
from ianus.exchange.service cimport Service

from ianus.codec.reasons import REASONS


cdef Py_ssize_t send_error_response(
    Service service, ExchangeHost session, int stream, int status, str detail, list fields, bytes request_id,
    bint no_body, bint close,
) except -1:
    # Filled by build_head(). The facts about an application's head are not needed here.
    cdef ResponseFacts facts
    # In the body too, for clients that show nothing else.
    cdef str text = f"{status} {REASONS[status]}"
    cdef bytes body = (f"{text}: {detail}\n" if detail else f"{text}\n").encode("utf-8", "replace")
    cdef object head = build_head(
        # The fields of the server's settings are added by build_head(), as for an application's response.
        service, session.encoder(), status, None, [(b"content-type", b"text/plain; charset=utf-8"), *fields], False,
        request_id, False, None, &facts,
    )
    # FRAMING_LENGTH also with no_body: the response to HEAD has the length of the body to a GET (RFC 9110 section
    # 9.3.2).
    session.send_head(stream, head, FRAMING_LENGTH, PyBytes_GET_SIZE(body), close)
    if no_body:
        body = b""
    else:
        session.send_body(stream, body)
    session.send_end(stream)
    # For the access log, which shows the bytes of the body.
    return PyBytes_GET_SIZE(body)
