"""The maximum rate of a mix of requests: one figure a run, so that all servers get the same rate."""

import functools

from client import Request
from load import Kind, run_arrivals
from peers import WSGI_PEERS, Service
from visit import Setting, serving

REFERENCE = (
    "granian"  # the peer with the highest capacity for this mix; Ianus must not choose the rate that it is measured at
)
MIX = Service("wsgi_apps:work", "wsgi", blocking=True)
FAST = Request(target="/fast")
SLOW = Request(target="/slow")
# Arrivals of each kind a second: more than 64 connections can have answers, whose time is 10 ms in the mean. So all of
# them have a request on its way until the last one is sent.
FLOOD = 5000.0
POOL = 64
TRIES = 3


@functools.cache
def capacity(setting: Setting) -> float:
    """Requests that the reference answers in a second, half of them fast and half slow; raises as ``serving``."""
    server = next(peer for peer in WSGI_PEERS if peer.name == REFERENCE)
    with serving(server, MIX, FAST, setting) as running:
        kinds = [Kind(request.raw(running.port), rate=FLOOD) for request in (FAST, SLOW)]
        # Any disturbance of a try makes it slower: the best one is nearest to the truth.
        return max(_answered(running.port, kinds, setting.cores.load) for _ in range(TRIES))


def _answered(port: int, kinds: list[Kind], core: int) -> float:
    result = run_arrivals(port, kinds, POOL, 1, core)
    return sum(kind.requests for kind in result.kinds) / result.seconds
