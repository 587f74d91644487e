"""The example applications keep to their specifications, and the links of their pages are valid."""

import asyncio
import hashlib
import io
import json
import re
import runpy
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from wsgiref.handlers import SimpleHandler
from wsgiref.validate import validator

import pytest
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State
from websockets.sync.client import ClientConnection, connect
from websockets.uri import parse_uri

from tests.helpers import WAIT_SECONDS, Server, until

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes time.sleep() return at once."""
    monkeypatch.setattr(time, "sleep", lambda seconds: None)


def call_wsgi(path: str, body: bytes = b"") -> tuple[str, bytes]:
    """Returns status and body of gate.py's response, through wsgiref's validator and handler."""
    app = runpy.run_path(str(EXAMPLES / "gate.py"))["app"]
    environ = {
        "REQUEST_METHOD": "PUT" if body else "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_LENGTH": str(len(body)),
    }
    output, errors = io.BytesIO(), io.StringIO()
    SimpleHandler(io.BytesIO(body), output, errors, environ).run(validator(app))
    assert errors.getvalue() == ""
    head, _, content = output.getvalue().partition(b"\r\n\r\n")
    status = re.match(rb"HTTP/1.0 (.*)\r\n", head)
    assert status is not None
    return status[1].decode(), content


def call_asgi(path: str, root_path: str = "") -> list[dict[str, Any]]:
    """Returns the messages that hello.py sends."""
    app = runpy.run_path(str(EXAMPLES / "hello.py"))["app"]
    scope = {
        "type": "http",
        "method": "GET",
        "root_path": root_path,
        "path": root_path + path,
        "query_string": b"",
        "http_version": "1.1",
        "client": None,
        "headers": [(b"host", b"test")],
    }
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)
        if message.get("more_body"):
            raise ConnectionError("the test has read enough of the stream")

    try:
        asyncio.run(app(scope, receive, send))
    except ConnectionError:
        pass
    return sent


@pytest.mark.usefixtures("no_time")
def test_the_wsgi_example_answers() -> None:
    assert call_wsgi("/sleep") == ("200 OK", b"Slept for a second.\n")
    assert call_wsgi("/stream")[1].splitlines()[::9] == [b"Line 1 of 10", b"Line 10 of 10"]
    assert call_wsgi("/source") == ("200 OK", (EXAMPLES / "gate.py").read_bytes())
    assert call_wsgi("/missing")[0] == "404 Not Found"


def test_the_wsgi_example_counts_an_upload() -> None:
    body = bytes(100_000)
    expected = f"100000 bytes, SHA-256 {hashlib.sha256(body).hexdigest()}\n"
    assert call_wsgi("/upload", body) == ("200 OK", expected.encode())


@pytest.mark.usefixtures("no_time")
def test_the_wsgi_example_s_page_has_valid_links() -> None:
    page = call_wsgi("/")[1].decode()
    for path in set(re.findall(r'["`](/[a-z/]*)[?"`]', page)):
        if path == "/chat/":
            continue  # Starlette's lifespan needs a server.
        if path.startswith("/live/"):
            assert call_asgi(path.removeprefix("/live"), "/live")[0]["status"] == 200
        elif path != "/upload":
            assert call_wsgi(path)[0] == "200 OK"


@pytest.mark.parametrize("root_path", ["", "/live"])
def test_the_asgi_example_s_page_has_valid_links(root_path: str) -> None:
    start, page = call_asgi("/", root_path)
    assert start["status"] == 200
    text = page["body"].decode()
    assert f'<base href="{root_path}/">' in text
    paths = set(re.findall(r'(?:EventSource\(|fetch\(|<a href=)"([^"]*)"', text))
    assert paths == {"clock", "echo"}
    for path in paths:
        assert call_asgi(f"/{path}", root_path)[0]["status"] == 200
    assert call_asgi("/missing", root_path)[0]["status"] == 404


def make_serve() -> tuple[list[str], str]:
    """Returns options and application of `make serve`."""
    makefile = (EXAMPLES.parent / "Makefile").read_text()
    command = re.search(r"^serve: build\n\t.*/ianus --app-dir examples (.*) \$\(ARGS\) (\S+)$", makefile, re.MULTILINE)
    assert command is not None
    return command[1].split(), command[2]


def test_make_serve_serves_all_side_by_side(start_server: Callable[..., Server]) -> None:
    options, app = make_serve()
    server = start_server(*options, app=app, app_dir=EXAMPLES)
    assert b"/live/clock" in server.get("/").body
    assert server.get("/source").body == (EXAMPLES / "gate.py").read_bytes()
    assert b'<base href="/live/">' in server.get("/live/").body
    assert json.loads(server.get("/live/echo").body)["path"] == "/live/echo"
    page = server.get("/chat/").body
    assert page == (EXAMPLES / "chat.html").read_bytes()
    assert set(re.findall(rb"(?:EventSource\(|URL\()[`\"](\w+)", page)) == {b"feed", b"room"}
    assert server.get("/chat").header(b"location") == b"http://test/chat/"


# --- The chat ---


@pytest.fixture
def chat(start_server: Callable[..., Server]) -> Server:
    return start_server(app="chat:app", app_dir=EXAMPLES)


def join(server: Server, query: str = "") -> ClientConnection:
    """Connects to the chat, for use in a `with`."""
    assert isinstance(server.address, tuple)
    host, port = server.address
    return connect(f"ws://{host}:{port}/room{query}", open_timeout=WAIT_SECONDS, close_timeout=WAIT_SECONDS)


def send_text(person: ClientConnection, name: str, text: str) -> None:
    person.send(json.dumps({"name": name, "text": text}))


def received(person: ClientConnection) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(person.recv(WAIT_SECONDS))
    return message


def test_a_chat(chat: Server) -> None:
    with join(chat) as ada, join(chat) as grace:
        send_text(ada, " Ada ", "Hello!")
        send_text(ada, "Ada", "  ")
        send_text(ada, "A" * 31, "x" * 1001)
        for person in (ada, grace):
            first, second = received(person), received(person)
            assert (first["name"], first["text"]) == ("Ada", "Hello!")
            assert (second["name"], second["text"]) == ("A" * 30, "x" * 1000)
            assert second["number"] == first["number"] + 1
        with join(chat, f"?after={first['number']}") as late:
            assert received(late) == second
        with join(chat, "?after=nothing") as late:
            assert [received(late), received(late)] == [first, second]


def test_a_burst_reaches_all_clients(start_server: Callable[..., Server]) -> None:
    """The burst has more messages than the chat stores."""
    texts = [str(number) for number in range(200)]
    sender = ClientProtocol(parse_uri("ws://test/"), state=State.OPEN)
    for text in texts:
        sender.send_text(json.dumps({"name": "Ada", "text": text}).encode())
    chat = start_server("--ws-max-queue", "200", app="chat:app", app_dir=EXAMPLES)
    with join(chat) as ada, join(chat) as grace:
        ada.socket.sendall(b"".join(sender.data_to_send()))
        for person in (ada, grace):
            assert [received(person)["text"] for _ in texts] == texts


def test_nonsense_in_a_chat(chat: Server) -> None:
    for nonsense in ("{", "[]", "1", '{"name": "Ada"}', b"{}"):
        with join(chat) as person:
            person.send(nonsense)
            with pytest.raises(ConnectionClosed):
                person.recv(WAIT_SECONDS)
            assert person.close_code == 1007


def test_the_feed_continues_after_the_last_event(chat: Server) -> None:
    """Its events have the number of connected clients."""
    with join(chat), chat.connect() as client:
        client.request("/feed", b"Last-Event-ID: 99")
        assert (b"connection", b"close") in client.head()[3]
        assert client.chunk() == b"retry: 500\n\n"
        until(lambda: b'"people": 1' in client.chunk(), "an event with one connected client")
        found = re.fullmatch(rb"id: (\d+)\ndata: (.*)\n\n", client.chunk())
        assert found is not None
        assert json.loads(found[2])["number"] == int(found[1])
    with chat.connect() as client:
        client.request("/feed", b"Last-Event-ID: " + found[1])
        client.head()
        assert client.chunk() == b"retry: 500\n\n"
        assert client.chunk().startswith(b"id: %d\n" % (int(found[1]) + 1))
