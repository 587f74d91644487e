"""Answers that the server gives itself: a status and one line of text, nothing of its inside."""
from ianus.exchange.base cimport ExchangeHost
from ianus.exchange.service cimport Service


# Queues a whole response and returns the size of its body in bytes. `detail` joins the status line in the body,
# fields are more (name, value) pairs, request_id is the value of the request id field or None.
cdef Py_ssize_t send_error_response(
    Service service, ExchangeHost session, int stream, int status, str detail, list fields, bytes request_id,
    bint no_body, bint close,
) except -1
