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
from ianus.settings.values import DEFAULT_HOST, DEFAULT_PORT, TcpBind

# PORT is set by platforms that connect from outside of this machine or container.
HOST_OF_PORT = "0.0.0.0"


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
    """What a source gives, by the settings' own names and checked."""
    layer: Layer = {}
    for each in given:
        name, setting, alias = names[each.name]
        try:
            value: Any = setting.check(_translated(each.value, alias))
        except ValueError as error:
            raise SettingError(each.label, str(error)) from None
        origin = each.origin
        if (other := layer.get(name)) is not None:
            if not setting.repeatable:
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
    if alias.convert is str:
        return value
    return [alias.convert(each) for each in value] if isinstance(value, (list, tuple)) else alias.convert(value)


def merge_layers(layers: list[Layer]) -> Layer:
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
    elif halves["port"].label == "PORT":
        host = HOST_OF_PORT
    port = halves["port"].value if "port" in halves else DEFAULT_PORT
    origin = ", ".join(half.origin for _, half in sorted(halves.items()))
    return Given("bind", (TcpBind(host, port),), origin, origin)


def as_written(given: Given) -> str:
    """How a template calls it: the label of a file's begins with the place, which would be in the way."""
    name = given.label.removeprefix(f"{given.origin}: ")
    return f"{name} ({given.origin})" if name != given.label else name


def values_from(given: Mapping[str, object], names: Names) -> Layer:
    """The values that a caller in Python gives, by the settings' own names. Warns of options that change nothing.

    Raises SettingError for a value that a setting cannot have and TypeError for a setting that does not exist.
    """
    warnings = {name: ignored_warning(name, value) for name, value in given.items()}
    given = {name: value for name, value in given.items() if not warnings[name]}
    known = {name for name, each in names.items() if each.input not in ("app", "config", "env_file")}
    for name in given:
        if name not in known:
            raise TypeError(f"there is no setting {name!r}{_explain_name(name, known, names)}")
    # Callers with a signature of their own hand on None for what they were not given.
    values = (Given(name, value, name, "") for name, value in given.items() if value is not None)
    for warning in filter(None, warnings.values()):
        warn_caller(warning)
    return merge_layers([make_layer(values, names)])


def warn_caller(text: str) -> None:
    """Warns about the line outside of this package that has led here."""
    import warnings  # Only on this way.

    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "ianus":
        level, frame = level + 1, frame.f_back
    warnings.warn(text, stacklevel=level)


def _explain_name(name: str, known: Iterable[str], names: Names) -> str:
    """What is to be said from Python about a name that is not in `known`."""
    if name in names and names[name].input in ("config", "env_file"):
        return ": it is read by the command only; ianus.settings.sources.read_sources() does it"
    if known_elsewhere := hint(name):
        return f". {known_elsewhere}"
    near = closest_match(name, known)
    return f"; did you mean {near!r}?" if near else ""
