"""Applications are found in the files of a folder, and none of them is imported."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ianus.gateway.loading.discovery import find_applications

Write = Callable[..., None]

MANAGE = 'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings.dev")\n'


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_files(**files: str) -> None:
        for name, source in files.items():
            path = tmp_path / (name.replace("__", "/", 1) if "__" in name else name)
            path = path.with_suffix(".py")
            path.parent.mkdir(exist_ok=True)
            path.write_text(source)

    return write_files


def commands(folder: Path, app_dir: str = ".") -> list[str]:
    with contextlib.chdir(folder):
        return [each.command() for each in find_applications(app_dir)]


@pytest.mark.parametrize(
    ("source", "command", "found"),
    [
        ("app = FastAPI()", "ianus main:app", "main.py has app = FastAPI(...)"),
        ("app: Flask = flask.Flask(__name__)", "ianus main:app", "main.py has app = flask.Flask(...)"),
        ("application = app = f()", "ianus main:application", "main.py has application = f(...)"),
        ("async def app(scope, receive, send): ...", "ianus main:app", "main.py has app"),
        ("from x import site as app", "ianus main:app", "main.py has app"),
        ("app = lambda e, s: []", "ianus main:app", "main.py has app"),
        ("app = make()()", "ianus main:app", "main.py has app"),
        ("def create_app(): ...", "ianus 'main:create_app()'", "main.py has the function create_app"),
        ("api = falcon.App()", "ianus main:api", "main.py has api = falcon.App(...)"),
    ],
)
def test_an_application_in_a_module(source: str, command: str, found: str, write: Write, tmp_path: Path) -> None:
    write(main=f"{source}\nraise SystemExit\n")
    with contextlib.chdir(tmp_path):
        (candidate,) = find_applications(".")
    assert (candidate.command(), candidate.found) == (command, found)


@pytest.mark.parametrize(
    "source",
    ["", "x = 1", "def f(", "\0", "(" * 10_000, "class app: ...", f"app = a{'.b' * 3000}()", "if x:\n    app = 1"],
)
def test_a_module_without_one(source: str, write: Write, tmp_path: Path) -> None:
    write(main=source)
    assert find_applications(str(tmp_path)) == []


def test_several_modules(write: Write, tmp_path: Path) -> None:
    write(wsgi="application = f()", main="app = f()", other="app = f()")
    assert commands(tmp_path) == ["ianus main:app", "ianus wsgi:application"]


def test_a_django_project(write: Write, tmp_path: Path) -> None:
    write(manage=MANAGE, shop__wsgi="application = x()", shop__asgi="application = x()")
    assert commands(tmp_path) == ["ianus shop.wsgi", "ianus shop.asgi"]
    with contextlib.chdir(tmp_path):
        assert find_applications(".")[0].found == "this folder is a Django project (WSGI)"
    with contextlib.chdir(tmp_path.parent):
        assert find_applications(f"./{tmp_path.name}/")[0].found.startswith(f"the folder {tmp_path.name} is a Django")


def test_a_django_project_in_a_folder(write: Write, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site/manage.py").write_text(MANAGE)
    (tmp_path / "site/shop").mkdir()
    (tmp_path / "site/shop/wsgi.py").write_text("application = x()")
    assert commands(tmp_path) == ["ianus shop.wsgi --app-dir site"]


def test_the_package_of_a_django_project(write: Write, tmp_path: Path) -> None:
    write(manage=MANAGE, shop__wsgi="application = x()", other__wsgi="application = x()")
    assert commands(tmp_path / "shop") == ["ianus shop.wsgi --app-dir .."]
    assert commands(tmp_path, "shop") == ["ianus shop.wsgi"]
    # A folder next to the package is not a part of the project.
    assert commands(tmp_path / "other") == ["ianus wsgi:application"]


def test_a_given_folder_is_a_part_of_the_command(write: Write, tmp_path: Path) -> None:
    write(src__main="app = f()")
    assert commands(tmp_path, "src") == ["ianus main:app --app-dir src"]
    (tmp_path / "src").rename(tmp_path / "my project")
    assert commands(tmp_path, "./my project") == ["ianus main:app --app-dir 'my project'"]
    (tmp_path / "my project").rename(tmp_path / "below")
    (tmp_path / "outer").mkdir()
    (tmp_path / "below").rename(tmp_path / "outer/site")
    (tmp_path / "outer/site/manage.py").write_text(MANAGE)
    (tmp_path / "outer/site/shop").mkdir()
    (tmp_path / "outer/site/shop/wsgi.py").touch()
    assert commands(tmp_path, "outer")[0] == "ianus shop.wsgi --app-dir outer/site"


def test_modules_in_folders(write: Write, tmp_path: Path) -> None:
    write(src__main="app = f()", shop____init__="def create_app(): ...", shop__api="app = f()", venv__main="app = f()")
    assert commands(tmp_path) == ["ianus shop.api:app", "ianus 'shop:create_app()'", "ianus src/main.py:app"]


def test_a_named_pipe_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "main.py")
    assert find_applications(str(tmp_path)) == []


def test_an_empty_folder(tmp_path: Path) -> None:
    assert find_applications(str(tmp_path)) == []
    assert find_applications(str(tmp_path / "none")) == []
