"""Health checks of a running server."""

from collections.abc import Callable

from tests.e2e.test_access_log import lines_of
from tests.helpers import Server


def test_health_checks_are_answered_and_not_logged(shared_wsgi: Callable[..., Server]) -> None:
    server = shared_wsgi("--health-path", "/up", "--mount", "/up=apps:app", "--max-requests", "1000")
    response = server.get("/up")
    assert (response.status, response.body) == (200, b"200 OK\n")
    (line,) = lines_of(server, ("/up",), ("/hello",))
    assert "/hello" in line
    assert server.get("/up/other").status == 404, "the mount has all other paths"
