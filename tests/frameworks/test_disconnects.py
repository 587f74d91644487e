"""Clients that disconnect during a download: generators are closed, background tasks run, no thread is lost."""

import json
from collections import Counter
from collections.abc import Callable

import pytest

from tests.helpers import Server, many, until

COUNT = 8


@pytest.fixture
def disconnect_server(serve: Callable[..., Server], loop: str) -> Server:
    return serve("disconnect_app:app", "--loop", loop)


def counts(server: Server, query: str = "") -> Counter[str]:
    return Counter(json.loads(server.get(f"/counts{query}").body))


def disconnect_downloads(server: Server, path: str, count: int = COUNT) -> None:
    """Lets some clients start a download and disconnect."""
    with many(count, server.connect) as clients:
        for client in clients:
            client.request(path)
        for client in clients:
            client.head()
            client.exactly(100)


@pytest.mark.parametrize("name", ["starlette", "quart", "litestar", "django", "listening"])
def test_generators_are_closed_when_clients_disconnect(disconnect_server: Server, name: str) -> None:
    """On 8f33085 `finally` blocks of busy generators did not run: send() raised, and the generator stayed open."""
    before = counts(disconnect_server)[f"{name} closed"]
    disconnect_downloads(disconnect_server, f"/{name}/stream")
    until(lambda: counts(disconnect_server)[f"{name} closed"] == before + COUNT, "all generators to be closed")


@pytest.mark.parametrize("name", ["middleware", "fastapi"])
def test_generators_below_middleware_are_closed_when_clients_disconnect(disconnect_server: Server, name: str) -> None:
    """If Starlette's middleware cancels the transfer of a block, the generator is closed with its collection."""
    before = counts(disconnect_server)[f"{name} closed"]
    disconnect_downloads(disconnect_server, f"/{name}/stream")
    until(
        lambda: counts(disconnect_server, "?collect")[f"{name} closed"] == before + COUNT, "all generators to be closed"
    )


@pytest.mark.parametrize("path", ["/starlette/stream", "/middleware/stream", "/starlette/events", "/fastapi/stream"])
def test_background_tasks_run_when_clients_disconnect(disconnect_server: Server, path: str) -> None:
    """On 8f33085 they were lost with the exception of send(), as under a middleware of Starlette."""
    name = path.split("/")[1]
    before = counts(disconnect_server)[f"{name} background"]
    disconnect_downloads(disconnect_server, path)
    until(lambda: counts(disconnect_server)[f"{name} background"] == before + COUNT, "all background tasks to run")


@pytest.mark.parametrize("name", ["starlette", "middleware"])
def test_temporary_file_is_removed_when_its_client_disconnects(disconnect_server: Server, name: str) -> None:
    """By the background task of a FileResponse, as its documentation has it."""
    before = counts(disconnect_server)[f"{name} background"]
    with many(COUNT, disconnect_server.connect) as clients:
        for client in clients:
            client.request(f"/{name}/file")
        for client in clients:
            client.head()
            client.exactly(1000)
    until(lambda: counts(disconnect_server)[f"{name} background"] == before + COUNT, "all background tasks to run")


@pytest.mark.parametrize(("name", "count", "times"), [("a2wsgi", 8, 2), ("asgiref", 1, 3)])
def test_wsgi_bridges_lose_no_thread_when_clients_disconnect(
    disconnect_server: Server, name: str, count: int, times: int
) -> None:
    """a2wsgi has ten threads; each client that left kept one of them until the server was killed. asgiref has one."""
    before = counts(disconnect_server)[f"{name} closed"]
    for _ in range(times):
        disconnect_downloads(disconnect_server, f"/{name}/stream", count)
    until(lambda: counts(disconnect_server)[f"{name} closed"] == before + count * times, "all threads to be free")
    assert len(disconnect_server.get(f"/{name}/stream").body) == 200 * 65536
