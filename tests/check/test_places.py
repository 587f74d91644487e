"""The line of the application is found below frameworks, and never in the check or the script that starts it."""

import sys

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ianus.check.places import Place, is_application_file, place_of_frame
from tests.check.checking import check


async def short(request: Request) -> Response:
    return Response(b"abc", headers={"content-length": "10"})


async def text_as_status(request: Request) -> Response:
    return Response(b"abc", status_code=999)


app = Starlette(routes=[Route("/short", short), Route("/status", text_as_status)])


def test_a_violation_that_a_framework_sends_names_the_function_of_the_application() -> None:
    result = check(app, "/short", "/status")
    found = {each.rule: (each.place, each.handler) for each in result.violations}
    assert found.keys() == {"http-content-length", "http-status"}
    for rule, handler in (("http-content-length", short), ("http-status", text_as_status)):
        place, named = found[rule]
        assert place is not None
        assert "starlette" in place.file
        assert named is not None
        assert (named.file, named.function) == (__file__, handler.__name__)
    assert result.package_violations == []


def test_a_frame_is_that_of_its_own_function() -> None:
    place = place_of_frame(sys._getframe())
    assert place is not None
    assert place.file == __file__
    assert place.function == "test_a_frame_is_that_of_its_own_function"


def test_no_frame_has_no_place() -> None:
    assert place_of_frame(None) is None


def test_files_of_python_and_of_packages_are_not_the_applications() -> None:
    assert is_application_file(__file__)
    assert not is_application_file(str(sys.modules["pathlib"].__file__))
    assert not is_application_file(str(sys.modules["starlette"].__file__))
    assert not is_application_file(str(sys.modules["ianus.check.places"].__file__))
    assert not is_application_file("<frozen importlib>")


def test_a_place_below_the_current_folder_is_relative(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    assert str(Place("/srv/main.py", 3, "view")) == "srv/main.py:3 in view"
    monkeypatch.chdir("/tmp")
    assert str(Place("/srv/main.py", 3, "view")) == "/srv/main.py:3 in view"
