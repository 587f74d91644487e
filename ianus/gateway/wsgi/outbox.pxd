"""The output of a WSGI call between the application's side, which puts it, and the connection's side, which takes it.

The application's side is the one thread that makes the call. The connection's side is described in
threads/pool_call.pxd.
"""
cimport cython
from ianus.codec.file_range cimport FileRange
from ianus.exchange.response_head cimport ResponseFacts
from ianus.gateway.threads.executor cimport Executor
from ianus.gateway.threads.pool_call cimport PoolCall


@cython.no_gc
cdef class Outbox(PoolCall):
    cdef Executor executor          # has the mutex
    cdef Py_ssize_t limit           # unsent bytes above which the application's side waits for the client

    # The application's side
    cdef object head                # set by set_head(), until it is put
    cdef int status                 # of the head, 0 = none is set
    cdef ResponseFacts facts        # of the head
    cdef bint no_body               # the response has none by its status or method
    cdef bint head_taken            # the head was put
    cdef bint body_over             # no more of the body is accepted
    cdef bint excess_reported       # the log has: the body is longer than declared
    cdef long long expected_length  # bytes of the whole body, -1 = not known
    cdef long long produced_bytes   # bytes of the body so far
    cdef object last_piece          # last piece of the body, put by finish()
    cdef bint failed                # the response cannot be completed

    # Guarded by the mutex: put, and not taken yet. output_ends is a part of it.
    cdef list queued_hints
    cdef object queued_head
    cdef long long computed_length  # Content-Length that the application has not declared, -1 = none
    cdef object queued_pieces       # None, a piece (bytes or FileRange), or a list of several
    cdef bint output_fails          # the response ends here, and is not complete
    cdef Py_ssize_t unsent_bytes    # bytes put that have not been sent

    # Application's side, without the mutex
    cdef int set_head(self, int status, object head, const ResponseFacts* facts, bint no_body) except -1
    cdef int put_hints(self, object head) except -1
    cdef int declare_length(self, long long size) except -1
    cdef bytes clip_block(self, object block)
    cdef int send_block(self, object block) except -1
    cdef int send_piece(self, object piece, bint end) except -1
    cdef int keep_last_block(self, object block) except -1
    cdef int keep_last_file(self, FileRange file) except -1
    cdef int end_body(self) except -1           # puts the rest before the call has returned
    # Application's side, with the mutex
    cdef int put_piece(self, object piece, bint end) except -1
    # Connection's side
    cdef int note_unsent(self, Py_ssize_t size) except -1   # the client has read, or disconnected
    # To the subclass
    cdef int send_output(
        self, list hints, object head, long long length, object pieces, bint end, bint failed, bint returned
    ) except -1
    cdef int report(self, str event) except -1  # logs a fault of the application


cdef int check_block(object block) except -1
