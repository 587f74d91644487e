"""The sources of settings, and their priority.

Each source is read into a layer: its values, checked, by the settings' names. The priority of the layers, from the
highest: the command line, variables IANUS_*, the file, and the variables that many programs read (PORT,
WEB_CONCURRENCY). All other settings have their defaults. Every value carries its origin.
"""
# ruff: noqa: PTH113, PTH119, PTH123  (pathlib takes 5 ms to import)

import os
import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, MutableMapping
from typing import Any, NamedTuple

from ianus.errors import SettingError, StartupError, closest_match
from ianus.settings.foreign_options import hint
from ianus.settings.layers import Given, Layer, as_written, make_layer, merge_layers, values_from, warn_caller
from ianus.settings.schema import NAMES, Settings, inputs
from ianus.settings.setting import Setting
from ianus.settings.values import permissions

PREFIX = "IANUS_"
FILE = "ianus.toml"
PROJECT_FILE = "pyproject.toml"

# Variables with our prefix that are not settings: those of a build, and those that Kubernetes sets in every container
# if a service has our name (IANUS_SERVICE_HOST, IANUS_PORT_80_TCP_ADDR, and IANUS_PORT=tcp://...).
FOREIGN = r"IANUS_(ASAN|BUILD|COMPILE|DEBUG|HANDOVER|SERVICE_(HOST|PORT.*)|PORT_[0-9]+_.*)=.*|IANUS_PORT=\w+://.*"


class Configuration(NamedTuple):
    """The merged values of all sources.

    app: the name of the application; "" if no source gives it.
    origins: the origin of each value that is not a default, by the setting's name.
    warnings: a sentence each.
    """

    app: str
    settings: Settings
    origins: Mapping[str, str]
    warnings: tuple[str, ...] = ()


class Reader:
    """Reads all sources, any number of times, each time without the variables that an --env-file has set.

    collect: reads all sources once.
    """

    def __init__(self, collect: Callable[[], Configuration]) -> None:
        self._collect = collect
        self._loaded: dict[str, str] = {}  # variables that an --env-file has set

    def read(self) -> Configuration:
        """Reads all sources. Raises StartupError, and then restores the environment."""
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
        """Returns the environment without those variables, for another server that this one starts."""
        return {name: value for name, value in os.environ.items() if self._loaded.get(name) != value}


def read_sources(line: Iterable[Given] = (), environ: MutableMapping[str, str] = os.environ) -> Configuration:
    """Reads the settings from all sources, including a file in the current directory.

    line: the values of the command line.
    environ: the environment; gets the variables of an --env-file.

    Raises SettingError for invalid input, and StartupError if a needed package is not installed.
    """
    upper = make_layer(line, NAMES)
    early = make_layer(_variables(environ), NAMES) | upper
    if "env_file" in early:
        _load_variables(early["env_file"], environ)
        early = make_layer(_variables(environ), NAMES) | upper
    file = make_layer(_read_file(early.get("config")), NAMES)
    if "env_file" in file and "env_file" not in early:
        _load_variables(file["env_file"], environ)
    explicit = [upper, make_layer(_variables(environ), NAMES), file]
    common = make_layer(_common_variables(environ, {name for layer in explicit for name in layer}), NAMES)
    merged = merge_layers([*explicit, common])
    app = merged["app"].value if "app" in merged else ""
    origins = {name: given.origin for name, given in merged.items()}
    hidden = _unread_project_table() if "config" not in early else ()
    return Configuration(
        app, Settings.from_layer(merged), origins, (*hidden, *_unknown_variables(environ), *_without_effect(merged))
    )


def settings_to_serve(given: Mapping[str, object]) -> Settings:
    """Makes the settings of Settings.from_values(), and warns of values that have no effect without others."""
    merged = values_from(given, NAMES)
    for warning in _without_effect(merged):
        warn_caller(warning)
    return Settings.from_layer(merged)


# --- The sources ---


def _variables(environ: Mapping[str, str]) -> Iterator[Given]:
    """Yields the settings in the environment. An empty variable counts as not set."""
    for variable, value in environ.items():
        name = variable.removeprefix(PREFIX).lower()
        if variable.startswith(PREFIX) and value and name in NAMES and not _is_foreign(variable, value):
            setting = NAMES[name].setting
            yield Given(name, _split(value, setting), variable, f"environment {variable}")


def _split(value: str, setting: Setting) -> object:
    if not setting.repeatable:
        return value
    return [part for each in value.split(setting.separator) if (part := each.strip())]


def _is_foreign(variable: str, value: str) -> bool:
    return re.fullmatch(FOREIGN, f"{variable}={value}", re.DOTALL) is not None


def _unknown_variables(environ: Mapping[str, str]) -> Iterator[str]:
    """Yields warnings of names that may be mistyped. They are not errors: other programs may use such variables."""
    for variable, value in environ.items():
        name = variable.removeprefix(PREFIX).lower()
        if variable.startswith(PREFIX) and name not in NAMES and not _is_foreign(variable, value):
            yield f"{variable} in the environment is not a setting{_explain_variable(name)}"


def _without_effect(merged: Layer) -> Iterator[str]:
    """Yields warnings of jitters without their limit, and of a switch whose effect has become smaller.

    A limit that is turned off (0) may keep its jitter.
    """
    for name, given in merged.items():
        limit = name.removesuffix("_jitter")
        if limit != name and limit not in merged:
            yield f"{as_written(given)} has no effect without {limit.replace('_', '-')}."
    if "sendfile" in merged and merged["sendfile"].value and "asgi_sendfile" not in merged:
        yield (
            f"{as_written(merged['sendfile'])} is for WSGI applications. ASGI applications send files with the kernel"
            " after --asgi-sendfile."
        )


def _explain_variable(name: str) -> str:
    if known_elsewhere := hint(name):
        return f". {known_elsewhere}"
    near = closest_match(name, NAMES)
    return f"; did you mean {PREFIX}{near.upper()}?" if near else "; see `ianus --help-all`."


def _common_variables(environ: Mapping[str, str], decided: Container[str]) -> Iterator[Given]:
    """Yields settings from variables that other programs read too, except the settings in `decided`."""
    for name, setting in inputs():
        value = environ.get(setting.variable, "")
        if value and name not in decided and not (name == "port" and "bind" in decided):
            yield Given(name, value, setting.variable, f"environment {setting.variable}")


def _load_variables(named: Given, environ: MutableMapping[str, str]) -> None:
    """Sets the variables in the files of `named`, unless they are set. The later of two files wins."""
    try:
        from dotenv import dotenv_values  # An optional package that is expensive to import.
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
            raise SettingError(named.label, f"{path} is not UTF-8 text.") from None
    for variable, value in found.items():
        if value is None:
            continue
        try:
            environ.setdefault(variable, value)
        except ValueError:  # a NUL, or = in a name
            raise SettingError(named.label, f"{variable!r} cannot be set to {value!r} in an environment.") from None


def _read_file(named: Given | None) -> Iterator[Given]:
    """Yields the settings in the named file, or else in the file of the current directory, if any."""
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
            label, f'{path or "an empty name"} is not a TOML file; write settings as in `bind = "127.0.0.1:8000"`.'
        )
    try:
        with open(path, encoding="utf-8-sig") as stream:
            text = stream.read()
    except OSError as error:
        raise SettingError(label, f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise SettingError(label, f"{path} is not UTF-8 text.") from None
    if is_project and named is None and "ianus" not in text:
        return  # Many projects have such a file, and parsing takes time.
    content = _parse(text, path)
    if not is_project:
        yield from _entries(content, path, text)
        return
    tools = content.get("tool")
    settings = tools.get("ianus") if isinstance(tools, dict) else None
    if isinstance(settings, dict):
        yield from _entries(settings, f"{path} [tool.ianus]", "")
    elif settings is not None:
        raise SettingError(label, f"{path}: tool.ianus is not a table; write settings under [tool.ianus].")
    elif named is not None:
        raise SettingError(label, f"{path} has no [tool.ianus] table.")


def _unread_project_table() -> Iterator[str]:
    """Yields a warning if two files have settings, of which one is ignored."""
    if not (os.path.isfile(FILE) and os.path.isfile(PROJECT_FILE)):
        return
    try:
        with open(PROJECT_FILE, encoding="utf-8", errors="replace") as stream:
            text = stream.read()
    except OSError:
        return  # It cannot be read, so it has no settings.
    if re.search(r"^[ \t]*\[tool\.ianus\]", text, re.MULTILINE):
        yield f"{PROJECT_FILE} [tool.ianus] is ignored, because {FILE} exists."


def _parse(text: str, path: str) -> dict[str, Any]:
    import tomllib  # Late: only for a file.

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingError(path, f"is not valid TOML: {error}.") from None
    except ValueError:  # Python reads no number of more than 4300 digits.
        raise SettingError(path, "has a number with too many digits.") from None
    except RecursionError:
        raise SettingError(path, "is nested too deeply.") from None


def _entries(content: Mapping[str, object], path: str, text: str) -> Iterator[Given]:
    for key, value in content.items():
        line = re.search(rf"^[ \t]*[\"']?{re.escape(key)}[\"']?[ \t]*=", text, re.MULTILINE)
        origin = f"{path}:{text.count(chr(10), 0, line.start()) + 1}" if line else path
        name, label = key.replace("-", "_"), f"{origin}: {key}"
        if name == "config":
            raise SettingError(label, "a configuration file cannot name another one.")
        if name not in NAMES:
            raise SettingError(label, _unknown_key(name, value))
        if NAMES[name].setting.parse is permissions and not isinstance(value, str):
            # As a number 440 would be 0o670, and 0o440 cannot be distinguished from 288.
            raise SettingError(label, 'write octal digits in quotes, as in "660".')
        yield Given(name, value, label, origin)


def _unknown_key(name: str, value: object) -> str:
    if isinstance(value, dict):
        return f"is a table; write settings at the top of {FILE}, or in [tool.ianus] of {PROJECT_FILE}."
    if known_elsewhere := hint(name):
        return f"unknown setting. {known_elsewhere}"
    near = closest_match(name, NAMES)
    return f"unknown setting; {f'did you mean {near}?' if near else 'see `ianus --help-all`.'}"
