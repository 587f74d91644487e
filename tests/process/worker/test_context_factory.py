"""The function of --ssl-context-factory: found, called, and the mistakes in it."""

import itertools
import re
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ianus.errors import StartupError
from ianus.process.worker.context_factory import find_context_factory
from tests.engine import unchecked_settings

NUMBERS = itertools.count()


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    before = sys.path[:]
    yield tmp_path
    sys.path[:] = before


def default_context() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


def make(directory: Path, text: str, function: str = "make", **settings: Any) -> ssl.SSLContext:
    """Writes a module, and calls the function in it as the server does."""
    module = f"contexts{next(NUMBERS)}"
    (directory / f"{module}.py").write_text(f"import ssl\n{text}")
    factory = find_context_factory(
        unchecked_settings(ssl_context_factory=f"{module}:{function}", app_dir=str(directory), **settings)
    )
    assert factory is not None
    return factory(default_context)


def refusal(directory: Path, text: str, function: str = "make") -> StartupError:
    with pytest.raises(StartupError) as caught:
        make(directory, text, function)
    assert caught.value.exit_code == 3
    return caught.value


def test_without_a_function_there_is_no_factory() -> None:
    assert find_context_factory(unchecked_settings()) is None


def test_a_function_changes_the_default_context(directory: Path) -> None:
    context = make(
        directory,
        "def make(config, default_factory):\n"
        "    context = default_factory()\n"
        "    context.minimum_version = ssl.TLSVersion.TLSv1_3\n"
        "    return context\n",
    )
    assert context.minimum_version is ssl.TLSVersion.TLSv1_3


def test_a_function_reads_the_settings_by_the_names_of_other_servers(directory: Path) -> None:
    context = make(
        directory,
        "class Contexts:\n"
        "    @staticmethod\n"
        "    def make(config, default_factory):\n"
        "        context = default_factory()\n"
        "        context.seen = config.certfile, config.ssl_certfile, config.keyfile, config.workers\n"
        "        return context\n",
        "Contexts.make",
        ssl_certfile=("a.pem", "b.pem"),
        workers=3,
    )
    assert context.seen == ("a.pem", "a.pem", None, 3)  # type: ignore[attr-defined]


def test_the_hook_of_gunicorn() -> None:
    factory = find_context_factory(unchecked_settings(), lambda config, make_default: make_default())
    assert factory is not None
    assert isinstance(factory(default_context), ssl.SSLContext)


def test_mistakes(directory: Path) -> None:
    assert (
        "has failed: ValueError: bad"
        in refusal(directory, "def make(config, default_factory):\n    raise ValueError('bad')\n").message
    )
    assert (
        "has returned NoneType and not an ssl.SSLContext. It is a function"
        in refusal(directory, "def make(config, default_factory): ...\n").message
    )
    assert refusal(directory, "def make(config, default_factory): ...\n", "makes").message.endswith(
        ":makes names. Did you mean make?"
    )
    advice = "It is a function (config, default_factory) that returns an ssl.SSLContext."
    assert re.fullmatch(
        rf"(contexts\d+) has no attribute nope, which --ssl-context-factory \1:nope names\. {re.escape(advice)}",
        refusal(directory, "def make(config, default_factory): ...\n", "nope").message,
    )
    assert refusal(directory, "make = 1\n").message.endswith(f" is not a function. {advice}")
    assert refusal(directory, "def make(): ...\n").message.endswith(f"but 2 were given. {advice}")
    assert "cannot be imported: ZeroDivisionError" in refusal(directory, "1 / 0\n").message
    assert (
        "a context for clients"
        in refusal(directory, "def make(config, default_factory): return ssl.create_default_context()\n").message
    )


def test_a_module_that_does_not_exist(directory: Path) -> None:
    settings = unchecked_settings(ssl_context_factory="no_such_module:make", app_dir=str(directory))
    with pytest.raises(
        StartupError,
        match=r"^There is no module no_such_module .* Correct --ssl-context-factory no_such_module:make, or set",
    ):
        find_context_factory(settings)
