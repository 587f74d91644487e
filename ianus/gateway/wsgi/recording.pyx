"""An outbox that records its content, a body that arrives as scripted, and the environ of a request; for tests."""
import sys

from cpython.bytes cimport PyBytes_AS_STRING
from libc.string cimport memcpy

from ianus.codec.base cimport Request
from ianus.codec.file_range cimport FileRange, file_range
from ianus.exchange.base cimport BodyInput
from ianus.exchange.connection_info cimport HTTP, HTTPS, extended_connection_info
from ianus.exchange.http cimport Exchange
from ianus.exchange.response_head cimport ResponseFacts
from ianus.exchange.service cimport Service
from ianus.exchange.tls_facts cimport TlsFacts
from ianus.gateway.threads.executor cimport Executor
from ianus.gateway.wsgi.arriving_body cimport ArrivingBody, arriving_body
from ianus.gateway.wsgi.environ cimport Environs
from ianus.gateway.wsgi.outbox cimport Outbox


cdef class RecordingOutbox(Outbox):
    """An outbox whose output is recorded instead of sent.

    outputs: a tuple for each collect(), of hints, head, computed length, pieces, and the set of the true ones of
    "end", "failed" and "returned". A FileRange is recorded as its number of bytes. reports: faults of the application.
    """
    cdef readonly list outputs
    cdef readonly list reports

    def __init__(self, Executor executor not None, *, Py_ssize_t limit):
        self.executor = executor
        self.limit = limit
        self.outputs = []
        self.reports = []

    # ---------------------------------------------------------------- the application's side

    def start(self, int status=200, *, long long content_length=-1, bint no_body=False) -> None:
        """Sets the head, which is recorded as its status."""
        cdef ResponseFacts facts
        facts.content_length = content_length
        facts.close = facts.is_event_stream = False
        self.set_head(status, status, &facts, no_body)

    def hint(self, head) -> None:
        self.put_hints(head)

    def declare(self, long long size) -> None:
        self.declare_length(size)

    def send(self, block) -> None:
        self.send_block(block)

    def keep_last(self, block) -> None:
        self.keep_last_block(block)

    def keep_file(self, int fd, long long start, long long size) -> None:
        """Keeps a part of a file, and takes the descriptor."""
        self.keep_last_file(file_range(fd, start, size))

    def end(self) -> None:
        """Ends the body before the call has returned."""
        self.end_body()

    def raise_error(self) -> None:
        """Acts as after an exception of the application."""
        self.fail()

    def end_call(self) -> None:
        """Acts as the thread pool after the call has returned."""
        self.executor.lock()
        try:
            self.finish()
            self.returned = True
            self.executor.notify_outbox(self)
        finally:
            self.executor.unlock()

    # ---------------------------------------------------------------- the connection's side

    def take(self) -> None:
        """Collects the content."""
        self.collect()

    def note_read(self, Py_ssize_t unsent) -> None:
        """Notes that the client has read, and the bytes that are still unsent."""
        self.note_unsent(unsent)

    def disconnect(self) -> None:
        self.disconnected = True
        self.note_unsent(0)

    def discard(self) -> None:
        self.discard_output()

    @property
    def unsent(self) -> int:
        """Bytes that have not been sent."""
        return self.unsent_bytes

    @property
    def accepts_more(self) -> bool:
        """Whether more of the body is accepted."""
        return not self.body_over

    cdef int send_output(
        self, list hints, object head, long long length, object pieces, bint end, bint failed, bint returned
    ) except -1:
        cdef set marks = set()
        if end:
            marks.add("end")
        if failed:
            marks.add("failed")
        if returned:
            marks.add("returned")
        if pieces is None:
            pieces = []
        elif not isinstance(pieces, list):
            pieces = [pieces]
        pieces = [(<FileRange>piece).left if isinstance(piece, FileRange) else piece for piece in pieces]
        self.outputs.append((hints, head, length, pieces, marks))
        return 0

    cdef int report(self, str event) except -1:
        self.reports.append(event)
        return 0


cdef class ScriptedInput(BodyInput):
    """The input of a connection as a test has it.

    script: bytes that arrive, None for a time without any (one wait), b"" for the end, an OSError for a broken
    connection. on_wait: called in each wait. sizes: the number of bytes that were asked for in each receive().
    """
    cdef list script
    cdef object on_wait
    cdef readonly list sizes

    def __init__(self, script, on_wait):
        self.script = list(script)
        self.on_wait = on_wait
        self.sizes = []

    cdef Py_ssize_t receive(self, char* buffer, Py_ssize_t size) noexcept nogil:
        with gil:
            self.sizes.append(size)
            data = self.script[0] if self.script else None
            if data is None:
                return -1
            if isinstance(data, OSError):
                return -2
            size = min(size, <Py_ssize_t>len(data))
            memcpy(buffer, PyBytes_AS_STRING(data), size)
            if size == len(data):
                if size:
                    del self.script[0]
            else:
                self.script[0] = data[size:]
            return size

    cdef int wait(self, double seconds) noexcept nogil:
        with gil:
            self.on_wait()
            if self.script and self.script[0] is None:
                del self.script[0]
                return 1
            return 0


class ScriptedBody:
    """A body that arrives as its script has it. first: the bytes before the call; size: the declared length."""

    def __init__(self, Service service not None, RecordingOutbox call not None, bytes first, size, script, on_wait):
        cdef ScriptedInput source = ScriptedInput(script, on_wait)
        cdef ArrivingBody body = arriving_body(source, service, call, first, size - len(first), 0)
        self.source = source
        self.body = body
        self.file = body.open()

    def close(self) -> None:
        """Acts as after the return of the call."""
        (<ArrivingBody>self.body).close()

    def cut(self) -> None:
        """Acts as after the end of the response."""
        (<ArrivingBody>self.body).cut = True

    @property
    def received(self) -> int:
        """Bytes received after the first ones."""
        return (<ArrivingBody>self.body).received

    @property
    def expired(self) -> bool:
        return (<ArrivingBody>self.body).expired


def make_environ(
    Environs environs not None, *, str method, str path, bytes raw_path, bytes query=b"", list headers,
    str http_version, long long content_length=0, client=("192.0.2.1", 4711), server=("192.0.2.80", 8000), body=None,
    long long body_size=0, hints=None, bint https=False, str prefix=None, TlsFacts tls=None
) -> dict:
    """Makes the environ of a request. https, prefix: as a proxy has reported them."""
    cdef Exchange exchange = Exchange.__new__(Exchange)
    cdef Request request = Request.__new__(Request)
    request.method = sys.intern(method)
    request.path = path
    request.raw_path = raw_path
    request.query_string = query
    request.target = raw_path + b"?" + query if query else raw_path
    request.headers = headers
    request.http_version = sys.intern(http_version)
    request.content_length = content_length
    exchange.request = request
    exchange.connection = extended_connection_info(client, server, HTTPS if https else HTTP, None, tls)
    exchange.prefix = prefix
    environs.learn_addresses(exchange.connection)
    return environs.make(exchange, body, body_size, hints)
