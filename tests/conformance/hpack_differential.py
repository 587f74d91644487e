"""Field blocks for HPACK decoders: those of encoders of real requests, and deterministic mutations of them."""

import random
from collections.abc import Iterator

import hpack

Field = tuple[bytes, bytes]

AGENT = b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"

BROWSER: list[Field] = [
    (b":method", b"GET"),
    (b":authority", b"www.example.com"),
    (b":scheme", b"https"),
    (b":path", b"/api/v1/items/1?page=1&sort=asc"),
    (b"sec-ch-ua", b'"Chromium";v="140", "Not=A?Brand";v="24", "Google Chrome";v="140"'),
    (b"sec-ch-ua-mobile", b"?0"),
    (b"sec-ch-ua-platform", b'"Linux"'),
    (b"upgrade-insecure-requests", b"1"),
    (b"user-agent", AGENT),
    (b"accept", b"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
    (b"sec-fetch-site", b"same-origin"),
    (b"sec-fetch-mode", b"navigate"),
    (b"sec-fetch-user", b"?1"),
    (b"sec-fetch-dest", b"document"),
    (b"referer", b"https://www.example.com/start"),
    (b"accept-encoding", b"gzip, deflate, br, zstd"),
    (b"accept-language", b"en-US,en;q=0.9,de;q=0.8"),
    (b"cookie", b"session=" + b"a1B2c3D4" * 24 + b"; theme=dark; _ga=GA1.1.123456789.1700000000; consent=" + b"x" * 80),
    (b"priority", b"u=0, i"),
]
POST: list[Field] = [
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/"),
    (b":authority", b"localhost:8000"),
    (b"content-type", b"application/grpc"),
    (b"te", b"trailers"),
    (b"content-length", b"12"),
    (b"cookie", b"a=1"),
    (b"cookie", b"b=2"),
    (b"x-forwarded-for", b"192.0.2.1"),
    (b"host", b"localhost:8000"),
]
CONNECT: list[Field] = [
    (b":method", b"CONNECT"),
    (b":protocol", b"websocket"),
    (b":scheme", b"https"),
    (b":path", b"/chat"),
    (b":authority", b"[::1]"),
    (b"sec-websocket-version", b"13"),
]
TRAILERS: list[Field] = [(b"grpc-status", b"0"), (b"x-sum", b"\xff\x80")]
MALFORMED: list[Field] = [(b"X-Upper", b"1"), (b"connection", b"close"), (b":status", b"200"), (b"x", b"a\r\nb")]


def conversations() -> Iterator[list[bytes]]:
    """The blocks of a few connections."""
    for huffman in (False, True):
        for sensitive in (b":path", b"cookie", b""):
            encoder = hpack.Encoder()
            blocks = []
            for fields in (BROWSER, BROWSER, POST, CONNECT, TRAILERS, POST, MALFORMED, BROWSER):
                blocks.append(
                    encoder.encode([(name, value, name == sensitive) for name, value in fields], huffman=huffman)
                )
            yield blocks
            encoder.header_table_size = 128
            yield [*blocks, encoder.encode(BROWSER, huffman=huffman), encoder.encode(POST, huffman=huffman)]


def seeds() -> list[bytes]:
    """Inputs of fuzz/hpack_blocks: one block each, and short ones together."""
    found = {bytes([255]) + block for blocks in conversations() for block in blocks if len(block) < 256}
    for blocks in conversations():
        size = max(len(block) for block in blocks[2:6])
        if size < 256:
            # Filled up with indexed fields of the static table.
            found.add(bytes([size]) + b"".join(block + b"\x82" * (size - len(block)) for block in blocks[2:6]))
    return sorted(found)


def mutations(count: int, seed: int) -> Iterator[list[bytes]]:
    """Connections whose blocks are mutated here and there."""
    source = random.Random(seed)
    known = list(conversations())
    for _ in range(count):
        blocks = list(source.choice(known))
        start = source.randrange(len(blocks))
        blocks = blocks[start : start + 3] if source.random() < 0.5 else blocks[:3]
        for _ in range(source.randrange(1, 4)):
            at = source.randrange(len(blocks))
            blocks[at] = mutate(blocks[at], source)
        yield blocks


def mutate(block: bytes, source: random.Random) -> bytes:
    if not block:
        return source.randbytes(4)
    at = source.randrange(len(block))
    match source.randrange(6):
        case 0:
            return block[:at] + bytes([block[at] ^ 1 << source.randrange(8)]) + block[at + 1 :]
        case 1:
            return block[:at] + source.randbytes(1) + block[at + 1 :]
        case 2:
            return block[:at] + source.randbytes(source.randrange(1, 6)) + block[at:]
        case 3:
            return block[:at] + block[at + source.randrange(1, 9) :]
        case 4:
            return block[:at]
        case _:
            other = source.randrange(len(block))
            return block[:at] + block[other : other + source.randrange(1, 40)] + block[at:]
