"""Access log lines: combined format plus the duration in seconds.

Facts: a write to a pipe or terminal may block for as long as its reader likes. Strategy: lines are formatted into
one buffer; a thread that sleeps while there is nothing takes the whole buffer every half second, or as soon as it
is large, and writes it without the GIL. Rules: the server never waits for the log; when the buffer is full lines
are dropped, counted, and the count is written to the error log; what a client sent is escaped (CVE-2020-7694).

Compiled because every request passes here.
"""
import logging
import os
import threading
import time

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy
from posix.time cimport time_t


cdef extern from "<time.h>" nogil:
    time_t c_time "time"(time_t*)

cdef extern from *:
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL

cdef enum:
    EARLY = 262144      # bytes that wake the writer before its time
    FIELD = 2048        # bytes of one client-sent text that a line shows; longer ones are cut
    LINE = 3 * 4 * FIELD + 2 * FIELD + 512    # the longest line: three texts escaped as \xNN, method and address

logger = logging.getLogger("ianus.error")


cdef class AccessLog:
    """Writes one line for each response to a file descriptor.

    fd: where to. capacity: bytes that may wait; more lines are dropped and counted. interval: seconds between
    writes. start() begins the writer thread, which must be after a fork; close() writes what is left.
    """

    def __init__(self, int fd=1, *, Py_ssize_t capacity=4 << 20, double interval=0.5):
        self.fd = fd
        self.capacity = capacity
        self.interval = interval
        self.wake = threading.Event()
        self.hurry = threading.Event()

    def __dealloc__(self):
        free(self.buffer)

    def start(self) -> None:
        """Starts the writer thread."""
        self.thread = threading.Thread(target=self.write_lines, name="ianus-access-log", daemon=True)
        self.thread.start()

    def close(self) -> None:
        """Writes what is left, for at most two seconds."""
        self.stopping = True
        self.hurry.set()
        self.wake.set()
        if self.thread is not None:
            self.thread.join(2.0)
            self.thread = None
        else:
            self.write_all(self.take())

    def write_lines(self) -> None:
        """The thread: sleeps until there is a line, collects for an interval, writes."""
        while not self.stopping:
            self.wake.wait()
            self.hurry.wait(self.interval)
            self.wake.clear()
            if not self.stopping:
                self.hurry.clear()
            self.write_all(self.take())
            if self.dropped:
                dropped = self.dropped
                self.dropped -= dropped
                logger.warning("access log is not read fast enough: %d line(s) dropped", dropped)
        self.write_all(self.take())

    cdef int forget(self) except -1:
        """In a forked child, where the thread does not exist and may have held the locks of its events."""
        self.size = 0
        self.thread = None
        self.wake = threading.Event()
        self.hurry = threading.Event()
        return 0

    cdef bytes take(self):
        cdef bytes lines = PyBytes_FromStringAndSize(self.buffer, self.size) if self.size else b""
        self.size = 0
        return lines

    def write_all(self, bytes lines not None) -> None:
        """Writes lines; whatever the descriptor makes of it is not the server's concern."""
        view = memoryview(lines)
        while view:
            try:
                view = view[os.write(self.fd, view):]
            except BlockingIOError:
                time.sleep(0.05)
            except OSError:
                return

    cdef int record(
        self, object client, str method, bytes target, str http_version, int status, long long size,
        list headers, double duration,
    ) except -1:
        """Adds a line. Without a method the request could not be read: "-" stands for its first line."""
        cdef bytes referer = None, agent = None
        cdef bytes stamp
        cdef char* at
        cdef Py_ssize_t before = self.size
        if self.size + LINE > self.room and not self.grow():
            self.dropped += 1
            return 0
        for field in headers:
            if (<tuple>field)[0] == b"referer":
                referer = <bytes>(<tuple>field)[1]
            elif (<tuple>field)[0] == b"user-agent":
                agent = <bytes>(<tuple>field)[1]

        stamp = self.time_stamp()
        at = self.buffer + self.size
        at = put_text(at, "-" if client is None else <str>client[0])
        at = put(at, b" - - ", 5)
        at = put(at, PyBytes_AS_STRING(stamp), PyBytes_GET_SIZE(stamp))
        at = put(at, b" \"", 2)
        if method is None:
            at = put(at, b"-", 1)
        else:
            at = put_text(at, method)
            at = put(at, b" ", 1)
            at = put_escaped(at, target)
            at = put(at, b" HTTP/", 6)
            at = put_text(at, http_version)
        at = put(at, b"\" ", 2)
        at = put_number(at, status, 3)
        at = put(at, b" ", 1)
        at = put_number(at, size, 1)
        at = put(at, b" \"", 2)
        at = put_escaped(at, referer)
        at = put(at, b"\" \"", 3)
        at = put_escaped(at, agent)
        at = put(at, b"\" ", 2)
        at = put_number(at, <long long>duration, 1)
        at = put(at, b".", 1)
        at = put_number(at, <long long>(duration * 1e6) % 1000000, 6)
        at = put(at, b"\n", 1)
        self.size = at - self.buffer
        if before == 0:
            self.wake.set()
        elif before < EARLY <= self.size:
            self.hurry.set()
        return 0

    cdef bint grow(self) except -1:
        """Makes room for one more line, if the capacity allows."""
        cdef Py_ssize_t room = min(max(self.room * 2, <Py_ssize_t>EARLY), self.capacity)
        cdef char* buffer
        if self.size + LINE > room:
            return False
        buffer = <char*>realloc(self.buffer, room)
        if buffer == NULL:
            return False
        self.buffer = buffer
        self.room = room
        return True

    cdef bytes time_stamp(self):
        cdef long second = <long>c_time(NULL)
        if second != self.stamp_second:
            self.stamp = time.strftime("[%d/%b/%Y:%H:%M:%S %z]", time.localtime(second)).encode("ascii", "replace")
            self.stamp_second = second
        return self.stamp


# Each put_* writes at a place with room for LINE bytes and returns the place behind.

cdef inline char* put(char* at, const char* text, Py_ssize_t size) noexcept:
    memcpy(at, text, size)
    return at + size


cdef char* put_text(char* at, str text) except NULL:
    """Text that is a token, an address or a version, cut at FIELD bytes."""
    cdef Py_ssize_t size
    cdef const char* utf8 = PyUnicode_AsUTF8AndSize(text, &size)
    return put(at, utf8, min(size, <Py_ssize_t>FIELD))


cdef char* put_escaped(char* at, bytes text) noexcept:
    """Bytes that a client chose: controls, quotes, backslashes and all beyond ASCII as \\xNN."""
    cdef const char* digits = b"0123456789abcdef"
    cdef const char* data
    cdef Py_ssize_t size, i
    cdef unsigned char c
    if text is None:
        at[0] = c'-'
        return at + 1
    data = PyBytes_AS_STRING(text)
    size = min(PyBytes_GET_SIZE(text), <Py_ssize_t>FIELD)
    for i in range(size):
        c = <unsigned char>data[i]
        if c < 0x20 or c > 0x7E or c == c'"' or c == c'\\':
            at[0] = c'\\'
            at[1] = c'x'
            at[2] = digits[c >> 4]
            at[3] = digits[c & 15]
            at += 4
        else:
            at[0] = <char>c
            at += 1
    return at


cdef char* put_number(char* at, long long number, int width) noexcept:
    """Decimal digits of a number that is not negative, at least `width` of them."""
    cdef char text[24]
    cdef int n = 24
    while number or 24 - n < width:
        n -= 1
        text[n] = <char>(c'0' + number % 10)
        number //= 10
    return put(at, text + n, 24 - n)
