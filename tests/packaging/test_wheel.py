"""The distributions: their contents, and that the wheel serves from an environment that has nothing else.

The wheel is built from the source distribution, as an installer that finds no wheel would do.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import urllib.request
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [pytest.mark.extended, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
MODULES = {path.relative_to(ROOT).with_suffix("").as_posix() for path in (ROOT / "ianus").rglob("*.pyx")}

APPLICATION = """
async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"Hello from " + scope["path"].encode()})
"""

# Nothing of the build under test may reach the one that is made here. The debug flavour compiles in half of the time;
# `make serve` compiles the other one.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("IANUS", "PYTHON"))}
ENVIRONMENT["IANUS_DEBUG"] = "1"


def run(*command: str | Path, cwd: Path) -> str:
    """Runs a command to its end and returns its output, which is shown if it fails."""
    done = subprocess.run(
        command, cwd=cwd, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source distribution and the wheel."""
    work = tmp_path_factory.mktemp("distributions")
    leavings = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__", "*.so")
    shutil.copytree(ROOT, work / "tree", ignore=leavings)
    shutil.copytree(ROOT / ".ci", work / "tree" / ".ci")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", work / "dist", "tree", cwd=work)
    return work / "dist"


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    (path,) = dist.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def home(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a virtual environment with the wheel and its dependencies."""
    path = tmp_path_factory.mktemp("clean")
    venv.create(path, symlinks=True)
    run(sys.executable, "-m", "pip", "--python", path, "install", "--quiet", wheel, cwd=path)
    return path


@pytest.fixture
def url(home: Path, tmp_path: Path) -> Iterator[str]:
    """Returns the address of the installed command. Connections wait in the backlog until it serves."""
    (tmp_path / "main.py").write_text(APPLICATION)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        command = (home / "bin" / "ianus", "--bind", f"fd://{listener.fileno()}", "main:app")
        server = subprocess.Popen(command, cwd=tmp_path, env=ENVIRONMENT, pass_fds=[listener.fileno()])
    try:
        yield f"http://127.0.0.1:{port}"
        server.terminate()
        assert server.wait(30) == 0
    finally:
        server.kill()
        server.wait()


def test_the_source_distribution_has_sources_only(dist: Path) -> None:
    (path,) = dist.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        files = {name.partition("/")[2] for name in archive.getnames()}
    assert {f"{module}.pyx" for module in MODULES} <= files
    assert {"LICENSE", "Makefile", "README.md", "setup.py", "tests/packaging/test_wheel.py"} <= files
    assert not [name for name in files if name.startswith("ianus/") and name.endswith((".c", ".so"))]
    assert not [name for name in files if name.startswith("build")]


def test_the_wheel_has_all_files_that_running_and_typing_need(wheel: Path) -> None:
    files = zipfile.ZipFile(wheel).namelist()
    package = [name for name in files if name.startswith("ianus/")]
    assert {name.partition(".")[0] for name in package if name.endswith(".so")} == MODULES
    assert {Path(name).suffix for name in package} == {".py", ".pyi", ".pxd", ".so", ".typed", ".md", ".json"}
    # Besides the package, nothing but its metadata: no tests, no examples at the top level.
    assert {name.partition("/")[0].partition("-")[0] for name in files} == {"ianus"}


def test_the_wheel_has_its_documents(home: Path, tmp_path: Path) -> None:
    pages = {str(path.relative_to(ROOT / "docs").with_suffix("")) for path in (ROOT / "docs").rglob("*.md")}
    shown = run(home / "bin" / "ianus", "docs", cwd=tmp_path)
    assert pages <= {line.partition(" ")[0] for line in shown.splitlines()}
    printed = run(home / "bin" / "ianus", "--print-config", cwd=tmp_path)
    schema = printed.splitlines()[0].removeprefix("#:schema file://")
    assert json.loads(Path(schema).read_text())["properties"]["bind"]


def test_the_installed_command_serves(url: str) -> None:
    with urllib.request.urlopen(f"{url}/a/wheel", timeout=30) as response:
        assert response.status == 200
        assert response.read() == b"Hello from /a/wheel"


def test_the_module_is_the_command(home: Path, tmp_path: Path) -> None:
    command = run(home / "bin" / "ianus", "--version", cwd=tmp_path)
    module = run(home / "bin" / "python", "-m", "ianus", "--version", cwd=tmp_path)
    assert command == module
    assert command.startswith("ianus ")
