"""The `import` and `cimport` lines of the package keep the order of its layers.

Each import counts at any place, also under `if TYPE_CHECKING`. Only the last rule, on modules that are loaded when
the supervisor starts, reads unindented imports alone.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]


class Rule(NamedTuple):
    """The parts of the package that the modules of a folder may import."""

    folder: str
    may_import: tuple[str, ...]
    because: str


# A module obeys the rule with the longest matching folder. A folder may always import itself; "" is the whole package.
RULES = (
    Rule("ianus", ("commands", "errors", "hooks", "settings", "process", "testing"),
         "The public functions start a process."),
    Rule("ianus.errors", (), "Every folder may raise these, so this module imports none of them."),
    Rule("ianus.hooks", (), "Hooks are written against it; the supervisor and type checkers load it."),
    Rule("ianus.pytest_plugin", ("testing",), "A fixture around what any test can use."),
    Rule("ianus._version", (), "A build reads it before anything is compiled."),
    Rule("ianus.safe_paths", (), "It opens files safely, given a path."),
    Rule("ianus.acceptor",
         ("errors", "safe_paths", "codec.base", "codec.file_range", "codec.output", "exchange.base",
          "exchange.connection_info", "exchange.first_session", "exchange.tls_facts", "runtime",
          "telemetry.logger"),
         "A connection moves bytes between a socket and any codec: it uses their abstract bases."),
    Rule("ianus.acceptor.poll", ("runtime",), "A driver reports which descriptors are ready; it knows no connection."),
    Rule("ianus.acceptor.port_owner", (), "It reads /proc for an error message."),
    Rule("ianus.acceptor.listener", ("acceptor.port_owner", "errors", "safe_paths", "telemetry.logger"),
         "The supervisor loads it."),
    Rule("ianus.check",
         ("errors", "gateway.loading", "process.supervisor.control_groups", "process.supervisor.cpus"),
         "It drives applications itself, without the server."),
    Rule("ianus.codec", ("runtime.live_objects", "runtime.object_pool"),
         "Bytes in, calls out: no socket, no event loop, no application."),
    Rule("ianus.commands", ("",), "A sub-command may use every part; others do not import a sub-command."),
    Rule("ianus.exchange",
         ("errors", "codec.base", "codec.fields", "codec.file_range", "codec.header_rules", "codec.output",
          "codec.reasons", "runtime", "telemetry"),
         "A request and its response, in any protocol: it imports no codec."),
    Rule("ianus.exchange.websocket",
         ("codec.base", "codec.output", "codec.websocket", "exchange", "runtime.clock"),
         "A WebSocket is the same over every HTTP, and WebSocket's codec is the one for all of them."),
    Rule("ianus.gateway", ("codec.base", "exchange"), "The modules beside the wings choose a gateway."),
    Rule("ianus.gateway.handshake_hints", ("codec.base", "codec.websocket", "telemetry.logger"),
         "Both gateways warn of proxies."),
    Rule("ianus.gateway.files", (), "Both gateways send files."),
    Rule("ianus.gateway.forked_child", (), "Calls of both gateways may fork."),
    Rule("ianus.gateway.asgi",
         ("errors", "codec.base", "codec.fields", "codec.file_range", "codec.reasons", "codec.websocket", "exchange",
          "gateway.files", "gateway.forked_child", "gateway.handshake_hints", "gateway.loading", "runtime",
          "telemetry.logger"),
         "ASGI knows nothing of WSGI and its threads."),
    Rule("ianus.gateway.wsgi",
         ("errors", "codec.base", "codec.fields", "codec.file_range", "codec.output", "codec.reasons",
          "codec.websocket", "exchange", "gateway.files", "gateway.forked_child", "gateway.handshake_hints",
          "gateway.threads", "runtime", "telemetry.logger"),
         "WSGI knows nothing of ASGI."),
    Rule("ianus.gateway.threads", ("errors", "codec.base", "exchange.base", "runtime", "telemetry.logger"),
         "Threads that call applications, without an event loop."),
    Rule("ianus.gateway.loading", ("errors",), "Finding an application starts nothing."),
    Rule("ianus.issuing", ("_version", "errors", "settings.tls_values", "telemetry.logger"),
         "It makes files of certificates, and knows nothing of the server that uses them."),
    Rule("ianus.migrate", ("errors", "settings"), "It reads configurations and prints one; it starts nothing."),
    Rule("ianus.process", ("",), "The worker's stack alone joins all folders."),
    Rule("ianus.process.supervisor",
         ("_version", "acceptor.listener", "acceptor.tls.pair_checks", "acceptor.tls.pair_files", "errors",
          "gateway.loading.target", "hooks", "issuing", "safe_paths", "process.activation", "process.after_fork",
          "process.failures", "process.fork", "process.hooks", "process.issued_certificates", "process.open_files",
          "process.privileges", "process.resources", "process.scoreboard", "process.start_reports",
          "process.stop_level", "process.title", "process.tls_files", "process.transfer_queue", "process.unix_access",
          "process.worker_spec", "settings", "telemetry.formatters", "telemetry.logger", "telemetry.logs",
          "telemetry.statsd.supervisor_metrics", "telemetry.system"),
         "The supervisor outlives every crash of a worker: it imports no module of the worker and nothing compiled."),
    Rule("ianus.runtime", (), "All folders stand on it, so it imports none of them."),
    Rule("ianus.settings", ("errors",), "Plain values that are passed down; reading them starts nothing."),
    Rule("ianus.telemetry", ("errors", "runtime", "safe_paths"), "Every folder reports to it; it calls none of them."),
)  # fmt: skip

# Modules that load no compiled module, directly or through others.
PLAIN = {
    "ianus": "Importing the package and `ianus --help` load nothing of the server.",
    "ianus.__main__": "Importing the package and `ianus --help` load nothing of the server.",
    "ianus.pytest_plugin": "pytest loads it in every run, before coverage is measured.",
    "ianus.process.supervisor.supervisor": "The process that watches the workers stays small and outlives any crash.",
    "ianus.process.supervisor.template": "The supervisor forks it.",
    "ianus.process.supervisor.watcher": "The supervisor forks it.",
}

IMPORT = re.compile(
    r"""^(?P<indent>[ \t]*)
        (?:from[ ]+(?P<package>[\w.]+)[ ]+)?
        c?import[ ]+
        (?P<names>\([^)]*\)|[^\n#]*)""",
    re.MULTILINE | re.VERBOSE,
)


class Import(NamedTuple):
    """One module that a source file names."""

    target: str
    on_load: bool


class SourceTree:
    """The package as text: a mapping from path relative to its parent folder to the file's contents."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self.sources: dict[str, list[str]] = {}
        self.compiled: set[str] = set()
        for path, text in files.items():
            name = ".".join(Path(path).with_suffix("").parts).removesuffix(".__init__")
            self.sources.setdefault(name, []).append(text)
            if path.endswith(".pyx"):
                self.compiled.add(name)

    def imports(self, module: str) -> Iterator[Import]:
        """The modules of the package that a module names in its `.py`, `.pyx`, `.pxd` and `.pyi`."""
        for text in self.sources.get(module, ()):
            for match in IMPORT.finditer(text):
                on_load = not match["indent"]
                package = match["package"]
                assert not (package or "").startswith("."), f"{module}: a relative import cannot be read here"
                for name in re.sub(r"#.*|[()\\]", "", match["names"]).split(","):
                    if name := name.split(" as ")[0].strip():
                        target = f"{package}.{name}" if package else name
                        if target not in self.sources and package:
                            target = package  # a name in a module, not a module
                        if _within(target, "ianus"):
                            yield Import(target, on_load)

    def violations(self) -> list[str]:
        """Returns imports that a rule forbids, and compiled modules that a module of PLAIN loads."""
        found = []
        for module in self.sources:
            rule = max((rule for rule in RULES if _within(module, rule.folder)), key=lambda rule: len(rule.folder))
            allowed = [f"ianus.{folder}".rstrip(".") for folder in rule.may_import]
            # The package itself is not a folder that its modules may import: `ianus` would allow everything.
            allowed += [rule.folder] if rule.folder != "ianus" else ["ianus.__main__", "ianus._version"]
            for target, _ in self.imports(module):
                if not any(_within(target, folder) for folder in allowed):
                    found.append(f"{module} imports {target}. {rule.because}")
        for module, because in PLAIN.items():
            for loaded in sorted(self.loaded(module) & self.compiled):
                found.append(f"{module} loads the compiled {loaded}. {because}")
        return found

    def loaded(self, module: str) -> set[str]:
        """The modules of the package that importing one loads: itself, its packages, theirs in turn."""
        found: set[str] = set()
        waiting = [module]
        while waiting:
            parts = waiting.pop().split(".")
            for name in (".".join(parts[: end + 1]) for end in range(len(parts))):
                if name in self.sources and name not in found:
                    found.add(name)
                    waiting += [target for target, on_load in self.imports(name) if on_load]
        return found


def _within(module: str, folder: str) -> bool:
    return module == folder or module.startswith(folder + ".")


def test_the_package_keeps_its_layers() -> None:
    files = {
        str(path.relative_to(ROOT)): path.read_text()
        for path in (ROOT / "ianus").rglob("*")
        if path.suffix in {".py", ".pyx", ".pxd", ".pyi"}
    }
    assert len(files) > 20, "the package was not found"
    violations = SourceTree(files).violations()
    assert not violations, "\n".join(violations)


def test_one_module_knows_the_calls_that_wait_for_readiness() -> None:
    """Another system is another driver in its folder."""
    knowing = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "ianus").rglob("*")
        if path.suffix in {".pyx", ".pxd"} and re.search(r"EPOLL|epoll_|timerfd", path.read_text())
    }
    assert knowing == {"ianus/acceptor/poll/epoll.pyx"}


TREE = {
    "ianus/__init__.py": "from ianus._version import __version__\n",
    "ianus/_version.py": "",
    "ianus/errors.py": "",
    "ianus/acceptor/connection.pyx": "from ianus.codec.base cimport Codec\n",
    "ianus/codec/base.pyx": "import os\nfrom libc.string cimport memcpy\n",
    "ianus/codec/base.pxd": "",
    "ianus/codec/http1/codec.pyx": "from ianus.codec cimport base\n",
    "ianus/exchange/__init__.py": "",
    "ianus/exchange/base.pyx": "cimport ianus.codec.base\n",
    "ianus/process/worker/worker.py": "from ianus.acceptor.connection import Connection\n",
    "ianus/settings/schema.py": "import ianus.errors as errors\n",
}


def test_a_tree_in_order_has_no_violations() -> None:
    assert SourceTree(TREE).violations() == []


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("ianus/codec/base.pyx", "from ianus.exchange.base import X"),
        ("ianus/codec/base.pxd", "from ianus.exchange cimport base"),
        ("ianus/codec/base.pyi", "import ianus.exchange.base"),
        ("ianus/codec/base.pyx", "def late():\n    cimport os, ianus.exchange.base as base"),
        ("ianus/acceptor/connection.pyx", "from ianus.codec.http1.codec cimport Http1"),
        ("ianus/acceptor/connection.pyx", "from ianus.codec cimport (  # several\n    base,\n    http1,\n)"),
        ("ianus/settings/schema.py", "from ianus.process import worker"),
        ("ianus/settings/schema.py", "from ianus import __version__"),
        ("ianus/errors.py", "if TYPE_CHECKING:\n    from ianus.settings.schema import Settings"),
        ("ianus/__init__.py", "from ianus.codec.base import Request"),
    ],
)
def test_a_violation_is_seen(path: str, line: str) -> None:
    files = TREE | {path: TREE.get(path, "") + line + "\n"}
    assert len(SourceTree(files).violations()) >= 1


def test_a_compiled_module_that_the_supervisor_loads_is_seen() -> None:
    supervisor = {"ianus/process/supervisor/supervisor.py": "from ianus.process.worker.worker import run\n"}
    violation = next(text for text in SourceTree(TREE | supervisor).violations() if " loads " in text)
    assert violation.startswith("ianus.process.supervisor.supervisor loads the compiled ianus.acceptor.connection.")


def test_an_import_inside_a_function_loads_nothing_at_the_start() -> None:
    supervisor = {
        "ianus/process/supervisor/supervisor.py": "def work():\n    from ianus.process.worker.worker import run\n"
    }
    assert not [text for text in SourceTree(TREE | supervisor).violations() if " loads " in text]
