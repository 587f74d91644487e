"""Where settings come from, and which of them counts.

Each source is read into a layer: the values that it gives, checked, by the settings' names. Of two layers the
upper one counts: the command line, variables IANUS_*, the file, and last the variables that many programs read
(PORT, WEB_CONCURRENCY). What none of them says has its default. With every value goes where it came from.
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

# Variables with our prefix that are no settings: those of a build, and what Kubernetes sets in every container
# if there is a service of our name (IANUS_SERVICE_HOST, IANUS_PORT_80_TCP_ADDR, and IANUS_PORT=tcp://...).
FOREIGN = r"IANUS_(ASAN|BUILD|COMPILE|DEBUG|HANDOVER|SERVICE_(HOST|PORT.*)|PORT_[0-9]+_.*)=.*|IANUS_PORT=\w+://.*"


class Configuration(NamedTuple):
    """What all sources together say.

    app: what to serve; "" where nothing says so.
    origins: where each value came from that is not a default, by the setting's name.
    warnings: what should be told, a template each.
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
    """Makes the settings of Settings.from_values(), and warns of values that change nothing without others."""
    merged = values_from(given, NAMES)
    for warning in _without_effect(merged):
        warn_caller(warning)
    return Settings.from_layer(merged)


# --- The sources ---


def _variables(environ: Mapping[str, str]) -> Iterator[Given]:
    """The settings in the environment. An empty variable counts as one that is not set."""
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
    """What may be mistyped. No errors: the environment is shared, and a variable may be meant for others."""
    for variable, value in environ.items():
        name = variable.removeprefix(PREFIX).lower()
        if variable.startswith(PREFIX) and name not in NAMES and not _is_foreign(variable, value):
            yield f"{variable} in the environment is no setting{_explain_variable(name)}"


def _without_effect(merged: Layer) -> Iterator[str]:
    """Yields warnings of jitters without their limit, and of a switch that had more effect once.

    A limit that is turned off (0) may keep its jitter.
    """
    for name, given in merged.items():
        limit = name.removesuffix("_jitter")
        if limit != name and limit not in merged:
            yield f"{as_written(given)} changes nothing without {limit.replace('_', '-')}."
    if "sendfile" in merged and merged["sendfile"].value and "asgi_sendfile" not in merged:
        yield (
            f"{as_written(merged['sendfile'])} is for WSGI applications. ASGI applications send files with the kernel"
            " after --asgi-sendfile."
        )


def _explain_variable(name: str) -> str:
    if known_elsewhere := hint(name):
        return f". {known_elsewhere}"
    near = closest_match(name, NAMES)
    return f"; did you mean {PREFIX}{near.upper()}?" if near else "; see `ianus --help`."


def _common_variables(environ: Mapping[str, str], decided: Container[str]) -> Iterator[Given]:
    """Those that other programs read too; what they say of settings in `decided` is not even looked at."""
    for name, setting in inputs():
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


def _unread_project_table() -> Iterator[str]:
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
        if name not in NAMES:
            raise SettingError(label, _unknown_key(name, value))
        if NAMES[name].setting.parse is permissions and not isinstance(value, str):
            # The number 440 would be 0o670, and of 0o440 nothing is left to tell it from 288.
            raise SettingError(label, 'octal digits have to stand in quotes here, as in "660".')
        yield Given(name, value, label, origin)


def _unknown_key(name: str, value: object) -> str:
    if isinstance(value, dict):
        return f"is a table; settings stand at the top of {FILE}, or in [tool.ianus] of {PROJECT_FILE}."
    if known_elsewhere := hint(name):
        return f"there is no such setting. {known_elsewhere}"
    near = closest_match(name, NAMES)
    return f"there is no such setting; {f'did you mean {near}?' if near else '`ianus --print-config` shows them all.'}"
