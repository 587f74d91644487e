"""Servers for tests.

`server` is one for the whole run, with default settings: it is enough for a test that has connections
of its own. `shared` gives such servers with other options. `start_server` gives servers that belong to one test,
which may change them freely.

A server that ends must have exited with code 0, and (in a debug build, which counts) must have left no connection
and no exchange. Nor may wsgiref.validate have complained of an application that it wraps.
"""

import compileall
import gc
import itertools
import logging
import os
import resource
import sys
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from tests.helpers import OVER_TLS, Server, check_no_leaks, stop_all

# A whole run has many more sets of options than memory for their servers, above all with a sanitizer.
MAX_SHARED_SERVERS = 12

# The bytecode of test modules is kept in any environment: compiling them takes half of the collection. Servers write
# none: tests edit applications within the second that their bytecode is compared by.
sys.dont_write_bytecode = False
os.environ["PYTHONDONTWRITEBYTECODE"] = "1"

# Applications that no test edits. Each of the many servers would compile them again.
APPLICATION_FOLDERS = ("e2e", "frameworks")


# Tests with these markers run only on request, each by a target of the Makefile.
REQUESTED = ("browser", "conformance", "extended")

# Folders whose files take minutes. They run first: at the end, one would keep one worker busy and the others idle.
LONG_FOLDERS = ("tests/packaging/",)


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # Once, before the workers of pytest-xdist start.
        for folder in APPLICATION_FOLDERS:
            compileall.compile_dir(Path(__file__).parent / folder, maxlevels=0, quiet=1)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    others = [marker for marker in REQUESTED if marker != config.option.markexpr]
    if OVER_TLS:
        others.append("plain")
    omitted = {item for item in items if any(map(item.get_closest_marker, others))}
    config.hook.pytest_deselected(items=list(omitted))
    items[:] = [item for item in items if item not in omitted]
    items.sort(key=lambda item: not item.nodeid.startswith(LONG_FOLDERS))


def pytest_collection_finish() -> None:
    # The garbage collector would visit all collected tests again and again, for a tenth of the time of quick ones.
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Replaces lone surrogates in captured logs, which a worker of pytest-xdist cannot report."""
    report = yield
    report.sections = [(name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections]
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Lists, with --durations=N, the N files that take the longest: many quick tests make a slow file."""
    if not config.option.durations:
        return
    seconds: dict[str, float] = defaultdict(float)
    for report in itertools.chain(*terminalreporter.stats.values()):
        if isinstance(report, pytest.TestReport):
            seconds[report.nodeid.partition("::")[0]] += report.duration
    terminalreporter.section(f"slowest {config.option.durations} files")
    slowest = sorted(seconds, key=seconds.__getitem__, reverse=True)[: config.option.durations]
    for path in slowest:
        if seconds[path] >= (config.option.durations_min or 0):
            terminalreporter.line(f"{seconds[path]:.2f}s {path}")


@pytest.fixture(scope="session", autouse=True)
def _enough_files() -> None:
    """Some tests open more connections than a shell's default allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4096 if hard == resource.RLIM_INFINITY else min(hard, 4096)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


@pytest.fixture(scope="session", autouse=True)
def _trusted_certificates(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Clients that are not of the tests trust the servers of `make over-tls`."""
    if not OVER_TLS:
        return
    from tests.certificates import root

    path = tmp_path_factory.mktemp("authority") / "root.pem"
    path.write_bytes(root().pem)
    for variable in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "WEBSOCKET_CLIENT_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"):
        os.environ[variable] = str(path)


@pytest.fixture(autouse=True)
def _log_levels() -> Iterator[None]:
    """The levels of loggers do not pass to the next test, which may read the log."""
    loggers = [logging.getLogger(name) for name in ("", "ianus", "ianus.error", "ianus.app")]
    levels = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """shared(*options, app=...): the one server with these options, started when it is first asked for.

    The one that was asked for the longest ago is stopped when there are too many.
    """
    servers: dict[tuple[str, ...], Server] = {}
    ended: list[Server] = []

    def get(*options: str, app: str = "apps:app") -> Server:
        running = servers.pop((app, *options), None)
        if running is not None and running.process.poll() is not None:
            # One that has crashed failed its test and fails the run; the other tests get another.
            ended.append(running)
            running = None
        if running is None:
            if len(servers) == MAX_SHARED_SERVERS:
                stop_all([servers.pop(next(iter(servers)))], check_no_leaks)
            running = Server(app, *options, cwd=tmp_path_factory.mktemp("server"))
        servers[app, *options] = running  # At the end of the order.
        return running

    yield get
    stop_all([*ended, *servers.values()], check_no_leaks)


@pytest.fixture
def server(shared: Callable[..., Server]) -> Server:
    return shared()


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """start_server(*options, **how): a server for this test alone; see Server for how."""
    servers: list[Server] = []

    def start(*options: str, app: str = "apps:app", **how: object) -> Server:
        servers.append(Server(app, *options, cwd=tmp_path, **how))  # type: ignore[arg-type]
        return servers[-1]

    yield start
    stop_all(servers, check_no_leaks)


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, which is empty."""
    monkeypatch.chdir(tmp_path)
    for variable in list(os.environ):
        if variable.startswith("IANUS_") or variable in ("PORT", "WEB_CONCURRENCY"):
            monkeypatch.delenv(variable)
    return tmp_path
