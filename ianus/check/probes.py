"""The requests of a check, and the measurements of their responses."""

from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import unquote, unquote_to_bytes

from ianus.check.places import Place

METHODS = ("GET", "HEAD", "OPTIONS")

# A response that does not end is closed after this time or size. A probe is repeated until either limit is reached.
STREAM_SECONDS = 1.0
MAX_BODY_BYTES = 64 * 1024 * 1024
REPEAT_SECONDS = 1.5
MAX_REPEATS = 7
MAX_STREAM_REPEATS = 2
# Responses with this status or a higher one are not repeated and not measured: the application has failed.
FAILED_STATUS = 500


class Probe(NamedTuple):
    """A request without a body. host: the value of the Host header."""

    method: str
    target: str
    host: str

    def __str__(self) -> str:
        return f"{self.method} {self.target}"

    @property
    def raw_path(self) -> bytes:
        return self.target.partition("?")[0].encode()

    @property
    def path(self) -> str:
        return unquote(self.target.partition("?")[0])

    @property
    def wsgi_path(self) -> str:
        """The path as PEP 3333 has it: each character is one byte."""
        return unquote_to_bytes(self.target.partition("?")[0]).decode("latin-1")

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]


@dataclass(slots=True)
class Measurement:
    """The response to a probe and its times, in seconds.

    status: 0 for no response. seconds: until the end of the response, the fastest of several. cpu: in the thread that
    calls the application. loop_blocked: the longest time without CPU use in which the event loop did not run. loop_cpu:
    the longest computation in the event loop. place: the line on which the application was seen the longest. size: of
    the body. is_stream: the body did not end, or was sent over a longer time.
    """

    path: str
    status: int = 0
    seconds: float = 0.0
    cpu: float = 0.0
    loop_blocked: float = 0.0
    loop_cpu: float = 0.0
    in_threads: bool = False
    is_stream: bool = False
    is_stuck: bool = False
    size: int = 0
    place: Place | None = None

    @property
    def wait(self) -> float:
        """The time of the response in which its thread did not compute."""
        return max(self.seconds - self.cpu, 0.0)
