"""Loads certificates and keys with the functions of OpenSSL.

Compiled because it uses a C library.
"""
cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcpy

from ianus.acceptor.tls.libssl cimport *

from ianus.acceptor.tls.pair import (
    KEY_MISMATCH, KEY_TOO_SMALL, NOT_PEM, PASSWORD_MISSING, PASSWORD_WRONG, UNSUPPORTED, CertificateError, LoadedPair,
)
from ianus.runtime.x509 import read_certificate


cdef enum:
    MAX_PEM_BYTES = 67108864        # of a file with certificates or lists of revoked ones
    # Constants of OpenSSL's headers, which are part of its binary interface.
    REASON_MASK = 0x7FFFFF
    REASON_PEM_NO_START_LINE = 108
    REASON_EE_KEY_TOO_SMALL = 399

# The engine has checked that there is a library before it calls this module.
borrow_openssl()


cdef object load_pair(bytes certificates_pem, bytes key_pem, bytes password):
    cdef PairHandle handle = PairHandle.__new__(PairHandle)
    handle.read_certificates(certificates_pem)
    handle.read_key(key_pem, password)
    return describe_pair(handle)


@cython.final
cdef class PairHandle:
    def __cinit__(self):
        self.chain = OPENSSL_sk_new_null()
        if self.chain == NULL:
            raise MemoryError

    def __dealloc__(self):
        cdef int index
        if self.chain != NULL:
            for index in range(OPENSSL_sk_num(self.chain)):
                X509_free(<X509*>OPENSSL_sk_value(self.chain, index))
            OPENSSL_sk_free(self.chain)
        # NULL is accepted.
        X509_free(self.certificate)
        EVP_PKEY_free(self.key)

    cdef int read_certificates(self, bytes pem) except -1:
        cdef BIO* source = memory_source(pem)
        cdef X509* certificate
        ERR_clear_error()
        try:
            while True:
                certificate = PEM_read_bio_X509(source, NULL, refuse_password, NULL)
                if certificate == NULL:
                    break
                if self.certificate == NULL:
                    self.certificate = certificate
                elif OPENSSL_sk_push(self.chain, certificate) == 0:
                    X509_free(certificate)
                    raise MemoryError
            # The end of the text is the usual one: no further start line.
            if self.certificate == NULL or last_reason() != REASON_PEM_NO_START_LINE:
                raise CertificateError(NOT_PEM, detail=take_error_text())
        finally:
            ERR_clear_error()
            BIO_free(source)
        return 0

    cdef int read_key(self, bytes pem, bytes password) except -1:
        cdef BIO* source
        cdef PasswordRequest request
        cdef SSL_CTX* scratch = NULL
        # The library reports a text without a key as one of an unknown kind.
        if b"PRIVATE KEY-----" not in pem:
            raise CertificateError(NOT_PEM, is_key=True)
        source = memory_source(pem)
        request.asked = False
        request.password = NULL
        request.size = 0
        if password is not None:
            request.password = PyBytes_AS_STRING(password)
            request.size = PyBytes_GET_SIZE(password)
        ERR_clear_error()
        try:
            self.key = PEM_read_bio_PrivateKey(source, NULL, give_password, &request)
            if self.key == NULL:
                raise CertificateError(key_failure(pem, &request), detail=take_error_text(), is_key=True)
            if X509_check_private_key(self.certificate, self.key) != 1:
                raise CertificateError(KEY_MISMATCH, is_key=True)
            # As in a handshake, which checks the security level of the library.
            scratch = SSL_CTX_new(TLS_server_method())
            if scratch == NULL:
                raise MemoryError
            if SSL_CTX_use_cert_and_key(scratch, self.certificate, self.key, self.chain, 1) != 1:
                too_small = last_reason() == REASON_EE_KEY_TOO_SMALL
                raise CertificateError(KEY_TOO_SMALL if too_small else UNSUPPORTED, detail=take_error_text())
        finally:
            SSL_CTX_free(scratch)
            ERR_clear_error()
            BIO_free(source)
        return 0

    cdef list encodings(self):
        """Returns the DER encodings of the certificate and its chain."""
        cdef int index
        cdef list encodings = [certificate_der(self.certificate)]
        for index in range(OPENSSL_sk_num(self.chain)):
            encodings.append(certificate_der(<X509*>OPENSSL_sk_value(self.chain, index)))
        return encodings


cdef struct PasswordRequest:
    const char* password    # borrowed from a bytes object, or NULL
    Py_ssize_t size
    bint asked              # the key is encrypted


cdef int give_password(char* buffer, int size, int writes, void* argument) noexcept:
    cdef PasswordRequest* request = <PasswordRequest*>argument
    request.asked = True
    if request.password == NULL or request.size > size:
        return -1
    memcpy(buffer, request.password, request.size)
    return <int>request.size


cdef int refuse_password(char* buffer, int size, int writes, void* argument) noexcept:
    # Without a callback, OpenSSL would ask at the terminal.
    return -1


cdef str key_failure(bytes pem, const PasswordRequest* request):
    """Returns the reason why a key was not read."""
    if request.asked:
        return PASSWORD_MISSING if request.password == NULL else PASSWORD_WRONG
    # The library's reason is the same for all texts without a key that it knows.
    return UNSUPPORTED if b"PRIVATE KEY-----" in pem else NOT_PEM


cdef BIO* memory_source(bytes text) except NULL:
    """Returns a source of the text, which the caller keeps alive and frees before it."""
    cdef BIO* source = BIO_new_mem_buf(PyBytes_AS_STRING(text), <int>min(PyBytes_GET_SIZE(text), MAX_PEM_BYTES))
    if source == NULL:
        raise MemoryError
    return source


cdef bytes certificate_der(X509* certificate):
    cdef int size = i2d_X509(certificate, NULL)
    cdef bytes der = PyBytes_FromStringAndSize(NULL, max(size, 0))
    cdef unsigned char* target = <unsigned char*>PyBytes_AS_STRING(der)
    if size > 0:
        i2d_X509(certificate, &target)
    return der


cdef unsigned long last_reason() noexcept:
    return ERR_peek_last_error() & REASON_MASK


cdef str take_error_text():
    """Returns the library's text of the last error, and clears the queue."""
    cdef const char* text = ERR_reason_error_string(ERR_peek_last_error())
    ERR_clear_error()
    return "" if text == NULL else text.decode("ascii", "replace")


cdef object describe_pair(PairHandle handle):
    chain = [read_certificate(der) for der in handle.encodings()]
    leaf = chain[0]
    is_complete = leaf.is_self_signed or len(chain) > 1
    for lower, upper in zip(chain, chain[1:]):
        if lower.issuer != upper.subject:
            is_complete = False
    return LoadedPair(
        names=leaf.names,
        has_san=leaf.has_san,
        not_before=leaf.not_before,
        not_after=leaf.not_after,
        key_type=leaf.key_type,
        key_bits=leaf.key_bits,
        subject=leaf.subject,
        issuer=leaf.issuer,
        is_self_signed=leaf.is_self_signed,
        chain_is_complete=is_complete,
        pem=leaf.pem(),
        handle=handle,
    )


cdef int add_crls(X509_STORE* store, bytes pem) except -1:
    """Adds lists of revoked certificates. Returns their number, or 0 if one cannot be read."""
    cdef BIO* source = memory_source(pem)
    cdef X509_CRL* crl
    cdef int count = 0
    ERR_clear_error()
    while True:
        crl = PEM_read_bio_X509_CRL(source, NULL, refuse_password, NULL)
        if crl == NULL:
            break
        count += 1
        X509_STORE_add_crl(store, crl)
        # The store has a reference of its own.
        X509_CRL_free(crl)
    if last_reason() != REASON_PEM_NO_START_LINE:
        count = 0
    ERR_clear_error()
    BIO_free(source)
    return count
