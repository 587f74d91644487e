"""A Django project as a WSGI application: its admin site is used as a user does it, its files and streams arrive."""

import csv
import hashlib
import re
from collections.abc import Callable

import httpx
import pytest

from tests.frameworks.conftest import LARGE
from tests.helpers import Server


@pytest.fixture
def django_server(serve_wsgi: Callable[[str], Server]) -> Server:
    return serve_wsgi("django_site")


@pytest.fixture
def django_client(django_server: Server, client_of: Callable[[Server], httpx.Client]) -> httpx.Client:
    return client_of(django_server)


# --- The admin site ---


@pytest.mark.plain
def test_admin_wants_a_login(django_client: httpx.Client) -> None:
    response = django_client.get("/admin/library/document/")
    assert response.status_code == 302
    assert response.headers["location"] == "/admin/login/?next=/admin/library/document/"
    refused = submit(django_client, "/admin/login/", username="admin", password="wrong")
    assert refused.status_code == 200
    assert "Please enter the correct username and password" in refused.text
    assert django_client.get("/admin/").status_code == 302


def test_admin_without_csrf_token(django_client: httpx.Client) -> None:
    assert django_client.post("/admin/login/", data={"username": "admin", "password": "secret"}).status_code == 403


@pytest.mark.plain
@pytest.mark.parametrize("size", [0, 1, 3_000_000])
def test_admin_uploads_a_file(django_client: httpx.Client, size: int) -> None:
    """Log in, add, find in the list, download, delete, log out."""
    title, content = f"größer & {size}", b"\r\n" + b"x" * size
    log_in(django_client)
    added = submit(
        django_client, "/admin/library/document/add/", title=title, files={"file": ("fïle.bin", content)}, _save="Save"
    )
    assert (added.status_code, added.headers["location"]) == (302, "/admin/library/document/")
    page = django_client.get("/admin/library/document/", params={"q": title}).text
    assert "was added successfully." in page
    assert f"größer &amp; {size}" in page
    found = re.search(r'<a href="/admin/library/document/(\d+)/change/', page)
    assert found is not None
    change = django_client.get(f"/admin/library/document/{found[1]}/change/").text
    file = re.search(r'Currently: <a href="(/media/documents/[^"]+)">', change)
    assert file is not None
    assert hashlib.sha256(django_client.get(file[1]).content).digest() == hashlib.sha256(content).digest()
    deleted = submit(django_client, f"/admin/library/document/{found[1]}/delete/", post="yes")
    assert deleted.headers["location"] == "/admin/library/document/"
    assert "was deleted successfully." in django_client.get("/admin/library/document/").text
    assert "Logged out" in submit(django_client, "/admin/logout/", page="/admin/").text
    assert django_client.get("/admin/").status_code == 302


def test_static_files_of_the_admin(django_client: httpx.Client) -> None:
    """By WhiteNoise, in the middle of Django."""
    page = django_client.get("/admin/login/").text
    found = re.search(r'<link[^>]* href="(/static/admin/css/base[^"]*)"', page)
    assert found is not None
    sheet = django_client.get(found[1])
    assert sheet.headers["content-type"] == 'text/css; charset="utf-8"'
    assert len(sheet.content) == int(sheet.headers["content-length"])
    again = django_client.get(found[1], headers={"If-Modified-Since": sheet.headers["last-modified"]})
    assert (again.status_code, again.content) == (304, b"")


def log_in(client: httpx.Client) -> None:
    response = submit(client, "/admin/login/?next=/admin/", username="admin", password="secret")
    assert (response.status_code, response.headers["location"]) == (302, "/admin/")
    assert "Documents" in client.get("/admin/").text


def submit(
    client: httpx.Client, path: str, *, page: str = "", files: dict[str, tuple[str, bytes]] | None = None, **data: str
) -> httpx.Response:
    """Fills in and sends the form that the page, by default the one of this path, shows."""
    form = client.get(page or path).text
    found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', form)
    assert found is not None, form
    return client.post(path, data=data | {"csrfmiddlewaretoken": found[1]}, files=files)


# --- Views ---


def test_redirects(django_client: httpx.Client) -> None:
    assert django_client.get("/moved").headers["location"] == "/moved/"
    assert django_client.get("/moved/").headers["location"] == "/echo/moved"


def test_conditional(django_client: httpx.Client) -> None:
    whole = django_client.get("/conditional/")
    assert (whole.text, whole.headers["etag"]) == ("whole", '"one"')
    again = django_client.get("/conditional/", headers={"If-None-Match": '"one"'})
    assert (again.status_code, again.content) == (304, b"")


def test_coroutine(django_client: httpx.Client) -> None:
    """Django runs it in an event loop of its own."""
    assert django_client.get("/coroutine/?title=none").json() == {"count": 0}


def test_error_pages(django_client: httpx.Client) -> None:
    response = django_client.get("/hello", headers={"Host": "elsewhere"})
    assert response.status_code == 400
    assert "Bad Request (400)" in response.text
    assert "The requested resource was not found on this server." in django_client.get("/nowhere/").text


# --- Streams and files ---


def test_csv(django_client: httpx.Client) -> None:
    response = django_client.get("/csv/")
    assert list(csv.reader(response.text.splitlines())) == [[f"Row {n}", str(n)] for n in range(1000)]


@pytest.mark.parametrize("start", [0, 1, 1_000_000, len(LARGE)])
def test_rest_of_a_file(django_client: httpx.Client, start: int) -> None:
    response = django_client.get("/part/", params={"start": start})
    assert (response.status_code, response.content == LARGE[start:]) == (200, True)


@pytest.mark.parametrize("path", ["/hello", "/csv/", "/file"])
def test_responses_are_closed(django_server: Server, path: str) -> None:
    """Django cleans up after a request when its response is closed, also when that is a file."""
    mark = django_server.log.mark()
    assert django_server.get(path).status == 200
    django_server.log.wait_for("^app: request finished$", mark)
