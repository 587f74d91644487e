"""The answers to challenges of certificate authorities, in front of all applications."""
from ianus.exchange.gateway cimport Gateway
from ianus.exchange.http cimport Exchange


cdef class ChallengeGateway(Gateway):
    cdef Gateway applications       # for all other requests
    cdef bytes thumbprint           # of the account


cdef class ChallengeExchange(Exchange):
    cdef bytes token
