"""Layers: the values of one source, by the settings' own names, and the merge of several layers.

Nothing here reads the table of settings (schema.py), which uses this module: the functions get the names that exist.
"""

import sys
from collections.abc import Iterable, Mapping
from itertools import takewhile
from typing import Any, NamedTuple

from ianus.errors import SettingError, closest_match
from ianus.settings.foreign_options import hint, ignored_warning
from ianus.settings.setting import Alias, Setting
from ianus.settings.values import DEFAULT_HOST, DEFAULT_PORT, TcpBind, lacks_port

# PORT is set by platforms that connect from outside of this machine or container.
HOST_OF_PORT = "0.0.0.0"


class Given(NamedTuple):
    """A value that a source gives.

    name: as the source spells it, but with underscores; in a layer, the setting's.
    label: its name in messages, such as "--bind" or "IANUS_BIND".
    origin: its source and place, such as "command line --bind" or "ianus.toml:3".
    """

    name: str
    value: Any
    label: str
    origin: str


Layer = dict[str, Given]


class KnownName(NamedTuple):
    """One of the names of an input: the input that it stands for, its description, and the alias.

    input: the input's own name.
    """

    input: str
    setting: Setting
    alias: Alias


Names = Mapping[str, KnownName]


def index_names(inputs: Iterable[tuple[str, Setting]]) -> dict[str, KnownName]:
    """Maps every name and alias of the inputs to the input."""
    return {
        alias.name: KnownName(name, setting, alias)
        for name, setting in inputs
        for alias in (Alias(name), *setting.aliases)
    }


def make_layer(given: Iterable[Given], names: Names) -> Layer:
    """Checks the values of one source; returns them by the settings' own names. Raises SettingError."""
    layer: Layer = {}
    for each in _join_halves(list(given), names):
        name, setting, alias = names[each.name]
        try:
            value: Any = setting.check(_translated(each.value, alias))
        except ValueError as error:
            raise SettingError(each.label, str(error)) from None
        origin = each.origin
        if (other := layer.get(name)) is not None:
            if not setting.repeatable:
                raise SettingError(each.label, f"sets the same value as {other.label}; give one of them.")
            value, origin = (*other.value, *value), f"{other.origin}, {origin}"
        layer[name] = Given(name, value, each.label, origin)
    for half in ("host", "port"):
        if half in layer and "bind" in layer:
            raise SettingError(
                layer[half].label, f"sets the address to listen on, as {layer['bind'].label} does; give one of them."
            )
    return layer


def _join_halves(given: list[Given], names: Names) -> list[Given]:
    """Joins a port to addresses without one, which daphne has in two options: -b HOST -p PORT."""
    by_input = {names[each.name].input: each for each in given}
    port = by_input.get("port")
    if port is None or "bind" not in by_input or not isinstance(port.value, (str, int)):
        return given
    joined = []
    for each in given:
        value = each.value
        if names[each.name].input == "bind" and names[each.name].alias.convert is str:
            hosts = list(value) if isinstance(value, (list, tuple)) else [value]
            if hosts and all(isinstance(host, str) and lacks_port(host) for host in hosts):
                each = each._replace(value=[f"{host}:{port.value}" for host in hosts])
                port = port._replace(label="")
        joined.append(each)
    return joined if port.label else [each for each in joined if names[each.name].input != "port"]


def near_name(name: str, value: object, names: Names) -> str:
    """Returns the one of `names` that `name` may be a misspelling of, if the value fits it; "" if there is none."""
    near = closest_match(name, names)
    if not near:
        return ""
    try:
        names[near].setting.check(_translated(value, names[near].alias))
    except ValueError:
        return ""
    return near


def _translated(value: object, alias: Alias) -> object:
    if alias.convert is str:
        return value
    return [alias.convert(each) for each in value] if isinstance(value, (list, tuple)) else alias.convert(value)


def merge_layers(layers: list[Layer]) -> Layer:
    """Merges layers, the one with the highest priority first."""
    merged: Layer = {}
    for layer in reversed(layers):
        merged |= layer
    address = _address(layers)
    if address is not None:
        merged["bind"] = address
    return {name: given for name, given in merged.items() if name not in ("host", "port")}


def _address(layers: list[Layer]) -> Given | None:
    """Returns the address to listen on, from the first layer that has one or a half of one."""
    for index, layer in enumerate(layers):
        if "bind" in layer:
            return layer["bind"]
        if "host" in layer or "port" in layer:
            return _address_of_halves(layers[index:])
    return None


def _address_of_halves(layers: list[Layer]) -> Given:
    """Joins a host and a port, each from the first layer that has it, up to a layer that has whole addresses."""
    halves: Layer = {}
    for layer in takewhile(lambda layer: "bind" not in layer, layers):
        halves = {half: layer[half] for half in ("host", "port") if half in layer} | halves
    host = DEFAULT_HOST
    if "host" in halves:
        host = halves["host"].value
    elif halves["port"].label == "PORT":
        host = HOST_OF_PORT
    port = halves["port"].value if "port" in halves else DEFAULT_PORT
    origin = ", ".join(half.origin for _, half in sorted(halves.items()))
    return Given("bind", (TcpBind(host, port),), origin, origin)


def as_written(given: Given) -> str:
    """Returns the name of a value for the middle of a sentence; the label of a file's value starts with its place."""
    name = given.label.removeprefix(f"{given.origin}: ")
    return f"{name} ({given.origin})" if name != given.label else name


def values_from(given: Mapping[str, object], names: Names) -> Layer:
    """Returns the values of a caller in Python, by the settings' own names. Warns of options that have no effect.

    Raises SettingError for an invalid value and TypeError for an unknown setting.
    """
    warnings = {name: ignored_warning(name, value) for name, value in given.items()}
    given = {name: value for name, value in given.items() if not warnings[name]}
    known = {name for name, each in names.items() if each.input not in ("app", "config", "env_file", "env")}
    for name in given:
        if name not in known:
            raise TypeError(f"unknown setting {name!r}{_explain_name(name, given[name], known, names)}")
    # Callers with a signature of their own pass None for arguments that were not given.
    values = (Given(name, value, name, "") for name, value in given.items() if value is not None)
    for warning in filter(None, warnings.values()):
        warn_caller(warning)
    return merge_layers([make_layer(values, names)])


def warn_caller(text: str) -> None:
    """Issues a warning about the line that called this package."""
    import warnings  # Late: warnings are rare.

    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "ianus":
        level, frame = level + 1, frame.f_back
    warnings.warn(text, stacklevel=level)


def _explain_name(name: str, value: object, known: set[str], names: Names) -> str:
    """Returns the end of the error message about a name that is not in `known`."""
    if name in names and names[name].input in ("config", "env_file", "env"):
        return ": only the command reads it; use ianus.settings.sources.read_sources()"
    if known_elsewhere := hint(name):
        return f". {known_elsewhere}"
    near = near_name(name, value, {each: names[each] for each in known})
    return f"; did you mean {near!r}?" if near else ""
