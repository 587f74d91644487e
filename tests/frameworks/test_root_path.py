"""Applications below a prefix, with a proxy that strips it from the path and with one that keeps it.

They see no difference, but for raw_path, which is the path in the request.
"""

from collections.abc import Callable
from dataclasses import dataclass

import httpx
import pytest

from tests.helpers import Server


@dataclass(frozen=True)
class Proxied:
    """An application that is reached through the proxy.

    base: address of the application as its users know it. received: the prefix that the proxy keeps.
    """

    client: httpx.Client
    base: str
    received: str

    def get(self, path: str) -> httpx.Response:
        """path: below the prefix."""
        return self.client.get(self.received + path)

    def post(self, path: str) -> httpx.Response:
        return self.client.post(self.received + path)


@pytest.fixture(params=["--root-path", "--root-path-kept"])
def below(
    request: pytest.FixtureRequest, serve: Callable[..., Server], client_of: Callable[[Server], httpx.Client]
) -> Callable[[str], Proxied]:
    """below(app): this application below /p."""

    def get(app: str) -> Proxied:
        client = client_of(serve(app, str(request.param), "/p"))
        base = str(client.base_url).rstrip("/") + "/p"
        return Proxied(client, base, "/p" if request.param == "--root-path-kept" else "")

    return get


def test_starlette(below: Callable[[str], Proxied]) -> None:
    app = below("starlette_app:app")
    answer = app.get("/who?a=b").json()
    assert answer.pop("client")
    assert answer == {
        "url": f"{app.base}/who?a=b",
        "echo": f"{app.base}/echo/you",
        "nested": f"{app.base}/nested/where",
        "root_path": "/p",
        "raw_path": f"{app.received}/who",
        "query": [["a", "b"]],
    }
    assert app.get("/echo/%C3%BC%20%2520").text == "Hello, ü %20"
    assert app.get("/nested/where").json() == {"root_path": "/p/nested", "url": f"{app.base}/nested/where"}
    assert app.get("/static/small.txt").text == "small\n"
    assert app.get("/cookie").headers["location"] == f"{app.base}/"
    assert app.get("/echo/you/").headers["location"] == f"{app.base}/echo/you"
    assert app.get("/nowhere").text == "nowhere"


def test_fastapi(below: Callable[[str], Proxied]) -> None:
    app = below("fastapi_app:app")
    assert "url: '/p/openapi.json'" in app.get("/docs").text
    assert app.get("/openapi.json").json()["servers"] == [{"url": "/p"}]
    answer = app.get("/who").json()
    assert answer.pop("client")
    assert answer == {
        "url": f"{app.base}/who",
        "item": f"{app.base}/items/7",
        "root_path": "/p",
        "raw_path": f"{app.received}/who",
    }
    assert app.get("/items/1/").headers["location"] == f"{app.base}/items/1"
    assert app.get("/subapi/where").json() == {"root_path": "/p/subapi", "url": f"{app.base}/subapi/where"}
    assert "url: '/p/subapi/openapi.json'" in app.get("/subapi/docs").text
    environ = app.get("/wsgi/environ").json()
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/p/wsgi", "/environ")


@pytest.mark.plain
def test_django(below: Callable[[str], Proxied]) -> None:
    app = below("django_app:application")
    answer = app.get("/who/?a=b").json()
    assert answer.pop("client")
    assert answer == {
        "host": httpx.URL(app.base).netloc.decode(),
        "url": f"{app.base}/who/?a=b",
        "detail": f"{app.base}/polls/7/",
        "secure": False,
        "path": "/p/who/",
        "path_info": "/who/",
        "script_name": "/p",
        "raw_path": f"{app.received}/who/",
    }
    assert app.get("/polls/34/").json() == {"question": 34, "results": "/p/polls/34/results/"}
    assert app.get("/polls/34").headers["location"] == "/p/polls/34/"
    assert app.get("/messages/add/").headers["location"] == "/p/messages/"
    assert app.get("/nowhere/").status_code == 404


def test_flask(below: Callable[[str], Proxied]) -> None:
    app = below("flask_app:validated")
    answer = app.get("/who?a=b").json()
    assert (answer["url"], answer["echo"]) == (f"{app.base}/who?a=b", f"{app.base}/echo/you")
    assert (answer["script_name"], answer["path"]) == ("/p", "/who")
    assert app.get("/echo/%C3%BC%20%2520").json() == {"name": "ü %20"}
    assert app.get("/nowhere").json() == {"missing": "/nowhere"}
    assert 'href="/p/blog/4/"' in app.get("/blog/3/").text
    assert app.get("/blog/3").headers["location"] == f"{app.base}/blog/3/"


def test_django_admin(below: Callable[[str], Proxied]) -> None:
    app = below("django_site:validated")
    answer = app.get("/who?a=b").json()
    assert (answer["url"], answer["echo"]) == (f"{app.base}/who?a=b", f"{app.base}/echo/you")
    assert (answer["script_name"], answer["path"]) == ("/p", "/who")
    assert app.get("/admin/").headers["location"] == "/p/admin/login/?next=/p/admin/"
    assert app.get("/moved").headers["location"] == "/p/moved/"
    page = app.get("/admin/login/").text
    assert 'href="/p/static/admin/css/base' in page
    assert app.get("/static/admin/css/base.css").status_code == 200


def test_quart(below: Callable[[str], Proxied]) -> None:
    app = below("quart_app:app")
    assert app.get("/who?a=b").json() == {
        "client": "127.0.0.1",
        "url": f"{app.base}/who?a=b",
        "path": "/who",
        "root_path": "/p",
        "raw_path": f"{app.received}/who",
        "post": "/p/blog/7/",
        "external": f"{app.base}/blog/7/",
        "headers": [],
    }
    assert "/p/blog/4/" in app.get("/blog/3/").text
    assert app.get("/blog/3").headers["location"] == f"{app.base}/blog/3/"
    assert app.get("/flash").headers["location"] == "/p/flashed"
    assert app.get("/nowhere").status_code == 404


def test_litestar(below: Callable[[str], Proxied]) -> None:
    app = below("litestar_app:app")
    answer = app.get("/who?a=b").json()
    assert answer.pop("client")
    assert answer == {
        "url": f"{app.base}/who?a=b",
        "book": f"{app.base}/books/7",
        "root_path": "/p",
        "raw_path": f"{app.received}/who",
    }
    assert app.get("/books/3").json()["book_id"] == 3
    assert app.get("/static/small.txt").text == "small\n"
    assert app.get("/schema").status_code == 200
    assert app.get("/nowhere").status_code == 404


@pytest.mark.parametrize("kind", ["asynchronous", "threaded"])
def test_connexion(below: Callable[[str], Proxied], kind: str) -> None:
    app = below(f"connexion_app:{kind}")
    assert app.post("/v1/greeting/you").text == "Hello you"
    assert app.get("/v1/openapi.json").json()["servers"] == [{"url": "/p/v1"}]
    assert 'url: "/p/v1/openapi.json"' in app.get("/v1/ui/").text
    assert app.get("/v1/ui").headers["location"] == "/p/v1/ui/"
