"""Mounts: the longest prefix that ends at a segment of the path decides which application a request is for.

Compiled because requests pass here: 135 instructions for ASGI hello beside another application.
"""
from ianus.codec.base cimport Request
from ianus.exchange.gateway cimport Gateway


cdef class Mounts(Gateway):
    """Hands each request to the gateway of its path.

    mounted: (prefix, gateway); the prefix "" is for all other paths, and must be there.
    """

    def __init__(self, mounted):
        self.name = "mounts"
        # The longest prefix first, so that the first one that fits is the right one.
        self.mounted = sorted(mounted, key=prefix_length, reverse=True)
        if not self.mounted or self.mounted[len(self.mounted) - 1][0]:
            raise ValueError("mounts need an application for all other paths")
        # A browser that is offered tunnels uses them for the WebSockets of all paths, and does not try HTTP/1.1 if an
        # application refuses one.
        self.opens_tunnels = True
        for _, gateway in self.mounted:
            self.opens_tunnels = self.opens_tunnels and (<Gateway>gateway).opens_tunnels

    cdef object open(self, Request request):
        cdef tuple mount
        cdef str prefix
        for mount in self.mounted:
            prefix = <str>mount[0]
            # At a segment: "/shop" is not a prefix of "/shopping".
            if request.path.startswith(prefix) and (
                len(prefix) == 0 or len(request.path) == len(prefix) or request.path[len(prefix)] == "/"
            ):
                break
        # The last prefix is "", which fits every path, so the loop has always found one.
        return (<Gateway>mount[1]).open(request)


def prefix_length(tuple mount not None) -> int:
    return len(mount[0])
