"""The container file and the Procfile: a linter accepts the first, and their commands work as platforms run them."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy import files
from tests.deploy.running import ENVIRONMENT, free_ports, program, running, start, status, wait_until_ready
from tests.helpers import WAIT_SECONDS, Client, until

pytestmark = pytest.mark.conformance

# The interpreter of the tests may be in a home directory.
CAPABILITIES = "+dac_read_search"


def test_a_linter_accepts_the_file() -> None:
    done = subprocess.run([program("hadolint"), "--no-color", files.CONTAINER], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_image_has_no_root_no_shell_and_no_compiler() -> None:
    found = files.instructions()
    user, _, group = found["USER"].partition(":")
    assert int(user) > 0
    assert int(group) > 0
    assert found["STOPSIGNAL"] == "SIGTERM"
    for command in (found["CMD"], found["HEALTHCHECK"].partition("CMD ")[2]):
        assert isinstance(json.loads(command), list), "a string would be run by a shell"
    stages = [line.split()[1] for line in files.CONTAINER.read_text().splitlines() if line.startswith("FROM ")]
    assert [stage.endswith("-slim") for stage in stages] == [False, True]
    assert stages[1].removesuffix("-slim") == stages[0]


def test_the_signal_of_docker_is_answered_in_time() -> None:
    assert float(files.options(files.commands()["container"])["timeout_stop"]) < 10


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs to run as another user")
def test_the_command_serves_any_user_and_its_health_check_is_right(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    environment = {**files.image_environment(), "PORT": str(port)}
    assert "PORT" in files.image_environment()
    user = ("setpriv", "--reuid", "61235", "--regid", "0", "--clear-groups")
    wrapper = (*user, "--inh-caps", CAPABILITIES, "--ambient-caps", CAPABILITIES)
    tmp_path.chmod(0o555)
    (interpreter, *arguments) = json.loads(files.instructions()["HEALTHCHECK"].partition("CMD ")[2])
    assert interpreter == "python"
    check = [sys.executable, *arguments]

    def health() -> int:
        return subprocess.run(check, env={**ENVIRONMENT, **environment}, stderr=subprocess.DEVNULL).returncode

    assert health() != 0
    with running(
        start(files.commands()["container"], cwd=tmp_path, wrapper=wrapper, environment=environment)
    ) as server:
        wait_until_ready(("127.0.0.1", port))
        assert health() == 0
        with Client(("127.0.0.1", port)) as client:
            assert json.loads(client.get("/").body)["uid"] == 61235
        server.terminate()
        assert server.wait(WAIT_SECONDS) == 0
        assert health() != 0


def test_the_procfile_serves_the_port_of_the_platform(tmp_path: Path) -> None:
    """A platform runs the line by a shell, and sends SIGTERM to all processes of it."""
    (port,) = free_ports(1)
    kind, _, line = files.PROCFILE.read_text().strip().partition(": ")
    assert kind == "web"
    command = shlex.split(line)
    environment = {"PORT": str(port), "WEB_CONCURRENCY": "2"}
    with running(start(command[1:], cwd=tmp_path, environment=environment)) as server:
        wait_until_ready(("127.0.0.1", port))  # The first worker serves.

        def children() -> list[int]:
            return [int(each) for each in Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()]

        until(lambda: len(children()) == 2, "the processes of both workers")
        assert status(("127.0.0.1", port), "/") == 200
        for pid in (server.pid, *children()):
            os.kill(pid, 15)
        assert server.wait(WAIT_SECONDS) == 0
