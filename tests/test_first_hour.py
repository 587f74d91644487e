"""Mistakes of a first hour: each is answered by one message with cause and fix, which the page of the message explains.

The same conditions are tested in detail next to the code. Here is the command as a user sees it.
"""

import os
import re
import socket
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

import ianus

SECONDS = 60
ROOT = Path(__file__).parents[1]

APP = """
def app(environ, start_response):
    start_response("200 OK", [])
    return [b""]

def create_app(): return app
def create_for(config): return app
def forgetful(): create_app()
"""


class Mistake(NamedTuple):
    """A line in the folder of the fixture, and parts of its message: the cause, the fix, and the row of the page."""

    line: str
    cause: str
    fix: str
    row: str
    code: int = 3
    folder: str = "."
    page: str = "starting"


MISTAKES = [
    Mistake("", "main.py has app", "ianus main:app", "No application is given", code=2),
    Mistake("mian:app", "There is no module mian", "Did you mean main:app?", "There is no module"),
    Mistake("versoin", "There is no sub-command versoin", "Did you mean version?", "There is no sub-command", code=2),
    Mistake("mian.py:app", "There is no file mian.py", "Did you mean main.py:app?", "There is no file"),
    Mistake("main:ap", "main has no attribute ap", "Did you mean app?", "has no attribute"),
    Mistake("pages:web", "pages has no", "Did you mean pages.web:app?", "has no attribute", folder="parts"),
    Mistake(
        "named:web", "named:web is a module", "Did you mean pages.web:app?", "is a module, which is", folder="parts",
    ),
    Mistake("inner:app", "There is no module inner", "Add --app-dir src", "There is no module"),
    Mistake("shop.wsgi", "There is no module shop.wsgi", "Add --app-dir shop", "the Django project is in"),
    Mistake(
        "wsgi", "No module named 'shop'", "Add --app-dir .. and write shop.wsgi", "the Django project is in",
        folder="shop/shop",
    ),
    Mistake("main:create_app", "can be called without arguments", "add --factory", "If it returns an application, add"),
    Mistake("main:forgetful()", "has returned None", "Return the application", "which is not an application"),
    Mistake("main:create_for()", "needs arguments (config)", "as in main:create_for('x')", "needs arguments"),
    Mistake("main:create_for", "takes (config)", "as in main:create_for('x')", "call it with its arguments"),
    Mistake("broken", "No module named 'no_such_library'", "installed for", "cannot be imported"),
    Mistake("main:app --log-config x.yaml", "needs PyYAML", "pip install", "Install it (pip install"),
    Mistake("main:app -b 127.0.0.1:{port}", "in use by another process: ", "Stop it", "is in use by another process"),
    Mistake("main:app --bind unix:taken.sock", "Another process listens on", "Stop it", "Another process listens on"),
    Mistake(
        "main:app --ssl-cert-reqs required", "--ssl-cert-reqs has no effect", "Give that too, or remove it",
        "no effect without --ssl-certfile", page="tls",
    ),
    Mistake("main:app -b 192.0.2.1:8000", "is not one of this machine's", "0.0.0.0", "is not one of this machine's"),
    Mistake("main:app --bind unix:no/x.sock", "The directory no does not exist", "Create it", "The directory"),
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = {
        "main.py": APP,
        "src/inner.py": APP,
        "broken.py": "import no_such_library\n",
        "x.yaml": "version: 1\n",
        "shop/manage.py": "",
        "shop/shop/__init__.py": "",
        "shop/shop/settings.py": "",
        "shop/shop/wsgi.py": "import shop.settings\ndef application(environ, start_response): ...\n",
        "parts/pages/web.py": APP,
        "parts/named.py": "from pages import web\n",
        # As if the extra was not installed.
        "yaml.py": "raise ImportError",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(folder: Path) -> Run:
    def run(line: str, within: str = ".") -> "subprocess.CompletedProcess[str]":
        path = os.pathsep.join([os.environ.get("PYTHONPATH", ""), *([str(folder)] if "x.yaml" in line else [])])
        return subprocess.run(
            [sys.executable, "-m", "ianus", *line.split()],
            cwd=folder / within,
            # The usual port may be in use.
            env=os.environ | {"PYTHONPATH": path, "IANUS_BIND": "127.0.0.1:0"},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    return run


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.line or "no application")
def test_a_mistake_has_cause_fix_and_page(mistake: Mistake, run: Run, folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(folder / "taken.sock"))
        unix.listen()
        result = run(mistake.line.format(port=tcp.getsockname()[1]), mistake.folder)
    assert (result.returncode, result.stdout) == (mistake.code, ""), result.stderr
    assert len(re.findall(r"^Error: ", result.stderr, re.MULTILINE)) == 1
    message = result.stderr[result.stderr.index("Error: ") :]
    assert mistake.cause in message
    assert mistake.fix in message
    (page,) = re.findall(r"\(ianus docs (\w+)\)\n\Z", message)
    assert page == mistake.page
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \| [^|]+ \|$", (ROOT / "docs/starting.md").read_text(), re.MULTILINE)
    (row,) = [row for row in rows if row.startswith(mistake.row)]
    assert row in message


@pytest.mark.parametrize(
    ("files", "cause", "fix", "row"),
    [
        (
            {"ianus.toml": "workers = 1", "gunicorn.conf.py": "workers = 2"},
            "ianus.toml and gunicorn.conf.py both set workers; ianus.toml has priority",
            "Remove the others from gunicorn.conf.py",
            "both set",
        ),
        (
            {"ianus.toml": "workers = 1", "pyproject.toml": "[tool.ianus]\nworkers = 2"},
            "pyproject.toml [tool.ianus] is ignored, because ianus.toml exists",
            "",
            "is ignored, because",
        ),
    ],
    ids=["gunicorn.conf.py", "pyproject.toml"],
)
def test_two_files_in_conflict_have_one_message(
    files: dict[str, str], cause: str, fix: str, row: str, run: Run, folder: Path
) -> None:
    for name, text in files.items():
        (folder / name).write_text(text)
    result = run("main:app --check-config")
    assert result.returncode == 0
    (message,) = result.stderr.splitlines()
    assert message.startswith("Warning: ")
    assert cause in message
    assert fix in message
    assert row in message
    assert f"\n| {row} |" in (ROOT / "docs/starting.md").read_text()


def test_a_unix_socket_that_nginx_cannot_reach_is_named(folder: Path) -> None:
    command = [sys.executable, "-m", "ianus", "main:app", "--bind", "unix:private/app.sock"]
    (folder / "private").mkdir(mode=0o700)
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        lines = []
        for line in server.stderr:
            lines.append(line)
            if " serves " in line:
                server.terminate()
    (line,) = [line for line in lines if "Unix socket" in line]
    assert "access to a Unix socket is restricted: unix:private/app.sock: only " in line
    assert f"can connect; for others, chmod o+x {folder}/private" in line
    assert "WARNING" in line
    assert line.endswith(" (ianus docs starting)\n")
    assert "\n| access to a Unix socket is restricted |" in (ROOT / "docs/starting.md").read_text()


@pytest.mark.parametrize("option", ["--workers x", "--access-log-format %(h)s --log-format json"])
def test_the_error_of_a_setting_names_the_page_of_settings(option: str, run: Run) -> None:
    result = run(f"main:app {option} --check-config")
    assert result.returncode in (2, 3)
    assert result.stderr.endswith(" (ianus docs settings)\n")


def test_a_directory_that_was_removed(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    start = "import os, sys; os.rmdir(os.getcwd()); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    line = [sys.executable, "-c", start, "-c", "from ianus.__main__ import main; main()", "main:app"]
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(each for each in sys.path if each)}
    result = subprocess.run(line, cwd=gone, env=environ, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert result.stderr == (
        "Error: The current directory cannot be read (No such file or directory). Change to another one (cd)."
        " (ianus docs starting)\n"
    )
    assert result.returncode == 3


def test_messages_and_documents_name_optional_packages_by_their_own_names() -> None:
    # `pip install 'ianus[tls]'` needs an index that has Ianus, or knowledge of its installation.
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    known = {re.split("[>=<]", each)[0] for packages in extras.values() for each in packages if "[" not in each}
    for path in [*Path(ianus.__file__).parent.rglob("*.py"), *ROOT.glob("docs/**/*.md")]:
        named = re.findall(r"(?:^|[(`])pip install ([^{\n`)|]+)", path.read_text(), re.MULTILINE)
        packages = {word for words in named for word in words.split()}
        assert packages - {"--editable", "'.[all]'"} <= known | {"flask-sock"}, path
