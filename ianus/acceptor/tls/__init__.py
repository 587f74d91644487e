"""TLS: the byte filters of its engines, certificates and the handshake."""
