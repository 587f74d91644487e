"""ianus init: a commented file that is read, and that never replaces another one."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ianus.commands import build_subcommand
from ianus.settings.schema import Settings
from ianus.settings.sources import read_sources
from tests.settings.test_json_schema import problems

pytestmark = pytest.mark.usefixtures("nowhere")


def init() -> Result:
    return CliRunner().invoke(build_subcommand("init"))


def test_the_file_has_the_defaults(nowhere: Path) -> None:
    result = init()
    assert (result.exit_code, result.output.startswith("ianus.toml was written. Set the application")) == (0, True)
    configuration = read_sources((), {})
    assert (configuration.app, configuration.settings) == ("", Settings())
    text = (nowhere / "ianus.toml").read_text()
    assert problems(text) == []
    # Settings that are comments are valid too.
    every = "\n".join(line.removeprefix("# ") if " = " in line else line for line in text.splitlines())
    (nowhere / "ianus.toml").write_text(every)
    assert read_sources((), {}).app == "main:app"
    assert set(read_sources((), {}).origins) == {"app", "bind", "workers", "threads", "forwarded_allow_ips"}


def test_the_application_is_found(nowhere: Path) -> None:
    (nowhere / "wsgi.py").write_text("def create_app(): ...")
    assert "Its application: wsgi.py has the function create_app. `ianus` serves it." in init().output
    assert read_sources((), {}).app == "wsgi:create_app()"


def test_a_project_in_a_folder_gets_its_folder(nowhere: Path) -> None:
    (nowhere / "site/shop").mkdir(parents=True)
    (nowhere / "site/manage.py").write_text('("DJANGO_SETTINGS_MODULE", "shop.settings")')
    (nowhere / "site/shop/wsgi.py").touch()
    assert "Its application: the folder site is a Django project (WSGI)." in init().output
    configuration = read_sources((), {})
    assert (configuration.app, configuration.settings.app_dir) == ("shop.wsgi", "site")


def test_an_existing_file_is_not_changed(nowhere: Path) -> None:
    (nowhere / "ianus.toml").write_text("app = 'x'\n")
    result = init()
    assert (result.exit_code, result.stderr) == (
        3, "Error: ianus.toml exists, and was not changed. (ianus docs settings)\n",
    )  # fmt: skip
    assert (nowhere / "ianus.toml").read_text() == "app = 'x'\n"


def test_a_link_is_not_followed(nowhere: Path) -> None:
    (nowhere / "ianus.toml").symlink_to("elsewhere.toml")
    assert init().exit_code == 3
    assert not (nowhere / "elsewhere.toml").exists()


def test_the_settings_of_a_project_are_not_replaced(nowhere: Path) -> None:
    (nowhere / "pyproject.toml").write_text("[tool.ianus]\nworkers = 4\n")
    result = init()
    assert result.exit_code == 3
    assert "pyproject.toml has settings in [tool.ianus], which ianus.toml would replace" in result.stderr
    assert not (nowhere / "ianus.toml").exists()


def test_a_folder_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> object:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("ianus.commands.init.open", refuse, raising=False)
    assert "ianus.toml cannot be written in " in init().stderr


def test_a_configuration_of_gunicorn_is_named(nowhere: Path) -> None:
    (nowhere / "gunicorn.conf.py").touch()
    assert "gunicorn.conf.py is read too" in init().output
