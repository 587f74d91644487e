"""The direct engine: OpenSSL, borrowed from Python's own ssl module, over the buffers of a byte filter.

Facts: Python's ssl module has no shared ticket keys, no certificates from memory and no certificate callback, and takes
a third more instructions a request. A copy of OpenSSL of our own would need a release for each of its advisories.
Strategy: libssl.h takes the functions from the library that Python has loaded. A BIO of our own reads the received
bytes and appends to the encoded ones in place. It always takes all of them, so OpenSSL never waits to write.

Rules:
- No object of Python's ssl module is used. Its callbacks expect a Python object with each SSL.
- The error queue belongs to the thread, and Python's ssl module uses it too. It is cleared before a handshake step, and
  after each failure. Reading and writing judge by the state of the SSL, and not by the queue.
- A handshake takes its certificates from the store at that time, so they change without an effect on connections.
- A session ticket is valid in all workers, since its keys are derived from a secret of the supervisor.

Compiled because it uses a C library. Every request over TLS passes here: 265 instructions for ASGI hello, without the
13,900 of OpenSSL.
"""
import hmac
import os
import time

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy, strncmp

from ianus.acceptor.byte_filter cimport ENCODE_BYTES, FILTER_FAILED, ByteFilter, append_encoded
from ianus.acceptor.tls.base cimport TlsFilter, TlsFilterFactory
from ianus.acceptor.tls.libssl cimport *
from ianus.acceptor.tls.openssl_pair cimport PairHandle, add_crls, certificate_der, load_pair, take_error_text
from ianus.codec.output cimport iovec
from ianus.runtime.clock cimport monotonic

from ianus.acceptor.tls.challenge_files import CHALLENGE_PROTOCOL
from ianus.acceptor.tls.client_authorities import ClientAuthorities
from ianus.acceptor.tls.options import TlsOptionError
from ianus.acceptor.tls.pair import UNSUPPORTED, CertificateError, LoadedPair
from ianus.telemetry.logger import logger


cdef enum:
    MAX_RECORD_BYTES = 16384        # of plain bytes (RFC 8446 section 5.1)
    MAX_KEPT_BYTES = 20480          # of a record that has arrived in part, with its overhead

    # Constants of OpenSSL's headers, which are part of its binary interface.
    CTRL_MODE = 33
    CTRL_SET_SESSION_CACHE_MODE = 44
    CTRL_SET_MIN_PROTOCOL_VERSION = 123
    CACHE_OFF = 0
    MODE_ACCEPT_MOVING_WRITE_BUFFER = 0x2
    MODE_RELEASE_BUFFERS = 0x10
    VERIFY_PEER = 0x1
    VERIFY_FAIL_IF_NO_PEER_CERTIFICATE = 0x2
    NAME_TYPE_HOST_NAME = 0
    EXTENSION_ALPN = 16
    HELLO_OK = 1
    WANT_READING = 3
    RECEIVED_SHUTDOWN = 2
    ALPN_OK = 0
    ALPN_ALERT_FATAL = 2
    ALPN_NO_ACKNOWLEDGEMENT = 3
    BIO_TYPE_SOURCE_SINK = 0x0400
    BIO_FLAGS_RETRY_READ = 0x9
    BIO_CTRL_FLUSH = 11
    X509_FLAG_CRL_CHECK = 0x4
    TLS_1_3_VERSION = 0x0304

cdef uint64_t OP_NO_TICKET = 1 << 14
cdef uint64_t OP_NO_COMPRESSION = 1 << 17
cdef uint64_t OP_PRIORITIZE_CHACHA = 1 << 21
cdef uint64_t OP_CIPHER_SERVER_PREFERENCE = 1 << 22
cdef uint64_t OP_NO_RENEGOTIATION = 1 << 30

# Of TLS 1.3. AES has keys of 128 bits first, as in the order of browsers: they take three quarters of the time.
cdef const char* CIPHER_SUITES = b"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"

cdef long long TICKET_PERIOD_SECONDS = 12 * 3600    # longer than a ticket is valid, which is two hours


# The extension of a client that validates a name: a list with this protocol alone, which is preceded by its length.
cdef bytes CHALLENGE_NAME = CHALLENGE_PROTOCOL.encode("ascii")
cdef bytes CHALLENGE_EXTENSION = b"%c%c%c%b" % (0, 1 + len(CHALLENGE_NAME), len(CHALLENGE_NAME), CHALLENGE_NAME)


# None, or the reason why there is no OpenSSL. Written once, when this module is imported.
cdef str UNAVAILABLE = borrow_openssl()


def find_openssl() -> OpenSslEngine:
    """Returns the engine. Raises RuntimeError with the reason if this Python has no library that it can use."""
    if UNAVAILABLE is not None:
        raise RuntimeError(UNAVAILABLE)
    return OpenSslEngine()


@cython.final
cdef class OpenSslEngine:
    """Made by find_openssl()."""

    name = "openssl"

    def __cinit__(self):
        self.library = OpenSSL_version(OPENSSL_VERSION_TEXT).decode()
        self.clock = time.time

    def load_pair(self, bytes certificates_pem not None, bytes key_pem not None, bytes password) -> LoadedPair:
        """Loads a certificate, the chain after it, and its key. Raises CertificateError."""
        return load_pair(certificates_pem, key_pem, password)

    def create_factory(self, store, options) -> OpenSslFilterFactory:
        """Makes the factory of a listener's filters. Raises StartupError for options that the library does not take."""
        return OpenSslFilterFactory(self, store, options)


# ---------------------------------------------------------------- the factory


@cython.final
cdef class OpenSslFilterFactory(TlsFilterFactory):
    """Made by create_factory() of the engine."""

    def __init__(self, OpenSslEngine engine not None, store, options):
        TlsFilterFactory.__init__(self, store, options)
        self.engine = engine
        self.protocols = b"".join([bytes([len(name)]) + name.encode("ascii") for name in options.alpn])
        self.gathered = <char*>malloc(MAX_RECORD_BYTES)
        self.context = SSL_CTX_new(TLS_server_method())
        self.bio_method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, b"ianus")
        if self.gathered == NULL or self.context == NULL or self.bio_method == NULL:
            raise MemoryError
        BIO_meth_set_read_ex(self.bio_method, read_received)
        BIO_meth_set_write_ex(self.bio_method, write_encoded)
        BIO_meth_set_ctrl(self.bio_method, control_bio)
        self.bio = BIO_new(self.bio_method)
        if self.bio == NULL:
            raise MemoryError
        # A borrowed reference: each SSL belongs to a filter, which refers to this object.
        BIO_set_data(self.bio, <void*>self)
        BIO_set_init(self.bio, 1)
        # It fails only for lack of input, so the flags need not be set at each failure.
        BIO_set_flags(self.bio, BIO_FLAGS_RETRY_READ)
        self.set_up_context(options)

    def __dealloc__(self):
        # NULL is accepted by each. The BIO is freed before its method.
        SSL_CTX_free(self.context)
        BIO_free(self.bio)
        BIO_meth_free(self.bio_method)
        free(self.gathered)

    def set_up_context(self, options) -> None:
        cdef SSL_CTX* context = self.context
        cdef uint64_t flags = (
            OP_NO_COMPRESSION | OP_NO_RENEGOTIATION | OP_CIPHER_SERVER_PREFERENCE | OP_PRIORITIZE_CHACHA
        )
        asks_clients = options.cert_reqs != "none"
        if asks_clients:
            # A resumed session has the client's certificate without its chain, and a revoked one would be accepted.
            flags |= OP_NO_TICKET
        SSL_CTX_set_options(context, flags)
        SSL_CTX_ctrl(context, CTRL_SET_MIN_PROTOCOL_VERSION, options.min_version, NULL)
        SSL_CTX_ctrl(context, CTRL_SET_SESSION_CACHE_MODE, CACHE_OFF, NULL)
        SSL_CTX_ctrl(context, CTRL_MODE, MODE_RELEASE_BUFFERS | MODE_ACCEPT_MOVING_WRITE_BUFFER, NULL)
        SSL_CTX_set_session_id_context(context, b"ianus", 5)
        SSL_CTX_set_num_tickets(context, 0 if asks_clients else 1)
        SSL_CTX_set_ex_data(context, 0, <void*>self)
        SSL_CTX_set_tlsext_ticket_key_evp_cb(context, on_ticket_key)
        SSL_CTX_set_cert_cb(context, choose_certificates, <void*>self)
        if self.protocols:
            SSL_CTX_set_alpn_select_cb(context, choose_protocol, <void*>self)
        if options.answers_challenges:
            SSL_CTX_set_client_hello_cb(context, note_hello, <void*>self)
        # It fails only if a policy of the system allows none of them; its own ones stay then.
        SSL_CTX_set_ciphersuites(context, CIPHER_SUITES)
        ERR_clear_error()
        if options.ciphers and SSL_CTX_set_cipher_list(context, options.ciphers.encode()) != 1:
            raise TlsOptionError("ssl_ciphers", f"{take_error_text()}: {options.ciphers}")
        if asks_clients:
            self.set_client_verification()

    cdef int set_client_verification(self) except -1:
        cdef int mode = VERIFY_PEER
        self.authorities = ClientAuthorities(self.options)
        self.load_authorities()
        if self.options.cert_reqs == "required":
            mode |= VERIFY_FAIL_IF_NO_PEER_CERTIFICATE
        SSL_CTX_set_verify(self.context, mode, NULL)
        return 0

    def load_authorities(self) -> None:
        """Replaces the authorities of clients, and the lists of revoked certificates. Raises TlsOptionError."""
        cdef bytes path = os.fsencode(self.options.ca_certs)
        cdef bint is_folder = os.path.isdir(path)
        cdef X509_STORE* store = X509_STORE_new()
        if store == NULL:
            raise MemoryError
        ERR_clear_error()
        try:
            loaded = X509_STORE_load_path(store, path) if is_folder else X509_STORE_load_file(store, path)
            if loaded != 1:
                raise TlsOptionError("ssl_ca_certs", f"{take_error_text()}: {self.options.ca_certs}")
            if self.options.crl:
                add_crl_file(store, self.options.crl)
        except BaseException:
            X509_STORE_free(store)
            raise
        # The context owns both, and frees the previous ones. It uses them within the calls for a handshake alone.
        SSL_CTX_set_cert_store(self.context, store)
        # Clients with several certificates choose by these names.
        SSL_CTX_set_client_CA_list(self.context, NULL if is_folder else SSL_load_client_CA_file(path))
        # An error of this thread would end the handshake.
        ERR_clear_error()

    cdef ByteFilter create(self):
        cdef OpenSslFilter created = OpenSslFilter.__new__(OpenSslFilter)
        created.factory = self
        created.max_kept_bytes = MAX_KEPT_BYTES
        created.handshaking = True
        return created

    # ---------------------------------------------------------------- in a handshake

    cdef int use_certificates(self, SSL* ssl) except -1:
        """Gives a handshake the certificates of the client's name. Returns 1, or 0 if there are none."""
        cdef PairHandle handle
        cdef int used = 0
        cdef object challenge = self.find_challenge(ssl)
        if challenge is not None:
            pairs = (challenge,)
            # The authority has no certificate of a client.
            SSL_set_verify(ssl, 0, NULL)
        else:
            # A changed file is noticed here. No timer wakes an idle worker for it.
            if self.certificates.refresh(monotonic()) and self.authorities is not None:
                self.authorities.refresh(self.load_authorities)
            pairs = self.certificates.select(read_server_name(ssl))
        for pair in pairs:
            handle = <PairHandle?>pair.handle
            # The SSL has references of its own to all three.
            if SSL_use_cert_and_key(ssl, handle.certificate, handle.key, handle.chain, 1) != 1:
                raise CertificateError(UNSUPPORTED, detail=take_error_text())
            used = 1
        return used

    cdef object find_challenge(self, SSL* ssl):
        """Returns the pair for an authority that validates a name in this handshake, or None."""
        if self.is_challenge and self.challenge is None:
            # With TLS 1.3 the protocol is chosen before the certificates, and with TLS 1.2 after them.
            self.challenge = self.certificates.find_challenge(read_server_name(ssl))
        return self.challenge

    cdef object find_pair(self, SSL* ssl, str server_name):
        """Returns the pair of a handshake that is complete, or None."""
        cdef X509* certificate = SSL_get_certificate(ssl)
        cdef tuple pairs = self.certificates.select(server_name)
        for pair in pairs:
            if (<PairHandle?>pair.handle).certificate == certificate:
                return pair
        # A resumed session has no certificate.
        return pairs[0] if pairs else None

    cdef int rotate_ticket_keys(self) except -1:
        cdef long long period = <long long>self.engine.clock() // TICKET_PERIOD_SECONDS
        if self.ticket_keys is None or period != self.ticket_period:
            self.ticket_period = period
            self.ticket_keys = derive_ticket_keys(self.options.ticket_secret, period)
            # A ticket of the period before is valid, and so is one of a machine whose clock is late.
            self.last_ticket_keys = derive_ticket_keys(self.options.ticket_secret, period - 1)
        return 0


cdef int add_crl_file(X509_STORE* store, str path) except -1:
    with open(path, "rb") as file:
        if not add_crls(store, file.read()):
            raise TlsOptionError("ssl_crl", f"no list of revoked certificates in PEM: {path}")
    # Of the client's certificate. Authorities without a list are accepted.
    X509_STORE_set_flags(store, X509_FLAG_CRL_CHECK)
    return 0


cdef TicketKeys derive_ticket_keys(bytes secret, long long period):
    cdef TicketKeys keys = TicketKeys()
    cdef bytes derived = b"".join(
        [
            hmac.digest(secret, b"ianus session tickets %d %b" % (period, part), "sha256")
            for part in (b"cipher", b"mac", b"name")
        ]
    )
    memcpy(keys.cipher_key, PyBytes_AS_STRING(derived), 32)
    memcpy(keys.mac_key, PyBytes_AS_STRING(derived) + 32, 32)
    memcpy(keys.name, PyBytes_AS_STRING(derived) + 64, 16)
    return keys


cdef str read_server_name(const SSL* ssl):
    """Returns the name by SNI in lower case, or None if there is none, or one with bytes that no host name has."""
    cdef const char* name = SSL_get_servername(ssl, NAME_TYPE_HOST_NAME)
    cdef str text = "" if name == NULL else name.decode("latin-1").lower()
    # RFC 6066 section 3. It is logged, so it must not contain a line break.
    return text if text and text.isascii() and text.isprintable() else None


# Callbacks of OpenSSL. They run within a call of a filter, so with the GIL.

cdef int choose_certificates(SSL* ssl, void* argument) noexcept:
    try:
        return (<OpenSslFilterFactory>argument).use_certificates(ssl)
    except Exception:
        logger.exception("internal error while choosing a certificate")
        return 0


cdef int note_hello(SSL* ssl, int* alert, void* argument) noexcept:
    cdef OpenSslFilterFactory factory = <OpenSslFilterFactory>argument
    cdef const unsigned char* extension = NULL
    cdef size_t size = 0
    factory.is_challenge = (
        SSL_client_hello_get0_ext(ssl, EXTENSION_ALPN, &extension, &size) == 1
        and size == <size_t>PyBytes_GET_SIZE(CHALLENGE_EXTENSION)
        and memcmp(extension, PyBytes_AS_STRING(CHALLENGE_EXTENSION), size) == 0
    )
    return HELLO_OK


cdef int choose_protocol(
    SSL* ssl, const unsigned char** chosen, unsigned char* chosen_size, const unsigned char* offered,
    unsigned int offered_size, void* argument,
) noexcept:
    cdef OpenSslFilterFactory factory = <OpenSslFilterFactory>argument
    cdef const unsigned char* own = <const unsigned char*>PyBytes_AS_STRING(factory.protocols)
    cdef const unsigned char* own_end = own + PyBytes_GET_SIZE(factory.protocols)
    cdef unsigned int at
    if factory.is_challenge and is_answerable(factory, ssl):
        chosen[0] = <const unsigned char*>PyBytes_AS_STRING(CHALLENGE_NAME)
        chosen_size[0] = <unsigned char>PyBytes_GET_SIZE(CHALLENGE_NAME)
        return ALPN_OK
    # Each name is preceded by its length. OpenSSL has checked the client's list.
    if own[0] == 2 and own[1] == c"h" and own + 3 < own_end and not is_http2_cipher(SSL_get_pending_cipher(ssl)):
        # The next one is HTTP/1.1. Clients end a connection of HTTP/2 that has such a cipher.
        own += 3
    while own < own_end:
        at = 0
        while at < offered_size and offered[at] < offered_size - at:
            if offered[at] == own[0] and memcmp(offered + at + 1, own + 1, own[0]) == 0:
                chosen[0] = own + 1
                chosen_size[0] = own[0]
                return ALPN_OK
            at += 1 + offered[at]
        own += 1 + own[0]
    # RFC 7301 section 3.2
    return ALPN_ALERT_FATAL


cdef bint is_http2_cipher(const SSL_CIPHER* cipher) noexcept:
    """Whether HTTP/2 may use the chosen cipher (RFC 9113 section 9.2.2): with forward secrecy, and authenticated."""
    cdef const char* name
    if cipher == NULL or not SSL_CIPHER_is_aead(cipher):
        return False
    name = SSL_CIPHER_get_name(cipher)
    # Those of TLS 1.3 all are.
    return strncmp(name, b"TLS_", 4) == 0 or strncmp(name, b"ECDHE-", 6) == 0 or strncmp(name, b"DHE-", 4) == 0


cdef bint is_answerable(OpenSslFilterFactory factory, SSL* ssl) noexcept:
    try:
        return factory.find_challenge(ssl) is not None
    except Exception:
        logger.exception("internal error while choosing a certificate")
        return False


cdef int on_ticket_key(
    SSL* ssl, unsigned char* name, unsigned char* vector, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac, int encrypts,
) noexcept:
    """Sets the keys of a ticket. Returns 1, or 2 if it is to be renewed, 0 if it is not known, -1 for a failure."""
    cdef OpenSslFilterFactory factory = <OpenSslFilterFactory>SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), 0)
    cdef TicketKeys keys
    cdef OSSL_PARAM[3] parameters
    cdef int result = 1
    try:
        factory.rotate_ticket_keys()
    except Exception:
        logger.exception("internal error while deriving the keys of session tickets")
        return -1
    keys = factory.ticket_keys
    if encrypts:
        memcpy(name, keys.name, sizeof(keys.name))
        if RAND_bytes(vector, 16) != 1:
            return -1
        if EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, keys.cipher_key, vector) != 1:
            return -1
    else:
        if memcmp(name, keys.name, sizeof(keys.name)) != 0:
            keys = factory.last_ticket_keys
            if memcmp(name, keys.name, sizeof(keys.name)) != 0:
                return 0
            result = 2
        if SSL_version(ssl) >= TLS_1_3_VERSION:
            # A client offers such a ticket once (RFC 8446 appendix C.4), so it needs another one each time.
            result = 2
        if EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, keys.cipher_key, vector) != 1:
            return -1
    parameters[0] = OSSL_PARAM_construct_octet_string(b"key", keys.mac_key, sizeof(keys.mac_key))
    parameters[1] = OSSL_PARAM_construct_utf8_string(b"digest", <char*>b"SHA256", 0)
    parameters[2] = OSSL_PARAM_construct_end()
    return result if EVP_MAC_CTX_set_params(mac, parameters) == 1 else -1


cdef int read_received(BIO* bio, char* target, size_t size, size_t* taken) noexcept:
    cdef ReceivedBytes* received = &(<OpenSslFilterFactory>BIO_get_data(bio)).received
    if received.size == 0:
        taken[0] = 0
        return 0
    if size > <size_t>received.size:
        size = received.size
    memcpy(target, received.data, size)
    received.data += size
    received.size -= size
    taken[0] = size
    return 1


cdef int write_encoded(BIO* bio, const char* data, size_t size, size_t* taken) noexcept:
    if append_encoded(&(<OpenSslFilterFactory>BIO_get_data(bio)).encoded, data, size) < 0:
        return 0
    taken[0] = size
    return 1


cdef long control_bio(BIO* bio, int command, long number, void* pointer) noexcept:
    # All that is written can be sent.
    return command == BIO_CTRL_FLUSH


# ---------------------------------------------------------------- the filter


@cython.final
@cython.no_gc
cdef class OpenSslFilter(TlsFilter):
    def __dealloc__(self):
        # Nothing is sent. The child of a fork frees its copies here.
        if self.ssl != NULL:
            SSL_free(self.ssl)

    cdef int open(self) except -1:
        """Makes the SSL. Connections without a byte have none."""
        cdef OpenSslFilterFactory factory = <OpenSslFilterFactory>self.factory
        self.ssl = SSL_new(factory.context)
        if self.ssl == NULL:
            raise MemoryError
        # The SSL takes this reference over.
        BIO_up_ref(factory.bio)
        SSL_set_bio(self.ssl, factory.bio, factory.bio)
        SSL_set_accept_state(self.ssl)
        return 0

    cdef Py_ssize_t decode(self, const char* data, Py_ssize_t size, char* target, Py_ssize_t space) except? -3:
        cdef OpenSslFilterFactory factory = <OpenSslFilterFactory>self.factory
        cdef Py_ssize_t decoded = 0
        cdef int n
        if not self.begun:
            self.begun = True
            if self.refuse_plain_http(data, size):
                return FILTER_FAILED
            self.open()
        factory.received.data = data
        factory.received.size = size
        if self.handshaking:
            n = self.handshake()
            if n < 0:
                return FILTER_FAILED
            if factory.received.size == 0:
                return 0
        while decoded < space:
            n = SSL_read(self.ssl, target + decoded, <int>(space - decoded))
            if n <= 0:
                if SSL_get_shutdown(self.ssl) & RECEIVED_SHUTDOWN:
                    self.ended = True
                    return decoded
                if factory.received.size == 0 and SSL_want(self.ssl) == WANT_READING:
                    return decoded
                break
            decoded += n
            # A further call would cost as much as a short record, and find nothing.
            if factory.received.size == 0 and SSL_pending(self.ssl) == 0:
                return decoded
        ERR_clear_error()
        return FILTER_FAILED

    cdef int handshake(self) except -2:
        """Continues the handshake. Returns 1 at its end, 0 if the client has to send more, -1 if it has failed."""
        cdef const unsigned char* protocol = NULL
        cdef unsigned int size = 0
        cdef long verified
        cdef OpenSslFilterFactory factory = <OpenSslFilterFactory>self.factory
        cdef int result
        ERR_clear_error()
        result = SSL_do_handshake(self.ssl)
        # Of this client's hello, which arrives in one step with all choices that depend on it.
        factory.is_challenge = False
        factory.challenge = None
        if result == 1:
            self.handshaking = False
            self.server_name = read_server_name(self.ssl)
            SSL_get0_alpn_selected(self.ssl, &protocol, &size)
            if size:
                self.protocol = protocol[:size].decode("ascii")
            return 1
        if ERR_peek_last_error() == 0 and SSL_want(self.ssl) == WANT_READING:
            return 0
        verified = SSL_get_verify_result(self.ssl)
        self.failure = take_error_text() or "unknown error"
        if verified:
            self.failure += f": {X509_verify_cert_error_string(verified).decode('ascii', 'replace')}"
        return -1

    cdef Py_ssize_t encode(self, const iovec* pieces, int count) except -1:
        cdef char* gathered = (<OpenSslFilterFactory>self.factory).gathered
        cdef const char* data
        cdef Py_ssize_t size, part, taken = 0, waiting = 0
        cdef int index
        for index in range(count):
            data = <const char*>pieces[index].iov_base
            size = min(<Py_ssize_t>pieces[index].iov_len, ENCODE_BYTES - taken)
            taken += size
            while size:
                if waiting == 0 and (index == count - 1 or size >= MAX_RECORD_BYTES):
                    # Whole records, and the last piece, are encrypted from the application's bytes.
                    part = size if index == count - 1 else size - size % MAX_RECORD_BYTES
                    if not self.write(data, part):
                        return 0
                else:
                    # Small pieces share a record.
                    part = min(size, MAX_RECORD_BYTES - waiting)
                    memcpy(gathered + waiting, data, part)
                    waiting += part
                    if waiting == MAX_RECORD_BYTES:
                        if not self.write(gathered, waiting):
                            return 0
                        waiting = 0
                data += part
                size -= part
        if waiting and not self.write(gathered, waiting):
            return 0
        return taken

    cdef bint write(self, const char* data, Py_ssize_t size) except -1:
        """Encodes bytes in one record or more. Returns whether that has succeeded; otherwise the filter has failed."""
        if SSL_write(self.ssl, data, <int>size) == size:
            return True
        ERR_clear_error()
        self.failed = True
        return False

    cdef int encode_end(self) except -1:
        # Not in a handshake, and not after a failure, whose alert was the end.
        if self.ssl != NULL and not self.handshaking:
            SSL_shutdown(self.ssl)
            ERR_clear_error()
        return 0

    cdef object facts(self):
        cdef OpenSslFilterFactory factory = <OpenSslFilterFactory>self.factory
        cdef const SSL_CIPHER* cipher = SSL_get_current_cipher(self.ssl)
        cdef object pair = factory.find_pair(self.ssl, self.server_name)
        return factory.find_facts(
            SSL_version(self.ssl),
            SSL_get_version(self.ssl).decode("ascii"),
            SSL_CIPHER_get_protocol_id(cipher),
            SSL_CIPHER_get_name(cipher).decode("ascii"),
            self.server_name,
            None if pair is None else pair.pem,
            client_chain(self.ssl),
        )


cdef tuple client_chain(const SSL* ssl):
    """Returns the DER encodings of the client's certificate and of its chain."""
    cdef X509* certificate = SSL_get0_peer_certificate(ssl)
    cdef OPENSSL_STACK* others
    cdef int index
    if certificate == NULL:
        return ()
    encodings = [certificate_der(certificate)]
    # On the side of the server this is the chain without the certificate itself.
    others = SSL_get_peer_cert_chain(ssl)
    if others != NULL:
        for index in range(OPENSSL_sk_num(others)):
            encodings.append(certificate_der(<X509*>OPENSSL_sk_value(others, index)))
    return tuple(encodings)
