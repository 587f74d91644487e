"""The time to the first paint of a page over a slow link, by HTTP/2 over TLS: ``python bench/first_paint.py``.

The client asks for the document, and then at once for the other objects, in the order of the document. It sends its
wishes by RFC 9218 and by the dependencies of RFC 7540, as browsers did when both were in use. After half of the
images it asks for a font, as a style sheet does that has just been read.

It reads at a fixed rate, and its socket buffers little, so the responses wait in the server. nginx and h2o send files.
Needs h2 (``make venv``), openssl, and nginx and h2o for their rows.
"""

import argparse
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import h2.config
import h2.connection
import h2.events
from certificate import make_certificate

HOST = "127.0.0.1"
WINDOW_BYTES = 1 << 24
RECEIVE_BUFFER = 32768  # bytes of a socket, so that the kernel does not read ahead in our place
READ_BYTES = 16384

# Bytes of an object, the wish of RFC 9218, the weight of RFC 7540
KINDS = {
    "document.html": (30_000, b"u=0, i", 256),
    "style.css": (20_000, b"u=0", 256),
    "font.woff2": (30_000, b"u=1", 220),
    "script.js": (30_000, b"u=2", 183),
    "image.jpg": (30_000, b"u=4, i", 110),
}
DOCUMENT, STYLE, FONT, SCRIPT, IMAGE = KINDS
PAGE = [STYLE] * 5 + [SCRIPT] * 5 + [IMAGE] * 40 + [SCRIPT] * 10 + [IMAGE] * 39

NGINX = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    sendfile on;
    proxy_temp_path {folder}/proxy;
    ssl_certificate {folder}/cert.pem;
    ssl_certificate_key {folder}/key.pem;
    server {{
        listen 127.0.0.1:{port} ssl http2;
        location / {{ {location}; }}
    }}
}}
"""

H2O = """
listen: {{host: 127.0.0.1, port: {port}, ssl: {{certificate-file: cert.pem, key-file: key.pem}}}}
num-threads: 1
hosts: {{default: {{paths: {{/: {{file.dir: {folder}/files}}}}}}}}
"""


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers with an object of the kind in the path."""
    if scope["type"] == "http":
        body = bytes(KINDS[scope["path"][1:]][0])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})


class Page:
    """A visit of the page. times: seconds after the request of the document at which each kind was complete."""

    def __init__(self, port: int, rate: float) -> None:
        """rate: bytes a second that the link carries."""
        self.rate = rate
        self.left: dict[str, int] = {}
        self.times: dict[str, float] = {}
        self.streams: dict[int, str] = {}
        self.images_read = 0  # bytes
        self.font_asked_at = 0.0
        self.parents: dict[int, int] = {}  # the last stream of each weight
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
        plain = socket.socket()
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        plain.connect((HOST, port))
        self.socket = context.wrap_socket(plain)
        self.connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding=None))
        self.connection.initiate_connection()
        self.connection.update_settings({4: WINDOW_BYTES})
        self.connection.increment_flow_control_window(WINDOW_BYTES)

    def visit(self) -> None:
        """Asks for everything, and returns after the last byte."""
        self.start = time.monotonic()
        self.ask(DOCUMENT)
        received, started = 0, time.monotonic()
        while self.left:
            self.socket.sendall(self.connection.data_to_send())
            data = self.socket.recv(READ_BYTES)
            if not data:
                raise ConnectionError("the server has closed the connection")
            received += len(data)
            time.sleep(max(0.0, started + received / self.rate - time.monotonic()))
            for event in self.connection.receive_data(data):
                self.note(event)
        self.socket.close()

    def ask(self, kind: str) -> None:
        """Asks for an object with the next output. Its stream depends on the last one that is as urgent, or more."""
        stream = self.connection.get_next_available_stream_id()
        _, wish, weight = KINDS[kind]
        fields = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"localhost")]
        parent = max((last for urgent, last in self.parents.items() if urgent >= weight), default=0)
        self.connection.send_headers(
            stream,
            [*fields, (b":path", b"/" + kind.encode()), (b"priority", wish)],
            end_stream=True,
            priority_weight=weight,
            priority_depends_on=parent,
            priority_exclusive=True,
        )
        self.parents[weight] = stream
        self.streams[stream] = kind
        self.left[kind] = self.left.get(kind, 0) + 1

    def note(self, event: Any) -> None:
        if isinstance(event, h2.events.DataReceived):
            self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            if self.streams[event.stream_id] == IMAGE:
                self.images_read += len(event.data)
                if not self.font_asked_at and self.images_read > PAGE.count(IMAGE) * KINDS[IMAGE][0] / 2:
                    self.font_asked_at = time.monotonic() - self.start
                    self.ask(FONT)
        elif isinstance(event, h2.events.ResponseReceived):
            if dict(event.headers)[b":status"] != b"200":
                raise ValueError(f"unexpected response: {event.headers}")
        elif isinstance(event, h2.events.StreamEnded):
            kind = self.streams[event.stream_id]
            self.left[kind] -= 1
            if not self.left[kind]:
                del self.left[kind]
                self.times[kind] = time.monotonic() - self.start
            if kind == DOCUMENT:
                for each in PAGE:
                    self.ask(each)

    @property
    def figures(self) -> tuple[float, float, float, float]:
        """Seconds: of the document, of all that the first paint needs, of the font after its request, of everything."""
        paint = max(self.times[kind] for kind in (DOCUMENT, STYLE, SCRIPT))
        return self.times[DOCUMENT], paint, self.times[FONT] - self.font_asked_at, max(self.times.values())


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return int(listener.getsockname()[1])


@contextmanager
def running(command: list[str], folder: Path, port: int) -> Iterator[None]:
    """Runs a server until the end of the block."""
    process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with socket.socket() as client:
                if client.connect_ex((HOST, port)) == 0:
                    break
            if process.poll() is not None:
                raise SystemExit(f"{command[0]} has exited")
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait()


def commands(folder: Path, port: int, upstream: int) -> dict[str, list[str]]:
    """The commands of all servers, whose files are written. nginx of the second row is in front of Ianus."""
    files = folder / "files"
    files.mkdir()
    for kind, (size, _, _) in KINDS.items():
        (files / kind).write_bytes(bytes(size))
    make_certificate(folder)
    for name, location in (("nginx", f"root {files}"), ("proxy", f"proxy_pass http://{HOST}:{upstream}")):
        (folder / name).write_text(NGINX.format(folder=folder, port=port, location=location))
    (folder / "h2o").write_text(H2O.format(folder=folder, port=port))
    ianus = [sys.executable, "-P", "-m", "ianus", "first_paint:app", "--no-access-log", "--log-level", "error"]
    ianus += ["--pythonpath", str(Path(__file__).parent), "--bind"]
    nginx = [shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin") or "nginx", "-p", str(folder), "-c"]
    return {
        "ianus": [*ianus, f"{HOST}:{port}", "--ssl-certfile", "cert.pem", "--ssl-keyfile", "key.pem"],
        "nginx": [*nginx, str(folder / "nginx")],
        "nginx + ianus": [*nginx, str(folder / "proxy")],
        "h2o": ["h2o", "-c", str(folder / "h2o")],
        "upstream": [*ianus, f"{HOST}:{upstream}"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=500_000, help="bytes a second of the link")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    port, upstream = free_port(), free_port()
    figures: dict[str, list[tuple[float, ...]]] = {}
    with TemporaryDirectory() as name:
        folder = Path(name)
        # The workers of nginx have a user of their own.
        folder.chmod(0o755)
        lines = commands(folder, port, upstream)
        with running(lines.pop("upstream"), folder, upstream):
            for _ in range(options.rounds):
                for server, command in lines.items():
                    if shutil.which(command[0]) is None:
                        continue
                    with running(command, folder, port):
                        page = Page(port, options.rate)
                        page.visit()
                        figures.setdefault(server, []).append(page.figures)
    print(f"seconds at {options.rate:,.0f} bytes a second, medians of {options.rounds}")
    print("| server | document | first paint | font, late | everything |\n|---|---:|---:|---:|---:|")
    for server, rows in figures.items():
        medians = (f"{statistics.median(column):.3f}" for column in zip(*rows, strict=True))
        print(f"| {server} | {' | '.join(medians)} |")


if __name__ == "__main__":
    main()
