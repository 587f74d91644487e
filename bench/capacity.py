"""What a mix of requests can be asked for at most: one figure a run, by which the same rate goes to all servers."""

import functools

from client import Request
from load import Kind, run_arrivals
from peers import WSGI_PEERS, Service
from visit import Setting, serving

REFERENCE = "granian"  # the peer that takes the most of this mix; Ianus must not choose the rate that it is measured at
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
    """Requests that the reference answers in a second, half of them fast and half slow; what ``serving`` raises."""
    server = next(peer for peer in WSGI_PEERS if peer.name == REFERENCE)
    with serving(server, MIX, FAST, setting) as running:
        kinds = [Kind(request.raw(running.port), rate=FLOOD) for request in (FAST, SLOW)]
        # Whatever disturbs a try makes it slower: the best one is nearest to the truth.
        return max(_answered(running.port, kinds, setting.cores.load) for _ in range(TRIES))


def _answered(port: int, kinds: list[Kind], core: int) -> float:
    result = run_arrivals(port, kinds, POOL, 1, core)
    return sum(kind.requests for kind in result.kinds) / result.seconds
