"""See tls_facts.pxd. Compiled because the gateways read it for each request over TLS."""
cimport cython


# No garbage collector: it refers to plain values only, and a client certificate has an object of its own.
@cython.no_gc
cdef class TlsFacts:
    """The facts of a connection.

    client_chain: DER encodings of the certificates that the client has sent, its own one first.
    """

    def __init__(
        self, *, int version, str protocol_name not None, object cipher_suite, str cipher_name not None,
        str server_name, str server_certificate, tuple client_chain not None, str client_error,
    ):
        self.version = version
        self.protocol_name = protocol_name
        self.cipher_suite = cipher_suite
        self.cipher_name = cipher_name
        self.server_name = server_name
        self.server_certificate = server_certificate
        self.client_chain = ()
        self.client_error = client_error
        if client_chain:
            # Late: a server without TLS loads none of it.
            from ianus.runtime.x509 import X509Error, format_pem, read_certificate

            self.client_chain = tuple([format_pem(certificate) for certificate in client_chain])
            try:
                self.client = read_certificate(client_chain[0])
            except X509Error as error:
                # OpenSSL has accepted it. Applications must not take it for a certificate with a name.
                if client_error is None:
                    self.client_error = f"the certificate cannot be read: {error}"

    @property
    def client_name(self) -> str | None:
        """The subject of the client's certificate by RFC 4514; "" if it cannot be read, None without a certificate."""
        if not self.client_chain:
            return None
        return "" if self.client is None else self.client.subject
