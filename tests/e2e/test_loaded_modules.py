"""A worker loads the modules that its settings need: a start takes time for each, and each worker memory."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers import Server

APPS = """
import sys

def names():
    return "\\n".join(list(sys.modules)).encode()

async def asgi(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": names()})

def wsgi(environ, start_response):
    start_response("200 OK", [])
    return [names()]
"""

# The modules of TLS, of HTTP/2 and of the help pages. TlsFacts is a type that the gateways are compiled with.
OPTIONAL = re.compile(r"ianus\.acceptor\.tls\b|ianus\.runtime\.x509|ianus\.[a-z0-9_.]*http2|cryptography|click\b")


@pytest.fixture
def load(start_server: Callable[..., Server], tmp_path: Path) -> Callable[..., set[str]]:
    """load(application, *options): the names of the modules that a worker has loaded at its first request."""
    (tmp_path / "loaded.py").write_text(APPS)

    def load(name: str, *options: str) -> set[str]:
        server = start_server("--lifespan", "off", *options, app=f"loaded:{name}", app_dir=tmp_path)
        return set(server.get("/").body.decode().split("\n"))

    return load


@pytest.mark.plain
@pytest.mark.parametrize("interface", ["asgi", "wsgi"])
def test_nothing_optional_is_loaded_without_its_setting(load: Callable[..., set[str]], interface: str) -> None:
    loaded = load(interface)
    assert "ianus.acceptor.reactor" in loaded
    assert sorted(filter(OPTIONAL.match, loaded)) == []
    other = "asgi.gateway" if interface == "wsgi" else "wsgi.gateway"
    assert f"ianus.gateway.{other}" not in loaded


def test_http2_is_loaded_if_it_is_on(load: Callable[..., set[str]]) -> None:
    assert "ianus.exchange.http2_session" in load("asgi", "--http2-cleartext")
