"""The same Markdown for the terminal and for bench/results."""

import datetime
import json
import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from budgets import BUDGETS, Budget
from results import Results
from scenario import Scenario

NOISE_LIMIT = 5.0  # percent of the cores that others may use before the table has a note
FULL = 95.0  # percent of a core above which there is nothing left of it


@dataclass(frozen=True)
class Circumstances:
    """The machine, date and versions of the figures."""

    date: str
    machine: str
    python: str
    rounds: int
    seconds: int
    versions: Mapping[str, str]


def today() -> str:
    """The local date as YYYY-MM-DD."""
    return datetime.datetime.now().astimezone().date().isoformat()


def machine() -> str:
    """Processor model and cores; never the host's name."""
    cpuinfo = Path("/proc/cpuinfo").read_text()
    found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    cores = len(re.findall(r"^processor\s*:", cpuinfo, re.MULTILINE))
    return f"{found[1].strip() if found else platform.machine()}, {cores} cores"


def scenario_table(results: Results, scenario: Scenario, servers: Sequence[str]) -> str:
    """One row a server, the reason in place of missing figures."""
    bases = [base for base in scenario.bases if base in servers]
    rows = [["server", *(f"x {base}" for base in bases), *(c.heading for c in scenario.columns), "spread"]]
    notes = []
    for server in servers:
        reason = results.reason(scenario.name, server)
        if results.median(scenario.name, server, scenario.headline) is None:
            rows.append([server, *["-"] * (len(rows[0]) - 1)])
        else:
            rows.append([server, *_cells(results, scenario, server, bases)])
        if reason:
            notes.append(f"{server}: {reason}")
    limited = [server for server in servers if _is_limited_by_load(results, scenario.name, server)]
    if limited:
        notes.append(f"rates and latencies are those of the load generator, which is slower than: {', '.join(limited)}")
    others = results.worst(scenario.name, "others_percent")
    if others > NOISE_LIMIT:
        notes.append(f"other processes used up to {others:.0f} % of the cores: repeat on a quiet machine")
    return "\n".join([f"## {scenario.title}", "", *_aligned(rows), "", *(f"- {note}" for note in notes)]).rstrip()


def _is_limited_by_load(results: Results, scenario: str, server: str) -> bool:
    load, own = (results.median(scenario, server, metric) for metric in ("load_percent", "server_percent"))
    return load is not None and own is not None and own <= FULL < load


def _cells(results: Results, scenario: Scenario, server: str, bases: Sequence[str]) -> Iterator[str]:
    for base in bases:
        yield _number(results.ratio(scenario.name, server, scenario.headline, base), 2)
    for column in scenario.columns:
        yield _number(results.median(scenario.name, server, column.metric), column.digits)
    spread = results.spread(scenario.name, server, scenario.headline)
    yield "-" if spread is None else f"{100 * spread:.0f} %"


def budget_table(results: Results) -> str:
    """Formats each budget with the measured value."""
    rows = [["budget", "at most", "reached", ""]]
    for budget in BUDGETS:
        value = budget.value(results)
        rows.append([budget.text, f"{budget.limit} {budget.unit}", _number(value, 3), _verdict(budget, value)])
    return "\n".join(["## Budgets", "", *_aligned(rows)])


def _verdict(budget: Budget, value: float | None) -> str:
    if value is None:
        return "not measured"
    return "met" if value <= budget.limit else "MISSED"


def markdown(circumstances: Circumstances, results: Results, lineups: Sequence[tuple[Scenario, Sequence[str]]]) -> str:
    """The whole report: each scenario with the servers that it was for."""
    facts = circumstances
    versions = ", ".join(f"{name} {version}" for name, version in facts.versions.items())
    head = [
        f"# Benchmark of {facts.date}",
        "",
        f"{facts.machine}; {facts.python}; rounds: {facts.rounds}, of {facts.seconds} s each; medians.",
        "",
        f"Versions: {versions}.",
    ]
    tables = [scenario_table(results, scenario, servers) for scenario, servers in lineups]
    return "\n\n".join(["\n".join(head), *tables, budget_table(results)]) + "\n"


def keep(folder: Path, circumstances: Circumstances, results: Results, text: str) -> Path:
    """Writes the Markdown and, with every single run, the JSON; the path of the Markdown."""
    slug = re.sub(r"[^a-z0-9]+", "-", circumstances.machine.lower().replace("(r)", "")).strip("-")
    path = folder / f"{circumstances.date}-{slug}.md"
    folder.mkdir(exist_ok=True)
    path.write_text(text)
    values = {budget: budget.value(results) for budget in BUDGETS}
    data = {
        **asdict(circumstances),
        "budgets": [{"text": b.text, "unit": b.unit, "limit": b.limit, "value": value} for b, value in values.items()],
        "runs": [asdict(run) for run in results.runs],
    }
    path.with_suffix(".json").write_text(json.dumps(data, indent=1) + "\n")
    return path


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A Markdown table that is also one in a terminal: first column left, the others right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for number, row in enumerate(rows):
        cells = [
            row[0].ljust(widths[0]),
            *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True)),
        ]
        yield f"| {' | '.join(cells)} |"
        if number == 0:
            rules = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
            yield f"| {' | '.join(rules)} |"
