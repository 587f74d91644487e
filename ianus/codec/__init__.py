"""Protocols as bytes in, calls out, bytes out."""
