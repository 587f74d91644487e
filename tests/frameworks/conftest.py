"""One server for each application and event loop, shared by the tests of a file.

The log of such a server may contain lines of its application and lifecycle messages of the server, and
not one line more: no traceback, no warning, nothing of tasks or coroutines that were lost. Tests that want an
error start a server of their own (`start_server`).
"""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.frameworks.client_helpers import APPS
from tests.helpers import WAIT_SECONDS, Server, stop_all, url_of

LARGE = bytes(range(256)) * 4096 * 3  # 3 MiB

# Modules with a WSGI application, `app`, and `validated`, which is the same below wsgiref's validator.
WSGI_MODULES = ["flask_app", "django_site", "pyramid_app", "bottle_app", "falcon_wsgi_app", "werkzeug_app"]

EXPECTED_LINE = re.compile(r"app: |\S+ \S+ \S+ INFO ")
# Warnings that are expected, with the line of code below them:
# - Django's that a stream is not asynchronous, which those of its own FileResponse never are;
# - Starlette's to Connexion, which imports its test client;
# - setuptools' to Pyramid, which imports pkg_resources.
EXPECTED_WARNING = re.compile(
    r"^.*(must consume synchronous iterators|StarletteDeprecationWarning"
    r"|pkg_resources is deprecated).*\n(  .*\n)?",
    re.MULTILINE,
)


@pytest.fixture(scope="session", params=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest) -> str:
    """The event loop that the server runs."""
    return str(request.param)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the servers; applications serve files from it."""
    path = tmp_path_factory.mktemp("frameworks")
    (path / "large.bin").write_bytes(LARGE)
    (path / "small.txt").write_text("small\n")
    return path


@pytest.fixture(scope="module")
def serve(folder: Path) -> Iterator[Callable[..., Server]]:
    """serve(app, *options): the one server of this application with these options.

    Not for all files: the sum of such servers takes more memory under AddressSanitizer than a machine has.
    """
    servers: dict[tuple[str, ...], Server] = {}

    def get(*arguments: str) -> Server:
        if arguments not in servers:
            servers[arguments] = Server(*arguments, cwd=folder, app_dir=APPS)
        return servers[arguments]

    yield get
    stop_all(servers.values(), check_log)


def check_log(server: Server) -> None:
    """Asserts that the log has only expected lines, and (in a debug build, which counts) that nothing leaked."""
    lines = EXPECTED_WARNING.sub("", server.log.text).splitlines()
    unexpected = [line for line in lines if not EXPECTED_LINE.match(line)]
    assert not unexpected, "\n".join(lines)
    counts = re.search(r"^app: alive: (.*)$", server.log.text, re.MULTILINE)
    assert counts is not None, "the application was not shut down"
    left = json.loads(counts[1])
    assert not left.get("connections"), f"leaked: {left}"
    assert not left.get("exchanges"), f"leaked: {left}"


@pytest.fixture(scope="session", params=["led", "validated", "pooled"])
def way(request: pytest.FixtureRequest) -> str:
    """How a WSGI application is served (test_wsgi.py)."""
    return str(request.param)


@pytest.fixture
def serve_wsgi(serve: Callable[..., Server], way: str) -> Callable[[str], Server]:
    """serve_wsgi(module): the one server of the application in this module, in this way."""

    def get(module: str) -> Server:
        app = f"{module}:{'validated' if way == 'validated' else 'app'}"
        beside = ("--mount", "/asgi=asyncio_app:app") if way == "pooled" else ()
        return serve(app, *beside)

    return get


@pytest.fixture
def fastapi_server(serve: Callable[..., Server], loop: str) -> Server:
    return serve("fastapi_app:app", "--loop", loop)


@pytest.fixture
def starlette_server(serve: Callable[..., Server], loop: str) -> Server:
    return serve("starlette_app:app", "--loop", loop)


@pytest.fixture
def asyncio_server(serve: Callable[..., Server], loop: str) -> Server:
    return serve("asyncio_app:app", "--loop", loop)


@pytest.fixture
def client_of() -> Iterator[Callable[[Server], httpx.Client]]:
    """client_of(server): an HTTP client as its users have one, with a pool of connections."""
    clients: list[httpx.Client] = []

    def get(server: Server) -> httpx.Client:
        assert isinstance(server.address, tuple)
        # Not verified: loading all certificates takes longer than a test.
        clients.append(
            httpx.Client(base_url=url_of(server.address), timeout=WAIT_SECONDS, verify=False, trust_env=False)
        )
        return clients[-1]

    yield get
    for client in clients:
        client.close()


@pytest.fixture
def fastapi_client(fastapi_server: Server, client_of: Callable[[Server], httpx.Client]) -> httpx.Client:
    return client_of(fastapi_server)


@pytest.fixture
def starlette_client(starlette_server: Server, client_of: Callable[[Server], httpx.Client]) -> httpx.Client:
    return client_of(starlette_server)
