"""The applications of tests/frameworks have no violation, and those of installed packages do not count."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.frameworks.client_helpers import APPS

pytestmark = [pytest.mark.slow, pytest.mark.extended]

# The paths of each application that answer a GET at once, or with a stream.
PATHS = {
    "flask_app:app": "/ /hello /stream /file /digest /who /cookies /visits /teapot /echo/a /log",
    "bottle_app:app": "/hello /stream /file /digest /who /json /list /teapot /old /cookies",
    "falcon_app:app": "/who /digest /stream /images /moved /things",
    "falcon_wsgi_app:app": "/hello /who /file /digest /stream /cookies /etag /quote",
    "fastapi_app:app": "/ /items /agent /list /lines /download /docs /models/alexnet /chat/1 /tags /numbers /events/a",
    "django_app:application": "/polls/ /stream/ /file/ /headers/ /visits/ /who/",
    "django_site:app": "/hello /who /cookies /digest /file /csv/ /part/ /conditional/ /coroutine/ /moved/",
    "litestar_app:app": "/books/1 /digest /file /stream /who /state /schema /old /raw",
    "quart_app:app": "/ /config /digest /file /who /visits /protocols /talk /echo",
    "starlette_app:app": "/ /cookie /digest /file /stream?count=3 /who /websocket /echo/a /nested /where /deny",
    "pyramid_app:app": "/ /hello /json /stream?count=3 /file /digest /conditional /cookies",
    "werkzeug_app:app": "/hello /stream /cached /cookies /digest /file /json /written /inner/",
    "socketio_app:app": "/socket.io/?EIO=4&transport=polling",
    "strawberry_app:app": "/graphql",
}


def check(app: str, *arguments: str, folder: Path) -> tuple[int, dict[str, Any]]:
    """Runs the command in a folder, and returns its exit code and its JSON."""
    command = [sys.executable, "-P", "-m", "ianus", "check", app, *arguments, "--json", "--app-dir", str(APPS)]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert run.stdout, run.stderr
    return run.returncode, json.loads(run.stdout)


@pytest.mark.parametrize("app", PATHS)
def test_an_application_of_a_framework_has_no_violation(app: str, tmp_path: Path) -> None:
    (tmp_path / "large.bin").write_bytes(bytes(range(256)) * 4096)
    (tmp_path / "small.txt").write_text("small")
    code, result = check(app, *PATHS[app].split(), "--host", "127.0.0.1", folder=tmp_path)
    assert (code, result["violations"]) == (0, [])
    answered = [each for each in result["measurements"] if 200 <= each["status"] < 400]
    assert len(answered) >= len(result["measurements"]) / 2, result["measurements"]


def test_a_violation_of_a_framework_is_not_one_of_the_application(tmp_path: Path) -> None:
    code, result = check("django_app:application", "/polls/", folder=tmp_path)
    assert code == 0
    assert [each["rule"] for each in result["package_violations"]] == ["asgi-header-case"]
    assert "/django/" in result["package_violations"][0]["place"]["file"]


@pytest.mark.parametrize(("path", "interface"), [("/synchronous", "wsgi"), ("/asynchronous", "asgi")])
def test_django_with_synchronous_views_alone_is_to_be_served_as_wsgi(path: str, interface: str, tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-m", "ianus", "check", "tests.check.django_sites:application", path, "--json"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    advice = json.loads(run.stdout)["recommendation"]
    assert advice["interface"] == interface
    assert ("project.wsgi" in str(advice["changes"]).lower()) == (interface == "wsgi")
