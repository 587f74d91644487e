"""gunicorn.conf.py of usual shapes: with Ianus they serve as with gunicorn itself."""

import json
import re
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import Address, until
from tests.other_servers.both_servers import Running, error_lines, free_port, running
from tests.other_servers.gunicorn_shapes import SHAPES, Shape

pytestmark = pytest.mark.extended

WSGI_APP = """
import os

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "%d" % len(MARK))])
    return [MARK]

MARK = os.environ.get("TEST_MARK", "unmarked").encode()
"""

ASGI_APP = """
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
    else:
        fields = [(b"content-type", b"text/plain"), (b"content-length", b"8")]
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": "http.response.body", "body": b"unmarked"})
"""


def set_up(shape: Shape, directory: Path, port: int) -> list[str]:
    """Writes the files of a shape. Returns the arguments of the line."""
    (directory / "project").mkdir(parents=True)
    (directory / "config").mkdir()
    (directory / "project" / "__init__.py").touch()
    (directory / "project" / "values.py").write_text("WORKERS = 2\n")
    (directory / "app.py").write_text(WSGI_APP)
    (directory / "asgi_app.py").write_text(ASGI_APP)
    text = shape.text.replace("{port}", str(port)).replace("{{", "{").replace("}}", "}")
    (directory / shape.name).write_text(text)
    return [*shape.option, *([shape.application] if shape.application else [])]


def facts_of(program: str, shape: Shape, directory: Path) -> dict[str, Any]:
    """Serves three requests and a reload. Returns the facts that both servers have to share."""
    port = free_port()
    arguments = set_up(shape, directory, port)
    facts: dict[str, Any] = {}
    environ = {"TEST_PORT": str(port), "TEST_WORKERS": "2", "PYTHONDONTWRITEBYTECODE": "1"}
    with running(program, arguments, directory, environ) as server:
        addresses: list[Address] = [("127.0.0.1", port), *(str(directory / each) for each in shape.binds)]
        facts["responses"] = [server.get(each, "/static/a/b?c=d") for each in addresses]
        until(lambda: len(server.workers()) == shape.workers, f"{shape.workers} workers")
        facts["pid"] = server.text("app.pid").strip() == str(server.process.pid)
        if "when_ready" in shape.text:  # Called when the first worker serves, and so after the first response.
            until(lambda: "when_ready" in server.text("hooks.log"), "the hook when_ready")
        facts["marker"] = (directory / "app-initialized").exists()
        if shape.option[:1] != ("--config",):  # gunicorn does not import a module again
            before = server.workers()
            path = directory / shape.name
            path.write_text(path.read_text() + f"\nworkers = {shape.workers + 1}\n")
            server.process.send_signal(signal.SIGHUP)
            until(lambda: not before & server.workers() and len(server.workers()) == shape.workers + 1, "a reload")
            facts["after the reload"] = server.get(addresses[0], "/again")
        facts["exit code"] = server.stop()
        facts["access log"] = [
            line for name in ("output", "access.log") for line in server.text(name).splitlines() if line[0] != "{"
        ]
        facts["printed"] = set(re.findall(r'^{.*"workers": \d+', server.text("output"), re.MULTILINE))
        facts["hooks"] = Counter(server.text("hooks.log").splitlines())
        facts["errors"] = error_lines(server.text("error"))
    return facts


@pytest.mark.parametrize("shape", [pytest.param(each, id=name) for name, each in SHAPES.items()])
def test_a_configuration_serves_as_with_gunicorn(shape: Shape, tmp_path: Path) -> None:
    expected = facts_of("gunicorn", shape, tmp_path / "gunicorn")
    found = facts_of("ianus", shape, tmp_path / "ianus")
    if shape.own_log:
        expected.pop("access log")
        assert len(found.pop("access log")) == len(found["responses"]) + 1
    assert found == expected
    assert found["exit code"] == 0
    assert found["errors"] == []
    assert all(response == (200, b"unmarked") for response in found["responses"]) or "TEST_MARK" in shape.text


ENVIRON_APP = """
import json

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/fail":
        raise ValueError("fail")
    start_response("204 No Content" if path == "/empty" else "200 OK", [])
    if path == "/empty":
        return []
    if path == "/stream":
        return iter([b"a", b"b"])
    texts = {key: value for key, value in environ.items() if isinstance(value, (str, bool, tuple))}
    return [json.dumps(texts).encode()]
"""


def test_requests_reach_the_application_as_with_gunicorn(tmp_path: Path) -> None:
    answers, environs = [], []
    for program in ("gunicorn", "ianus"):
        port = free_port()
        set_up(SHAPES["numbers"], tmp_path / program, port)
        (tmp_path / program / "app.py").write_text(ENVIRON_APP)
        with running(program, ["app:app", "--threads", "2"], tmp_path / program, {}) as server:
            address = ("127.0.0.1", port)
            environ = json.loads(server.get(address, "/a%20b/%C3%A9?x=y%20z")[1])
            environs.append(
                {
                    key: value.replace(str(port), "PORT") if isinstance(value, str) else value
                    for key, value in environ.items()
                }
            )
            found = [server.get(address, path) for path in ("/fail", "/empty", "/stream")]
            answers.append([(status, body if status == 200 else b"") for status, body in found])
            server.stop()
    assert answers[0] == answers[1] == [(500, b""), (204, b""), (200, b"ab")]
    expected, found_environ = environs
    own = {"SERVER_SOFTWARE", "REMOTE_PORT"}
    assert expected.keys() <= found_environ.keys()
    assert {key: found_environ[key] for key in expected.keys() - own} == {
        key: value for key, value in expected.items() if key not in own
    }


def test_a_rotated_log_is_opened_again(tmp_path: Path) -> None:
    for program in ("gunicorn", "ianus"):
        port = free_port()
        arguments = set_up(SHAPES["named file"], tmp_path / program, port)
        with running(program, arguments, tmp_path / program, {}) as server:
            server.get(("127.0.0.1", port), "/before")
            log = tmp_path / program / "config" / "access.log"
            until(lambda log=log: log.read_text() == "GET /before 200\n", "the first line")  # type: ignore[misc]
            log.rename(tmp_path / "rotated")
            server.process.send_signal(signal.SIGUSR1)
            until(log.exists, "a new file")

            def is_logged(server: Running = server, port: int = port, log: Path = log) -> bool:
                # Each worker opens the file by itself.
                server.get(("127.0.0.1", port), "/after")
                return "GET /after 200" in log.read_text()

            until(is_logged, f"{program} writes to the new file")
            assert server.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_a_quick_stop_has_the_same_exit_code(number: signal.Signals, tmp_path: Path) -> None:
    codes = []
    for program in ("gunicorn", "ianus"):
        port = free_port()
        arguments = set_up(SHAPES["telemetry"], tmp_path / program, port)
        with running(program, arguments, tmp_path / program, {}) as server:
            server.get(("127.0.0.1", port), "/")
            until(lambda: len(server.workers()) == 2, "two workers")
            until(lambda: server.text("hooks.log").count("post_worker_init") == 2, "two workers are initialised")
            # Ianus calls this hook when both workers serve, gunicorn before it starts them.
            until(lambda: "when_ready" in server.text("hooks.log"), "the server is ready")
            codes.append(server.stop(number))
            if number == signal.SIGQUIT:
                assert server.text("hooks.log").count("worker_int") == 2
    assert codes == [0, 0]


def test_signals_change_the_number_of_workers(tmp_path: Path) -> None:
    for program in ("gunicorn", "ianus"):
        port = free_port()
        arguments = set_up(SHAPES["numbers"], tmp_path / program, port)
        with (tmp_path / program / "gunicorn.conf.py").open("a") as file:
            file.write(
                "def nworkers_changed(server, new_value, old_value):\n"
                "    if old_value is not None:\n"
                "        open('hooks.log', 'a').write(f'{old_value} {new_value}\\n')\n"
            )
        with running(program, arguments, tmp_path / program, {}) as server:
            server.get(("127.0.0.1", port), "/")
            until(lambda: len(server.workers()) == 3, "three workers")
            server.process.send_signal(signal.SIGTTIN)
            until(lambda: len(server.workers()) == 4, "four workers")
            server.process.send_signal(signal.SIGTTOU)
            until(lambda: len(server.workers()) == 3, "three workers again")
            assert server.stop() == 0
            assert server.text("hooks.log").splitlines()[-2:] == ["3 4", "4 3"], program


def test_arguments_of_the_environment(tmp_path: Path) -> None:
    """Azure App Service starts applications in this way."""
    for program in ("gunicorn", "ianus"):
        port = free_port()
        set_up(SHAPES["numbers"], tmp_path / program, port)
        arguments = f"--bind=127.0.0.1:{port} --timeout 600 --workers=1 --access-logfile '-' -p app.pid -"
        environ = {"GUNICORN_CMD_ARGS": arguments}
        with running(program, ["app:app", "--workers", "2"], tmp_path / program, environ) as server:
            assert server.get(("127.0.0.1", port), "/") == (200, b"unmarked")
            until(lambda: len(server.workers()) == 2, "two workers")
            assert server.text("app.pid").strip() == str(server.process.pid)
            assert server.stop() == 0
            assert server.text("output").count('"GET / HTTP/1.1" 200') == 1
