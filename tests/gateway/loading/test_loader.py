"""Finding the application: the accepted forms, and one message for each mistake."""

import asyncio
import functools
import itertools
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, Mock
from wsgiref.validate import validator

import pytest

from ianus.errors import StartupError
from ianus.gateway.loading import loader
from ianus.gateway.loading.loader import Application, load_mounted
from ianus.settings.schema import Settings
from tests.rows import for_each_row

Write = Callable[[str, str], None]


@pytest.fixture
def write(tmp_path: Path) -> Iterator[Write]:
    """Writes a module of an application; imports and changes of sys.path are undone."""
    modules, path = set(sys.modules), list(sys.path)
    bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True

    def write_file(name: str, source: str) -> None:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(source))

    yield write_file
    sys.dont_write_bytecode = bytecode
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def load(app: Any, **values: Any) -> Application:
    """Loads as a worker does, with these settings."""
    settings = Settings(**values)
    return loader.load(app, factory=settings.factory, app_dir=settings.app_dir, interface=settings.interface)


@pytest.fixture
def load_here(tmp_path: Path) -> Callable[..., Application]:
    return functools.partial(load, app_dir=str(tmp_path))


def failure(call: Callable[..., object], *args: Any, **kwargs: Any) -> StartupError:
    with pytest.raises(StartupError) as caught:
        call(*args, **kwargs)
    assert caught.value.exit_code == 3
    return caught.value


ASGI = """
    async def app(scope, receive, send):
        pass
"""


# --- Names ---


def test_module_and_attribute(write: Write, load_here: Callable[..., Application]) -> None:
    write("my_main.py", ASGI)
    application = load_here("my_main:app")
    assert application == Application(sys.modules["my_main"].app, "asgi3", "my_main:app")


def test_a_path_of_attributes(write: Write, load_here: Callable[..., Application]) -> None:
    write("my_main.py", ASGI + "\n    class Site:\n        inner = staticmethod(app)\n    site = Site()\n")
    assert load_here("my_main:site.inner").callable is sys.modules["my_main"].app


def test_a_module_in_a_package(write: Write, load_here: Callable[..., Application]) -> None:
    write("my_package/__init__.py", "")
    write("my_package/web.py", ASGI)
    assert load_here("my_package.web:app").name == "my_package.web:app"


@pytest.mark.parametrize(
    ("source", "chosen"),
    [("app = f", "app"), ("application = f", "application"), ("app = g; application = f", "application")],
)
def test_a_module_alone_means_application_then_app(
    source: str, chosen: str, write: Write, load_here: Callable[..., Application]
) -> None:
    write(
        "my_main.py",
        f"async def f(scope, receive, send): ...\nasync def g(scope, receive, send): ...\n{source}",
    )
    found = load_here("my_main")
    assert found.callable is getattr(sys.modules["my_main"], chosen)
    assert found.name == f"my_main:{chosen}"


def test_the_application_directory_is_searched_before_all_others(
    write: Write, tmp_path: Path, load_here: Callable[..., Application]
) -> None:
    write("my_main.py", ASGI)
    write("other/my_main.py", "app = None")
    sys.path.insert(0, str(tmp_path / "other"))
    assert load_here("my_main:app").interface == "asgi3"
    assert sys.path[0] == str(tmp_path)


def test_the_application_directory_is_put_into_the_path_once(
    write: Write, tmp_path: Path, load_here: Callable[..., Application]
) -> None:
    write("my_main.py", ASGI)
    load_here("my_main:app")
    load_here("my_main:app")
    assert sys.path.count(str(tmp_path)) == 1


def test_a_missing_application_directory_is_named() -> None:
    assert "The directory no-such-place does not exist" in failure(load, "m:app", app_dir="no-such-place").message


@for_each_row("spec", ["", ":app", "main:", "main:app:b", "my-main:app", "main:a..b", "main:a b", "./a-b:c"])
def test_an_invalid_name_of_an_application_gets_an_error_with_the_form(spec: str) -> None:
    message = failure(load, spec).message
    assert message == f"{spec!r} does not name an application; write MODULE:ATTRIBUTE, as in main:app."


# --- Files ---


@pytest.mark.parametrize(
    "spec",
    ["web.py", "./web.py:app", "src/my_main.py:app", "src/my_main.py", "src/my_main:app", "src/../src/my_main"],
)
def test_an_application_may_be_named_by_its_file(
    spec: str, write: Write, load_here: Callable[..., Application]
) -> None:
    write("web.py", ASGI)
    write("src/my_main.py", "import my_helper\n" + textwrap.dedent(ASGI))
    write("src/my_helper.py", "")
    assert load_here(spec).name in ("web:app", "my_main:app")


def test_a_module_of_a_package_in_a_folder(write: Write, load_here: Callable[..., Application]) -> None:
    write("src/my_site/wsgi.py", "def application(environ, start_response): ...")
    write("src/my_site/asgi.py", ASGI)
    assert load_here("src/my_site.wsgi").name == "my_site.wsgi:application"
    assert load_here("src/my_site.asgi:app").name == "my_site.asgi:app"


def test_a_module_may_have_the_name_of_a_folder(write: Write, load_here: Callable[..., Application]) -> None:
    write("src/my_main.py", ASGI)
    write("src/my_main/data.txt", "")
    assert load_here("src/my_main:app").name == "my_main:app"


def test_a_file_may_be_anywhere(write: Write, tmp_path: Path, load_here: Callable[..., Application]) -> None:
    write("elsewhere/my_main.py", "import my_helper\n" + textwrap.dedent(ASGI))
    write("cwd/my_helper.py", "")
    assert load_here(f"{tmp_path}/elsewhere/my_main.py", app_dir=str(tmp_path / "cwd")).name == "my_main:app"
    assert sys.path[:2] == [f"{tmp_path}/elsewhere", f"{tmp_path}/cwd"]


@pytest.mark.parametrize(
    "spec", ["my_package/inner/web.py", "my_package/inner/web:app", "my_package/inner/__init__.py"]
)
def test_a_file_in_a_package_may_use_relative_imports(
    spec: str, write: Write, load_here: Callable[..., Application]
) -> None:
    write("my_package/__init__.py", "")
    write("my_package/inner/__init__.py", "from .web import app")
    write("my_package/inner/web.py", "from ..app import app")
    write("my_package/app.py", ASGI)
    assert load_here(spec).callable is sys.modules["my_package.app"].app


def test_a_file_needs_no_name_of_an_identifier(write: Write, load_here: Callable[..., Application]) -> None:
    write("my-app.py", ASGI)
    assert load_here("my-app.py").name == "my-app:app"


def test_a_script_of_wsgi_servers_may_import_a_module_of_its_name(
    write: Write, load_here: Callable[..., Application]
) -> None:
    write("my_site.py", "def app(environ, start_response): ...")
    write("my_site.wsgi", "from my_site import app as application")
    assert load_here("my_site.wsgi").callable is sys.modules["my_site"].app
    assert load_here("my_site.wsgi").name == "my_site_wsgi:application"


def test_a_script_that_fails_is_not_half_imported(write: Write, load_here: Callable[..., Application]) -> None:
    write("my_site.wsgi", "1 / 0")
    for _ in range(2):
        error = failure(load_here, "my_site.wsgi")
        assert error.message.startswith("my_site_wsgi cannot be imported: ZeroDivisionError")
        assert 'my_site.wsgi", line 1' in error.details


def test_a_module_wsgi_of_a_package_is_not_a_script(write: Write, load_here: Callable[..., Application]) -> None:
    write("my_site/wsgi.py", "def application(environ, start_response): ...")
    write("my_site.wsgi", "1 / 0")
    assert load_here("my_site.wsgi").name == "my_site.wsgi:application"


def test_a_file_with_the_name_of_an_imported_module_is_refused(
    write: Write, tmp_path: Path, load_here: Callable[..., Application]
) -> None:
    write("a/my_main.py", ASGI)
    write("b/my_main.py", ASGI)
    write("itertools.py", ASGI)
    load_here("a/my_main.py")
    message = failure(load_here, "b/my_main.py").message
    assert message == (
        f"{tmp_path}/b/my_main.py cannot be imported as my_main: another module has this name"
        f" ({tmp_path}/a/my_main.py). Rename the file."
    )
    assert "another module has this name (built in). Rename" in failure(load_here, "itertools.py").message


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("mian.py", "There is no file mian.py in {here}. Did you mean main.py?"),
        ("src/mian.py:app", "There is no file mian.py in {here}/src. Did you mean src/main.py:app?"),
        ("b.c.py:make()", "There is no file b.c.py in {here}. Did you mean src/b.c.py:make()?"),
        ("b.c.py:make('a')", "There is no file b.c.py in {here}. Did you mean src/b.c.py:make(...)?"),
        ("zzz.py", "There is no file zzz.py in {here}. Check its spelling."),
        ("no/main.py", "'no/main.py': the folder {here}/no does not exist."),
        ("main/app", "'main/app' is not a path. Did you mean main:app?"),
        ("main:make('x'", "\"main:make('x'\": the closing parenthesis is missing; write main:make('x')."),
        ("src/", "'src/' is a folder; name the file in it, as in src/main.py."),
        ("src/a.b.py", "'src/a.b.py' cannot be imported, since its name has a dot; rename the file."),
        ("wsgi:main:app", "'wsgi:main:app': write main:app; its interface is recognised, or set by --interface wsgi."),
    ],
)
def test_the_error_of_a_file_has_a_remedy(
    spec: str, expected: str, write: Write, tmp_path: Path, load_here: Callable[..., Application]
) -> None:
    for name in ("main.py", "src/main.py", "src/a.b.py", "src/b.c.py"):
        write(name, ASGI)
    assert failure(load_here, spec).message == expected.format(here=tmp_path)


# --- Modules that are not there ---


def test_a_missing_module_suggests_the_nearest_one(write: Write, load_here: Callable[..., Application]) -> None:
    write("my_main.py", ASGI)
    message = failure(load_here, "my_mian:app").message
    assert "There is no module my_mian in" in message
    assert message.endswith("Did you mean my_main:app?")


def test_a_missing_module_in_a_package_suggests_the_nearest_one(
    write: Write, load_here: Callable[..., Application]
) -> None:
    write("my_package/__init__.py", "")
    write("my_package/web.py", ASGI)
    message = failure(load_here, "my_package.wep:app").message
    assert message == "There is no module my_package.wep in the package my_package. Did you mean my_package.web:app?"


def test_a_missing_package_suggests_the_nearest_one(write: Write, load_here: Callable[..., Application]) -> None:
    write("my_package/__init__.py", "")
    assert failure(load_here, "my_pakage.web:app").message.endswith("Did you mean my_package.web:app?")


def test_a_module_in_a_folder_beside_suggests_the_application_directory(
    write: Write, load_here: Callable[..., Application]
) -> None:
    write("src/my_main.py", ASGI)
    assert failure(load_here, "my_main:app").message.endswith(
        "Add --app-dir src: the module my_main is in that directory."
    )


def test_the_error_of_a_missing_module_without_neighbours_has_a_remedy(
    write: Write, load_here: Callable[..., Application]
) -> None:
    assert failure(load_here, "zzz:app").message.endswith(
        "Check its spelling, or set --app-dir to the directory of the application."
    )


def test_a_module_is_not_searched_in_a_file(write: Write, load_here: Callable[..., Application]) -> None:
    write("my_main.py", ASGI)
    message = failure(load_here, "my_main.app").message
    assert message == ("There is no module my_main.app: my_main is a file and not a package. Did you mean my_main:app?")


DJANGO = """
    import os
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "my_site.settings")
    import my_site.settings
    def application(environ, start_response): ...
"""


@pytest.mark.parametrize(
    ("folder", "spec", "advice"),
    [
        ("", "my_site.wsgi", "Add --app-dir my_site: the Django project is in that directory."),
        (
            "",
            "my_site.my_site.wsgi",
            "Add --app-dir my_site and write my_site.wsgi: the Django project is in that directory.",
        ),
        (
            "my_site/my_site",
            "wsgi",
            "Add --app-dir .. and write my_site.wsgi: the Django project is in that directory.",
        ),
        (
            "my_site/my_site",
            "wsgi:application",
            "Add --app-dir .. and write my_site.wsgi:application: the Django project is in that directory.",
        ),
        ("my_site/my_site", "relative:app", "my_site is a package: add --app-dir .. and write my_site.relative:app."),
        ("my_site/my_site", "my_site.wsgi", "Add --app-dir ..: the Django project is in that directory."),
        ("my_site/my_site", "relative", "my_site is a package: add --app-dir .. and write my_site.relative."),
    ],
)
def test_a_project_one_folder_too_deep_is_recognised(
    folder: str, spec: str, advice: str, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "my_site.settings")
    write("my_site/manage.py", "")
    write("my_site/my_site/__init__.py", "")
    write("my_site/my_site/settings.py", "")
    write("my_site/my_site/wsgi.py", DJANGO)
    write("my_site/my_site/relative.py", "from . import settings")
    assert failure(load, spec, app_dir=str(tmp_path / folder)).message.endswith(f" {advice}")


@pytest.mark.parametrize("files", [("my_site/__init__.py", "my_site/wsgi.py"), ("my_site/wsgi.py",)])
def test_a_module_of_a_package_is_named_by_its_package(
    files: tuple[str, ...], write: Write, load_here: Callable[..., Application]
) -> None:
    """From inside the folder its relative imports would fail."""
    for name in files:
        write(name, "from .pages import app" if name.endswith("wsgi.py") else "")
    write("my_site/pages.py", ASGI)
    write("asgi.py", ASGI)  # A similar name is not the one that is meant.
    for attribute, shown in (
        ("", ""),
        (":app", ":app"),
        (":site.make()", ":site.make()"),
        (":make('x')", ":make(...)"),
    ):
        assert failure(load_here, f"wsgi{attribute}").message.endswith(f" Did you mean my_site.wsgi{shown}?")
    assert load_here("my_site.wsgi:app").interface == "asgi3"


def test_a_module_with_the_name_of_the_package_is_not_suggested(
    write: Write, load_here: Callable[..., Application]
) -> None:
    write("choosing/my_site.py", "")
    write("srv/my_site/wsgi.py", "def application(environ, start_response): ...")
    message = failure(load_here, "my_site.wsgi").message
    assert message.endswith("Add --app-dir srv: the module my_site is in that directory.")


@pytest.mark.parametrize("spec", ["manage.py", "manage", "my_site.settings"])
def test_other_modules_of_a_django_project_suggest_its_application(
    spec: str, write: Write, load_here: Callable[..., Application]
) -> None:
    write("manage.py", "import os\ndef main(): os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'my_site.settings')")
    write("my_site/__init__.py", "")
    write("my_site/settings.py", "DEBUG = False")
    write("my_site/wsgi.py", "def application(environ, start_response): ...")
    assert failure(load_here, spec).message.endswith(
        " has neither application nor app. Did you mean my_site.wsgi:application?"
    )


# --- Imports that fail inside the application ---


def test_a_missing_import_of_the_application_is_its_own_traceback_and_none_of_ours(
    write: Write, load_here: Callable[..., Application]
) -> None:
    write("my_main.py", "import my_helper\n")
    write("my_helper.py", "\nimport no_such_library\n")
    error = failure(load_here, "my_main:app")
    assert error.message == (
        "my_main cannot be imported: ModuleNotFoundError: No module named 'no_such_library'. "
        f"The traceback above is the application's. Is no_such_library installed for {sys.executable}?"
    )
    lines = error.details.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert [line.strip() for line in lines if line.startswith("  File ")] == [
        f'File "{sys.path[0]}/my_main.py", line 1, in <module>',
        f'File "{sys.path[0]}/my_helper.py", line 2, in <module>',
    ]


def test_a_package_that_fails_to_import_a_module_of_its_own_is_not_called_missing(
    write: Write, load_here: Callable[..., Application]
) -> None:
    write("my_package/__init__.py", "import my_package.web\n")
    error = failure(load_here, "my_package.web:app")
    assert error.message.startswith("my_package.web cannot be imported: ModuleNotFoundError")
    assert "my_package/__init__.py" in error.details


def test_any_exception_of_an_import_is_reported_with_its_causes(
    write: Write, load_here: Callable[..., Application]
) -> None:
    source = """
        try:
            {}["password"]
        except KeyError as error:
            raise RuntimeError("no\\n  password") from error
    """
    write("my_main.py", source)
    error = failure(load_here, "my_main:app")
    assert "my_main cannot be imported: RuntimeError: no password." in error.message
    assert "KeyError: 'password'" in error.details
    assert "ianus" not in error.details.replace(sys.path[0], "")


def test_a_syntax_error_is_shown_with_its_line(write: Write, load_here: Callable[..., Application]) -> None:
    write("my_main.py", "x = 1\ndef app(:\n    pass\n")
    error = failure(load_here, "my_main:app")
    assert error.message == f"my_main cannot be imported: invalid syntax ({sys.path[0]}/my_main.py, line 2)."
    assert error.details.startswith(f'  File "{sys.path[0]}/my_main.py", line 2\n    def app(:\n')
    assert error.details.endswith("SyntaxError: invalid syntax\n")


def test_a_syntax_error_in_an_imported_module_keeps_the_imports_in_its_traceback(
    write: Write, load_here: Callable[..., Application]
) -> None:
    write("my_main.py", "import my_helper\n")
    write("my_helper.py", "def app(:\n")
    error = failure(load_here, "my_main:app")
    assert "my_helper.py, line 1" in error.message
    assert "my_main.py" in error.details


def test_a_module_that_exits_has_an_error_of_its_own(write: Write, load_here: Callable[..., Application]) -> None:
    write("my_main.py", "import sys\nsys.exit('usage: my_main FILE')\n")
    error = failure(load_here, "my_main:app")
    assert "it called sys.exit('usage: my_main FILE')" in error.message
    assert "__main__" in error.message


def test_the_user_may_interrupt_an_import(write: Write, load_here: Callable[..., Application]) -> None:
    write("my_main.py", "raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        load_here("my_main:app")


# --- Attributes that are not there ---


def test_a_missing_attribute_suggests_the_nearest_one(write: Write, load_here: Callable[..., Application]) -> None:
    write("my_main.py", ASGI)
    assert failure(load_here, "my_main:apq").message == "my_main has no attribute apq. Did you mean app?"


def test_the_error_of_a_missing_attribute_names_the_object(write: Write, load_here: Callable[..., Application]) -> None:
    write("my_main.py", "class site: handler = None\n")
    message = failure(load_here, "my_main:site.handlers").message
    assert message == "my_main.site has no attribute handlers. Did you mean handler?"


def test_the_error_of_a_missing_attribute_suggests_applications(
    write: Write, load_here: Callable[..., Application]
) -> None:
    source = """
        class Framework:
            async def __call__(self, scope, receive, send): ...
        server = Framework()
        unrelated = print
    """
    write("my_main.py", source)
    assert failure(load_here, "my_main:app").message == "my_main has no attribute app. Did you mean server?"
    assert failure(load_here, "my_main").message == "my_main has neither application nor app. Did you mean server?"


def test_the_error_of_a_missing_attribute_without_neighbours_has_a_remedy(
    write: Write, load_here: Callable[..., Application]
) -> None:
    write("my_main.py", "")
    assert failure(load_here, "my_main:app").message == "my_main has no attribute app. Check the name in my_main:app."
    message = failure(load_here, "my_main").message
    assert message == "my_main has neither application nor app. Name the application, as in my_main:NAME."


@for_each_row(
    ("spec", "right"),
    [
        ("my_package:wsgi", "my_package.wsgi:app"),
        ("my_package:wsgi.app", "my_package.wsgi:app"),
        ("my_package", "my_package.wsgi:app"),
        ("my_package:app", "my_package.wsgi:app"),
        ("my_package:inner", "my_package.inner.main:create_app()"),
        ("my_package:inner.main", "my_package.inner.main:create_app()"),
        ("my_package.inner", "my_package.inner.main:create_app()"),
        ("my_package.inner:main", "my_package.inner.main:create_app()"),
        ("my_package:plain", "my_package.plain:NAME"),
        ("my_package:plain.site", "my_package.plain:site"),
        ("my_folder", "my_folder.site.asgi:app"),
        ("my_folder:site", "my_folder.site.asgi:app"),
        ("my_importing:wsgi", "my_importing.wsgi:app"),
        ("my_importing:made", "my_importing.made:create_app()"),
        ("my_importing:inner", "my_importing.inner.asgi:app"),
        ("my_other:module", "my_package.wsgi:app"),
    ],
)
def test_the_application_in_a_module_of_a_package_is_offered(
    spec: str, right: str, write: Write, load_here: Callable[..., Application]
) -> None:
    write("my_package/__init__.py", "")
    write("my_package/wsgi.py", ASGI)
    write("my_package/plain.py", "site = 1\n")
    write("my_package/inner/__init__.py", "")
    write("my_package/inner/main.py", "def create_app(): ...\n")
    write("my_folder/site/asgi.py", ASGI)
    write("my_importing/__init__.py", "from . import inner, made, wsgi\n")
    write("my_importing/wsgi.py", ASGI)
    write("my_importing/made.py", "def create_app(): ...\n")
    write("my_importing/inner/__init__.py", "")
    write("my_importing/inner/asgi.py", ASGI)
    write("my_other.py", "from my_package import wsgi as module\n")
    assert failure(load_here, spec).message.endswith(f" Did you mean {right}?")


def test_a_module_without_an_application_is_not_one(write: Write, load_here: Callable[..., Application]) -> None:
    write("my_main.py", "import my_empty\n")
    write("my_empty.py", "")
    assert failure(load_here, "my_main:my_empty").message == (
        "my_main:my_empty is a module, which is not an application. Name the application in it, as in my_empty:NAME."
    )


# --- Factories ---

FACTORY = ASGI + "\n    def create_app():\n        return app\n"


@pytest.mark.parametrize(("spec", "factory"), [("my_main:create_app", True), ("my_main:create_app()", False)])
def test_a_factory_is_called(spec: str, factory: bool, write: Write, load_here: Callable[..., Application]) -> None:
    write("my_main.py", FACTORY)
    assert load_here(spec, factory=factory).callable is sys.modules["my_main"].app


def test_a_class_can_be_the_factory(write: Write, load_here: Callable[..., Application]) -> None:
    write("my_main.py", "class App:\n    async def __call__(self, scope, receive, send): ...\n")
    assert isinstance(load_here("my_main:App", factory=True).callable, sys.modules["my_main"].App)


def test_a_factory_is_recognised_without_the_option(write: Write, load_here: Callable[..., Application]) -> None:
    write("my_main.py", FACTORY)
    assert "add --factory" in failure(load_here, "my_main:create_app").message


def test_a_factory_that_fails_is_the_applications_traceback(
    write: Write, load_here: Callable[..., Application]
) -> None:
    write("my_main.py", "def create_app():\n    return 1 / 0\n")
    error = failure(load_here, "my_main:create_app()")
    assert error.message.startswith("The factory my_main:create_app() failed: ZeroDivisionError: division by zero.")
    assert [line for line in error.details.splitlines() if line.startswith("  File ")] == [
        f'  File "{sys.path[0]}/my_main.py", line 2, in create_app'
    ]


def test_a_factory_that_needs_arguments_names_them(write: Write, load_here: Callable[..., Application]) -> None:
    write("my_main.py", "def create_app(config, *, debug): ...\n")
    assert failure(load_here, "my_main:create_app()").message == (
        "The factory my_main:create_app() needs arguments (config, debug). Write them, as in my_main:create_app('x'),"
        " or give them defaults. Remove --factory and () if it is the application itself."
    )
    assert "needs arguments (config, debug)" in failure(load_here, "my_main:create_app", factory=True).message
    write("my_other.py", "def create(config): ...\n")
    message = failure(load_here, "my_other:create").message
    assert "If it makes one, call it with its arguments, as in my_other:create('x')" in message


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("make('prod')", (("prod",), {})),
        ("make( 'a(b),c:d', [1, None], debug=True, )", (("a(b),c:d", [1, None]), {"debug": True})),
        ("make({'a': -1.5}, (b'x',))", (({"a": -1.5}, (b"x",)), {})),
        ("make('''a\nb''' # a comment\n)", (("a\nb",), {})),
        ("site.make(1)", ((1,), {})),
        ("make( )", ((), {})),
    ],
)
def test_a_factory_is_called_with_literal_arguments(
    call: str, expected: Any, write: Write, load_here: Callable[..., Application]
) -> None:
    source = """
        calls = []
        def make(*args, **kwargs):
            calls.append((args, kwargs))
            return app
        class site: make = make
    """
    write("my_main.py", textwrap.dedent(ASGI) + textwrap.dedent(source))
    application = load_here(f"my_main:{call}")
    assert sys.modules["my_main"].calls == [expected]
    assert application.name == f"my_main:{call.partition('(')[0]}({'...' if any(expected) else ''})", "may be secret"
    load_here(f"my_main:{call}", factory=True)
    assert len(sys.modules["my_main"].calls) == 2


@for_each_row(
    ("spec", "expected"),
    [
        ("m:f(x)", "arguments are literals: texts in quotes, numbers, True, False, None, and lists of these"),
        ("m:f(**{})", "arguments are literals"),
        ("m:f(a=1, a=2)", "the arguments are not valid Python (the argument a is repeated)"),
        ("m:f(*[1])", "arguments are literals"),
        ("m:f(__import__('os').abort())", "arguments are literals"),
        (f"m:f({'-' * 100_000}1)", "m:f("),
        ("m:f('x)", "the arguments are not valid Python (unterminated string literal"),
        ("m:f(1), f(2)", "a call ends the name"),
        ("m:f(1)(2)", "a call ends the name"),
        ("m:f(1) or f(2)", "a call ends the name"),
        ("m:f().app", "a call ends the name, as in main:create_app(). Write a function that returns the application."),
        ("m:f(", "the closing parenthesis is missing; write m:f()."),
        ("m:f(x='a\0')", "write them as in main:create_app("),
    ],
)
def test_other_calls_are_refused_with_the_form(spec: str, expected: str) -> None:
    assert expected in failure(load, spec).message


def test_arguments_that_a_factory_does_not_take(write: Write, load_here: Callable[..., Application]) -> None:
    write("my_main.py", FACTORY)
    assert failure(load_here, "my_main:create_app('x')").message == (
        "The factory my_main:create_app(...) takes (): too many positional arguments. Correct the arguments in the name"
        " of APP."
    )


def test_a_function_that_makes_an_application_is_offered(write: Write, load_here: Callable[..., Application]) -> None:
    write("my_main.py", "def create_app(): ...\n")
    for spec in ("my_main", "my_main:app"):
        assert failure(load_here, spec).message.endswith("Did you mean my_main:create_app()?")


def test_an_async_factory_is_refused(write: Write, load_here: Callable[..., Application]) -> None:
    write("my_main.py", "async def create_app(): ...\n")
    assert "is an async function" in failure(load_here, "my_main:create_app()").message


def test_a_factory_has_to_be_callable(write: Write, load_here: Callable[..., Application]) -> None:
    write("my_main.py", "create_app = 3\n")
    assert "my_main:create_app is an int" in failure(load_here, "my_main:create_app", factory=True).message


# --- Objects, as ianus.run() takes them ---


async def app(scope: Any, receive: Any, send: Any) -> None:
    """An application of this module."""


def test_an_application_can_be_given_itself() -> None:
    application = load(app)
    assert application.callable is app
    assert application.name.endswith("test_loader:app")


def test_a_factory_can_be_given_itself() -> None:
    assert load(lambda: app, factory=True).callable is app


# --- Interfaces ---


class Callable3:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...


def around(function: Any) -> Any:
    def wrapper(*args: Any) -> Any:
        return function(*args)

    return wrapper


class Inherits(Callable3):
    pass


class SyncCallable3:
    def __call__(self, scope: Any, receive: Any, send: Any) -> Any: ...


class Awaitable3:
    """A class whose instances are awaited, as Starlette's HTTPEndpoint."""

    def __init__(self, scope: Any, receive: Any, send: Any) -> None: ...
    def __await__(self) -> Any: ...


def decorated(function: Any) -> Any:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def undisclosed(*args: Any) -> Any: ...


async def undisclosed_async(*args: Any) -> Any: ...


class Overrides(SyncCallable3):
    def __call__(self, *args: Any) -> Any: ...


async def with_more(extra: Any, scope: Any, receive: Any, send: Any) -> None: ...


async def with_default(scope: Any, receive: Any, send: Any, extra: Any = None) -> None: ...


class Compiled:
    """Like a function of a C extension without a readable signature."""

    __signature__ = "none"

    def __call__(self, *args: Any) -> Any: ...


@for_each_row(
    "application",
    [
        app,
        with_default,
        Callable3(),
        Callable3().__call__,
        Inherits(),
        SyncCallable3(),
        Awaitable3,
        decorated(app),
        functools.partial(with_more, None),
        functools.partial(with_default, extra=1),
        around(app),
        around(around(Callable3())),
        undisclosed_async,
        AsyncMock(),
        Overrides(),
        lambda scope, receive, send: app(scope, receive, send),
    ],
)
def test_asgi_3_is_recognised(application: Any) -> None:
    assert load(application) == Application(application, "asgi3", load(application).name)


class Class2:
    def __init__(self, scope: Any) -> None:
        self.scope = scope

    async def __call__(self, receive: Any, send: Any) -> None:
        await send((self.scope, await receive()))


def function2(scope: Any) -> Any:
    return Class2(scope)


class Callable2:
    def __call__(self, scope: Any) -> Any:
        return Class2(scope)


@for_each_row("application", [Class2, function2, Callable2(), functools.partial(Class2), decorated(function2)])
def test_asgi_2_is_recognised_and_called_as_asgi_3(application: Any) -> None:
    found = load(application)
    assert found.interface == "asgi2"
    sent: list[Any] = []

    async def receive() -> Any:
        return "event"

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(found.callable({"type": "x"}, receive, send))
    assert sent == [({"type": "x"}, "event")]


def test_the_interface_of_a_wrapper_precedes_that_of_the_wrapped_application() -> None:
    @functools.wraps(function2)
    async def adapter(scope: Any, receive: Any, send: Any) -> None: ...

    assert load(adapter).interface == "asgi3"


def wsgi(environ: Any, start_response: Any) -> Any: ...


def wsgi_with_default(environ: Any, start_response: Any, extra: Any = None) -> Any: ...


class WsgiCallable:
    def __call__(self, env: Any, respond: Any) -> Any: ...


class WsgiClass:
    def __init__(self, environ: Any, start_response: Any) -> None: ...
    def __iter__(self) -> Any: ...


class WsgiOverrides(WsgiCallable):
    """Like a subclass of a framework's application class."""

    def __call__(self, *args: Any) -> Any:
        return super().__call__(*args)


def wsgi_with_more(extra: Any, environ: Any, start_response: Any) -> Any: ...


def view(request: Any) -> Any: ...


class Wsgify:
    """As webob.dec.wsgify."""

    def __get__(self, instance: Any, owner: Any) -> Any: ...

    def __call__(self, req: Any, *args: Any, **kwargs: Any) -> Any: ...


@for_each_row(
    "application",
    [
        wsgi,
        wsgi_with_default,
        WsgiCallable(),
        WsgiCallable().__call__,
        WsgiClass,
        WsgiOverrides(),
        Wsgify(),
        decorated(view),  # as by werkzeug.Request.application
        decorated(wsgi),
        functools.partial(wsgi_with_more, None),
        validator(wsgi),
        validator(around(WsgiCallable())),
        lambda e, s: [],
    ],
)
def test_wsgi_is_recognised(application: Any) -> None:
    assert load(application) == Application(application, "wsgi", load(application).name)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "attribute"),
    [
        ("flask", "Flask('x')"),
        ("django.core.handlers.wsgi", "WSGIHandler.__new__(WSGIHandler)"),
        ("pyramid.config", "Configurator().make_wsgi_app()"),
        ("bottle", "Bottle()"),
        ("falcon", "App()"),
        ("whitenoise", "WhiteNoise(None)"),
        ("werkzeug", "Request.application(lambda request: None)"),
        ("webob.dec", "wsgify(lambda req: None)"),
        ("a2wsgi", "ASGIMiddleware(None)"),
    ],
)
def test_wsgi_applications_of_frameworks(module: str, attribute: str) -> None:
    made = eval(attribute, vars(pytest.importorskip(module)))
    assert load(made).interface == "wsgi"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "attribute"),
    [
        ("fastapi", "FastAPI()"),
        ("starlette.applications", "Starlette()"),
        ("quart", "Quart('x')"),
        ("litestar", "Litestar()"),
        ("django.core.handlers.asgi", "ASGIHandler.__new__(ASGIHandler)"),
        ("falcon.asgi", "App()"),
        ("connexion", "AsyncApp('x')"),
        ("connexion", "FlaskApp('x')"),
        ("a2wsgi", "WSGIMiddleware(None)"),
        ("asgiref.wsgi", "WsgiToAsgi(None)"),
    ],
)
def test_asgi_applications_of_frameworks(module: str, attribute: str) -> None:
    made = eval(attribute, vars(pytest.importorskip(module)))
    assert load(made).interface == "asgi3"


def three_with_default(a: Any, b: Any, c: Any = None) -> Any: ...


class OneOrTwo:
    def __call__(self, a: Any, b: Any = None) -> Any: ...


def around_itself() -> Any:
    def wrapper(*args: Any) -> Any:
        return wrapper(*args)

    return wrapper


def around_two(one: Any, two: Any) -> Any:
    def wrapper(*args: Any) -> Any:
        return one(*args) or two(*args)

    return wrapper


@for_each_row(
    "application",
    [
        undisclosed,
        around(undisclosed),
        around_itself(),
        around_two(app, wsgi),
        Compiled(),
        Mock(),
        three_with_default,
        OneOrTwo(),
    ],
)
def test_an_ambiguous_application_needs_the_option(application: Any) -> None:
    message = failure(load, application).message
    assert message.endswith(
        " can be called like a WSGI and like an ASGI application; set --interface to wsgi, asgi3 or asgi2."
    )
    assert load(application, interface="wsgi") == Application(
        application, "wsgi", load(application, interface="wsgi").name
    )
    assert load(application, interface="asgi3").interface == "asgi3"


async def async_wsgi(environ: Any, start_response: Any) -> Any: ...


def test_wsgi_is_not_async() -> None:
    message = failure(load, async_wsgi).message
    assert message.endswith(
        "async_wsgi is async and takes (environ, start_response), as a WSGI application would, which is not async."
    )


@pytest.mark.parametrize(
    ("value", "kind"),
    [("None", "None"), ("{}", "a dict"), ("3", "an int")],
)
def test_the_error_of_an_object_that_cannot_be_called_names_it(
    value: str, kind: str, write: Write, load_here: Callable[..., Application]
) -> None:
    write("my_main.py", f"app = {value}")
    assert failure(load_here, "my_main:app").message == (
        f"my_main:app is {kind}, which is not an application: it cannot be called. Name the application, as in"
        " MODULE:NAME."
    )


class Middleware:
    def __init__(self, app: Any) -> None: ...
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...


class NeedsName:
    def __init__(self, import_name: str, folder: str = "", path: str = "") -> None: ...
    def __call__(self, environ: Any, start_response: Any) -> Any: ...


@for_each_row("application", [Callable3, Middleware, NeedsName, type("Plain", (), {})])
def test_a_class_in_place_of_its_instance_is_reported(application: Any) -> None:
    assert "is a class, not an application; serve an instance of it" in failure(load, application).message


async def takes_one(request: Any) -> None: ...


async def takes_two(receive: Any, send: Any) -> None: ...


async def takes_four(a: Any, b: Any, c: Any, d: Any) -> None: ...


def takes_keyword(scope: Any, receive: Any, send: Any, *, needed: Any) -> None: ...


@for_each_row("application", [takes_one, takes_two, takes_four, takes_keyword])
def test_other_parameters_are_reported(application: Any) -> None:
    assert "and would be called with (scope, receive, send)" in failure(load, application).message


def takes_three_and_more(a: Any, b: Any, c: Any, d: Any) -> Any: ...


def test_parameters_of_neither_interface_are_reported() -> None:
    message = failure(load, takes_three_and_more).message
    assert "it takes (a, b, c, d) and would be called with (scope, receive, send) or with (environ, sta" in message


def all_defaults(config: Any = None, debug: Any = False, name: Any = "") -> Any: ...


def test_a_function_whose_parameters_all_have_defaults_is_taken_for_a_factory() -> None:
    assert "add --factory" in failure(load, all_defaults).message


def create_app(config: Any) -> Any:
    return Callable3()


def test_a_factory_with_one_parameter_is_not_taken_for_asgi_2() -> None:
    message = failure(load, create_app).message
    assert "takes (config)" in message
    assert "call it with its arguments, as in tests.gateway.loading.test_loader:create_app('x')" in message
    assert "if it is one, set --interface to wsgi, asgi3 or asgi2." in message
    assert load(create_app, interface="asgi2").interface == "asgi2"


# --- The interface that was asked for ---


def hidden(*args: Any) -> Any: ...


@for_each_row(
    ("application", "interface"),
    [
        *itertools.product([hidden, wsgi, takes_one, Callable3()], ["asgi3", "asgi2"]),
        *itertools.product([hidden, wsgi, create_app, SyncCallable3()], ["wsgi"]),
    ],
)
def test_an_application_with_a_given_version_is_not_examined(application: Any, interface: str) -> None:
    assert load(application, interface=interface).interface == interface


@pytest.mark.parametrize("interface", ["auto", "asgi"])
def test_asgi_of_either_version_is_recognised(interface: str) -> None:
    assert load(Callable3(), interface=interface).interface == "asgi3"
    assert load(lambda scope: None, interface=interface).interface == "asgi2"


def test_an_application_that_is_declared_asgi_is_not_taken_for_wsgi() -> None:
    message = failure(load, wsgi, interface="asgi").message
    assert message.endswith(" takes (environ, start_response), as a WSGI application does; remove --interface asgi.")


@pytest.mark.parametrize("application", [app, Callable3()])
def test_an_async_application_is_not_served_as_wsgi(application: Any) -> None:
    message = failure(load, application, interface="wsgi").message
    assert message.endswith(" is async, which a WSGI application is not; remove --interface wsgi.")


@pytest.mark.parametrize("interface", ["asgi3", "asgi2", "wsgi"])
def test_an_object_that_cannot_be_called_is_not_an_application(interface: str) -> None:
    for value, kind in (({}, "a dict"), (None, "None"), (3, "an int")):
        assert failure(load, value, interface=interface).message == (
            f"The application is {kind}, which cannot be called. Give the application itself, or its name, as in"
            ' "main:app".'
        )


def test_a_factory_that_returns_nothing_is_named(write: Write, load_here: Callable[..., Application]) -> None:
    write("my_main.py", "def make(): pass\ndef number(): return 3")
    for spec, shown in (("my_main:make()", "my_main:make() has returned None"), ("my_main:number()", "an int")):
        message = failure(load_here, spec).message
        assert shown in message
        assert message.endswith("which is not an application: it cannot be called. Return the application from it.")


# --- Mounted applications ---


def test_a_mounted_application_knows_its_prefix(write: Write, tmp_path: Path) -> None:
    write("my_main.py", ASGI)
    mounted = load_mounted("/api", "my_main:app", app_dir=str(tmp_path))
    assert mounted == Application(sys.modules["my_main"].app, "asgi3", "my_main:app", "/api")
    assert load_mounted("/wsgi", wsgi, app_dir=".").interface == "wsgi"


def test_a_mounted_application_may_be_made_by_a_call(write: Write, tmp_path: Path) -> None:
    write("my_main.py", FACTORY)
    mounted = load_mounted("/api", "my_main:create_app()", app_dir=str(tmp_path))
    assert mounted.callable is sys.modules["my_main"].app


@for_each_row(
    ("attribute", "fix"),
    [
        ("undisclosed", "mount a function around it that takes (environ, start_response) or (scope, receive, send)."),
        ("create_app", "create_app('x'); if it is one, mount a function around it"),
        ("all_defaults", "If it returns an application, write it as a call, with ()."),
        ("Callable3", "If it can be made without arguments, write it as a call, with ()."),
        ("no_such_name", "no attribute no_such_name."),
    ],
)
def test_the_error_of_a_mounted_application_has_a_remedy(attribute: str, fix: str) -> None:
    error = failure(load_mounted, "/api", f"{__name__}:{attribute}", app_dir=".")
    assert fix in error.message
    assert error.message.endswith(" (mounted at /api)")
    assert "--" not in error.message


def test_a_mounted_application_that_fails_shows_its_traceback(write: Write, tmp_path: Path) -> None:
    write("my_main.py", "1 / 0")
    error = failure(load_mounted, "/api", "my_main:app", app_dir=str(tmp_path))
    assert "my_main.py" in error.details
