"""The engine that drives ssl.SSLObject: for contexts that users make, and for Pythons whose OpenSSL cannot be borrowed.

Facts: an SSLObject reads and writes memory BIOs, so each byte is copied once more than by the direct engine, and each
call passes Python's own checks. Certificates are chosen in the callback for the server name, by another SSLContext.

Rules:
- The context that a connection starts with stays the same for the life of the worker: its ticket keys do, too. A
  reload makes other contexts to choose from.
- A handshake has an object of its own, since the callback of a context gets no filter. It is dropped at the end.
- No call of the module waits: a memory BIO takes all that is written.

Compiled because filters are. Every request over TLS with this engine passes here.
"""
import ssl

cimport cython
from cpython.buffer cimport PyBUF_READ, PyBUF_WRITE
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.memoryview cimport PyMemoryView_FromMemory

from ianus.acceptor.byte_filter cimport ENCODE_BYTES, FILTER_FAILED, ByteFilter, append_encoded
from ianus.acceptor.tls.base cimport TlsFilter, TlsFilterFactory
from ianus.codec.output cimport iovec

from ianus.acceptor.tls.pair import LoadedPair
from ianus.acceptor.tls.python_contexts import (
    Handshake, PythonContexts, ServerObject, client_chain, describe_error, load_python_pair,
)


cdef enum:
    # A record of which the first part was received before, with its overhead.
    MAX_KEPT_BYTES = 20480

cdef object SSLError = ssl.SSLError
cdef object SSLWantReadError = ssl.SSLWantReadError
cdef object MemoryBIO = ssl.MemoryBIO
# The first two only in contexts of users
cdef dict VERSIONS = {"TLSv1": 0x0301, "TLSv1.1": 0x0302, "TLSv1.2": 0x0303, "TLSv1.3": 0x0304}


def find_python() -> PythonEngine:
    """Returns the engine. Each Python with an ssl module has it."""
    return PythonEngine()


@cython.final
cdef class PythonEngine:
    """Made by find_python()."""

    name = "python"

    @property
    def library(self) -> str:
        """The version of the library that the ssl module uses."""
        return ssl.OPENSSL_VERSION

    def load_pair(self, bytes certificates_pem not None, bytes key_pem not None, bytes password) -> LoadedPair:
        """Loads a certificate, the chain after it, and its key. Raises CertificateError."""
        return load_python_pair(certificates_pem, key_pem, password)

    def create_factory(self, store, options, make_context=None) -> PythonFilterFactory:
        """Makes the factory of a listener's filters. Raises TlsOptionError for options that the library does not take.

        make_context: called with a function that makes the default context; it returns the context of all connections.
        """
        return PythonFilterFactory(store, options, make_context)


@cython.final
cdef class PythonFilterFactory(TlsFilterFactory):
    def __init__(self, store, options, make_context=None):
        TlsFilterFactory.__init__(self, store, options)
        self.contexts = PythonContexts(store, options, make_context)
        self.gathered = bytearray()

    cdef ByteFilter create(self):
        cdef PythonFilter created = PythonFilter.__new__(PythonFilter)
        created.factory = self
        created.max_kept_bytes = MAX_KEPT_BYTES
        created.handshaking = True
        return created


@cython.final
@cython.no_gc
cdef class PythonFilter(TlsFilter):
    cdef int open(self) except -1:
        """Makes the objects of the connection. Connections without a byte have none."""
        self.incoming = MemoryBIO()
        self.outgoing = MemoryBIO()
        self.handshake = Handshake()
        return 0

    cdef bint has_hello(self, const char* data, Py_ssize_t size) except -1:
        """Reads the first message of the client. Returns whether it is complete; then there is an object."""
        cdef PythonFilterFactory factory = <PythonFilterFactory>self.factory
        self.handshake.feed(data[:size])
        if self.handshake.hello is None:
            return False
        self.ssl_object = factory.contexts.wrap(self.incoming, self.outgoing, self.handshake)
        return True

    cdef Py_ssize_t decode(self, const char* data, Py_ssize_t size, char* target, Py_ssize_t space) except? -3:
        cdef Py_ssize_t decoded = 0, n
        cdef int state
        if not self.begun:
            self.begun = True
            if self.refuse_plain_http(data, size):
                return FILTER_FAILED
            self.open()
        # Copied by the BIO within the call.
        self.incoming.write(PyMemoryView_FromMemory(<char*>data, size, PyBUF_READ))
        if self.handshaking:
            if self.ssl_object is None and not self.has_hello(data, size):
                return 0
            state = self.continue_handshake()
            self.take_encoded()
            if state < 0:
                return FILTER_FAILED
            if state == 0 or self.incoming.pending == 0:
                return 0
        try:
            while decoded < space:
                n = self.ssl_object.read(
                    space - decoded, PyMemoryView_FromMemory(target + decoded, space - decoded, PyBUF_WRITE)
                )
                if n == 0:
                    self.ended = True
                    break
                decoded += n
                # A further call would find nothing, and report that by an exception.
                if self.incoming.pending == 0 and self.ssl_object.pending() == 0:
                    break
        except SSLWantReadError:
            # A part of a record, or a message of the protocol's own.
            pass
        except ssl.SSLZeroReturnError:
            self.ended = True
        except (SSLError, ValueError):
            # The alert of the library is the answer.
            self.take_encoded()
            return FILTER_FAILED
        self.take_encoded()
        return decoded

    cdef int continue_handshake(self) except -2:
        """Continues the handshake. Returns 1 at its end, 0 if the client has to send more, -1 if it has failed."""
        try:
            self.ssl_object.do_handshake()
        except SSLWantReadError:
            return 0
        except (SSLError, OSError, ValueError) as error:
            self.failure = self.handshake.refusal or describe_error(error)
            return -1
        self.handshaking = False
        self.server_name = self.handshake.server_name
        if self.handshake.pair is not None:
            # Not the pair, which is freed when another one has replaced it.
            self.certificate = self.handshake.pair.pem
        self.protocol = self.ssl_object.selected_alpn_protocol()
        # The callback runs no more: renegotiation is off.
        self.handshake = None
        if isinstance(self.ssl_object, ServerObject):
            self.ssl_object.handshake = None
        return 1

    cdef int take_encoded(self) except -1:
        """Moves the bytes that the library has encoded to those of the factory."""
        cdef bytes encoded
        if self.outgoing.pending == 0:
            return 0
        encoded = self.outgoing.read()
        if append_encoded(&self.factory.encoded, PyBytes_AS_STRING(encoded), PyBytes_GET_SIZE(encoded)) < 0:
            raise MemoryError
        return 0

    cdef Py_ssize_t encode(self, const iovec* pieces, int count) except -1:
        cdef bytearray gathered
        cdef Py_ssize_t size, taken = 0
        cdef int index
        try:
            if count == 1:
                taken = min(<Py_ssize_t>pieces[0].iov_len, <Py_ssize_t>ENCODE_BYTES)
                self.ssl_object.write(PyMemoryView_FromMemory(<char*>pieces[0].iov_base, taken, PyBUF_READ))
            else:
                # Small pieces share a record, and a call.
                gathered = (<PythonFilterFactory>self.factory).gathered
                for index in range(count):
                    size = min(<Py_ssize_t>pieces[index].iov_len, ENCODE_BYTES - taken)
                    gathered += PyMemoryView_FromMemory(<char*>pieces[index].iov_base, size, PyBUF_READ)
                    taken += size
                    if taken == ENCODE_BYTES:
                        break
                self.ssl_object.write(gathered)
                gathered.clear()
        except (SSLError, ValueError):
            # Such as after a failure of the protocol: nothing can be encoded any more.
            (<PythonFilterFactory>self.factory).gathered = bytearray()
            self.failed = True
            return 0
        self.take_encoded()
        return taken

    cdef int encode_end(self) except -1:
        # Not in a handshake, and not after a failure, whose alert was the end.
        if self.ssl_object is None or self.handshaking:
            return 0
        try:
            self.ssl_object.unwrap()
        except (SSLError, OSError, ValueError):
            # The end of the client has not arrived, and is not waited for.
            pass
        return self.take_encoded()

    cdef int release(self) except -1:
        self.handshake = None
        self.ssl_object = None
        self.incoming = self.outgoing = None
        return TlsFilter.release(self)

    cdef object facts(self):
        cdef PythonFilterFactory factory = <PythonFilterFactory>self.factory
        cdef object cipher = self.ssl_object.cipher()
        cdef str name = self.ssl_object.version()
        return factory.find_facts(
            VERSIONS.get(name, 0),
            name,
            factory.contexts.suite_number(cipher[0]),
            cipher[0],
            self.server_name,
            self.certificate,
            client_chain(self.ssl_object),
        )
