"""An option means here the same as in the server that it belongs to: both run the same line, one after the other."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

from tests.other_servers.sites import Outcome, ianus, make_application, other, run_line

pytestmark = pytest.mark.extended

FORWARDED = ("/a", {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https"})


class Case(NamedTuple):
    """A line, and the part of its outcome that is the same on both sides.

    part: returns it. expected: its value. app: the application. how: parameters of run_line().
    """

    name: str
    line: str
    part: Callable[[Outcome], Any]
    expected: Any
    app: tuple[str, str] = ("main:app", "asgi")
    how: Mapping[str, Any] = MappingProxyType({})


def addresses(outcome: Outcome) -> list[str]:
    return outcome.addresses


def facts(*names: str) -> Callable[[Outcome], Any]:
    return lambda outcome: [tuple(each.get(name) for name in names) for each in outcome.facts]


def fields(*names: str) -> Callable[[Outcome], Any]:
    return lambda outcome: [each["fields"].get(name) for each in outcome.responses for name in names]


def statuses(outcome: Outcome) -> list[int]:
    return list(outcome.statuses)


variables = facts("variable")
PATHS = facts("root_path", "path")


def closes_at_once(outcome: Outcome) -> bool:
    return outcome.idle < 0.5


def has_line(pattern: str) -> Callable[[Outcome], bool]:
    return lambda outcome: re.search(pattern, outcome.output, re.MULTILINE) is not None


def in_folder(outcome: Outcome) -> list[str]:
    return [Path(each["cwd"]).name for each in outcome.facts]


WSGI = ("main:app", "wsgi")

CASES = (
    # --- Addresses ---
    Case("gunicorn-host", "gunicorn -b 0.0.0.0 main:app", addresses, ["0.0.0.0:8000"], WSGI),
    Case(
        "gunicorn-several",
        "gunicorn -b 127.0.0.1:81 -b unix:a.sock main:app",
        addresses,
        ["127.0.0.1:81", "a.sock"],
        WSGI,
    ),
    Case("gunicorn-fd", "gunicorn -b fd://3 main:app", addresses, ["127.0.0.1:9000"], WSGI, {"fd": 3}),
    Case("gunicorn-port", "gunicorn main:app", addresses, ["0.0.0.0:81"], WSGI, {"env": {"PORT": "81"}}),
    Case("uvicorn-uds", "uvicorn --uds a.sock main:app", addresses, ["a.sock"]),
    Case("uvicorn-port", "uvicorn --port 81 main:app", addresses, ["127.0.0.1:81"]),
    Case("hypercorn-host", "hypercorn --bind 127.0.0.1 main:app", addresses, ["127.0.0.1:8000"]),
    Case("daphne-halves", "daphne -b 0.0.0.0 -p 81 main:app", addresses, ["0.0.0.0:81"]),
    Case("daphne-socket", "daphne -u a.sock main:app", addresses, ["a.sock"]),
    Case(
        "waitress-list",
        "waitress-serve --listen='127.0.0.1:81 127.0.0.1:82' main:app",
        addresses,
        ["127.0.0.1:81", "127.0.0.1:82"],
        WSGI,
    ),
    Case(
        "granian-halves",
        "granian --interface wsgi --host 127.0.0.1 --port 81 main:app",
        addresses,
        ["127.0.0.1:81"],
        WSGI,
    ),
    # --- Applications and directories ---
    Case(
        "gunicorn-chdir",
        "gunicorn --chdir src -e A=b main:app",
        lambda each: (in_folder(each), facts("variable")(each)),
        (["src"], [("b",)]),
        ("src/main.py:app", "wsgi"),
    ),
    Case(
        "gunicorn-pythonpath",
        "gunicorn --pythonpath lib,src main:app",
        in_folder,
        ["site"],
        ("src/main.py:app", "wsgi"),
    ),
    Case("uvicorn-app-dir", "uvicorn --app-dir src main:app", in_folder, ["site"], ("src/main.py:app", "asgi")),
    Case(
        "granian-working-dir",
        "granian --interface asgi --working-dir src main:app",
        in_folder,
        ["site"],
        ("src/main.py:app", "asgi"),
    ),
    Case(
        "uvicorn-factory",
        "uvicorn --factory main:create_app",
        facts("interface"),
        [("asgi",)],
        ("main:create_app()", "asgi"),
    ),
    Case(
        "waitress-call",
        "waitress-serve --call --port=81 main:create_app",
        facts("interface"),
        [("wsgi",)],
        ("main:create_app()", "wsgi"),
    ),
    Case(
        "uvicorn-lifespan",
        "uvicorn --lifespan off --loop asyncio main:app",
        facts("loop"),
        [("asyncio",)],
    ),
    Case("granian-asginl", "granian --interface asginl --no-ws --loop asyncio main:app", facts("loop"), [("asyncio",)]),
    Case("hypercorn-loop", "hypercorn -k uvloop main:app", facts("loop"), [("uvloop",)]),
    Case("uvicorn-root-path", "uvicorn --root-path /api main:app", facts("root_path", "path"), [("/api", "/api/a")]),
    Case(
        "granian-prefix",
        "granian --interface wsgi --url-path-prefix /p main:app",
        PATHS,
        [("/p", "/a")],
        WSGI,
        {"requests": [("/p/a", {})]},
    ),
    Case(
        "waitress-prefix",
        "waitress-serve --port=81 --url-prefix=/p main:app",
        PATHS,
        [("/p", "/a")],
        WSGI,
        {"requests": [("/p/a", {})]},
    ),
    Case(
        "daphne-root-path",
        "daphne --ping-interval 20 --root-path /p main:app",
        PATHS,
        [("/p", "/p/a")],
        how={"requests": [("/p/a", {})]},
    ),
    # --- Proxies ---
    Case(
        "uvicorn-forwarded",
        "uvicorn --proxy-headers --forwarded-allow-ips '*' main:app",
        facts("client", "scheme"),
        [("192.0.2.7", "https")],
        how={"requests": [FORWARDED]},
    ),
    Case(
        "uvicorn-no-proxy",
        "uvicorn --no-proxy-headers main:app",
        facts("client", "scheme"),
        [("127.0.0.1", "http")],
        how={"requests": [FORWARDED]},
    ),
    Case(
        "daphne-forwarded",
        "daphne --proxy-headers main:app",
        facts("client", "scheme"),
        [("192.0.2.7", "https")],
        how={"requests": [FORWARDED]},
    ),
    Case(
        "gunicorn-forwarded",
        "gunicorn --forwarded-allow-ips 127.0.0.1 main:app",
        facts("scheme"),
        [("https",)],
        WSGI,
        {"requests": [FORWARDED]},
    ),
    Case(
        "waitress-forwarded",
        "waitress-serve --port=81 --trusted-proxy=127.0.0.1 --trusted-proxy-headers='x-forwarded-for x-forwarded-proto'"
        " main:app",
        facts("client", "scheme"),
        [("192.0.2.7", "https")],
        WSGI,
        {"requests": [FORWARDED]},
    ),
    # --- Responses and logs ---
    Case(
        "uvicorn-fields",
        "uvicorn --no-server-header --no-date-header --header X-A:b main:app",
        fields("server", "date", "x-a"),
        [None, None, "b"],
    ),
    Case("waitress-ident", "waitress-serve --port=81 --ident=shop main:app", fields("server"), ["shop"], WSGI),
    Case("waitress-no-ident", "waitress-serve --port=81 --ident= main:app", fields("server"), [None], WSGI),
    Case("daphne-server-name", "daphne --no-server-name main:app", fields("server"), [None]),
    Case(
        "gunicorn-access-log",
        "gunicorn --access-logfile - --access-logformat 'LINE %(h)s %(m)s %(U)s %(q)s %(s)s %({x-a}i)s' main:app",
        has_line(r"^LINE 127\.0\.0\.1 GET /a b=c 200 d$"),
        True,
        WSGI,
        {"requests": [("/a?b=c", {"X-A": "d"})]},
    ),
    Case("uvicorn-no-access-log", "uvicorn --no-access-log main:app", has_line("GET /a"), False),
    # --- Limits ---
    Case(
        "gunicorn-keep-alive", "gunicorn -k gthread --keep-alive 0 main:app", closes_at_once, True, WSGI, {"idle": True}
    ),
    Case("uvicorn-keep-alive", "uvicorn --timeout-keep-alive 0 main:app", closes_at_once, True, how={"idle": True}),
    Case(
        "uvicorn-keep-alive-2",
        "uvicorn --timeout-keep-alive 2 main:app",
        lambda each: 1 < each.idle < 4,
        True,
        how={"idle": True},
    ),
    Case(
        "waitress-connections",
        "waitress-serve --port=81 --connection-limit=5 --threads=2 main:app",
        statuses,
        [200] * 8,
        WSGI,
        {"concurrent": 8},
    ),
    Case(
        "granian-backpressure",
        "granian --interface asgi --backpressure 2 main:app",
        statuses,
        [200] * 6,
        how={"concurrent": 6},
    ),
    Case(
        "gunicorn-connections",
        "gunicorn -k gthread --threads 4 --worker-connections 2 main:app",
        statuses,
        [200] * 6,
        WSGI,
        {"concurrent": 6},
    ),
    Case(
        "uvicorn-concurrency",
        "uvicorn --limit-concurrency 3 main:app",
        lambda each: set(each.statuses),
        {200, 503},
        how={"concurrent": 8},
    ),
    Case(
        "gunicorn-max-requests",
        "gunicorn --max-requests 2 main:app",
        lambda each: len({fact.get("pid") for fact in each.facts}) > 1,
        True,
        WSGI,
        {"requests": [("/slow", {})] * 8},
    ),
    Case(
        "gunicorn-long-line",
        "gunicorn --limit-request-line 100 main:app",
        lambda each: 400 <= each.responses[0]["status"] < 500,
        True,
        WSGI,
        {"requests": [("/" + "a" * 200, {})]},
    ),
    Case(
        "gunicorn-many-fields",
        "gunicorn --limit-request-fields 3 main:app",
        lambda each: 400 <= each.responses[0]["status"] < 500,
        True,
        WSGI,
        {"requests": [("/", {f"X-{i}": "a" for i in range(5)})]},
    ),
    Case(
        "gunicorn-capture",
        "gunicorn --capture-output --error-logfile error.log main:app",
        has_line("printed"),
        False,
        ("main:app", "printing"),
    ),
    Case("gunicorn-pid", "gunicorn -p main.pid main:app", lambda each: each.exit_code, 0, WSGI),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("side", ["there", "here"])
def test_an_option_means_the_same_on_both_sides(case: Case, side: str, tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    app, interface = case.app
    make_application(site, app, "wsgi" if interface == "printing" else interface)
    (site / "lib").mkdir()
    if interface == "printing":
        with (site / "main.py").open("a") as file:
            file.write("print('printed', flush=True)\n")
    command = other(case.line, {}) if side == "there" else ianus(case.line.partition(" ")[2], {})
    outcome = run_line(command, site, **case.how)
    assert outcome.responses, outcome.output
    assert case.part(outcome) == case.expected, json.dumps(outcome._asdict(), indent=1)
