"""The base class of gateways, in a module of its own: exchange/http and exchange/service both refer to it.

Compiled because its subclasses are.
"""
from ianus.codec.base cimport Request


cdef class Gateway:
    # `object`, since the type Exchange would import exchange/http, which imports this module.
    cdef object open(self, Request request):
        raise NotImplementedError

    cdef bint answers_itself(self, const char* head, Py_ssize_t size) noexcept:
        return False
