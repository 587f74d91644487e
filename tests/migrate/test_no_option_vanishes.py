"""Each option that a server accepts is a setting of the result, or is named in it."""

from pathlib import Path
from typing import Any

import pytest

from ianus.migrate.command import PROGRAMS
from tests.migrate.pages import Page, read_page
from tests.migrate.server_options import Option, gunicorn_settings, hypercorn_settings, options_of

# With an address, so that no option counts because of the server's own one.
LINES = (
    "gunicorn -b :80",
    "uvicorn --port 80",
    "granian --port 80",
    "hypercorn -b :80",
    "daphne -p 80",
    "waitress-serve --port=80",
)

# Their values are files, which do not exist.
FILES = ("--config", "-c")


def has_answer(page: Page, base: Page, name: str) -> bool:
    """Returns whether an option has added a setting, or is named beside the settings."""
    return page.given != base.given or name in page.notes or name in page.unneeded


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("form", ["{} {}", "{}={}"])
def test_options_of_a_line(line: str, form: str, nowhere: Path) -> None:
    words = [*line.split(), "a:b"]
    options = [option for option in options_of(words[0]) if option.flag not in FILES]
    assert len(options) > 15
    base = read_page(*words)
    vanished = [option.flag for option in options if not has_answer(_page(words, option, form), base, option.flag)]
    assert vanished == []


@pytest.mark.parametrize("line", LINES)
def test_a_repeated_option_counts_as_at_home(line: str) -> None:
    program = line.split()[0]
    table = PROGRAMS[program].OPTIONS
    for option in options_of(program):
        if option.value is not None:
            flags, _ = table.parse([option.flag, "1", option.flag, "2"])
            assert [flag.value for flag in flags] == (["1", "2"] if option.is_list else ["2"]), option.flag


def test_values_that_a_later_one_replaces_are_named(nowhere: Path) -> None:
    page = read_page("gunicorn --certfile a --certfile=b --pythonpath x --pythonpath y -b :1 -b :2 a:b")
    assert page.given["ssl_certfile"] == ["b"]
    assert page.given["pythonpath"] == ["y"]
    assert page.given["bind"] == ["0.0.0.0:1", "0.0.0.0:2"]
    assert "--certfile a" in page.unneeded
    assert "The option is repeated, and the last one counts: --pythonpath y." in page.unneeded
    assert read_page("uvicorn --uds a --uds b --header a:b --header c:d a:b").given["bind"] == ["unix:b"]


def _page(words: list[str], option: Option, form: str) -> Page:
    flag, value, _ = option
    page = read_page(*words, *([flag] if value is None else form.format(flag, value).split(" ", 1)))
    assert page.given["app"] == "a:b", flag
    assert "does not know" not in page.text, flag
    return page


def changed(value: Any) -> Any:
    """Returns another value for a setting."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value + 1
    return ["x"] if isinstance(value, (list, tuple)) else {"x": "y"} if isinstance(value, dict) else "/x"


def test_settings_of_a_gunicorn_conf_py(nowhere: Path) -> None:
    settings = gunicorn_settings()
    assert len(settings) > 80
    names = [name for name, default in settings.items() if not callable(default) and name != "config"]
    (nowhere / "gunicorn.conf.py").write_text("wsgi_app = 'a:b'\n")
    base = read_page("gunicorn.conf.py")
    vanished = []
    for name in names:
        (nowhere / "gunicorn.conf.py").write_text(f"wsgi_app = 'a:b'\n{name} = {changed(settings[name])!r}\n")
        if not has_answer(read_page("gunicorn.conf.py"), base, name):
            vanished.append(name)
    assert vanished == []


# Attributes of hypercorn's class that are not settings.
COMPUTED = {"log", "ssl_enabled", "quic_addresses", "set_quic_addresses"}


def test_settings_of_a_hypercorn_file(nowhere: Path) -> None:
    settings = hypercorn_settings()
    assert len(settings) > 50
    (nowhere / "hypercorn.py").write_text("workers = 3\n")
    base = read_page("hypercorn.py")
    vanished = []
    for name in settings.keys() - COMPUTED:
        (nowhere / "hypercorn.py").write_text(f"workers = 3\n{name} = {changed(settings[name])!r}\n")
        if not has_answer(read_page("hypercorn.py"), base, name):
            vanished.append(name)
    assert vanished == []
