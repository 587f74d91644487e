"""Formats the result of a check: as text for a terminal, or as JSON for other programs."""

import json
from collections.abc import Iterator
from typing import Any

from ianus.check.application_check import CheckResult
from ianus.check.places import Place
from ianus.check.probes import Measurement
from ianus.check.recognition import NAMES
from ianus.check.recommendation import milliseconds
from ianus.check.violations import Violation, format_section

MAX_SHOWN_PROBES = 3


def to_text(result: CheckResult, name: str) -> str:
    """Returns the lines for a terminal, ending in a newline. name: the application in a command line."""
    return "\n".join(_lines(result, name)) + "\n"


def to_json(result: CheckResult, name: str) -> str:
    """Returns one JSON object, ending in a newline. name: the application in a command line."""
    advice = result.recommendation
    document = {
        "application": result.app.name,
        "interface": result.app.interface,
        "recognised_by": result.recognised_by,
        "measurements": [_measurement_to_json(each) for each in result.measurements],
        "websocket_paths": result.websocket_paths,
        "violations": [_violation_to_json(each) for each in result.violations],
        "package_violations": [_violation_to_json(each) for each in result.package_violations],
        "notes": result.notes,
        "recommendation": {
            "interface": advice.interface,
            "workers": advice.workers,
            "threads": "auto" if advice.max_threads else None,
            "max_threads": advice.max_threads or None,
            "command": advice.command(name),
            "reasons": advice.reasons,
            "changes": advice.changes,
        },
    }
    return json.dumps(document, indent=2) + "\n"


def _lines(result: CheckResult, name: str) -> Iterator[str]:
    article = "a" if result.app.interface == "wsgi" else "an"
    yield f"{result.app.name} is {article} {NAMES[result.app.interface]} application: {result.recognised_by}."
    yield ""
    yield "Probes: GET, HEAD and OPTIONS, without a body"
    width = max((len(each.path) for each in result.measurements), default=0)
    for each in result.measurements:
        yield f"  {each.path:{width}}  {_format_measurement(each, result)}"
    yield ""
    yield f"Violations: {len(result.violations) or 'none'}"
    for violation in result.violations:
        yield from _violation_lines(violation)
    if result.package_violations:
        yield ""
        yield "Violations of installed packages, which do not change the exit code"
        for violation in result.package_violations:
            yield from _violation_lines(violation)
    if result.notes:
        yield ""
        yield "Notes"
        yield from (f"  - {note}" for note in result.notes)
    advice = result.recommendation
    yield ""
    yield "Recommendation"
    yield f"  {advice.command(name)}"
    yield from (f"  - {reason}" for reason in advice.reasons)
    if advice.changes:
        yield "Changes of the application"
        yield from (f"  - {change}" for change in advice.changes)


def _format_measurement(each: Measurement, result: CheckResult) -> str:
    if not each.status:
        return "no response"
    words = [str(each.status)]
    if each.is_stream:
        words.append("a stream, closed after a second")
    else:
        words.append(f"{milliseconds(each.seconds)}, of which {milliseconds(each.cpu)} computing")
    if result.app.interface != "wsgi" and each.loop_blocked > 0.001:
        words.append(f"blocks the event loop for {milliseconds(each.loop_blocked)}")
    if each.path in result.websocket_paths:
        words.append("accepts WebSockets")
    return ", ".join(words)


def _violation_lines(violation: Violation) -> Iterator[str]:
    yield f"  {violation.place or '(unknown line)'}: {violation.message}"
    if violation.handler is not None:
        yield f"      last function of the application: {violation.handler}"
    # One outside of the calls has no probe.
    probes = f" ({_join(violation.probes)})" if any(violation.probes) else ""
    yield f"      {format_section(violation.rule)} [{violation.rule}]{probes}"


def _join(probes: list[str]) -> str:
    shown = ", ".join(probes[:MAX_SHOWN_PROBES])
    return shown if len(probes) <= MAX_SHOWN_PROBES else f"{shown} and {len(probes) - MAX_SHOWN_PROBES} more"


def _measurement_to_json(each: Measurement) -> dict[str, Any]:
    return {
        "path": each.path,
        "status": each.status,
        "milliseconds": _rounded(each.seconds),
        "cpu_milliseconds": _rounded(each.cpu),
        "loop_blocked_milliseconds": _rounded(each.loop_blocked),
        "loop_cpu_milliseconds": _rounded(each.loop_cpu),
        "in_threads": each.in_threads,
        "is_stream": each.is_stream,
        "place": _place_to_json(each.place),
    }


def _rounded(seconds: float) -> float:
    return round(seconds * 1000, 3)


def _violation_to_json(violation: Violation) -> dict[str, Any]:
    return {
        "rule": violation.rule,
        "section": format_section(violation.rule),
        "message": violation.message,
        "place": _place_to_json(violation.place),
        "handler": _place_to_json(violation.handler),
        "probes": violation.probes,
    }


def _place_to_json(place: Place | None) -> dict[str, Any] | None:
    return place._asdict() if place is not None else None
