"""Sockets and readiness: from a listening address to bytes of a connection and back."""
