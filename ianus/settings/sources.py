"""Where settings come from, and which of them counts.

Each source is read into a layer: the values that it gives, checked, by the settings' names. Of two layers the
upper one counts: the command line, variables IANUS_*, the file, and last the variables that many programs read
(PORT, WEB_CONCURRENCY). What none of them says has its default. With every value goes where it came from.
"""
# ruff: noqa: PTH113, PTH119, PTH123  (pathlib takes 5 ms to import)

import os
import re
import sys
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, MutableMapping
from itertools import takewhile
from typing import Any, NamedTuple

from ianus.errors import ConflictError, SettingError, StartupError, nearest
from ianus.settings.foreign_options import hint, ignored
from ianus.settings.schema import BESIDE, Settings, described, table
from ianus.settings.setting import Alias, Setting
from ianus.settings.values import DEFAULT_HOST, DEFAULT_PORT, TcpBind, permissions

PREFIX = "IANUS_"
FILE = "ianus.toml"
PROJECT_FILE = "pyproject.toml"

# Where PORT is set, something outside of this machine or container wants to connect.
HOST_OF_PORT = "0.0.0.0"

# Variables with our prefix that are no settings: those of a build, and what Kubernetes sets in every container
# if there is a service of our name (IANUS_SERVICE_HOST, IANUS_PORT_80_TCP_ADDR, and IANUS_PORT=tcp://...).
FOREIGN = r"IANUS_(ASAN|BUILD|COMPILE|DEBUG|HANDOVER|SERVICE_(HOST|PORT.*)|PORT_[0-9]+_.*)=.*|IANUS_PORT=\w+://.*"


class Given(NamedTuple):
    """A value that a source gives.

    name: as the source spells it, but with underscores; in a layer, the setting's.
    label: what a message calls it, such as "--bind" or "IANUS_BIND".
    origin: where it came from, such as "command line --bind" or "ianus.toml:3".
    """

    name: str
    value: Any
    label: str
    origin: str


Layer = dict[str, Given]


class Configuration(NamedTuple):
    """What all sources together say.

    app: what to serve; "" where nothing says so.
    origins: where each value came from that is not a default, by the setting's name.
    warnings: what should be told, a sentence each.
    """

    app: str
    settings: Settings
    origins: Mapping[str, str]
    warnings: tuple[str, ...] = ()


class Reader:
    """Reads all sources, any number of times: each time as if nothing of an --env-file had come into the environment.

    collect: reads them once.
    """

    def __init__(self, collect: Callable[[], Configuration]) -> None:
        self._collect = collect
        self._loaded: dict[str, str] = {}  # what an --env-file has set

    def read(self) -> Configuration:
        """What they say now. Raises StartupError; then the environment is as it was."""
        before = dict(os.environ)
        for name in self._loaded:
            os.environ.pop(name, None)
        own = set(os.environ)
        try:
            configuration = self._collect()
        except BaseException:
            os.environ.clear()
            os.environ.update(before)
            raise
        self._loaded = {name: os.environ[name] for name in os.environ.keys() - own}
        return configuration

    def environment(self) -> dict[str, str]:
        """The environment without that: what this program was started with, and another one is to be."""
        return {name: value for name, value in os.environ.items() if self._loaded.get(name) != value}


def read_sources(line: Iterable[Given] = (), environ: MutableMapping[str, str] = os.environ) -> Configuration:
    """The settings that all sources say, among them a file in the current directory.

    line: what stands on the command line.
    environ: the environment; gets the variables of an --env-file.

    Raises SettingError for what cannot be understood and StartupError where something is not installed.
    """
    upper = _layer(line)
    early = _layer(_variables(environ)) | upper
    if "env_file" in early:
        _load_variables(early["env_file"], environ)
        early = _layer(_variables(environ)) | upper
    file = _layer(_read_file(early.get("config")))
    if "env_file" in file and "env_file" not in early:
        _load_variables(file["env_file"], environ)
    explicit = [upper, _layer(_variables(environ)), file]
    common = _layer(_common_variables(environ, {name for layer in explicit for name in layer}))
    merged = _merge([*explicit, common])
    app = merged["app"].value if "app" in merged else ""
    origins = {name: given.origin for name, given in merged.items()}
    hidden = _hidden_table() if "config" not in early else ()
    return Configuration(app, _settings(merged), origins, (*hidden, *_suspicions(environ), *_without_effect(merged)))


def settings_from(given: Mapping[str, object], *, to_serve: bool = False) -> Settings:
    """Makes the settings that Settings.from_values() returns, from the values of the caller alone.

    to_serve: a server is started with them, so values that change nothing without others are warned of.
    """
    merged = values_from(given)
    if to_serve:
        for warning in _without_effect(merged):
            _warn(warning)
    return _settings(merged)


def values_from(given: Mapping[str, object]) -> Layer:
    """The values that a caller in Python gives, by the settings' own names. Warns of options that change nothing.

    Raises SettingError for a value that a setting cannot have and TypeError for a setting that does not exist.
    """
    warnings = {name: ignored(name, value) for name, value in given.items()}
    given = {name: value for name, value in given.items() if not warnings[name]}
    known = {name for name, (setting, _, _) in KNOWN.items() if setting not in ("app", "config", "env_file")}
    for name in given:
        if name not in known:
            raise TypeError(f"there is no setting {name!r}{_explain_name(name, known)}")
    # Callers with a signature of their own hand on None for what they were not given.
    values = (Given(name, value, name, "") for name, value in given.items() if value is not None)
    for warning in filter(None, warnings.values()):
        _warn(warning)
    return _merge([_layer(values)])


def _warn(text: str) -> None:
    """Warns about the line outside of this package that has led here."""
    import warnings  # Only on this way.

    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "ianus":
        level, frame = level + 1, frame.f_back
    warnings.warn(text, stacklevel=level)


def _explain_name(name: str, known: Iterable[str]) -> str:
    """What is to be said from Python about a name that is not in `known`."""
    if name in KNOWN and KNOWN[name][0] in ("config", "env_file"):
        return ": it is read by the command only; ianus.settings.sources.read_sources() does it"
    if known_elsewhere := hint(name):
        return f". {known_elsewhere}"
    near = nearest(name, known)
    return f"; did you mean {near!r}?" if near else ""


# --- The sources ---


def _variables(environ: Mapping[str, str]) -> Iterator[Given]:
    """The settings in the environment. An empty variable counts as one that is not set."""
    for variable, value in environ.items():
        name = variable.removeprefix(PREFIX).lower()
        if variable.startswith(PREFIX) and value and name in KNOWN and not _is_foreign(variable, value):
            setting = KNOWN[name][1]
            yield Given(name, _split(value, setting), variable, f"environment {variable}")


def _split(value: str, setting: Setting) -> object:
    if not setting.many:
        return value
    return [part for each in value.split(setting.separator) if (part := each.strip())]


def _is_foreign(variable: str, value: str) -> bool:
    return re.fullmatch(FOREIGN, f"{variable}={value}", re.DOTALL) is not None


def _suspicions(environ: Mapping[str, str]) -> Iterator[str]:
    """What may be mistyped. No errors: the environment is shared, and a variable may be meant for others."""
    for variable, value in environ.items():
        name = variable.removeprefix(PREFIX).lower()
        if variable.startswith(PREFIX) and name not in KNOWN and not _is_foreign(variable, value):
            yield f"{variable} in the environment is no setting{_explain_variable(name)}"


def _without_effect(merged: Layer) -> Iterator[str]:
    """Yields warnings of jitters without their limit, and of a switch that had more effect once.

    A limit that is turned off (0) may keep its jitter.
    """
    for name, given in merged.items():
        limit = name.removesuffix("_jitter")
        if limit != name and limit not in merged:
            yield f"{_as_written(given)} changes nothing without {limit.replace('_', '-')}."
    if "sendfile" in merged and merged["sendfile"].value and "asgi_sendfile" not in merged:
        yield (
            f"{_as_written(merged['sendfile'])} is for WSGI applications. ASGI applications send files with the kernel"
            " after --asgi-sendfile."
        )


def _explain_variable(name: str) -> str:
    if known_elsewhere := hint(name):
        return f". {known_elsewhere}"
    near = nearest(name, KNOWN)
    return f"; did you mean {PREFIX}{near.upper()}?" if near else "; see `ianus --help`."


def _common_variables(environ: Mapping[str, str], decided: Container[str]) -> Iterator[Given]:
    """Those that other programs read too; what they say of settings in `decided` is not even looked at."""
    for name, setting in described():
        value = environ.get(setting.variable, "")
        if value and name not in decided and not (name == "port" and "bind" in decided):
            yield Given(name, value, setting.variable, f"environment {setting.variable}")


def _load_variables(named: Given, environ: MutableMapping[str, str]) -> None:
    """Sets the variables in the files of `named`, unless they are set. Of two files the later one counts."""
    try:
        from dotenv import dotenv_values  # An extra, and dear.
    except ImportError:
        raise StartupError(f"{named.label} needs python-dotenv. Install it (pip install python-dotenv).") from None
    found: dict[str, str | None] = {}
    for path in named.value:
        try:
            with open(path, encoding="utf-8-sig") as stream:
                found |= dotenv_values(stream=stream)
        except OSError as error:
            raise SettingError(named.label, f"{path} cannot be read: {error.strerror}.") from None
        except UnicodeDecodeError:
            raise SettingError(named.label, f"{path} is not a text in UTF-8.") from None
    for variable, value in found.items():
        if value is None:
            continue
        try:
            environ.setdefault(variable, value)
        except ValueError:  # a NUL, or = in a name
            raise SettingError(named.label, f"{variable!r} cannot be set to {value!r} in an environment.") from None


def _read_file(named: Given | None) -> Iterator[Given]:
    """The settings in the file that is named, or else in the one that lies here, if any."""
    if named is not None:
        path, label = named.value, named.label
    else:
        path = next((each for each in (FILE, PROJECT_FILE) if os.path.isfile(each)), "")
        label = path
    if not path and named is None:
        return
    is_project = os.path.basename(path) == PROJECT_FILE
    if named is not None and not path.endswith(".toml"):
        raise SettingError(
            label, f'{path or "an empty name"} is no TOML file; settings are written as in `bind = "127.0.0.1:8000"`.'
        )
    try:
        with open(path, encoding="utf-8-sig") as stream:
            text = stream.read()
    except OSError as error:
        raise SettingError(label, f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise SettingError(label, f"{path} is not a text in UTF-8.") from None
    if is_project and named is None and "ianus" not in text:
        return  # Most projects have such a file, and parsing takes time.
    content = _parse(text, path)
    if not is_project:
        yield from _entries(content, path, text)
        return
    tools = content.get("tool")
    settings = tools.get("ianus") if isinstance(tools, dict) else None
    if isinstance(settings, dict):
        yield from _entries(settings, f"{path} [tool.ianus]", "")
    elif settings is not None:
        raise SettingError(label, f"{path}: tool.ianus is no table; settings stand under [tool.ianus].")
    elif named is not None:
        raise SettingError(label, f"{path} has no table [tool.ianus].")


def _hidden_table() -> Iterator[str]:
    """The warning that of two files with settings one is not read."""
    if not (os.path.isfile(FILE) and os.path.isfile(PROJECT_FILE)):
        return
    try:
        with open(PROJECT_FILE, encoding="utf-8", errors="replace") as stream:
            text = stream.read()
    except OSError:
        return  # It is not ours.
    if re.search(r"^[ \t]*\[tool\.ianus\]", text, re.MULTILINE):
        yield f"{PROJECT_FILE} [tool.ianus] is not read, because there is an {FILE}."


def _parse(text: str, path: str) -> dict[str, Any]:
    import tomllib  # Only where there is a file.

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingError(path, f"is not valid TOML: {error}.") from None
    except ValueError:  # Python reads no number of more than 4300 digits.
        raise SettingError(path, "has a number that is too long to be read.") from None
    except RecursionError:
        raise SettingError(path, "is nested too deeply to be read.") from None


def _entries(content: Mapping[str, object], path: str, text: str) -> Iterator[Given]:
    for key, value in content.items():
        line = re.search(rf"^[ \t]*[\"']?{re.escape(key)}[\"']?[ \t]*=", text, re.MULTILINE)
        origin = f"{path}:{text.count(chr(10), 0, line.start()) + 1}" if line else path
        name, label = key.replace("-", "_"), f"{origin}: {key}"
        if name == "config":
            raise SettingError(label, "a file cannot name another one.")
        if name not in KNOWN:
            raise SettingError(label, _unknown_key(name, value))
        if KNOWN[name][1].kind is permissions and not isinstance(value, str):
            # The number 440 would be 0o670, and of 0o440 nothing is left to tell it from 288.
            raise SettingError(label, 'octal digits have to stand in quotes here, as in "660".')
        yield Given(name, value, label, origin)


def _unknown_key(name: str, value: object) -> str:
    if isinstance(value, dict):
        return f"is a table; settings stand at the top of {FILE}, or in [tool.ianus] of {PROJECT_FILE}."
    if known_elsewhere := hint(name):
        return f"there is no such setting. {known_elsewhere}"
    near = nearest(name, KNOWN)
    return f"there is no such setting; {f'did you mean {near}?' if near else '`ianus --print-config` shows them all.'}"


# --- Layers ---


def _layer(given: Iterable[Given]) -> Layer:
    """What a source gives, by the settings' own names and checked."""
    layer: Layer = {}
    for each in given:
        name, setting, alias = KNOWN[each.name]
        try:
            value: Any = setting.check(_translated(each.value, alias))
        except ValueError as error:
            raise SettingError(each.label, str(error)) from None
        origin = each.origin
        if (other := layer.get(name)) is not None:
            if not setting.many:
                raise SettingError(each.label, f"says the same as {other.label}; give one of them.")
            value, origin = (*other.value, *value), f"{other.origin}, {origin}"
        layer[name] = Given(name, value, each.label, origin)
    for half in ("host", "port"):
        if half in layer and "bind" in layer:
            raise SettingError(
                layer[half].label, f"says where to listen, as {layer['bind'].label} does; give one of them."
            )
    return layer


def _translated(value: object, alias: Alias) -> object:
    if alias.text is str:
        return value
    return [alias.text(each) for each in value] if isinstance(value, (list, tuple)) else alias.text(value)


def _merge(layers: list[Layer]) -> Layer:
    """What counts, of layers from the uppermost down."""
    merged: Layer = {}
    for layer in reversed(layers):
        merged |= layer
    address = _address(layers)
    if address is not None:
        merged["bind"] = address
    return {name: given for name, given in merged.items() if name not in ("host", "port")}


def _address(layers: list[Layer]) -> Given | None:
    """Where to listen: what the uppermost source says that says anything about it."""
    for index, layer in enumerate(layers):
        if "bind" in layer:
            return layer["bind"]
        if "host" in layer or "port" in layer:
            return _address_of_halves(layers[index:])
    return None


def _address_of_halves(layers: list[Layer]) -> Given:
    """A host and a port, each from the uppermost layer that gives it, down to one that gives whole addresses."""
    halves: Layer = {}
    for layer in takewhile(lambda layer: "bind" not in layer, layers):
        halves = {half: layer[half] for half in ("host", "port") if half in layer} | halves
    host = DEFAULT_HOST
    if "host" in halves:
        host = halves["host"].value
    elif halves["port"].label == BESIDE["port"].variable:
        host = HOST_OF_PORT
    port = halves["port"].value if "port" in halves else DEFAULT_PORT
    origin = ", ".join(half.origin for _, half in sorted(halves.items()))
    return Given("bind", (TcpBind(host, port),), origin, origin)


def _settings(merged: Layer) -> Settings:
    names = {name for name, _, _ in table()}
    try:
        return Settings(**{name: given.value for name, given in merged.items() if name in names})
    except ConflictError as error:
        one, other = error.settings
        raise ConflictError((_as_written(merged[one]), _as_written(merged[other])), error.sentence) from None
    except SettingError as error:  # What only several values together show.
        raise SettingError(merged[error.setting].label, error.problem) from None


def _as_written(given: Given) -> str:
    """How a sentence calls it: the label of a file's begins with the place, which would be in the way."""
    name = given.label.removeprefix(f"{given.origin}: ")
    return f"{name} ({given.origin})" if name != given.label else name


def _known() -> Iterator[tuple[str, tuple[str, Setting, Alias]]]:
    for name, setting in described():
        for alias in (Alias(name), *setting.aliases):
            yield alias.name, (name, setting, alias)


# Every name that a setting can be given by: that of the setting, all about it, and the alias that it is.
KNOWN = dict(_known())
