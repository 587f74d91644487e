"""The WSGI gateway (PEP 3333): one request, its call of the application, and what the two sides hand each other.

A WSGI exchange has two sides. The connection's side is like any other exchange's: it belongs to whoever serves the
reactor. The application's side is one thread, in call(). What the application produced is put() into the outbox, and
collect() takes it from there on the connection's side. Both run under the crew's lock: in a led reactor one behind the
other in the same thread, under an event loop in two.
"""
cimport cython
from ianus.codec.base cimport Codec
from ianus.exchange.response_head cimport ResponseFacts
from ianus.exchange.http cimport Exchange, Gateway
from ianus.gateway.wsgi.environ cimport Environs
from ianus.gateway.threads.idle_stack cimport Place
from ianus.gateway.threads.predictor cimport Evidence, Predictor


cdef class Threads:
    """What a WSGI exchange asks of the threads that call applications."""
    cdef int submit(self, WsgiExchange exchange) except -1  # from the connection's side: its request is complete
    cdef int enter(self) except -1                          # takes the lock; the application's side
    cdef int leave(self) except -1
    cdef int pass_on(self, WsgiExchange exchange) except -1     # it has something in its outbox; the lock is held
    cdef int guard(self) except -1                          # the same lock for the connection's side, which has it
    cdef int unguard(self) except -1                        # already where the reactor is led
    cdef int wait_for_room(self, WsgiExchange exchange) except -1   # the lock is held, but not while waiting
    cdef int make_room(self, WsgiExchange exchange) except -1       # lets it go on


cdef class WsgiGateway(Gateway):
    cdef object app
    cdef Threads threads
    cdef Predictor predictor
    cdef object context             # what each call runs in a copy of
    cdef object spool               # gateway/wsgi/spool.Spool
    cdef object errors              # gateway/wsgi/error_stream.ErrorStream
    cdef Py_ssize_t request_buffer, response_buffer
    cdef bint sendfile, early_hints
    cdef Environs environs
    cdef dict statuses              # (code, reason phrase) by status string

    cdef tuple parse_status(self, str status)


@cython.no_gc
cdef class WsgiExchange(Exchange):
    # The request, on the connection's side until it is submitted
    cdef object spool               # gateway/wsgi/spool.SpoolFile of a big body, or None
    cdef str spool_error            # why the body could not be kept, or None
    cdef long long body_size        # bytes of the body
    cdef bint submitted
    cdef bint taken                 # from the crew's queue, to be called; under the crew's lock
    cdef bint counted               # among the requests in flight

    # The crew's
    cdef WsgiExchange next          # in its queue
    cdef Evidence* evidence         # owned by the gateway's predictor
    cdef Place* place               # of the thread that makes the call, during it

    # The application's side
    cdef Codec codec                # only to encode heads, which needs no connection
    cdef object server              # the address that the client connected to
    cdef bint start_called          # start_response() was called, perhaps in vain
    cdef object prepared            # head that start_response() has checked, until it is put into the outbox
    cdef int prepared_status        # 0 = start_response() was not called
    cdef ResponseFacts facts
    cdef bint begun                 # the head has left the application's hands
    cdef bint over                  # nobody takes more of the body
    cdef bint too_long              # which the application was told of
    cdef long long expected         # bytes of the whole body, -1 = not known
    cdef long long produced         # ... and so far
    cdef object rest                # what is put when the call is over: the last piece of the body
    cdef bint failed                # the response cannot be finished as it was begun

    # The outbox, under the crew's lock
    cdef list out_hints
    cdef object out_head            # None until there is one, and again behind it
    cdef long long out_known
    cdef list out_pieces            # bytes and FileRanges
    cdef bint out_end, out_failed, out_returned
    cdef bint posted                # the connection's side was told of it
    cdef Py_ssize_t backlog         # bytes put that have not left
    cdef bint waiting               # the thread waits for room

    # From the crew
    cdef int call(self) except -1           # runs the application; no lock is held
    cdef int put_rest(self) except -1       # behind call(), the lock is held
    cdef int collect(self) except -1        # on the connection's side
    cdef int drop(self) except -1           # likewise, when the server is gone
    # Connection's side
    cdef int act(self, list hints, object head, list pieces, bint end, bint failed) except -1
    cdef int uncount(self) except -1
    # Application's side
    cdef int run(self) except -1
    cdef dict environ(self)
    cdef int send_result(self, object result) except -1
    cdef int send_sequence(self, object blocks) except -1
    cdef int send_part(self, object part) except -1
    cdef int expect(self, long long size) except -1
    cdef int send_block(self, object block) except -1
    cdef bytes admit_block(self, object block)
    cdef int put(self, object piece, bint end) except -1
    cdef int deliver(self, object piece, bint end) except -1
    cdef int raised(self, object error) except -1
    cdef int report_raised(self, str phrase, object error) except -1
