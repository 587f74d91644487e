"""The templates of a supervisor, with fake processes and a fake clock."""

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from ianus.hooks import ServerInfo
from ianus.process.hooks import Hooks
from ianus.process.start_reports import LOOK_SIGNAL
from ianus.process.supervisor import templates as module
from ianus.process.supervisor.generation import Generation
from ianus.process.supervisor.templates import Templates
from ianus.process.supervisor.worker_process import ABORT_SECONDS
from ianus.settings.schema import Settings

LIMIT = 60.0
SETTINGS = Settings(preload=True)
SERVER = ServerInfo(1, 1, ())


class FakeTemplate:
    """A template that has loaded the application if `is_loaded`."""

    created: list["FakeTemplate"]

    def __init__(self, *functions: Any) -> None:
        self.pid = 500 + len(self.created)
        self.fd = 50 + len(self.created)
        self.is_loaded = True
        self.is_closed = False
        self.created.append(self)

    def read(self) -> bool:
        return self.is_loaded

    def close(self) -> None:
        self.is_closed = True


class Stage:
    """Templates, and the objects around them: a fake of workers, of wake-ups and of os.kill()."""

    def __init__(self) -> None:
        self.start_limits = self
        self.watched: dict[int, Callable[[], object]] = {}
        self.exits: list[tuple[int, int]] = []
        self.signals: list[tuple[int, int]] = []
        self.templates = Templates(self, None, lambda: None, self)  # type: ignore[arg-type]

    def limit(self, settings: Settings) -> float:
        return LIMIT

    def on_template_exit(self, number: int, code: int, now: float) -> None:
        self.exits.append((number, code))

    def watch(self, fd: int, act: Callable[[], object]) -> None:
        self.watched[fd] = act

    def unwatch(self, fd: int) -> None:
        self.watched.pop(fd, None)

    def load(self, number: int) -> FakeTemplate:
        """Requests the template of a generation, which starts it. Returns it."""
        generation = Generation(number, "main:app", SETTINGS, 1, Hooks(), None)
        assert self.templates.get_loaded(generation, SETTINGS, SERVER, 1000.0) is None
        return FakeTemplate.created[-1]


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    each = Stage()
    monkeypatch.setattr(FakeTemplate, "created", [], raising=False)
    monkeypatch.setattr(module, "Template", FakeTemplate)
    monkeypatch.setattr(module, "_TemplateProcess", with_entry(module._TemplateProcess))

    def kill(pid: int, number: int) -> None:
        if number != LOOK_SIGNAL:
            each.signals.append((pid, number))

    monkeypatch.setattr(os, "kill", kill)
    return each


def with_entry(create: Any) -> Any:
    """Replaces the functions of a worker, which no fake template calls."""

    class Entry:
        preload = serve_preloaded = staticmethod(lambda: None)

    return lambda generation, settings, entry, *more: create(generation, settings, Entry, *more)


def get(stage: Stage, number: int) -> Any:
    return stage.templates.get_loaded(
        Generation(number, "main:app", SETTINGS, 1, Hooks(), None), SETTINGS, SERVER, 1000.0
    )


def test_a_template_is_returned_when_it_has_loaded_the_application(stage: Stage) -> None:
    template = stage.load(1)
    assert get(stage, 1) is None
    stage.watched[template.fd]()
    assert get(stage, 1) is template
    assert FakeTemplate.created == [template]


def test_each_generation_has_a_template_until_it_is_not_needed(stage: Stage) -> None:
    first, second = stage.load(1), stage.load(2)
    stage.templates.keep({1, 2})
    assert not first.is_closed
    stage.templates.keep({2})
    assert (first.is_closed, second.is_closed) == (True, False)
    assert list(stage.watched) == [second.fd]


def test_an_exit_is_reported_and_the_template_removed(stage: Stage) -> None:
    template = stage.load(3)
    template.is_loaded = False
    stage.watched[template.fd]()
    assert stage.watched == {}
    stage.templates.on_exit(template.pid, 3 << 8, 1001.0)
    stage.templates.on_exit(9999, 0, 1001.0)
    assert stage.exits == [(3, 3)]
    stage.templates.keep({3})
    assert template.is_closed
    assert stage.load(3) is not template


def test_a_template_that_loads_too_long_is_killed(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    template = stage.load(1)
    now = 1000.0
    while not stage.signals:
        due = stage.templates.due()
        assert due > now, "the supervisor would spin"
        now = due
        stage.templates.step(now)
    assert now == 1000.0 + LIMIT
    assert stage.signals == [(template.pid, signal.SIGABRT)]
    assert "template is stuck and will be killed: template (pid 500): it has not loaded" in caplog.text
    assert stage.templates.due() == now + ABORT_SECONDS
    stage.templates.step(now + ABORT_SECONDS)
    assert stage.signals[1:] == [(template.pid, signal.SIGKILL)]
    assert stage.templates.due() == 0.0


def test_a_loaded_template_has_no_limit(stage: Stage) -> None:
    template = stage.load(1)
    stage.watched[template.fd]()
    assert stage.templates.due() == 0.0
    stage.templates.step(1000.0 + 10 * LIMIT)
    assert stage.signals == []
