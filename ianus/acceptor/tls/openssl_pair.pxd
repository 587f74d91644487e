"""A certificate with its chain and its key, in the memory of OpenSSL."""
cimport cython

from ianus.acceptor.tls.libssl cimport EVP_PKEY, OPENSSL_STACK, X509, X509_STORE


@cython.final
cdef class PairHandle:
    """Owns a certificate, its key and its chain."""
    cdef X509* certificate
    cdef EVP_PKEY* key
    cdef OPENSSL_STACK* chain       # of X509*, which it owns too

    cdef int read_certificates(self, bytes pem) except -1
    cdef int read_key(self, bytes pem, bytes password) except -1
    cdef list encodings(self)


# Returns a LoadedPair with a PairHandle, or raises CertificateError.
cdef object load_pair(bytes certificates_pem, bytes key_pem, bytes password)
cdef int add_crls(X509_STORE* store, bytes pem) except -1
cdef bytes certificate_der(X509* certificate)
# The library's text of the last error. Clears the queue.
cdef str take_error_text()
