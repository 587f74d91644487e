"""ianus dev: the options of development before those of the line, and an application that is found."""

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ianus.commands import build_subcommand, dev, serving
from ianus.settings.schema import Settings

Served = list[tuple[str, Settings]]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, nowhere: Path) -> Served:
    found: Served = []

    def serve(app: str, settings: Settings, reader: object) -> int:
        found.append((app, settings))
        return 0

    monkeypatch.setattr(serving, "serve", serve)
    return found


def run(*line: str) -> Result:
    return CliRunner().invoke(build_subcommand("dev"), line, prog_name="ianus dev")


def test_the_options_of_development(served: Served) -> None:
    assert run("main:app", "-b", ":9000").exit_code == 0
    ((app, settings),) = served
    assert (app, settings.reload, settings.log_level, settings.workers) == ("main:app", True, "debug", 1)
    assert str(settings.bind[0]) == "*:9000"


def test_the_line_takes_precedence(served: Served) -> None:
    assert run("--workers", "2", "--log-level=info", "main:app", "--no-reload").exit_code == 0
    ((_, settings),) = served
    assert (settings.reload, settings.log_level, settings.workers) == (False, "info", 2)


def test_the_file_does_not(served: Served, nowhere: Path) -> None:
    (nowhere / "ianus.toml").write_text('app = "shop:app"\nworkers = 8\nbacklog = 7\n')
    run()
    ((app, settings),) = served
    assert (app, settings.workers, settings.backlog) == ("shop:app", 1, 7)


def test_without_app_the_first_application_is_served(served: Served, nowhere: Path) -> None:
    (nowhere / "main.py").write_text("app = Flask(__name__)")
    (nowhere / "wsgi.py").write_text("application = Flask(__name__)")
    result = run("--backlog", "7")
    assert result.stderr == "Serving main:app: main.py has app = Flask(...).\n"
    ((app, settings),) = served
    assert (app, settings.backlog, settings.reload) == ("main:app", 7, True)


def test_a_project_in_a_folder_gets_its_folder(served: Served, nowhere: Path) -> None:
    (nowhere / "site/shop").mkdir(parents=True)
    (nowhere / "site/manage.py").write_text('("DJANGO_SETTINGS_MODULE", "shop.settings")')
    (nowhere / "site/shop/wsgi.py").touch()
    run()
    ((app, settings),) = served
    assert (app, settings.app_dir) == ("shop.wsgi", "site")


def test_without_any_application(served: Served) -> None:
    result = run()
    assert (result.exit_code, served) == (2, [])
    assert "No application is given; name it" in result.stderr


def test_an_unknown_option_is_an_error_of_ianus(served: Served) -> None:
    result = run("main:app", "--relod")
    assert result.exit_code == 2
    assert "Usage: ianus [OPTIONS] [APP]" in result.stderr


def test_without_watchfiles_files_are_not_watched(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dev, "find_spec", lambda name: None)
    result = run("main:app")
    assert f"files are not watched without watchfiles; install it for {sys.executable}" in result.stderr
    ((_, settings),) = served
    assert not settings.reload
