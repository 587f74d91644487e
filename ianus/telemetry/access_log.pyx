"""The access log: one line for each response.

Facts: a write to a pipe or terminal may block for as long as its reader likes. Strategy: lines are formatted into
one buffer; a thread that sleeps while there is nothing takes the whole buffer every half second, or as soon as it
is large, and writes it without the GIL. Rules: the server never waits for the log; when the buffer is full, or the
file cannot be written, lines are lost, counted, and the count is written to the error log.

Compiled because every request passes here: 55 instructions, besides those of line_format.
"""
import threading

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdlib cimport free, realloc
from libc.string cimport memmove

from ianus.runtime.clock cimport monotonic
from ianus.telemetry.line_format cimport LineFormat
from ianus.telemetry.observer cimport Observer, RequestFacts

from ianus.telemetry.logger import logger
from ianus.telemetry.system import pause, write


cdef enum:
    CAPACITY_BYTES = 4 << 20    # bytes that may wait; more lines are dropped and counted
    EARLY_WRITE_BYTES = 262144  # bytes that wake the writer before its time

INTERVAL_SECONDS = 0.5                  # between two writes to a file

cdef double REPORT_SECONDS = 10.0       # between two reports of lines that could not be written


cdef class AccessLog(Observer):
    """Writes one line for each response to a file descriptor.

    fd: the file, -1 for none. sink: is called with lines, and returns them as the file has them. line_format: the
    format of a line. access_log_exclude: paths whose responses of status 2xx are not logged; one that ends in `*` is a
    prefix. interval: seconds between writes.

    start() starts the writer thread, which must be after a fork; close() writes the remaining lines.
    """

    def __init__(
        self, int fd, LineFormat line_format not None, *, access_log_exclude, double interval, sink=None,
    ):
        self.fd = fd
        self.sink = sink
        self.unwritten = b""
        self.format = line_format
        # Only then exchanges keep the fields of their response.
        self.wants_response_headers = self.format.shows_response
        self.wants_queue_time = self.format.shows_queue_time
        if access_log_exclude:
            paths = [path.encode() for path in access_log_exclude]
            # Bytes, as the targets are, so that a request needs no conversion.
            self.excluded = frozenset([path for path in paths if not path.endswith(b"*")])
            self.excluded_prefixes = tuple([path.removesuffix(b"*") for path in paths if path.endswith(b"*")])
        # At least two lines of the longest kind, or none might fit.
        self.capacity = max(<Py_ssize_t>CAPACITY_BYTES, 2 * self.format.max_line_size)
        self.interval = interval
        self.has_lines = threading.Event()
        self.write_early = threading.Event()

    def __dealloc__(self):
        # Owned; the thread has a reference to this object, so it cannot be reading it.
        free(self.buffer)

    def start(self) -> None:
        """Starts the writer thread."""
        thread = threading.Thread(target=self.write_lines, name="ianus-access-log", daemon=True)
        thread.start()
        self.thread = thread  # Only then close() can wait for it.

    def close(self) -> None:
        """Writes the remaining lines, for at most two seconds."""
        self.stopping = True
        # Both events, so that the thread wakes in each of its two waits.
        self.write_early.set()
        self.has_lines.set()
        if self.thread is not None:
            # A reader that takes nothing must not keep the process from exiting.
            self.thread.join(2.0)
            if self.thread.is_alive():
                # Its reader takes nothing.
                self.dropped += self.unwritten.count(b"\n") + self.take_lines().count(b"\n")
            self.thread = None
        else:
            self.write_all(self.take_lines())
        self.report_losses(0.0)

    def write_lines(self) -> None:
        """The thread: sleeps until there is a line, collects for an interval, writes."""
        while not self.stopping:
            self.has_lines.wait()
            self.write_early.wait(self.interval)
            # Before the lines are taken: one that is added after this sets it again.
            self.has_lines.clear()
            # close() has set it for good: the loop must not wait any more.
            if not self.stopping:
                self.write_early.clear()
            self.write_all(self.take_lines())
            self.report_losses(REPORT_SECONDS)
        # Those that were added between the last write and close()
        self.write_all(self.take_lines())

    def report_losses(self, double interval) -> None:
        """Logs how many lines were lost since the last report. interval: seconds since one about the same file."""
        cdef double now = monotonic()
        dropped = self.dropped
        if dropped:
            # Not set to 0: a request may have added to it meanwhile.
            self.dropped -= dropped
            logger.warning("access log is not read fast enough: %d line(s) dropped", dropped)
        if self.lost and (not self.reported_at or now - self.reported_at >= interval):
            self.reported_at = now
            lost, self.lost = self.lost, 0
            logger.error("access log cannot be written (%s): %d line(s) lost", self.reason, lost)

    cdef int reset_in_child(self) except -1:
        """Resets a forked child, in which the thread does not exist and may have held the locks of its events."""
        self.size = 0
        # Threads do not survive a fork. The parent's thread writes the parent's lines.
        self.thread = None
        self.has_lines = threading.Event()
        self.write_early = threading.Event()
        return 0

    cdef bytes take_lines(self):
        cdef bytes lines = PyBytes_FromStringAndSize(self.buffer, self.size) if self.size else b""
        # The copy is the caller's. Both lines run with the GIL, so no line is added between them.
        self.size = 0
        return lines

    def write_all(self, bytes lines not None) -> None:
        """Writes lines, or counts those that cannot be written."""
        if self.sink is not None and lines:
            lines = self.sink(lines)
        if self.fd < 0 or not lines:
            return
        # A write has ended inside a line, so the next one starts on a line of its own.
        if self.is_torn:
            lines = b"\n" + lines
        self.unwritten = lines
        view = memoryview(lines)
        while view:
            try:
                # A pipe takes a part at a time.
                view = view[write(self.fd, view):]
                self.is_torn = bool(view)
            except BlockingIOError:
                # A non-blocking file whose reader is slow. This thread has time, and requests do not wait for it.
                pause(0.05)
            except OSError as error:
                # A line of which a part was written is lost too.
                self.lost += bytes(view).count(b"\n")
                self.reason = error.strerror or str(error)
                break
        self.unwritten = b""

    cdef int on_request_end(self, const RequestFacts* facts) except -1:
        """Adds a line."""
        cdef Py_ssize_t before = self.size
        cdef char* end
        cdef Py_ssize_t length
        if self.excluded is not None and 200 <= facts.status < 300 and self.excludes(<object>facts.target):
            return 0
        # Space for the longest line is made first, so that nothing is checked while the line is written.
        if self.size + self.format.max_line_size > self.allocated and not self.grow():
            self.dropped += 1
            return 0
        end = self.format.write(self.buffer + before, facts)
        length = end - (self.buffer + before)
        if self.size != before:
            # Reading credentials is Python code: the thread got its turn there, and took the lines before this one.
            memmove(self.buffer + self.size, self.buffer + before, length)
            before = self.size
        self.size += length
        if before == 0:
            # Only for the first line, since setting an event takes a lock.
            self.has_lines.set()
        elif before < EARLY_WRITE_BYTES <= self.size:
            # Once, when the size passes the bound
            self.write_early.set()
        return 0

    cdef bint excludes(self, bytes target) except -1:
        # A request that could not be parsed is logged.
        if target is None:
            return False
        path = target.partition(b"?")[0]
        return path in self.excluded or path.startswith(self.excluded_prefixes)

    cdef bint grow(self) except -1:
        """Makes space for one more line, if the capacity allows."""
        cdef Py_ssize_t minimum = max(<Py_ssize_t>EARLY_WRITE_BYTES, 2 * self.format.max_line_size)
        cdef Py_ssize_t space = max(self.allocated * 2, minimum)
        cdef char* buffer
        # Doubled up to the capacity, and never returned: a peak is likely to happen again.
        space = min(space, self.capacity)
        if self.size + self.format.max_line_size > space:
            return False
        buffer = <char*>realloc(self.buffer, space)
        # The old block is valid still. The line is counted as dropped.
        if buffer == NULL:
            return False
        self.buffer = buffer
        self.allocated = space
        return True
