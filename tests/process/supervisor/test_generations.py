"""The generation in effect, and a newer one that is being tried."""

from dataclasses import replace

import pytest

from ianus.errors import StartupError
from ianus.process.hooks import Hooks
from ianus.process.supervisor.generation import Generation, build_generation
from ianus.process.supervisor.generations import Generations
from ianus.settings.schema import Settings

SETTINGS = Settings()


def generation(app: str) -> Generation:
    return Generation(1, app, SETTINGS, 1, Hooks(), None)


def test_a_generation_is_pending_until_it_is_activated() -> None:
    generations = Generations(generation("a"))
    added = generations.add(generation("b"))
    assert (added.number, added.app) == (2, "b")
    assert (generations.active.app, generations.newest()) == ("a", added)
    assert [each.app for each in generations.needed()] == ["a", "b"]
    generations.activate(added)
    assert generations.needed() == [added]
    assert generations.newest() is added
    assert generations.pending is None


def test_an_earlier_generation_may_be_activated_while_a_later_one_is_pending() -> None:
    generations = Generations(generation("a"))
    second = generations.add(generation("b"))
    third = generations.add(generation("c"))
    generations.activate(second)
    assert generations.needed() == [second, third]


def test_numbers_are_not_used_again() -> None:
    generations = Generations(generation("a"))
    generations.add(generation("b"))
    generations.drop_pending()
    assert generations.newest().app == "a"
    assert generations.add(generation("c")).number == 3


def test_a_configuration_is_checked_before_it_is_tried() -> None:
    built = build_generation("main:app", replace(SETTINGS, workers=3))
    assert (built.number, built.workers, built.identity) == (1, 3, None)
    assert build_generation("main:app", replace(SETTINGS, workers="auto")).workers >= 1
    with pytest.raises(StartupError, match="There is no module no_such_hooks"):
        build_generation("main:app", replace(SETTINGS, hooks="no_such_hooks"))
