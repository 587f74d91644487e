"""Checks an application: loads it, sends the probes, and collects violations, measurements and the recommendation."""

import contextlib
import inspect
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from ianus.check.asgi_driver import AsgiDriver
from ianus.check.places import place_of_callable
from ianus.check.probes import FAILED_STATUS, Measurement
from ianus.check.recognition import explain_interface, find_wsgi_inside
from ianus.check.recommendation import Facts, Recommendation, recommend
from ianus.check.violations import Violation, Violations
from ianus.check.wsgi_driver import WsgiDriver
from ianus.gateway.loading.loader import Application
from ianus.process.supervisor.control_groups import memory_limit
from ianus.process.supervisor.cpus import cpus

# All characters that a request target may have (RFC 3986 section 3.3), and % of those that are encoded already.
TARGET_CHARACTERS = "/?:@!$&'()*+,;=-._~%"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of a check.

    violations: of the application. package_violations: of installed packages, which the application cannot avoid.
    """

    app: Application
    recognised_by: str
    measurements: list[Measurement]
    websocket_paths: list[str]
    violations: list[Violation]
    package_violations: list[Violation]
    notes: list[str]
    recommendation: Recommendation


def check_application(
    app: Application,
    paths: Sequence[str],
    *,
    interface: str,
    host: str,
    timeout: float,
) -> CheckResult:
    """Sends probes for the paths to a loaded application.

    interface: the option by which it was loaded. host: the Host header. timeout: seconds for a response.
    """
    violations = Violations()
    targets = [quote(path if path.startswith("/") else f"/{path}", safe=TARGET_CHARACTERS) for path in paths]
    if app.interface == "wsgi":
        wsgi = WsgiDriver(app, violations, timeout=timeout)
        measurements, websocket_paths = wsgi.run(targets, host), list[str]()
        facts = _facts(app, measurements)
    else:
        asgi = AsgiDriver(app, violations, place=place_of_callable(_original(app)), timeout=timeout)
        measurements, websocket_paths = asgi.run(targets, host), asgi.websocket_paths
        facts = _facts(app, measurements, asgi)
    _note_statuses(measurements, violations, host)
    found = sorted(violations, key=lambda each: (each.place is None, each.place or (), each.rule))
    return CheckResult(
        app,
        explain_interface(app, _original(app), interface),
        measurements,
        websocket_paths,
        [each for each in found if not each.is_in_package],
        [each for each in found if each.is_in_package],
        violations.notes,
        recommend(facts),
    )


def _original(app: Application) -> Any:
    """Returns the application without the wrapper that the loader puts around one of ASGI 2."""
    if app.interface != "asgi2":
        return app.callable
    return inspect.getclosurevars(app.callable).nonlocals.get("app", app.callable)


def _facts(app: Application, measurements: list[Measurement], driver: AsgiDriver | None = None) -> Facts:
    common: dict[str, Any] = {
        "name": app.name,
        "measurements": measurements,
        "cpus": cpus(),
        "memory_limit": memory_limit() or _available_memory(),
        "memory_worker": _own_memory(),
    }
    if driver is None:
        return Facts(interface="wsgi", **common)
    recorder = driver.recorder
    is_synchronous = bool(recorder.in_threads) and not recorder.in_loop
    return Facts(
        interface="asgi",
        websocket_paths=driver.websocket_paths,
        wsgi_advice=find_wsgi_inside(app.callable, is_synchronous=is_synchronous),
        in_threads=frozenset(recorder.in_threads),
        **common,
    )


def _note_statuses(measurements: list[Measurement], violations: Violations, host: str) -> None:
    statuses = {each.status for each in measurements}
    for each in measurements:
        if each.status >= FAILED_STATUS and not any(
            f"GET {each.path} is answered" in note for note in violations.notes
        ):
            violations.note(f"GET {each.path} is answered with {each.status}; the log above may have the reason.")
    if statuses == {400}:
        violations.note(
            f"All answers are 400. If the application allows some hosts alone (Django's ALLOWED_HOSTS), name one of "
            f"them: --host NAME. The probes had {host}."
        )
    elif statuses == {404}:
        violations.note(
            "All answers are 404; name paths that the application has, as in `ianus check main:app /items`."
        )
    elif len(measurements) == 1 and 300 <= measurements[0].status < 400:
        violations.note(f"{measurements[0].path} is a redirect; name further paths to measure them.")


def _own_memory() -> int:
    """Returns the resident memory of this process in bytes, which has loaded the application; 0 if unknown."""
    with contextlib.suppress(OSError, ValueError, IndexError), open("/proc/self/statm") as file:  # noqa: PTH123
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def _available_memory() -> int:
    with contextlib.suppress(OSError, ValueError, IndexError), open("/proc/meminfo") as file:  # noqa: PTH123
        for line in file:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return 0
