"""Connexion applications keep the promises of their OpenAPI file, asynchronous ones and Flask's in threads."""

import hashlib
import json
from collections.abc import Callable

import httpx
import pytest

from tests.frameworks.client_helpers import APPS
from tests.helpers import Server

KINDS = ["asynchronous", "threaded"]


@pytest.fixture(scope="session", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """The application: AsyncApp or FlaskApp."""
    return str(request.param)


@pytest.fixture
def connexion_server(serve: Callable[..., Server], kind: str, loop: str) -> Server:
    return serve(f"connexion_app:{kind}", "--loop", loop)


@pytest.fixture
def connexion_client(connexion_server: Server, client_of: Callable[[Server], httpx.Client]) -> httpx.Client:
    return client_of(connexion_server)


def test_greeting(connexion_client: httpx.Client) -> None:
    response = connexion_client.post("/v1/greeting/süß")
    assert (response.status_code, response.text) == (200, "Hello süß")
    assert response.headers["content-type"].startswith("text/plain")


def test_operations(connexion_client: httpx.Client) -> None:
    assert connexion_client.get("/v1/pets?kind=cat&kind=dog").json() == {"limit": 2, "kind": ["cat", "dog"]}
    created = connexion_client.post("/v1/pets", json={"name": "Léo", "age": 3})
    assert (created.status_code, created.json()) == (201, {"name": "Léo", "age": 3})
    assert created.headers["location"] == "/v1/pets/3"
    assert connexion_client.get("/v1/pets/7").json() == {"id": 7}
    deleted = connexion_client.delete("/v1/pets/7")
    assert (deleted.status_code, deleted.content) == (204, b"")


@pytest.mark.parametrize("path", ["/v1/pets?limit=11", "/v1/pets?limit=many", "/v1/pets?limit=0"])
def test_wrong_parameters(connexion_client: httpx.Client, path: str) -> None:
    response = connexion_client.get(path)
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    assert "On instance:" in response.json()["detail"]


@pytest.mark.parametrize("body", [b"{}", b'{"name": 1}', b'{"name": "Leo", "kind": "cat"}', b"{", b""])
def test_wrong_bodies(connexion_client: httpx.Client, body: bytes) -> None:
    response = connexion_client.post("/v1/pets", content=body, headers={"Content-Type": "application/json"})
    assert (response.status_code, response.json()["status"]) == (400, 400)


def test_other_problems(connexion_client: httpx.Client) -> None:
    assert connexion_client.get("/v1/pets/101").json()["detail"] == "There is no pet 101"
    assert connexion_client.get("/v1/nowhere").status_code == 404
    assert connexion_client.put("/v1/pets").status_code == 405
    wrong = connexion_client.post("/v1/pets", content=b"x", headers={"Content-Type": "text/plain"})
    assert wrong.status_code == 415


def test_security(connexion_client: httpx.Client) -> None:
    assert connexion_client.get("/v1/secret").status_code == 401
    assert connexion_client.get("/v1/secret", auth=("leo", "wrong")).status_code == 401
    assert connexion_client.get("/v1/secret", auth=("leo", "secret")).json() == {"secret": "for leo"}


@pytest.mark.parametrize("size", [0, 1, 1_000_000])
def test_upload(connexion_client: httpx.Client, size: int) -> None:
    content = b"x" * size
    response = connexion_client.post("/v1/upload", files={"file": ("a.bin", content)}, data={"note": "größer"})
    assert response.json() == {"name": "a.bin", "sha256": hashlib.sha256(content).hexdigest(), "note": "größer"}


def test_stream(connexion_server: Server) -> None:
    with connexion_server.connect() as client:
        response = client.get("/v1/stream?count=100")
        assert (response.status, response.framing) == (200, "chunked")
        assert response.body == b"".join(b"%d\n" % n for n in range(100))
        assert client.get("/v1/pets").status == 200


def test_documentation(connexion_client: httpx.Client) -> None:
    page = connexion_client.get("/v1/ui/")
    assert page.headers["content-type"].startswith("text/html")
    assert 'url: "/v1/openapi.json"' in page.text
    assert connexion_client.get("/v1/ui").status_code == 307
    assert "SwaggerUIBundle" in connexion_client.get("/v1/ui/swagger-ui-bundle.js").text
    assert connexion_client.get("/v1/openapi.json").json()["servers"] == [{"url": "/v1"}]


@pytest.mark.parametrize("kind", KINDS)
def test_errors(start_server: Callable[..., Server], kind: str) -> None:
    """Connexion keeps them to itself and answers 500 as a problem; an answer against the file is one, too."""
    server = start_server(app=f"connexion_app:{kind}", app_dir=APPS)
    with server.connect() as client:
        for path in ("/v1/fail", "/v1/broken-promise"):
            response = client.get(path)
            assert (response.status, json.loads(response.body)["status"]) == (500, 500)
        assert client.get("/v1/pets").status == 200
