"""Mounts: the longest prefix that ends at a segment of the path decides which application a request is for.

Compiled because requests pass here.
"""
from ianus.codec.base cimport Request
from ianus.exchange.http cimport Exchange, Gateway


cdef class Mounts(Gateway):
    """Hands each request to the gateway of its path.

    places: (prefix, gateway); the prefix "" has what is under no other, and must be there.
    """

    def __init__(self, places):
        self.name = "mounts"
        self.places = sorted(places, key=len_of_prefix, reverse=True)
        if not self.places or self.places[len(self.places) - 1][0]:
            raise ValueError("mounts need an application for all other paths")

    cdef Exchange open(self, Request request):
        cdef tuple place
        cdef str prefix
        for place in self.places:
            prefix = <str>place[0]
            if request.path.startswith(prefix) and (
                len(prefix) == 0 or len(request.path) == len(prefix) or request.path[len(prefix)] == "/"
            ):
                break
        return (<Gateway>place[1]).open(request)


def len_of_prefix(tuple place not None) -> int:
    return len(place[0])
