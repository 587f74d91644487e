"""Facts of a TLS connection that applications get."""
cimport cython


@cython.no_gc
cdef class TlsFacts:
    """Immutable. Connections without a client certificate may share one."""
    cdef readonly int version               # 0x0303 for TLS 1.2, 0x0304 for TLS 1.3
    cdef readonly str protocol_name         # the same as OpenSSL writes it: "TLSv1.3"
    cdef readonly object cipher_suite       # its number in the registry of TLS, or None
    cdef readonly str cipher_name           # as OpenSSL writes it
    cdef readonly str server_name           # that the client has asked for (SNI), or None
    cdef readonly str server_certificate    # PEM, or None
    cdef readonly tuple client_chain        # PEM of the client's certificate and of the further ones that it has sent
    # The contents of the client's certificate, an X509Certificate of runtime/x509; or None
    cdef readonly object client
    cdef readonly str client_error          # the reason for which verification has failed, or None
    cdef dict variables                     # of WSGI environs, which the gateway makes once; or None
