"""The first message of a client, as real clients send it, and hostile ones."""

import random
import ssl

import pytest

from ianus.acceptor.tls.client_hello import NO_HELLO, ClientHello, HelloReader


def hello(name: str | None = "Example.ORG", *, ciphers: str = "", protocols: tuple[str, ...] = ()) -> bytes:
    """Returns the first record of a client of Python."""
    context = ssl.create_default_context()
    context.check_hostname = False
    if ciphers:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(ciphers)
    if protocols:
        context.set_alpn_protocols(list(protocols))
    outgoing = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name).do_handshake()
    return outgoing.read()


def read_client_hello(data: bytes) -> ClientHello | None:
    return HelloReader().feed(data)


def test_the_hello_of_a_client() -> None:
    assert read_client_hello(hello()) == ClientHello("example.org", None, True)
    assert read_client_hello(hello(None)) == ClientHello(None, None, True)
    assert read_client_hello(hello(protocols=("h2", "http/1.1"))) == ClientHello(
        "example.org", frozenset((b"h2", b"http/1.1")), True
    )
    assert read_client_hello(hello(ciphers="ECDHE+ECDSA")) == ClientHello("example.org", None, True)
    assert read_client_hello(hello(ciphers="ECDHE+aRSA")) == ClientHello("example.org", None, False)


def test_a_hello_in_pieces() -> None:
    data = hello(protocols=("http/1.1",))
    whole = read_client_hello(data)
    for end in range(len(data)):
        assert read_client_hello(data[:end]) is None
    assert read_client_hello(data + b"more") == whole
    # In records of any size, and byte by byte
    body = data[5:]
    for size in (1, 2, 16, 100):
        cut = b"".join(
            data[:3] + len(part).to_bytes(2, "big") + part
            for part in (body[start : start + size] for start in range(0, len(body), size))
        )
        assert read_client_hello(cut) == whole
        reader = HelloReader()
        assert [found for byte in cut if (found := reader.feed(bytes([byte])))] == [whole]


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x05\x02\x00\x00\x01\x00", b"\x15\x03\x01\x00\x02"]
)
def test_other_bytes(data: bytes) -> None:
    assert read_client_hello(data) == NO_HELLO


def test_a_hello_that_is_too_long() -> None:
    reader = HelloReader()
    assert reader.feed(b"\x16\x03\x01\x40\x00\x01\x00\x7f\xff" + bytes(0x3FFC)) is None
    assert reader.feed(b"\x16\x03\x01\x40\x00" + bytes(0x4000)) == NO_HELLO
    assert read_client_hello(b"\x16\x03\x01\x00\x04\x01\xff\xff\xff") == NO_HELLO


def test_a_name_that_is_not_printable() -> None:
    data = hello("example.org")
    found = read_client_hello(data.replace(b"example.org", b"example\norg"))
    assert found is not None
    assert found.server_name is None


def test_invalid_hellos() -> None:
    """Each hello is read as far as that is possible, and nothing is raised."""
    data = hello(protocols=("h2", "http/1.1"))
    for at in range(5, len(data)):
        for byte in (0, 0x7F, 0xFF):
            read_client_hello(data[:at] + bytes([byte]) + data[at + 1 :])
    generator = random.Random(1)
    for _ in range(2000):
        size = generator.randrange(1, 80)
        message = generator.randbytes(size)
        length = (size + 4).to_bytes(2, "big")
        read = read_client_hello(b"\x16\x03\x01" + length + b"\x01" + size.to_bytes(3, "big") + message)
        assert isinstance(read, ClientHello)
