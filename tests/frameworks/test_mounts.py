"""Flask at /, FastAPI at /api and Django at /dj in one process: each is right about its own addresses.

Django is there as an ASGI application, and as a WSGI application in a process without any of ASGI.
"""

import json
import re
from collections.abc import Callable

import httpx
import pytest

from tests.frameworks.client_helpers import APPS, expect_app_log, open_latch
from tests.frameworks.conftest import WSGI_MODULES
from tests.frameworks.test_django_wsgi import submit
from tests.helpers import Server

FASTAPI = ("--mount", "/api=fastapi_app:app")
DJANGO_ASGI = ("--mount", "/dj=django_site:asynchronous")
DJANGO_WSGI = ("--mount", "/dj=django_site:validated")
BOTH = ("flask_app:validated", *FASTAPI, *DJANGO_ASGI)
WSGI = ("flask_app:validated", *DJANGO_WSGI)


@pytest.fixture
def server(serve: Callable[..., Server]) -> Server:
    """All three."""
    return serve(*BOTH)


@pytest.fixture
def client(server: Server, client_of: Callable[[Server], httpx.Client]) -> httpx.Client:
    return client_of(server)


@pytest.fixture
def base(client: httpx.Client) -> str:
    return str(client.base_url).rstrip("/")


@pytest.fixture(params=[BOTH, WSGI], ids=["asgi", "wsgi"])
def django_server(request: pytest.FixtureRequest, serve: Callable[..., Server]) -> Server:
    """With Django at /dj."""
    return serve(*request.param)


@pytest.fixture
def django_client(django_server: Server, client_of: Callable[[Server], httpx.Client]) -> httpx.Client:
    return client_of(django_server)


# --- Flask at / ---


def test_flask(client: httpx.Client, base: str) -> None:
    answer = client.get("/who?a=b").json()
    assert (answer["url"], answer["echo"]) == (f"{base}/who?a=b", f"{base}/echo/you")
    assert (answer["script_name"], answer["path"]) == ("", "/who")
    assert client.get("/blog/3").headers["location"] == f"{base}/blog/3/"
    assert 'href="/blog/4/"' in client.get("/blog/3/").text


@pytest.mark.parametrize("path", ["/apis/", "/ap", "/API/", "/djs/admin/", "/d", "/nowhere/api/", "//api/", "/%2Fapi/"])
def test_neighbours_of_a_prefix(client: httpx.Client, path: str) -> None:
    """Errors are Flask's, in JSON of its own."""
    response = client.get(client.base_url.copy_with(raw_path=path.encode()))
    assert response.status_code == 404
    assert list(response.json()) == ["missing"]


# --- FastAPI at /api ---


def test_fastapi(client: httpx.Client, base: str) -> None:
    answer = client.get("/api/who").json()
    assert answer.pop("client")[0] == "127.0.0.1"
    assert answer == {
        "url": f"{base}/api/who",
        "item": f"{base}/api/items/7",
        "root_path": "/api",
        "raw_path": "/api/who",
    }
    assert client.get("/api/").json() == {"message": "Hello World"}
    assert client.get("/api/items/1/").headers["location"] == f"{base}/api/items/1"
    assert client.get("/api/nowhere").json() == {"detail": "Not Found"}


def test_documentation_of_fastapi(client: httpx.Client) -> None:
    assert "url: '/api/openapi.json'" in client.get("/api/docs").text
    answer = client.get("/api/openapi.json").json()
    assert (answer["info"]["title"], answer["servers"]) == ("Tutorial", [{"url": "/api"}])


def test_mounts_inside_of_a_mount(client: httpx.Client, base: str) -> None:
    assert client.get("/api/subapi/where").json() == {"root_path": "/api/subapi", "url": f"{base}/api/subapi/where"}
    environ = client.get("/api/wsgi/environ").json()
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/api/wsgi", "/environ")


def test_lifespan_of_fastapi(client: httpx.Client, server: Server) -> None:
    assert client.get("/api/state").json()["model"] == "answers everything"
    assert server.log.text.count("app: startup") == 1


# --- Django at /dj ---


def test_django(django_client: httpx.Client) -> None:
    base = str(django_client.base_url).rstrip("/") + "/dj"
    assert django_client.get("/dj/who?a=b").json() == {
        "client": "127.0.0.1",
        "url": f"{base}/who?a=b",
        "echo": f"{base}/echo/you",
        "script_name": "/dj",
        "path": "/who",
        "tokens": None,
        "cookies": {},
    }
    assert django_client.get("/dj/moved").headers["location"] == "/dj/moved/"
    assert django_client.get("/dj/moved/").headers["location"] == "/dj/echo/moved"
    assert django_client.get("/dj/echo/%C3%BC%20%2520").json() == {"name": "ü %20"}
    assert django_client.get("/dj/nowhere/").status_code == 404


@pytest.mark.plain
def test_admin_of_django(django_client: httpx.Client) -> None:
    """Log in, add a document, download its file, log out."""
    assert django_client.get("/dj/admin/").headers["location"] == "/dj/admin/login/?next=/dj/admin/"
    page = submit(django_client, "/dj/admin/login/", username="admin", password="secret", next="/dj/admin/")
    assert page.headers["location"] == "/dj/admin/"
    assert 'href="/dj/admin/library/document/add/"' in django_client.get("/dj/admin/").text
    added = submit(
        django_client, "/dj/admin/library/document/add/", title="mounted", files={"file": ("a.txt", b"content")}
    )
    assert added.headers["location"] == "/dj/admin/library/document/"
    listed = django_client.get("/dj/admin/library/document/").text
    found = re.search(r'href="(/dj/admin/library/document/\d+/change/)', listed)
    assert found is not None
    file = re.search(r'href="(/dj/media/documents/[^"]+)"', django_client.get(found[1]).text)
    assert file is not None
    assert django_client.get(file[1]).content == b"content"
    assert "Logged out" in submit(django_client, "/dj/admin/logout/", page="/dj/admin/").text


def test_static_files_of_django(django_client: httpx.Client) -> None:
    page = django_client.get("/dj/admin/login/").text
    found = re.search(r'href="(/dj/static/admin/css/base[^"]*)"', page)
    assert found is not None
    assert django_client.get(found[1]).headers["content-type"] == 'text/css; charset="utf-8"'
    assert django_client.get(found[1].removeprefix("/dj")).status_code == 404


# --- All frameworks of WSGI ---


def test_every_framework_at_its_prefix(
    serve: Callable[..., Server], client_of: Callable[[Server], httpx.Client]
) -> None:
    """The prefix is the name of the module, and below that of a proxy."""
    mounts = [option for module in WSGI_MODULES for option in ("--mount", f"/{module}={module}:validated")]
    client = client_of(serve("flask_app:validated", *mounts, "--root-path", "/p"))
    root = f"{str(client.base_url).rstrip('/')}/p"
    for module in WSGI_MODULES:
        assert client.get(f"/{module}/who?a=b").json() == {
            "client": "127.0.0.1",
            "url": f"{root}/{module}/who?a=b",
            "echo": f"{root}/{module}/echo/you",
            "script_name": f"/p/{module}",
            "path": "/who",
            "tokens": None,
            "cookies": {},
        }
        assert client.get(f"/{module}/echo/%C3%BC%20%2520").json() == {"name": "ü %20"}
        assert client.get(f"/{module}/nowhere").status_code == 404
        assert client.get(f"/{module}s/echo/you").json() == {"missing": f"/{module}s/echo/you"}


# --- Side by side ---


def test_one_connection(server: Server) -> None:
    """Requests to all of them in turn, pipelined: answered in order."""
    paths = ["/hello", "/api/", "/dj/hello", "/api/items/1", "/hello", "/dj/echo/you"]
    with server.connect() as client:
        for path in paths * 3:
            client.request(path)
        bodies = [client.response().body for _ in paths * 3]
        assert bodies[::6] == [b"hello\n"] * 3
        assert [json.loads(body) for body in bodies[1::6]] == [{"message": "Hello World"}] * 3
        assert bodies[2::6] == [b"hello\n"] * 3
        assert [json.loads(body)["item_id"] for body in bodies[3::6]] == [1] * 3
        assert [json.loads(body) for body in bodies[5::6]] == [{"name": "you"}] * 3


def test_waiting_in_wsgi_does_not_delay_asgi(server: Server) -> None:
    mark = server.log.mark()
    with server.connect() as client:
        client.request("/wait/side-by-side")
        expect_app_log(server, "waiting", "side-by-side", mark)
        for path in ("/api/", "/dj/hello", "/hello"):
            assert server.get(path).status == 200
        open_latch(server, "side-by-side")
        assert client.response().body == b"waited\n"


def test_below_a_root_path(serve: Callable[..., Server], client_of: Callable[[Server], httpx.Client]) -> None:
    """A proxy in front of all of them strips another prefix."""
    client = client_of(serve(*BOTH, "--root-path", "/p"))
    base = f"{str(client.base_url).rstrip('/')}/p"
    assert client.get("/who").json()["echo"] == f"{base}/echo/you"
    answer = client.get("/api/who").json()
    assert (answer["item"], answer["root_path"]) == (f"{base}/api/items/7", "/p/api")
    assert client.get("/api/openapi.json").json()["servers"] == [{"url": "/p/api"}]
    answer = client.get("/dj/who").json()
    assert (answer["echo"], answer["script_name"], answer["path"]) == (f"{base}/dj/echo/you", "/p/dj", "/who")
    assert client.get("/dj/admin/").headers["location"] == "/p/dj/admin/login/?next=/p/dj/admin/"


def test_error_in_a_mounted_application(start_server: Callable[..., Server]) -> None:
    """The other applications continue; the failure is logged with the whole path."""
    server = start_server(*FASTAPI, *DJANGO_ASGI, app="flask_app:app", app_dir=APPS)
    assert server.get("/api/broken").status == 500
    server.log.wait_for(r"GET /api/broken$")
    server.log.wait_for(r"LookupError: raised on purpose$")
    assert server.get("/dj/fail").status == 500
    mark = server.log.mark()
    assert server.get("/fail").status == 500
    server.log.wait_for(r"LookupError: raised on purpose$", mark)
    for path in ("/hello", "/api/", "/dj/hello"):
        assert server.get(path).status == 200
