"""ianus.run(): the settings decide which process serves."""

from collections.abc import Callable
from typing import Any

import pytest

from ianus.errors import StartupError
from ianus.process import serve, spawned
from ianus.process.start import start
from ianus.settings.schema import PROCESS, WORKERS, Settings, table


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The process that served."""
    served: list[str] = []

    def note(where: str) -> Callable[[Any, Settings], int]:
        def run(app: Any, settings: Settings) -> int:
            served.append(where)
            return 0

        return run

    monkeypatch.setattr(serve, "run", note("here"))
    monkeypatch.setattr(spawned, "run", note("in a child"))
    return served


SUPERVISED: dict[str, Any] = {
    "workers": 2,
    "preload": True,
    "timeout": 5.0,
    "max_requests": 10,
    "max_requests_jitter": 10,
    "workers_lifetime": 10.0,
    "workers_lifetime_jitter": 10.0,
    "workers_max_rss": 10,
    "workers_max_rss_jitter": 10,
    "hooks": "hooks",
    "chdir": "sub",
    "capture_output": True,
    "pythonpath": "lib",
    "pid_file": "pid",
    "user": "nobody",
    "group": "nogroup",
    "umask": 0o27,
    "process_name": "shop",
    "reload": True,
}


@pytest.mark.parametrize("name", SUPERVISED)
def test_settings_of_a_supervisor_need_one(name: str, served: list[str]) -> None:
    settings = Settings.from_values({name: SUPERVISED[name]})
    start("main:app", settings)
    assert served == ["in a child"]
    with pytest.raises(StartupError, match=f"With {name} applications are given by name"):
        start(object(), settings)


def test_these_are_all() -> None:
    assert {name for name, setting, _ in table() if setting.group in (WORKERS, PROCESS)} == SUPERVISED.keys() - {
        "reload"
    }


@pytest.mark.parametrize("settings", [{}, {"watch_loop": 100}, {"workers": 1}, {"loop": "asyncio", "threads": 3}])
def test_the_rest_is_done_here(settings: dict[str, Any], served: list[str]) -> None:
    start(object(), Settings.from_values(settings))
    assert served == ["here"]
