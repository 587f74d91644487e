"""The outbox of a WSGI call.

Facts: a typical response is one block. Strategy: the head is kept until the first block, and the last block until the
call has returned, so that the connection's side takes all of it at once.

Rules:
- The declared length is sent: a longer body is cut off, a shorter one breaks the response.
- While more than `limit` bytes are unsent, the application's side waits, except after the last block.

Compiled because every WSGI request passes here: 389 instructions for WSGI hello.
"""
cimport cython

from cpython.bytes cimport (
    PyBytes_AS_STRING, PyBytes_Check, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE,
)

from ianus.codec.file_range cimport FileRange
from ianus.exchange.response_head cimport ResponseFacts
from ianus.gateway.threads.executor cimport Executor
from ianus.gateway.threads.pool_call cimport PoolCall


@cython.no_gc
cdef class Outbox(PoolCall):
    """The output of a call."""

    def __cinit__(self):
        # 0 would be a length.
        self.computed_length = -1
        self.expected_length = -1

    # ---------------------------------------------------------------- the application's side

    cdef int set_head(self, int status, object head, const ResponseFacts* facts, bint no_body) except -1:
        """Sets the head, or replaces it. It is put with the first piece of the body."""
        # Only this thread uses it until put_piece() moves it under the mutex.
        self.head = head
        self.status = status
        self.facts = facts[0]
        self.no_body = no_body
        self.expected_length = facts.content_length
        return 0

    cdef int put_hints(self, object head) except -1:
        # The mutex guards everything that the connection's side may take meanwhile.
        self.executor.lock()
        try:
            if self.queued_hints is None:
                self.queued_hints = []
            self.queued_hints.append(head)
            self.executor.notify_outbox(self)
        finally:
            self.executor.unlock()
        return 0

    cdef int declare_length(self, long long size) except -1:
        """Declares the length of a whole body, unless the application has declared one."""
        # After the head it is too late, and the application's own declaration counts.
        if not self.head_taken and self.expected_length < 0:
            self.expected_length = self.computed_length = size
        return 0

    cdef int keep_last_block(self, object block) except -1:
        self.last_piece = self.clip_block(block)
        return 0

    cdef int keep_last_file(self, FileRange file) except -1:
        """Keeps the rest of a file, at most as much as was declared."""
        # No more of the body is accepted, for example after a disconnect.
        if self.body_over:
            return 0
        self.declare_length(file.left)
        if self.expected_length >= 0:
            # A longer body would be read as a part of the next response.
            file.left = min(file.left, self.expected_length - self.produced_bytes)
        self.produced_bytes += file.left
        # Owns the descriptor. Put by finish(), together with the head if nothing was put before.
        self.last_piece = file
        return 0

    cdef int send_block(self, object block) except -1:
        """Sends one block of an iterable, or of one write()."""
        cdef bytes data = self.clip_block(block)
        cdef bint end
        if data is None or PyBytes_GET_SIZE(data) == 0:
            # An application may yield empty blocks while it waits. The loop over them ends if the client disconnects.
            # Only noted: nothing is sent for an empty block.
            self.body_over = self.body_over or self.disconnected
            return 0
        # The last declared byte ends the response, even if the application continues.
        end = self.no_body or self.produced_bytes == self.expected_length
        if self.no_body:
            # The block may be only a part of the body, so its size must not become the Content-Length.
            data = b""
        self.send_piece(data, end)
        if end or self.disconnected:
            self.body_over = True
        return 0

    cdef bytes clip_block(self, object block):
        """Returns the block, cut to the declared length, or None if no more of the body is accepted."""
        cdef Py_ssize_t size
        cdef long long room
        check_block(block)
        if not self.status:
            raise RuntimeError("the application returned a body before it called start_response()")
        size = PyBytes_GET_SIZE(block)
        if self.expected_length >= 0 and not self.no_body:
            # At most the declared length is sent (RFC 9112 section 6.3).
            room = self.expected_length - self.produced_bytes
            if size > room and not self.disconnected:
                if not self.excess_reported:
                    self.excess_reported = True
                    self.report(
                        f"response body is longer than its content-length ({self.expected_length}); "
                        "the rest is dropped"
                    )
                size = <Py_ssize_t>room
                block = PyBytes_FromStringAndSize(PyBytes_AS_STRING(block), size)
        if self.body_over:
            return None
        self.produced_bytes += size
        # A subclass is copied: the output keeps a reference, and its methods may be overridden.
        return block if PyBytes_CheckExact(block) else PyBytes_FromStringAndSize(PyBytes_AS_STRING(block), size)

    cdef int send_piece(self, object piece, bint end) except -1:
        """Puts a piece of the body, then waits while too many bytes of the response are unsent."""
        cdef Executor executor = self.executor
        # The thread does not wait after the end, so that of a large piece is put when at most `limit` bytes are unsent.
        cdef bint end_waits = end and PyBytes_GET_SIZE(piece) > self.limit
        # From here to the end, except while the thread waits for the client.
        executor.lock()
        try:
            self.put_piece(piece, end and not end_waits)
            executor.notify_outbox(self)
            # A loop: the thread may also be woken by a signal.
            while self.unsent_bytes > self.limit and not self.disconnected:
                executor.wait_until_writable(self)
            if end_waits and not self.disconnected:
                self.put_piece(None, True)
                executor.notify_outbox(self)
        finally:
            executor.unlock()
        return 0

    cdef int put_piece(self, object piece, bint end) except -1:
        """Puts a piece of the body, after the head. The mutex is held."""
        if not self.head_taken:
            self.head_taken = True
            # The connection's side owns the head from here on.
            self.queued_head = self.head
            self.head = None
        if piece is not None:
            if self.queued_pieces is None:
                self.queued_pieces = piece
            elif type(self.queued_pieces) is list:
                (<list>self.queued_pieces).append(piece)
            else:
                self.queued_pieces = [self.queued_pieces, piece]
            if type(piece) is bytes:
                # Not the bytes of files, which take no memory.
                self.unsent_bytes += PyBytes_GET_SIZE(piece)
        self.output_ends = end
        return 0

    cdef int end_body(self) except -1:
        """Puts the rest of the body before the call has returned."""
        # Otherwise the end was put already, or nothing can be sent.
        if not self.body_over:
            self.executor.lock()
            try:
                self.finish()
                self.executor.notify_outbox(self)
            finally:
                self.executor.unlock()
        return 0

    cdef int fail(self) except -1:
        self.last_piece = None
        # An exception after the end of the body does not break the response.
        self.failed = not self.body_over
        return 0

    cdef int finish(self) except -1:
        """Puts the last piece, or the failure, once. The mutex is held."""
        cdef object rest = self.last_piece
        # Taken in any case, so that a descriptor is closed soon.
        self.last_piece = None
        if self.body_over:
            return 0
        # Once: the pool calls finish() after end_body() may have done so.
        self.body_over = True
        if (
            not self.failed and not self.disconnected and self.produced_bytes < self.expected_length
            and not self.no_body
        ):
            self.failed = True
            self.report(
                f"response body is shorter than its content-length ({self.expected_length}): "
                f"{self.produced_bytes} bytes"
            )
        if self.failed:
            # The connection's side answers with 500, or aborts the response.
            self.output_fails = True
            return 0
        return self.put_piece(rest, True)

    # ---------------------------------------------------------------- the connection's side

    cdef int collect(self) except -1:
        """Takes the content and sends it."""
        cdef Executor executor = self.executor
        cdef list hints
        cdef object head, pieces
        cdef long long length
        cdef bint end, failed, returned
        # Without an event loop the caller has the mutex already.
        executor.lock_shared()
        hints = self.queued_hints
        head = self.queued_head
        length = self.computed_length
        pieces = self.queued_pieces
        end = self.output_ends
        failed = self.output_fails
        returned = self.returned
        # Taken as a whole under the mutex, and sent after it: sending may take long.
        self.queued_hints = self.queued_pieces = None
        self.queued_head = None
        self.output_ends = self.output_fails = self.posted = False
        executor.unlock_shared()
        return self.send_output(hints, head, length, pieces, end, failed, returned)

    cdef int discard_output(self) except -1:
        """Discards the content, since the server has closed and cannot collect it."""
        self.queued_hints = self.queued_pieces = None
        self.queued_head = None
        # A thread that waits for the client need not wait any longer.
        self.unsent_bytes = 0
        return 0

    cdef int note_unsent(self, Py_ssize_t size) except -1:
        """Updates unsent_bytes, and ends the wait of the application's side if it need not wait."""
        self.executor.lock_shared()
        # Otherwise more was put since, which `size` does not include.
        if self.queued_pieces is None:
            self.unsent_bytes = size
        # At half the limit, so that a thread is not woken for each packet.
        if self.waits_for_client and (self.disconnected or self.unsent_bytes <= self.limit // 2):
            # Cleared with the mutex, so that the semaphore is released once.
            self.waits_for_client = False
            self.executor.resume_writer(self)
        self.executor.unlock_shared()
        return 0

    # ---------------------------------------------------------------- to the subclass

    cdef int send_output(
        self, list hints, object head, long long length, object pieces, bint end, bint failed, bint returned
    ) except -1:
        raise NotImplementedError

    cdef int report(self, str event) except -1:
        raise NotImplementedError


cdef int check_block(object block) except -1:
    if not PyBytes_Check(block):
        raise TypeError(f"response body is an iterable of bytes, not of {type(block).__name__}")
    return 0
