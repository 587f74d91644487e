"""Clients of gRPC, that of Google and grpclib, call an ASGI application: directly, over TLS, and through proxies."""

import asyncio
import contextlib
import queue
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import pytest
from grpclib.client import Channel, StreamStreamMethod, UnaryUnaryMethod
from grpclib.const import Status
from grpclib.encoding.base import CodecBase
from grpclib.exceptions import GRPCError

from tests.certificates import localhost, root
from tests.e2e.nginx import nginx
from tests.helpers import WAIT_SECONDS, Server
from tests.proxies.forwarders import caddy, haproxy

pytestmark = [pytest.mark.conformance, pytest.mark.plain]

APP = Path(__file__).parent

# As docs/http2.md has them. nginx closes a connection after its thousandth request.
PROXIES: dict[str, Callable[..., contextlib.AbstractContextManager[tuple[str, int]]]] = {
    "nginx": lambda upstream, folder: nginx(upstream, folder, "grpc_read_timeout 60s;", http2=True),
    "HAProxy": lambda upstream, folder: haproxy(upstream, folder, "proto h2", mode="http", bind="proto h2"),
    "Caddy": lambda upstream, folder: caddy(upstream, folder, http2=True),
}


@pytest.fixture(scope="module")
def server(shared: Callable[..., Server]) -> Server:
    return shared("--http2-cleartext", "--app-dir", str(APP), app="grpc_app:app")


class Way(NamedTuple):
    """A way to the application: the address of the server or its proxy. trust: of its certificate, if it has TLS."""

    address: tuple[str, int]
    server: Server
    trust: bytes = b""


@pytest.fixture(scope="module", params=["direct", "TLS", *PROXIES])
def way(
    shared: Callable[..., Server],
    server: Server,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Way]:
    folder = tmp_path_factory.mktemp("grpc")
    if request.param == "TLS":
        certificate, key = localhost().write(folder, "server")
        files = ("--ssl-certfile", certificate, "--ssl-keyfile", key)
        secure = shared(*files, "--app-dir", str(APP), app="grpc_app:app")
        yield Way(("localhost", int(secure.address[1])), secure, root().pem)
        return
    with contextlib.ExitStack() as stack:
        proxy = PROXIES.get(request.param)
        assert isinstance(server.address, tuple)
        yield Way(server.address if proxy is None else stack.enter_context(proxy(server.address, folder)), server)


@pytest.fixture(scope="module")
def channel(way: Way) -> Iterator[grpc.Channel]:
    # The library would ask a proxy of the environment, and share one connection with other tests.
    options = [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]
    name = f"{way.address[0]}:{way.address[1]}"
    if way.trust:
        opened = grpc.secure_channel(name, grpc.ssl_channel_credentials(way.trust), options)
    else:
        opened = grpc.insecure_channel(name, options)
    with opened:
        yield opened


def call(channel: grpc.Channel, method: str, message: bytes = b"", **more: Any) -> bytes:
    response = channel.unary_unary(f"/test.Echo/{method}")(message, timeout=WAIT_SECONDS, wait_for_ready=True, **more)
    assert isinstance(response, bytes)
    return response


@pytest.mark.parametrize("size", [0, 1, 16_384, 3_000_000])
def test_one_message(channel: grpc.Channel, size: int) -> None:
    message = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    assert call(channel, "Each", message) == message


def test_metadata_in_both_directions(channel: grpc.Channel) -> None:
    method = channel.unary_unary("/test.Echo/Metadata")
    response, facts = method.with_call(b"", metadata=[("x-name", "Ada")], timeout=WAIT_SECONDS)
    assert response == b"Ada"
    assert dict(facts.initial_metadata())["x-version"] == "2"
    assert facts.code() == grpc.StatusCode.OK


def test_streams_of_the_server_and_of_the_client(channel: grpc.Channel) -> None:
    count = channel.unary_stream("/test.Echo/Count")
    assert list(count(b"1000", timeout=WAIT_SECONDS)) == [b"%d" % number for number in range(1000)]
    join = channel.stream_unary("/test.Echo/All")
    parts = [b"%d," % number for number in range(1000)]
    assert join(iter(parts), timeout=WAIT_SECONDS) == b"".join(parts)


def test_messages_are_answered_while_the_request_is_open(channel: grpc.Channel) -> None:
    each = channel.stream_stream("/test.Echo/Each")
    answers: queue.Queue[bytes] = queue.Queue()

    def questions() -> Iterator[bytes]:
        for number in range(50):
            yield b"%d" % number
            assert answers.get(timeout=WAIT_SECONDS) == b"%d" % number

    for answer in each(questions(), timeout=WAIT_SECONDS):
        answers.put(answer)


@pytest.mark.parametrize(
    ("method", "code", "text"),
    [("Refuse", grpc.StatusCode.INVALID_ARGUMENT, "not this one"), ("None", grpc.StatusCode.UNIMPLEMENTED, "")],
)
def test_errors_are_in_the_trailers(channel: grpc.Channel, method: str, code: grpc.StatusCode, text: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        call(channel, method)
    assert (caught.value.code(), caught.value.details()) == (code, text)


def test_concurrent_calls(channel: grpc.Channel) -> None:
    with ThreadPoolExecutor(16) as threads:
        messages = [b"%d" % number * 100 for number in range(500)]
        assert list(threads.map(lambda message: call(channel, "Each", message), messages)) == messages


def test_a_call_whose_time_is_over_ends_in_the_application(channel: grpc.Channel, way: Way) -> None:
    mark = way.server.log.mark()
    with pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/test.Echo/Hang")(b"", timeout=0.2)
    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert call(channel, "Each", b"next") == b"next"
    way.server.log.wait_for("^app: cancelled$", mark)


class Bytes(CodecBase):
    """Messages of grpclib are bytes here, as they are of the other library."""

    __content_subtype__ = "raw"

    def encode(self, message: bytes, message_type: object) -> bytes:
        return message

    def decode(self, data: bytes, message_type: object) -> bytes:
        return data


def test_grpclib(server: Server) -> None:
    async def run() -> None:
        channel = Channel(*server.address, codec=Bytes())
        try:
            each = UnaryUnaryMethod(channel, "/test.Echo/Each", bytes, bytes)
            messages = [b"%d" % number * 1000 for number in range(100)]
            assert await asyncio.gather(*(each(message, timeout=WAIT_SECONDS) for message in messages)) == messages
            with pytest.raises(GRPCError) as caught:
                await UnaryUnaryMethod(channel, "/test.Echo/Refuse", bytes, bytes)(b"")
            assert (caught.value.status, caught.value.message) == (Status.INVALID_ARGUMENT, "not this one")
            async with StreamStreamMethod(channel, "/test.Echo/Each", bytes, bytes).open(
                timeout=WAIT_SECONDS
            ) as stream:
                for number in range(20):
                    await stream.send_message(b"%d" % number)
                    assert await stream.recv_message() == b"%d" % number
                await stream.end()
        finally:
            channel.close()

    asyncio.run(run())
