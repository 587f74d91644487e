"""One call of an ASGI application: the base of the exchanges for HTTP and for WebSocket."""
cimport cython
from ianus.exchange.tunnel cimport TunnelExchange
from ianus.gateway.asgi.waiters cimport Waiters


@cython.no_gc
cdef class AsgiExchange(TunnelExchange):
    cdef object task                # until the application has returned
    cdef AsgiExchange previous, next
    cdef bint disconnect_received   # http.disconnect or websocket.disconnect was received
    cdef Waiters readers            # receive() calls that wait; None before the first one
    cdef Waiters writers            # send() calls that wait; None before the first one
    cdef bint may_continue          # nothing else is on the stack: a waiting task may continue at once
    cdef long long produced_bytes   # bytes of bodies and messages so far, including discarded ones
    cdef long long yielded_at_bytes  # value of produced_bytes when the application last let the loop run

    cdef dict scope(self)
    # For gateway/asgi/awaitables
    cdef dict next_message(self)                            # None if the application has to wait for it
    cdef dict stop_message(self)        # for a receive() that would wait while the server stops; None to keep waiting
    cdef int handle_message(self, object message) except -1     # acts on one message from the application
    # Discards a message after a disconnect. Returns None, or an iterator that send() has to finish first.
    cdef object discard(self, object message)
    cdef int on_client_lost(self) except -1                 # the client has disconnected while send() waited
    cdef bint needs_file(self) except -1                    # send() has to wait until a file is sent completely
    # For gateway/asgi/application_call: end the exchange after its call. Return whether this is a forked child.
    cdef bint application_returned(self) except -1
    cdef bint application_raised(self, object error) except -1
    # Inside
    cdef int start_response(self, int status, object headers, bint trailing) except -1
    cdef int report_raised(self, object error) except -1
    cdef bint client_left(self) noexcept
    cdef int end_failed(self) except -1                     # ends the exchange of a call that has raised
    cdef int application_ended(self) except -1
    # Wake the calls that wait, which check their condition again. Return whether a task continues later.
    cdef bint wake_readers(self) except -1
    cdef bint wake_writers(self) except -1


cdef bytes body_of(object body)     # the value of `body` in a message. Raises TypeError for another type
