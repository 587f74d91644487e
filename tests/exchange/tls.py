"""Facts of TLS for units without a connection."""

from typing import Any

from ianus.exchange.tls_facts import TlsFacts


def tls_facts(**values: Any) -> TlsFacts:
    """Returns those of a connection without a client certificate."""
    facts: dict[str, Any] = {
        "version": 0x0304,
        "protocol_name": "TLSv1.3",
        "cipher_suite": 0x1302,
        "cipher_name": "TLS_AES_256_GCM_SHA384",
        "server_name": None,
        "server_certificate": None,
        "client_chain": (),
        "client_error": None,
    }
    return TlsFacts(**{**facts, **values})
