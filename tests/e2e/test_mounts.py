"""Several applications in one process: which one is called, with which prefix; none waits for another."""

import json
import signal
from collections.abc import Callable

import pytest

from tests.helpers import Client, Gate, Server, many, until

MOUNTS = ("--mount", "/api=mount_apps:one", "--mount", "/api/v2=mount_apps:other", "--mount", "/live=mount_apps:two")
# No ASGI application: threads lead.
WSGI_MOUNTS = ("--mount", "/api=mount_apps:other")

# target: application, SCRIPT_NAME, PATH_INFO for WSGI; application, root_path, path for ASGI
ROUTES = {
    "/": ("main", "", "/"),
    "/x": ("main", "", "/x"),
    "/api": ("one", "/api", "/api"),
    "/api/": ("one", "/api", "/api/"),
    "/api/x": ("one", "/api", "/api/x"),
    "/api?x=/live": ("one", "/api", "/api"),
    "/apix": ("main", "", "/apix"),
    "/api.x": ("main", "", "/api.x"),
    "/api;x": ("main", "", "/api;x"),
    "/ap": ("main", "", "/ap"),
    "/API": ("main", "", "/API"),
    "/?/api": ("main", "", "/"),
    "/x/api": ("main", "", "/x/api"),
    "/./api": ("main", "", "/./api"),
    "//api": ("main", "", "//api"),
    "//": ("main", "", "//"),
    "/api//x": ("one", "/api", "/api//x"),
    "/api/../x": ("one", "/api", "/api/../x"),
    "/api/v2": ("other", "/api/v2", ""),
    "/api/v2?": ("other", "/api/v2", ""),
    "/api/v2/": ("other", "/api/v2", "/"),
    "/api/v2/x": ("other", "/api/v2", "/x"),
    "/api/v2//x": ("other", "/api/v2", "//x"),
    "/api/v2x": ("one", "/api", "/api/v2x"),
    "/api//v2": ("one", "/api", "/api//v2"),
    "/api/v2/live": ("other", "/api/v2", "/live"),
    "/live": ("two", "/live", "/live"),
    # Encoded or not, it is the same path, and every application decodes it.
    "/%61pi/x": ("one", "/api", "/api/x"),
    "/api/%762/%78": ("other", "/api/v2", "/x"),
    "/api%78": ("main", "", "/apix"),
    "/api/v2/%2e%2e/x": ("other", "/api/v2", "/../x"),
    "/%2561pi": ("main", "", "/%61pi"),
    "/api%00": ("main", "", "/api\0"),
    "/%ff": ("main", "", "/\xff"),
}


def where(client: Client, target: str, method: str = "GET") -> tuple[str, ...]:
    client.request(target, method=method)
    response = client.response()
    assert response.status == 200
    *place, raw = json.loads(response.body)
    assert raw in (target, target.partition("?")[0])  # raw_path is without the query
    return tuple(place)


@pytest.mark.parametrize("target", ROUTES)
def test_longest_prefix_of_segments(shared: Callable[..., Server], target: str) -> None:
    with shared(*MOUNTS, app="mount_apps:main").connect() as client:
        assert where(client, target) == ROUTES[target]


@pytest.mark.parametrize("target", ["/api%2Fx", "/api%2Fv2", "/api/v2%2Fx", "/x%2Fapi", "/%2Fapi", "/api%2f"])
def test_encoded_slashes(shared: Callable[..., Server], target: str) -> None:
    """Each application gets the whole path, and its own prefix is a prefix of that."""
    with shared(*MOUNTS, app="mount_apps:main").connect() as client:
        name, prefix, path = where(client, target)
    decoded = target.replace("%2F", "/").replace("%2f", "/")
    assert (prefix + path if name in ("main", "other") else path) == decoded
    assert path.startswith(prefix) or name in ("main", "other")


def test_targets_without_a_path(shared: Callable[..., Server]) -> None:
    with shared(*MOUNTS, app="mount_apps:main").connect() as client:
        client.send(b"OPTIONS * HTTP/1.1\r\nHost: test\r\n\r\n")
        assert json.loads(client.response().body)[0] == "main"
        for target, name in (("http://test/api/x", "one"), ("http://test", "main"), ("http://test?/api", "main")):
            client.send(f"GET {target} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
            assert json.loads(client.response().body)[0] == name


@pytest.mark.parametrize(
    ("target", "place"),
    [
        ("/api", ("other", "/api", "")),
        ("/api/x", ("other", "/api", "/x")),
        ("/apix", ("main", "", "/apix")),
        ("//api", ("main", "", "//api")),
        ("/%61pi/%ff", ("other", "/api", "/\xff")),
    ],
)
def test_wsgi_only(shared: Callable[..., Server], target: str, place: tuple[str, ...]) -> None:
    with shared(*WSGI_MOUNTS, app="mount_apps:main").connect() as client:
        assert where(client, target) == place


def test_wsgi_below_asgi(shared: Callable[..., Server]) -> None:
    with shared("--mount", "/old=mount_apps:other", app="mount_apps:one").connect() as client:
        assert where(client, "/x") == ("one", "", "/x")
        assert where(client, "/old/x") == ("other", "/old", "/x")


def test_behind_a_proxy_that_strips_a_prefix(shared: Callable[..., Server]) -> None:
    with shared(*MOUNTS, "--root-path", "/p", app="mount_apps:main").connect() as client:
        assert where(client, "/x") == ("main", "/p", "/x")
        assert where(client, "/api/x") == ("one", "/p/api", "/p/api/x")
        assert where(client, "/api/v2/x") == ("other", "/p/api/v2", "/x")


def test_behind_a_proxy_that_keeps_a_prefix(shared: Callable[..., Server]) -> None:
    with shared(*MOUNTS, "--root-path-kept", "/p", app="mount_apps:main").connect() as client:
        assert where(client, "/p/x") == ("main", "/p", "/x")
        assert where(client, "/p/api/x") == ("one", "/p/api", "/p/api/x")
        assert where(client, "/p/api/v2/x") == ("other", "/p/api/v2", "/x")
        assert where(client, "/p/apix") == ("main", "/p", "/apix")


def test_prefix_beyond_ascii(shared: Callable[..., Server]) -> None:
    with shared("--mount", "/caf\xe9=mount_apps:other", app="mount_apps:main").connect() as client:
        assert where(client, "/caf%C3%A9/x") == ("other", "/caf\xc3\xa9", "/x")
        assert where(client, "/caf%E9/x") == ("main", "", "/caf\xe9/x")


def test_one_connection_for_all(shared: Callable[..., Server]) -> None:
    """Responses are in the order of the requests, whichever application they are from."""
    targets = ["/api", "/x", "/api/v2", "/live", "/api/x"] * 20
    with shared(*MOUNTS, app="mount_apps:main").connect() as client:
        client.send(b"".join(f"GET {target} HTTP/1.1\r\nHost: test\r\n\r\n".encode() for target in targets))
        names = [json.loads(client.response().body)[0] for _ in targets]
    assert names == ["one", "main", "other", "two", "one"] * 20


# --- Lifespans ---


def test_each_asgi_application_has_a_lifespan(start_server: Callable[..., Server]) -> None:
    """Started in order, ended in reverse; their states are their own."""
    server = start_server(*MOUNTS, app="mount_apps:main")
    assert server.get("/live").status == 200
    server.stop()
    told = [line for line in server.log.text.splitlines() if line.startswith("app: ")]
    assert [line for line in told if "up" in line] == ["app: startup: one", "app: startup: two"]
    assert [line for line in told if "down" in line] == ["app: shutdown: two", "app: shutdown: one"]


def test_lifespan_that_fails(start_server: Callable[..., Server]) -> None:
    """Nothing is served, and the applications that have started are shut down."""
    with pytest.raises(AssertionError, match=r"(?s)app: startup: one.*app: startup: failing.*app: shutdown: one"):
        start_server(
            *("--mount", "/one=mount_apps:one", "--mount", "/f=mount_apps:failing", "--mount", "/t=mount_apps:two"),
            app="mount_apps:main",
        )


# --- Side by side ---


def test_blocking_applications_do_not_hold_up_others(start_server: Callable[..., Server], gate: Gate) -> None:
    """All threads are busy, and the asynchronous application answers."""
    server = start_server("--mount", "/asgi=apps:app", "--threads", "2", app="wsgi_apps:app")
    mark = server.log.mark()
    with many(3, server.connect) as busy, server.connect() as client:
        for each in busy:
            each.request(gate.target)
        until(lambda: server.log.since(mark).count("app: holding") == 2, "all threads to be busy")
        for _ in range(20):
            assert client.get("/asgi/hello").body == b"hello\n"
        assert client.post("/asgi/echo", b"body").body == b"body"
        gate.open(3)
        assert [each.response().body for each in busy] == [b"held\n"] * 3


def test_both_kinds_in_turns_on_one_connection(start_server: Callable[..., Server]) -> None:
    server = start_server("--mount", "/asgi=apps:app", app="wsgi_apps:app")
    bodies = [
        b"hello\n",
        b"slept\n",
        b"hello\n",
        b"one\ntwo\nthree\n",
        b"one\ntwo\nthree\n",
        b"untouched called",
        b"untouched",
    ]
    paths = ["/hello", "/nap?0.002", "/asgi/hello", "/asgi/stream", "/stream", "/context", "/asgi/context"]
    with many(5, server.connect) as clients:
        for client in clients:
            client.send(b"".join(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode() for path in paths) * 10)
        for client in clients:
            assert [client.response().body for _ in range(10 * len(paths))] == bodies * 10


def test_limit_of_requests_is_for_all_together(start_server: Callable[..., Server], gate: Gate) -> None:
    server = start_server("--mount", "/asgi=apps:app", "--limit-concurrency", "2", app="wsgi_apps:app")
    with many(2, server.connect) as (blocking, waiting), server.connect() as client:
        blocking.request(gate.target)
        server.app_log("holding")
        waiting.request("/asgi/wait?limit")
        server.app_log("waiting")
        assert [client.get(path).status for path in ("/hello", "/asgi/hello")] == [503, 503]
        gate.open()
        assert blocking.response().status == 200
        # A call may return a little after its response arrives.
        until(lambda: client.get("/asgi/open?limit").status == 200, "the call to have returned")
        assert waiting.response().body == b"waited\n"


def test_stop_with_calls_of_both_kinds(start_server: Callable[..., Server], gate: Gate) -> None:
    server = start_server("--mount", "/asgi=apps:app", app="wsgi_apps:app")
    with many(2, server.connect) as (blocking, waiting), server.connect() as client:
        blocking.request(gate.target)
        server.app_log("holding")
        waiting.request("/asgi/wait?stop")
        server.app_log("waiting")
        assert client.get("/hello").status == 200
        server.signal(signal.SIGTERM)
        server.log.wait_for("stopping")
        gate.open()
        assert blocking.response().body == b"held\n"
        assert client.get("/asgi/open?stop").status == 200
        assert waiting.response().body == b"waited\n"
    assert server.wait() == 0


def test_idle_connections_of_several_applications_are_closed(start_server: Callable[..., Server]) -> None:
    server = start_server(*MOUNTS, "--timeout-keep-alive", "1", app="mount_apps:main")
    with many(3, server.connect) as clients:
        for client, target in zip(clients, ("/", "/api", "/api/v2"), strict=True):
            assert client.get(target).status == 200
        for client in clients:
            assert client.nothing()
