"""Routes of NGINX Unit, in which the first step that matches a request decides."""

import fnmatch
import json
import random
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ianus.errors import StartupError
from tests.migrate.pages import Page, read_page

# The names of the applications are those of their modules.
APPLICATIONS: dict[str, Any] = {
    "shop": {"type": "python", "module": "shop"},
    "api": {"type": "python", "module": "api", "prefix": "/api"},
    "v1": {"type": "python", "module": "v1", "prefix": "/api/v1"},
    "site": {"type": "python", "targets": {"admin": {"module": "admin", "callable": "app", "prefix": "/admin/"}}},
    "php": {"type": "php", "root": "/srv"},
}

OTHER_APPLICATIONS = "One server has one application at /."


def step(target: str, **match: Any) -> dict[str, Any]:
    return ({"match": match} if match else {}) | {"action": {"pass": target}}


def page_of(folder: Path, routes: Any, target: str = "routes") -> Page:
    content = {"listeners": {"*:80": {"pass": target}}, "routes": routes, "applications": APPLICATIONS}
    (folder / "unit.json").write_text(json.dumps(content))
    return read_page("unit.json")


def given(page: Page) -> dict[str, Any]:
    return {name: value for name, value in page.given.items() if name in ("app", "mount", "root_path_kept")}


def notes(page: Page) -> str:
    return " ".join(page.notes.replace("#", "").split())


API = step("applications/api", uri="/api/*")
V1 = step("applications/v1", uri=["/api/v1", "/api/v1/*"])
SHOP = step("applications/shop")
BOTH = {"app": "shop:application", "mount": ["/api=api:application"]}


@pytest.mark.parametrize(
    ("routes", "expected"),
    [
        ([API, SHOP], BOTH),
        ([SHOP, API], {"app": "shop:application"}),
        ([API], {"app": "api:application", "root_path_kept": "/api"}),
        ([V1, API, SHOP], {
            "app": "shop:application", "mount": ["/api/v1=v1:application", "/api=api:application"]}),
        # The longest prefix is reached only if its step is the first one.
        ([API, V1, SHOP], BOTH),
        ([API, step("applications/site/admin", uri="/admin/*"), SHOP], {
            "app": "shop:application", "mount": ["/api=api:application", "/admin=admin:app"]}),
        ([API, step("applications/site/admin", uri="/admin*")], {
            "mount": ["/api=api:application", "/admin=admin:app"]}),
        # Steps that pass to the application which has their requests anyway.
        ([step("applications/shop", uri="/x/*"), API, SHOP], BOTH),
        ([API, step("applications/shop", host="x.test"), SHOP], BOTH),
        ([API, step("applications/api")], {"app": "api:application", "root_path_kept": "/api"}),
        # Below the prefix of the main application, a mount is relative to it.
        ([V1, step("applications/api")], {
            "app": "api:application", "root_path_kept": "/api", "mount": ["/v1=v1:application"]}),
        ([step("applications/shop", uri="*"), API], {"app": "shop:application"}),
        ([step("applications/shop", uri=["!/static/*"])], {"app": "shop:application"}),
        # Files, and the application for the others.
        ([API, {"action": {"share": "/srv$uri", "fallback": {"pass": "applications/shop"}}}], BOTH),
        ([{"match": {"uri": "/api/*"}, "action": {"share": "/srv", "fallback": {"pass": "applications/api"}}}, SHOP],
         BOTH),
        ([API, {"action": {"return": 404}}, SHOP], {"app": "api:application", "root_path_kept": "/api"}),
    ],
)  # fmt: skip
def test_applications_of_routes(routes: Any, expected: dict[str, Any], nowhere: Path) -> None:
    assert given(page_of(nowhere, routes)) == expected


@pytest.mark.parametrize(
    ("routes", "expected"),
    [
        ([SHOP, API], "routes[1]/match = {'uri': '/api/*'} -> applications/api No request reaches it: routes[0] takes"),
        ([API, V1, SHOP], "-> applications/v1 No request reaches it: routes[0]"),
        ([{"action": {"return": 404}}, SHOP], "routes[1] -> applications/shop No request reaches it"),
        ([API, SHOP], "The mount has the path /api itself, too"),
        ([step("applications/api", uri="/api*"), SHOP], "but not others such as /api2"),
        ([API], "NGINX Unit answers them with 404"),
        ([API, step("applications/site/admin", uri="/admin/*")], "name one in app"),
        ([step("applications/api", host="api.test"), SHOP], "'api.test'} -> applications/api An application is chosen"),
        ([step("applications/api", uri="~^/api"), SHOP], "'~^/api'} -> applications/api An application is chosen"),
        ([step("applications/api", uri="/v2/*"), SHOP], "-> applications/api An application is chosen"),
        ([step("applications/api", uri=["/api/*", "/v2/*"]), SHOP], "'/v2/*']} -> applications/api An application is"),
        ([step("applications/shop", uri="/api/v1/*"), API, SHOP], "-> applications/shop An application is chosen"),
        ([step("applications/shop", method="POST"), API, SHOP], "-> applications/shop An application is chosen"),
        ([step("applications/php"), SHOP], "-> applications/php There is no application in Python"),
        ([step("applications/$host"), SHOP], "-> applications/$host There is no application in Python"),
        ([{"action": {"pass": "applications/shop", "rewrite": "/x$uri"}}], "routes[0]/action = {'rewrite': '/x$uri'}"),
        ([V1, step("applications/api"), SHOP], "routes[2] -> applications/shop No request reaches it: routes[1]"),
    ],
)  # fmt: skip
def test_notes_of_routes(routes: Any, expected: str, nowhere: Path) -> None:
    assert expected in notes(page_of(nowhere, routes))


@pytest.mark.parametrize("routes", [[V1, step("applications/shop")], [step("applications/shop", uri="/x/*"), SHOP]])
def test_routes_that_are_served_alike_have_no_note(routes: Any, nowhere: Path) -> None:
    assert "routes" not in page_of(nowhere, routes).notes


def test_routes_that_pass_to_routes(nowhere: Path) -> None:
    routes = {
        "main": [step("routes/api", uri="/api/*"), SHOP, API],
        "api": [step("applications/v1", uri="/api/v1/*"), step("applications/api")],
    }
    page = page_of(nowhere, routes, "routes/main")
    assert given(page) == BOTH | {"mount": ["/api/v1=v1:application", "/api=api:application"]}
    assert "routes/main[2]/match = {'uri': '/api/*'} -> applications/api No request reaches it" in notes(page)


def test_an_application_that_no_step_reaches_is_noted_once(nowhere: Path) -> None:
    assert "#   applications/api\n" not in page_of(nowhere, [SHOP, API]).notes


def test_routes_that_pass_to_each_other_are_one_message(nowhere: Path) -> None:
    routes = {
        "a": [step("routes/b", host="x"), step("routes/b", host="y")],
        "b": [step("routes/a", host=n) for n in "xy"],
    }
    with pytest.raises(StartupError, match="has more than 1000 steps"):
        page_of(nowhere, routes, "routes/a")


# --- Compared with a model of NGINX Unit ---


class Outcome(NamedTuple):
    """The application of a request, with the prefix that it gets. place: the step that NGINX Unit takes."""

    application: str
    prefix: str
    place: str = ""


def unit_outcome(steps: list[dict[str, Any]], path: str) -> Outcome:
    for index, each in enumerate(steps):
        patterns = each.get("match", {}).get("uri", ["*"])
        if any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns):
            name = each["action"]["pass"].partition("/")[2]
            prefix = APPLICATIONS[name].get("prefix", "")
            has_prefix = prefix and f"{path}/".startswith(f"{prefix}/")
            return Outcome(name, prefix if has_prefix else "", f"routes[{index}]")
    return Outcome("", "", "routes")


def ianus_outcome(page: Page, path: str) -> Outcome:
    kept = page.given.get("root_path_kept", "")
    mounts = {kept + prefix: name for prefix, _, name in (each.partition("=") for each in page.given.get("mount", []))}
    for prefix in sorted(mounts, key=len, reverse=True):
        if f"{path}/".startswith(f"{prefix}/"):
            return Outcome(mounts[prefix].partition(":")[0], prefix)
    name = page.given.get("app", "").partition(":")[0]
    return Outcome(name, kept if kept and f"{path}/".startswith(f"{kept}/") else "")


PATTERNS = ("/api/*", "/api*", "/api", "/api/v1/*", "/api/v1", "/x/*", "*", "/*/x")
PATHS = ("/", "/api", "/api/", "/api/x", "/apix", "/api/v1", "/api/v1/x", "/x/x", "/x/api")


def is_noted(page: Page, expected: Outcome, found: Outcome) -> bool:
    """Returns whether a note is about the step of a request, or of the application that gets it in its place."""
    titles = re.findall(r"^#   (routes\S*)(?: = .*)? -> applications/(\w+)$", page.notes, re.MULTILINE)
    is_step_noted = any(place.startswith(f"{expected.place}/") or place == expected.place for place, _ in titles)
    is_missing = not expected.application and "404" in page.notes
    return is_step_noted or is_missing or found.application in [name for _, name in titles]


def test_random_routes_serve_as_in_unit_or_are_noted(nowhere: Path) -> None:
    choice = random.Random(17)
    same = 0
    for _ in range(200):
        steps = [
            step(
                f"applications/{choice.choice(['shop', 'api', 'v1'])}",
                uri=choice.sample(PATTERNS, choice.choice((1, 1, 2))),
            )
            for _ in range(choice.randint(1, 4))
        ]
        page = page_of(nowhere, steps)
        for path in PATHS:
            expected, found = unit_outcome(steps, path), ianus_outcome(page, path)
            if found == expected._replace(place=""):
                same += 1
            else:
                assert is_noted(page, expected, found), (steps, path, expected, found, page.text)
    assert same > 200
