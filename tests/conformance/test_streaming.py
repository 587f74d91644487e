"""Large bodies go through in constant memory, whichever side is slow."""

import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helpers import Client, Server, measures_memory

pytestmark = [pytest.mark.conformance, measures_memory]

SIZE = int(float(os.environ.get("IANUS_GIGABYTES", "1")) * 1e9)
PIECE = 1 << 20
FLAT = 20_000_000  # bytes by which memory may grow
APP = Path(__file__).parent

Start = Callable[..., Server]


@pytest.fixture(
    params=[
        pytest.param(("streaming_app:app",), id="ASGI"),
        pytest.param(("wsgi_streaming_app:app",), id="WSGI"),
        pytest.param(("wsgi_streaming_app:app", "--mount", "/asgi=streaming_app:app"), id="WSGI beside ASGI"),
    ]
)
def server(start_server: Start, request: pytest.FixtureRequest) -> Server:
    app, *options = request.param
    server = start_server("--max-request-body-size", "0", "--no-access-log", *options, app=app, app_dir=APP)
    # One-time allocations happen here.
    with server.connect() as client:
        client.post("/up", b"x" * PIECE)
        client.get(f"/down/length?{4 * PIECE}")
    return server


class Memory:
    """The memory of a server, from now on."""

    def __init__(self, server: Server) -> None:
        self._folder = Path(f"/proc/{server.pid}")
        self._folder.joinpath("clear_refs").write_text("5")  # forget the peak (proc(5))
        self._before = self._bytes("VmRSS")

    def growth(self) -> int:
        """Returns the bytes by which the peak exceeds the first value."""
        return self._bytes("VmHWM") - self._before

    def _bytes(self, name: str) -> int:
        found = re.search(rf"^{name}:\s+(\d+) kB$", self._folder.joinpath("status").read_text(), re.MULTILINE)
        assert found is not None
        return 1024 * int(found[1])


def pieces(size: int) -> Iterator[bytes]:
    data = b"y" * PIECE
    while size:
        yield data[:size]
        size -= min(size, PIECE)


@pytest.mark.parametrize("path", ["/up", "/up/slow"])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_up(server: Server, path: str, chunked: bool) -> None:
    memory = Memory(server)
    with server.connect(timeout=60) as client:
        framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % SIZE
        client.request(path, framing, method="POST")
        for piece in pieces(SIZE):
            client.send(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        if chunked:
            client.send(b"0\r\n\r\n")
        assert client.response().body == b"%d" % SIZE
    assert memory.growth() < FLAT


@pytest.mark.parametrize("slow", [False, True], ids=["fast", "slow"])
@pytest.mark.parametrize("path", ["/down/length", "/down/chunked"])
def test_down(server: Server, path: str, slow: bool) -> None:
    memory = Memory(server)
    with server.connect(timeout=60) as client:
        client.request(f"{path}?{SIZE}")
        status, received = client.head()[1], 0
        for size in body_pieces(client, chunked=path == "/down/chunked"):
            received += size
            if slow:
                time.sleep(0.002)  # the server is faster than that and always has to wait
    assert (status, received) == (200, SIZE)
    assert memory.growth() < FLAT


def test_written(server: Server) -> None:
    """write() of WSGI; the ASGI application takes it for another name of /down/chunked."""
    memory = Memory(server)
    with server.connect(timeout=60) as client:
        client.request(f"/down/write?{SIZE}")
        assert client.head()[1] == 200
        assert sum(body_pieces(client, chunked=True)) == SIZE
    assert memory.growth() < FLAT


def body_pieces(client: Client, *, chunked: bool) -> Iterator[int]:
    """Reads a body piece by piece; yields their sizes."""
    if chunked:
        while piece := client.chunk():
            yield len(piece)
    else:
        left = SIZE
        while left:
            left -= (size := len(client.exactly(min(PIECE, left))))
            yield size
