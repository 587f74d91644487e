"""Ianus, its peers and the C floor side by side: ``python bench/run.py``; README.md explains the output."""

import argparse
import fnmatch
import os
import platform
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path

from callgrind import CountError
from client import AnswerError
from install import install
from peers import BENCH, NGINX, PEERS, REPOSITORY, VENV, Server, ianus
from process import ServerError, choose_cores
from report import Circumstances, keep, machine, markdown, today
from results import Results, Run
from scenario import Scenario
from scenarios import SCENARIOS
from visit import Metrics, Setting

ROUNDS = 3
SECONDS = 2
COUNTED = ("ianus", "peregrine", "bjoern", "floor")  # those near Ianus, as each count takes a quarter of a minute


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0, also if servers are missing or budgets missed; 130 when interrupted."""
    options = _parse(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that servers are ended then, too
    if shutil.which("wrk") is None:
        print("wrk is not installed: apt-get install wrk", file=sys.stderr)
        return 1
    missing = install()
    for name, reason in missing.items():
        print(f"{name} could not be installed: {reason}", file=sys.stderr)

    builds = [ianus("ianus", options.ianus), *(ianus(name, path) for name, path in options.also)]
    lineups = [
        (scenario, servers)
        for scenario in options.scenario or SCENARIOS
        if (servers := _lineup(scenario, builds, options.server))
    ]
    results = Results()
    interrupted = _run(options, lineups, missing, results)
    if shutil.which("valgrind") is None:
        print("no instructions, as valgrind is not installed: apt-get install valgrind", file=sys.stderr)
    elif not interrupted:
        interrupted = _count_instructions(options.instructions, builds, lineups, missing, results)

    circumstances = Circumstances(
        date=today(),
        machine=machine(),
        python=f"CPython {platform.python_version()}",
        rounds=options.rounds,
        seconds=options.seconds,
        versions=_versions(builds),
    )
    tables = [(scenario, [server.name for server in servers]) for scenario, servers in lineups]
    text = markdown(circumstances, results, tables)
    print(text)
    whole = not (options.quick or options.scenario or options.server)
    if (whole or options.keep) and not interrupted:
        path = keep(BENCH / "results", circumstances, results, text)
        print(f"kept in {path.relative_to(REPOSITORY)} and the .json beside it", file=sys.stderr)
    return 130 if interrupted else 0


def _run(
    options: argparse.Namespace,
    lineups: Sequence[tuple[Scenario, Sequence[Server]]],
    missing: dict[str, str],
    results: Results,
) -> bool:
    """Measures into results; whether it was interrupted."""
    cores = choose_cores()
    os.sched_setaffinity(0, {cores.load})
    hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard_limit, hard_limit))
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        setting = Setting(cores, options.seconds, Path(scratch))
        try:
            for number in range(options.rounds):
                for scenario, servers in lineups:
                    # A server is not always measured after the same neighbour.
                    shift = number % len(servers)
                    for server in (*servers[shift:], *servers[:shift]):
                        run = _measured(scenario.measure, number, scenario, server, setting, missing)
                        results.runs.append(run)
                        _print_run(run, scenario, options.rounds)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return True
    return False


def _count_instructions(
    names: Sequence[str],
    builds: Sequence[Server],
    lineups: Sequence[tuple[Scenario, Sequence[Server]]],
    missing: dict[str, str],
    results: Results,
) -> bool:
    """Counts instructions into results, once for each scenario and server; whether it was interrupted."""
    cores = choose_cores()
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        setting = Setting(cores, 1, Path(scratch))
        try:
            for scenario, servers in lineups:
                for server in servers:
                    if server.name in names or ("ianus" in names and server in builds):
                        run = _measured(scenario.count, 0, scenario, server, setting, missing)
                        results.runs.append(run)
                        if count := run.metrics.get("instructions"):
                            print(f"{run.scenario:<20}  {run.server:<10}  {count:,.0f} instructions", file=sys.stderr)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return True
    return False


def _measured(
    measure: Callable[[Server, Setting], Metrics],
    number: int,
    scenario: Scenario,
    server: Server,
    setting: Setting,
    missing: dict[str, str],
) -> Run:
    if server.executable() is None or server.name in missing:
        reason = missing.get(server.name) or missing.get("peers") or "not installed"
        return Run(number, scenario.name, server.name, {}, reason)
    try:
        return Run(number, scenario.name, server.name, measure(server, setting))
    except (AnswerError, CountError, OSError, RuntimeError, ServerError) as error:
        return Run(number, scenario.name, server.name, {}, str(error) or type(error).__name__)


def _print_run(run: Run, scenario: Scenario, rounds: int) -> None:
    headline = scenario.columns[0]
    value = run.metrics.get(headline.metric)
    told = run.reason if value is None else f"{value:.2f} {headline.heading}"
    print(f"round {run.round + 1}/{rounds}  {run.scenario:<20}  {run.server:<10}  {told}", file=sys.stderr)


def _lineup(scenario: Scenario, builds: Sequence[Server], names: Sequence[str]) -> list[Server]:
    """Without names all that the scenario is for; with names those, the other builds of Ianus, and nothing else."""
    asked = [
        peer for peer in PEERS[scenario.service.interface] if scenario.peers is None or peer.name in scenario.peers
    ]
    if scenario.peers and NGINX.name in scenario.peers:
        asked.append(NGINX)
    return [server for server in (*builds, *asked) if not names or server.name in names or server in builds[1:]]


def _versions(builds: Sequence[Server]) -> dict[str, str]:
    programs = {build.name: [program, "--version"] for build in builds if (program := build.executable())}
    programs["wrk"] = ["wrk", "-v"]
    folders = [str(folder) for folder in VENV.glob("lib/python*/site-packages")]
    found = {item.name.lower(): item.version for item in metadata.distributions(path=folders)}
    asgi = ("peregrine-server", "granian", "h2corn", "m0serve", "saltare", "uvicorn", "hypercorn", "gunicorn")
    both = ("fastpysgi", "socketify")
    wsgi = ("bjoern", "uwsgi", "waitress", "cheroot")
    shared = ("uvloop", "httptools", "websockets", "fastapi", "flask")
    versions = {name: found[name] for name in (*asgi, *both, *wsgi, *shared) if name in found}
    return {name: _reported_version(command) for name, command in programs.items()} | versions


def _reported_version(command: Sequence[str]) -> str:
    """The first word with a digit in the program's version output."""
    told = subprocess.run(command, capture_output=True, text=True, timeout=10).stdout.split()
    return next((word.strip(",") for word in told if re.search(r"\d", word)), "?")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench/run.py", description=__doc__, allow_abbrev=False)
    parser.add_argument("--rounds", type=_count, help=f"how often everything is measured (default {ROUNDS})")
    parser.add_argument("--seconds", type=_count, help=f"length of one measurement (default {SECONDS})")
    parser.add_argument("--quick", action="store_true", help="1 round of 1 s: to see that it works")
    parser.add_argument(
        "--scenario",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME",
        help=f"these alone; * stands for any letters; from {', '.join(scenario.name for scenario in SCENARIOS)}",
    )
    names = dict.fromkeys(["ianus", *(peer.name for peers in (*PEERS.values(), (NGINX,)) for peer in peers)])
    parser.add_argument("--server", nargs="+", action="extend", default=[], choices=names)
    parser.add_argument(
        "--ianus",
        type=Path,
        metavar="PATH",
        default=Path(sys.executable).with_name("ianus"),
        help="the command to measure (default: the one beside this interpreter)",
    )
    parser.add_argument(
        "--also",
        type=_named_path,
        metavar="NAME=PATH",
        action="append",
        default=[],
        help="another build of ianus beside it, for before and after; repeatable",
    )
    parser.add_argument(
        "--instructions",
        nargs="*",
        choices=names,
        help=f"count the instructions of these, ianus for all builds (default {' '.join(COUNTED)}; --quick: none)",
    )
    parser.add_argument("--keep", action="store_true", help="keep the results of a selection, too")
    options = parser.parse_args(arguments)
    chosen = [_matching(pattern, parser) for pattern in options.scenario]
    options.scenario = [scenario for scenario in SCENARIOS if any(scenario in found for found in chosen)]
    if options.instructions is None:
        options.instructions = () if options.quick else COUNTED
    options.rounds = options.rounds or (1 if options.quick else ROUNDS)
    options.seconds = options.seconds or (1 if options.quick else SECONDS)
    return options


def _matching(pattern: str, parser: argparse.ArgumentParser) -> list[Scenario]:
    found = [scenario for scenario in SCENARIOS if fnmatch.fnmatchcase(scenario.name, pattern)]
    if not found:
        parser.error(f"no scenario is called {pattern}")
    return found


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _named_path(text: str) -> tuple[str, Path]:
    name, separator, path = text.partition("=")
    if not (name and separator and path):
        raise argparse.ArgumentTypeError("NAME=PATH is wanted")
    return name, Path(path)


if __name__ == "__main__":
    sys.exit(main())
