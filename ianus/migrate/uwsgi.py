"""uWSGI: its command line, and its files in the formats ini and JSON.

All sources have the same options, as pairs of a name with dashes and a value. A switch has the value "true".
"""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from ianus.migrate.log_formats import remark_on, uwsgi_format
from ianus.migrate.migration import Migration, MigrationError, is_start_variable
from ianus.migrate.text_file import read_text
from ianus.migrate.uwsgi_options import ADVICE, RENAMED, SAME, SHORT, SWITCHES, UNNEEDED, UNNEEDED_STARTS, advice_for
from ianus.settings.foreign_options import IGNORED_BY_FLAG, flag_of, hint
from ianus.settings.schema import NAMES

SERVER = "uWSGI"
MAX_INCLUDES = 20  # files that a configuration may include, in all
MAX_VALUE_CHARS = 65_536  # of a value with the values of others in it
MAX_PLACEHOLDER_PASSES = 5  # a value of a placeholder may have other placeholders

# Options that read another file.
_INCLUDES = ("ini", "json", "include", "inherit")

# Options that define a placeholder.
_SETTERS = ("set", "set-placeholder", "set-ph")

# A value that uWSGI reads from elsewhere, or computes, or a name without a value.
_COMPUTED = re.compile(r"@\(|%\(|%(?!k$)[a-zA-Z0-9](?![0-9a-fA-F])")


class Pair(NamedTuple):
    """An option.

    name: its name with dashes. written: as in the source. is_placeholder: whether values of others have its own.
    """

    name: str
    value: str
    written: str
    is_placeholder: bool = False


def migrate_command(migration: Migration, words: Sequence[str], variables: Mapping[str, str]) -> None:
    """Migrates a command line, with the files that it names."""
    for name, value in variables.items():
        if name.startswith("UWSGI_"):
            words = [*words, f"--{name.removeprefix('UWSGI_').lower().replace('_', '-')}={value}"]
        else:
            migration.set_variables({name: value})
    _migrate_pairs(migration, list(_expand(_line_pairs(words))))


def migrate_ini(migration: Migration, text: str, path: str) -> None:
    """Migrates an .ini file. Raises MigrationError."""
    pairs = list(_expand(_ini_pairs(text, path)))
    if not pairs and re.search(r"^\s*\[uwsgi\]", text, re.MULTILINE):
        raise MigrationError(f"{path} has no setting in its section [uwsgi]. Name the file with the settings.")
    if not pairs:
        raise MigrationError(f"{path} has no section [uwsgi]. For a file of Paste, give the command of its server.")
    _migrate_pairs(migration, pairs)


def migrate_json(migration: Migration, content: Mapping[str, object], path: str) -> None:
    """Migrates the options of a .json file."""
    _migrate_pairs(migration, list(_expand(_json_pairs(content, path))))


# --- Sources ---


def _line_pairs(words: Sequence[str]) -> Iterator[Pair]:
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word.startswith("--"):
            flag, equals, value = word.partition("=")
        elif word.startswith("-") and len(word) > 1:
            flag, value = SHORT.get(word[:2], word[:2]), word[2:]
            equals = value
        elif word.endswith((".ini", ".json", ".yaml", ".yml", ".xml")):
            flag, equals, value = "--include", "=", word
        else:
            # uWSGI takes a word as an address, a module or a file.
            flag, equals, value = ("--socket" if ":" in word and "." not in word else "--wsgi-file"), "=", word
        name = flag.lstrip("-").replace("_", "-")
        if not equals:
            # A mode after a switch such as chmod-socket is its value.
            is_mode = bool(rest) and re.fullmatch("[0-7]{3}", rest[0]) is not None
            if (is_mode or name not in SWITCHES) and rest and not re.match(r"--\w|-[A-Za-z]$", rest[0]):
                value = rest.pop(0)
                word = f"{word} {value}"
            else:
                value = "true"
        yield Pair(name, value, word)


def _ini_pairs(text: str, path: str, wanted: str = "uwsgi") -> Iterator[Pair]:
    """Yields the options of a section. uWSGI repeats keys, which configparser does not."""
    section = ""
    magic = _magic_of(path)
    for line in text.splitlines():
        line = line.strip()
        if not line or line[0] in ";#":
            continue
        if found := re.fullmatch(r"\[([^\]]*)\].*", line):
            section = found[1]
            continue
        if section != wanted:
            continue
        name, equals, value = line.partition("=")
        name, value = name.strip().replace("_", "-"), value.strip() if equals else "true"
        if name in _INCLUDES and value.startswith(":"):
            value = f"{path}{value}"  # a section of the same file
        value = _replace_magic(name, value, magic)
        yield Pair(name, value, f"{name} = {value}" if equals else name)


def _magic_of(path: str) -> Mapping[str, str]:
    """Returns the variables of uWSGI that stand for parts of the name of a file."""
    folder, name = os.path.split(os.path.abspath(path))  # noqa: PTH100
    stem, dot, extension = name.rpartition(".")
    parts = {"p": f"{folder}/{name}", "s": name, "d": f"{folder}/", "c": os.path.basename(folder)}  # noqa: PTH119
    return parts | {"n": stem if dot else name, "e": extension if dot else ""}


def _replace_magic(name: str, value: str, magic: Mapping[str, str]) -> str:
    if _has_own_percent(name):
        return value
    return re.sub(r"%([a-zA-Z])", lambda match: magic.get(match[1].lower(), match[0]), value)


def _has_own_percent(name: str) -> bool:
    """Returns whether % starts something else in a value: a field of a log, or a variable of a rule."""
    return "format" in name or name.startswith(("route", "error-route", "final-route", "log-enc", "req-log"))


def _json_pairs(content: Mapping[str, object], path: str) -> Iterator[Pair]:
    magic = _magic_of(path)
    for name, value in content.items():
        for each in value if isinstance(value, list) else [value]:
            text = str(each).lower() if isinstance(each, bool) else _replace_magic(name, str(each), magic)
            yield Pair(name.replace("_", "-"), text, f"{name} = {text}")


def _read_file(path: str) -> Iterator[Pair]:
    """Reads a file that another one, or a line, names. path: `FILE` or `FILE:SECTION`. Raises MigrationError."""
    name, _, section = path.partition(":")
    text = read_text(name)
    if not name.endswith(".json"):
        yield from _ini_pairs(text, name, section or "uwsgi")
        return
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MigrationError(f"{name} is not valid JSON: {error}.") from None
    options = content.get(section or "uwsgi") if isinstance(content, dict) else None
    yield from _json_pairs(options if isinstance(options, dict) else {}, name)


def _expand(pairs: Iterable[Pair]) -> Iterator[Pair]:
    """Yields the options with files in place of their names, and with values in place of %(name) and $(NAME).

    uWSGI replaces %(name) once it has read all options, by the first value of the name.
    """
    known: dict[str, str] = {}
    options = list(_include(pairs, [], known))
    referenced: set[str] = set()
    for _ in range(MAX_PLACEHOLDER_PASSES):
        before = options
        options = []
        for pair in before:
            value = _replace_placeholders(pair, known, referenced)
            if known.get(pair.name) == pair.value:
                known[pair.name] = value
            options.append(pair._replace(value=value))
        if options == before:
            break
    for pair in options:
        yield pair._replace(is_placeholder=pair.name in referenced)


def _include(pairs: Iterable[Pair], included: list[str], known: dict[str, str]) -> Iterator[Pair]:
    """Yields the options with files in place of their names.

    included: the files so far; files include each other, and some include the same one twice. known: gets the first
    value of each name.
    """
    for pair in pairs:
        if pair.name in _SETTERS:
            key, _, content = pair.value.partition("=")
            known.setdefault(key.replace("_", "-"), content)
            continue
        known.setdefault(pair.name, pair.value)
        # The name of a file is used as soon as it is read, with the values so far.
        value = _replace_placeholders(pair, known, set()) if pair.name in _INCLUDES else ""
        if value.partition(":")[0].endswith((".ini", ".json")):
            included.append(value)
            if len(included) > MAX_INCLUDES:
                raise MigrationError(f"{value}: more than {MAX_INCLUDES} files are included, perhaps by each other.")
            yield from _include(_read_file(value), included, known)
            continue
        yield pair


def _replace_placeholders(pair: Pair, known: Mapping[str, str], referenced: set[str]) -> str:
    """Returns the value of an option with those of others in it. referenced: gets their names.

    Raises MigrationError.
    """

    def replace(match: re.Match[str]) -> str:
        if not match[1]:
            return os.environ.get(match[2], f"${{{match[2]}}}")
        name = match[1].replace("_", "-")
        referenced.add(name)
        return known.get(name, match[0])

    if "format" in pair.name:
        return pair.value
    value = re.sub(r"%\(([\w-]+)\)|\$\(([\w-]+)\)", replace, pair.value)
    if len(value) > MAX_VALUE_CHARS > len(pair.value):
        raise MigrationError(f"{pair.name} is longer than {MAX_VALUE_CHARS} characters with its placeholders.")
    return value


# --- Meaning ---


class _Application:
    """The options that name the application."""

    def __init__(self) -> None:
        self.module = self.file = self.callable = ""
        self.mounts: list[tuple[str, str]] = []

    def take(self, pair: Pair) -> bool:
        """Returns whether the option is one of these."""
        if pair.name in ("module", "wsgi"):
            self.module = pair.value
        elif pair.name in ("wsgi-file", "file"):
            self.file = pair.value
        elif pair.name == "callable":
            self.callable = pair.value
        elif pair.name == "mount":
            path, _, app = pair.value.partition("=")
            self.mounts.append((path, app))
        else:
            return False
        return True

    def set(self, migration: Migration) -> None:
        main = self.module or self.file
        if main:
            migration.app = self._name(main)
            for path, app in self.mounts:
                migration.set("mount", f"{path}={self._name(app)}", f"mount = {path}={app}")
        elif len(self.mounts) == 1 and self.mounts[0][0] != "/":
            path, app = self.mounts[0]
            migration.app = self._name(app)
            migration.set("root_path_kept", path, f"mount = {path}={app}")
        else:
            for path, app in self.mounts:
                if path == "/":
                    migration.app = self._name(app)
                else:
                    migration.set("mount", f"{path}={self._name(app)}", f"mount = {path}={app}")

    def _name(self, app: str) -> str:
        return f"{app}:{self.callable}" if self.callable and ":" not in app else app


def _migrate_pairs(migration: Migration, pairs: Sequence[Pair]) -> None:
    values = {pair.name: pair.value for pair in pairs}
    application = _Application()
    speaks_http = values.get("protocol", values.get("socket-protocol", "")) == "http"
    for pair in pairs:
        is_off = pair.value.lower() in ("false", "0", "no", "off") and pair.name in SWITCHES
        if _COMPUTED.search(pair.value) and not _has_own_percent(pair.name):
            migration.note(
                pair.written, "uWSGI computes this value. Write the value itself, and migrate the file again."
            )
        elif not is_off and not application.take(pair):
            _apply(migration, pair, speaks_http)
    application.set(migration)
    _finish(migration, values)


def _apply(migration: Migration, pair: Pair, speaks_http: bool) -> None:
    name, value, written, is_placeholder = pair
    if name in ("http-socket", "http", "http11-socket", "socket", "uwsgi-socket", "s"):
        _apply_address(migration, pair, speaks_http)
    elif name in ("https", "https-socket", "ssl-socket"):
        _apply_tls_address(migration, pair)
    elif name in ("processes", "workers"):
        migration.set("workers", "auto" if value == "%k" else value, written)
    elif name in ("gevent", "async", "ugreen", "asyncio", "gevent-monkey-patch"):
        migration.note(
            written, "A pool of threads serves requests that wait; remove the monkey-patching, and see max_threads."
        )
        migration.set("threads", "auto")
    elif name in ("home", "virtualenv", "venv", "pyhome"):
        migration.note(written, f"Start the program of that environment: {value.rstrip('/')}/bin/ianus")
    elif name == "env":
        # uWSGI sets it before it starts Python.
        variable, _, content = value.partition("=")
        if is_start_variable(variable):
            migration.set_start_variable(variable, content)
        else:
            migration.set_variables({variable: content})
    elif name in ("daemonize", "daemonize2", "logto", "logto2"):
        _apply_log_file(migration, pair)
    elif name in ("req-logger", "logger"):
        _apply_logger(migration, pair)
    elif name in ("disable-logging",):
        migration.set("access_log", False, written)
    elif name in ("log-format", "logformat"):
        text = uwsgi_format(value)
        migration.set("access_log_format", text, written, remark_on(text))
    elif name in ("chmod-socket", "chmod"):
        migration.set("uds_permissions", "666" if value == "true" else value, written)
    elif name.endswith(("autoreload", "auto-reload")):
        migration.set("reload", True, written)
    elif name in RENAMED:
        migration.set(RENAMED[name], True if value == "true" else value, written)
    elif name in ADVICE:
        migration.note(written, ADVICE[name])
    elif name in UNNEEDED or name.startswith(UNNEEDED_STARTS):
        migration.need_not(written, UNNEEDED.get(name, "Ianus needs no such setting"))
    elif advice := advice_for(name):
        migration.note(written, advice)
    elif name.replace("-", "_") in NAMES and name not in SAME:
        migration.need_not(written, "it is not an option of uWSGI, but a value for others")
    elif is_placeholder and not _is_known(name):
        migration.need_not(written, "it is a placeholder")
    else:
        migration.option(name.replace("-", "_"), True if value == "true" else value, written)


def _is_known(name: str) -> bool:
    """Returns whether an option has a setting or an answer in the tables of all servers."""
    key = name.replace("-", "_")
    return key in NAMES or flag_of(key) in IGNORED_BY_FLAG or bool(hint(key))


def _apply_address(migration: Migration, pair: Pair, speaks_http: bool, *, has_tls: bool = False) -> None:
    if pair.value in ("", "true"):
        migration.note(pair.written, "It has no address.")
        return
    for value in pair.value.split(","):
        address = f"0.0.0.0{value}" if value.startswith(":") else value
        if "/" in address and not address.startswith("fd:"):
            address = f"unix:{address}"
        elif re.fullmatch(r"[0-9]+", address):
            address = f"0.0.0.0:{address}"
        elif ":" not in address:
            address = f"unix:{address}"
        if has_tls:
            migration.set_tls_bind(address, pair.written)
        else:
            migration.set("bind", address, pair.written)
    if not pair.name.startswith("http") and not speaks_http:
        target = (
            f"http://{address}" if address.startswith("unix:") else f"http://{address.replace('0.0.0.0', '127.0.0.1')}"
        )
        migration.note(
            pair.written,
            f"The protocol is HTTP, not uwsgi. In nginx, replace uwsgi_pass and its include by: proxy_pass {target};"
            " `ianus docs proxies` has the fields to send.",
        )


def _apply_tls_address(migration: Migration, pair: Pair) -> None:
    """Applies an address, and its certificate, key, ciphers and authorities, separated by commas."""
    address, *files = pair.value.split(",")
    _apply_address(migration, Pair("http", address, pair.written), speaks_http=True, has_tls=True)
    for name, value in zip(("ssl_certfile", "ssl_keyfile", "ssl_ciphers", "ssl_ca_certs"), files, strict=False):
        if value:
            migration.set(name, value.removeprefix("!") if name == "ssl_ca_certs" else value, pair.written)
    if len(files) > 3 and files[3]:
        migration.set("ssl_cert_reqs", "required" if files[3].startswith("!") else "optional", pair.written)


def _apply_log_file(migration: Migration, pair: Pair) -> None:
    if pair.name.startswith("daemonize"):
        migration.note(
            pair.written, "The server runs in the foreground; start it with systemd, a container or a similar manager."
        )
    if re.match(r"[\w.-]+:[0-9]+$", pair.value):
        migration.note(pair.written, "Logs are written to files and streams; forward them from there.")
    elif pair.value != "true":
        migration.set("error_logfile", pair.value, pair.written)
        migration.set("access_logfile", pair.value, pair.written)


def _apply_logger(migration: Migration, pair: Pair) -> None:
    kind, _, place = pair.value.partition(":")
    if kind == "file" and place:
        migration.set("access_logfile" if pair.name == "req-logger" else "error_logfile", place, pair.written)
    elif kind != "stdio":
        migration.note(pair.written, "Logs are written to files and streams; --log-config sets up other handlers.")


def _finish(migration: Migration, values: Mapping[str, str]) -> None:
    """Adds uWSGI's defaults."""
    migration.join_address("127.0.0.1", 8000)
    migration.default("threads", 1)
    # uWSGI loads the application once, and forks the workers.
    is_lazy = any(name in values for name in ("lazy-apps", "lazy"))
    if not is_lazy and migration.value("workers") not in (None, 1):
        migration.default("preload", True)
    migration.default("proxy_headers", False)
    migration.default("timeout_stop", 60)
    migration.default("max_request_body_size", 0)
