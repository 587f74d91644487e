"""The answer to health checks of the service port, in front of all applications."""
from ianus.exchange.gateway cimport Gateway
from ianus.exchange.http cimport Exchange


cdef class HealthGateway(Gateway):
    cdef Gateway applications       # for all other requests
    cdef bytes path                 # --health-path


cdef class HealthExchange(Exchange):
    pass
