"""The check that a request is for a host of the certificate of its connection (RFC 9110 section 7.4).

A client may use one connection for all names of its certificate (RFC 9113 section 9.1.1), and for no others. Hosts are
hostile data, so the length of each and the number of remembered answers are limited.
"""

import functools

from ianus.exchange.host_name import plain_name, without_port
from ianus.runtime.x509 import read_certificate, read_pem_certificates

# A name of 253 bytes (RFC 1035 section 2.3.4) with its final dot, and a port
MAX_HOST_BYTES = 260


def is_certified(host: bytes, certificate: str) -> bool:
    """Returns whether a certificate is for a host; always true if it has no names.

    host: the value of a field Host or :authority; its port is ignored. certificate: PEM.
    """
    return len(host) <= MAX_HOST_BYTES and _is_certified(host, certificate)


@functools.lru_cache(maxsize=1024)
def _is_certified(host: bytes, certificate: str) -> bool:
    name = without_port(host)
    names = _names_of(certificate)
    if not names:
        return True
    if name is None:
        return False
    plain = plain_name(name)
    # RFC 9525 section 6.3: a wildcard stands for one label, the first one.
    first, dot, rest = plain.partition(".")
    return plain in names or (bool(first and dot) and f"*.{rest}" in names)


@functools.lru_cache(maxsize=256)
def _names_of(certificate: str) -> frozenset[str]:
    return frozenset(read_certificate(read_pem_certificates(certificate.encode())[0]).names)
