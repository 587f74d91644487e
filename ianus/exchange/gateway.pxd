"""The interface of a gateway, the application's side of an exchange: ASGI, WSGI, or a choice of them by path."""
from ianus.codec.base cimport Request


cdef class Gateway:
    """Opens the exchange of each request of one application."""
    cdef readonly str name          # of the application, for messages
    cdef readonly bint opens_tunnels    # an application may accept an extended CONNECT (RFC 8441)

    # Returns the Exchange (exchange/http.pxd) of a request whose head was read. It is declared as an object, since
    # exchange/http declares exchanges with their gateway; the caller casts it.
    cdef object open(self, Request request)
    # Whether the server answers this request itself, even if its applications are busy. head: the start of the request.
    cdef bint answers_itself(self, const char* head, Py_ssize_t size) noexcept
