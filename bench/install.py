"""Requirements of a run besides Ianus: the C programs, compiled, and the peers in peers.VENV. Kept between runs."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from load import ARRIVALS, STREAM
from messages import MESSAGES
from peers import BENCH, FLOOR, VENV

REQUIREMENTS = BENCH / "requirements.txt"
STAMP = VENV / "installed.json"
SHARED = BENCH / "client.h"  # included by the programs
PIP_TIMEOUT_SECONDS = 600.0  # seconds


def install() -> dict[str, str]:
    """Builds missing programs and peers; returns those that failed, as name -> reason."""
    missing = _install_peers()
    for program in (FLOOR, STREAM, ARRIVALS, MESSAGES):
        reason = compile_program(program)
        if reason:
            missing[program.name] = reason
    return missing


def compile_program(program: Path, *libraries: str) -> str:
    """Compiles a program if its source is newer. Returns "", or the reason why it cannot be compiled."""
    source = BENCH / f"{program.name}.c"
    if program.exists() and program.stat().st_mtime >= max(file.stat().st_mtime for file in (source, SHARED)):
        return ""
    program.parent.mkdir(parents=True, exist_ok=True)
    compiler = shlex.split(os.environ.get("CC", "cc"))
    return _attempt([*compiler, "-O2", "-Wall", "-o", str(program), str(source), "-lm", *libraries])


def _install_peers() -> dict[str, str]:
    wanted = {"python": sys.version, "requirements": REQUIREMENTS.read_text()}
    if STAMP.exists() and json.loads(STAMP.read_text()) == wanted:
        return {}
    print(f"installing the peers into {VENV}", file=sys.stderr)
    reason = _attempt([sys.executable, "-m", "venv", "--clear", str(VENV)])
    if reason:
        return {"peers": reason}
    if not _attempt(_pip("-r", str(REQUIREMENTS))):
        _strip_debugging_information()
        STAMP.write_text(json.dumps(wanted))
        return {}
    # One package that cannot be installed must not prevent the others. Not stamped: the next run tries again.
    missing = {}
    for requirement in _requirements(REQUIREMENTS):
        reason = _attempt(_pip(requirement))
        if reason:
            missing[requirement.partition("==")[0]] = reason
    _strip_debugging_information()
    return missing


def _strip_debugging_information() -> None:
    """Removes the part of the installed libraries that valgrind cannot read, as in Swift's; no code is in it."""
    for library in VENV.glob("lib/python*/site-packages/peregrine/*.so"):
        stripped = library.with_suffix(".stripped")
        if not _attempt(["strip", "--strip-debug", "-o", str(stripped), str(library)]):
            stripped.replace(library)


def _pip(*arguments: str) -> list[str]:
    options = ["--quiet", "--disable-pip-version-check"]
    return [str(VENV / "bin" / "python"), "-m", "pip", "install", *options, *arguments]


def _requirements(path: Path) -> list[str]:
    lines = (line.partition("#")[0].strip() for line in path.read_text().splitlines())
    return [line for line in lines if line]


def _attempt(command: Sequence[str]) -> str:
    """Runs the command; returns "" if it succeeded, else the last line of its output."""
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=PIP_TIMEOUT_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if result.returncode == 0:
        return ""
    lines = result.stderr.strip().splitlines() or [f"exit code {result.returncode}"]
    return lines[-1]
