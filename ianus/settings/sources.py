"""The sources of settings, and their priority.

Each source is read into a layer: its values, checked, by the settings' names. The priority of the layers, from the
highest: the command line, variables IANUS_*, GUNICORN_CMD_ARGS, the file, a gunicorn.conf.py beside it, and the
variables that many programs read (PORT, WEB_CONCURRENCY). All other settings have their defaults. Every value carries
its origin.
"""
# ruff: noqa: PTH113, PTH119, PTH123  (pathlib takes 5 ms to import)

import os
import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, MutableMapping
from types import ModuleType
from typing import Any, NamedTuple

from ianus.errors import ConflictError, SettingError, StartupError
from ianus.settings.foreign_files import Translation, closest_setting, translate
from ianus.settings.foreign_options import hint
from ianus.settings.gunicorn_arguments import GUNICORN_VARIABLE
from ianus.settings.layers import (
    Given,
    Layer,
    as_written,
    make_layer,
    merge_layers,
    near_name,
    values_from,
    warn_caller,
)
from ianus.settings.schema import NAMES, Settings, inputs
from ianus.settings.setting import Setting
from ianus.settings.tls_values import PROTECTING
from ianus.settings.values import format_value, in_quotes, permissions

PREFIX = "IANUS_"
FILE = "ianus.toml"
PROJECT_FILE = "pyproject.toml"
GUNICORN_FILE = "gunicorn.conf.py"

# Variables with our prefix that are not settings: those of a build, and those that Kubernetes sets in every container
# if a service has our name (IANUS_SERVICE_HOST, IANUS_PORT_80_TCP_ADDR, and IANUS_PORT=tcp://...).
FOREIGN = r"IANUS_(ASAN|BUILD|COMPILE|DEBUG|HANDOVER|SERVICE_(HOST|PORT.*)|PORT_[0-9]+_.*)=.*|IANUS_PORT=\w+://.*"


class Configuration(NamedTuple):
    """The merged values of all sources.

    app: the name of the application; "" if no source gives it.
    origins: the origin of each value that is not a default, by the setting's name.
    warnings: a sentence each.
    hooks: the configuration in Python whose functions are the hooks; None if it has none, or --hooks names others.
    """

    app: str
    settings: Settings
    origins: Mapping[str, str]
    warnings: tuple[str, ...] = ()
    hooks: ModuleType | None = None


class Reader:
    """Reads all sources, any number of times, each time without the variables that --env and --env-file have set.

    collect: reads all sources once. hooks: of the last configuration that was read.
    """

    def __init__(self, collect: Callable[[], Configuration]) -> None:
        self._collect = collect
        self._loaded: dict[str, str] = {}  # variables that --env and --env-file have set
        self._replaced: dict[str, str] = {}  # the previous values of some of them
        self.hooks: ModuleType | None = None

    def read(self) -> Configuration:
        """Reads all sources. Raises StartupError, and then restores the environment."""
        before = dict(os.environ)
        for name in self._loaded:
            os.environ.pop(name, None)
        os.environ.update(self._replaced)
        own = dict(os.environ)
        try:
            configuration = self._collect()
        except BaseException:
            os.environ.clear()
            os.environ.update(before)
            raise
        self._loaded = {name: value for name, value in os.environ.items() if own.get(name) != value}
        self._replaced = {name: own[name] for name in self._loaded.keys() & own.keys()}
        self.hooks = configuration.hooks
        return configuration

    def environment(self) -> dict[str, str]:
        """Returns the environment without those variables, for another server that this one starts."""
        loaded = {name for name, value in self._loaded.items() if os.environ.get(name) == value}
        kept = {name: value for name, value in os.environ.items() if name not in loaded}
        return kept | {name: value for name, value in self._replaced.items() if name in loaded}


class _File(NamedTuple):
    """A configuration file that has been read.

    program: the file as a module, if it is one in Python with hooks.
    """

    layer: Layer
    warnings: tuple[str, ...] = ()
    program: ModuleType | None = None


# Parses the text of GUNICORN_CMD_ARGS. Returns its values and warnings. Raises SettingError.
ParseArguments = Callable[[str], tuple[Iterable[Given], Iterable[str]]]


def read_sources(
    line: Iterable[Given] = (),
    environ: MutableMapping[str, str] = os.environ,
    parse_arguments: ParseArguments = lambda text: ((), ()),
) -> Configuration:
    """Reads the settings from all sources, including files in the current directory.

    line: the values of the command line.
    environ: the environment; gets the variables of an --env-file.

    Raises SettingError for invalid input, and StartupError if a needed package is not installed.
    """
    command_line = make_layer(line, NAMES)

    def read_upper() -> list[Layer]:
        given, notes = parse_arguments(environ.get(GUNICORN_VARIABLE, ""))
        warnings[:] = notes
        return [command_line, make_layer(_variables(environ), NAMES), make_layer(given, NAMES)]

    warnings: list[str] = []
    _set_variables(_upmost(read_upper()), environ)
    early = _upmost(read_upper())
    files = _read_files(early.get("config"))
    file_layers = [file.layer for file in files]
    in_files = _upmost(file_layers)
    _set_variables({name: in_files[name] for name in ("env", "env_file") if name in in_files.keys() - early}, environ)
    explicit = [*read_upper(), *file_layers]
    common = make_layer(_common_variables(environ, {name for layer in explicit for name in layer}), NAMES)
    merged = merge_layers([*explicit, common])
    warnings += [warning for file in files for warning in file.warnings]
    app = merged["app"].value if "app" in merged else ""
    origins = {name: given.origin for name, given in merged.items()}
    if "config" not in early:
        warnings += [*_unread_project_table(), *_conflicts(file_layers)]
    warnings += [*_unknown_variables(environ), *_variables_of_others(environ), *_without_effect(merged)]
    warnings += _script_name(environ, merged)
    hooks = next((file.program for file in files if _hooks_of(file.layer) == _hooks_of(merged) and file.program), None)
    return Configuration(app, Settings.from_layer(merged), origins, tuple(warnings), hooks)


def _hooks_of(layer: Layer) -> str:
    return layer["hooks"].value if "hooks" in layer else ""


def _upmost(layers: list[Layer]) -> Layer:
    """Returns the values that have priority among these layers. Addresses are not joined."""
    return {name: given for layer in reversed(layers) for name, given in layer.items()}


def _conflicts(layers: list[Layer]) -> Iterator[str]:
    """Yields one warning of all settings to which two files give different values."""
    if len(layers) < 2:
        return
    upper, lower = layers
    names = [name for name in lower if name in upper and upper[name].value != lower[name].value]
    if names:
        first, second = (_file_of(layer[names[0]]) for layer in layers)
        yield (
            f"{first} and {second} both set {', '.join(names)}; {first} has priority. Remove the others from"
            f" {second}, or the file: `ianus migrate {GUNICORN_FILE}` prints its settings for {FILE}"
            " (ianus docs migrating)."
        )


def _file_of(given: Given) -> str:
    return re.split(r":[0-9]| \[", given.origin)[0]


def settings_to_serve(given: Mapping[str, object]) -> Settings:
    """Makes the settings of Settings.from_values(), and warns of values that have no effect without others."""
    merged = values_from(given, NAMES)
    for warning in _without_effect(merged):
        warn_caller(warning)
    return Settings.from_layer(merged)


# --- The sources ---


def _set_variables(layer: Layer, environ: MutableMapping[str, str]) -> None:
    """Sets the variables of --env, and those of the files of --env-file that are not set."""
    for each in layer["env"].value if "env" in layer else ():
        name, _, value = each.partition("=")
        environ[name] = value
    if "env_file" in layer:
        _load_variables(layer["env_file"], environ)


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
            explanation = _explain_variable(name, value)
            yield f"{variable} in the environment is not a setting{explanation} (ianus docs settings)"


def _variables_of_others(environ: Mapping[str, str]) -> Iterator[str]:
    """Yields a warning for each server whose variables are set, with the names to use instead."""
    for prefix, server in (("UVICORN_", "Uvicorn"), ("GRANIAN_", "Granian")):
        # Kubernetes sets some for a service with this name.
        names = sorted(
            name
            for name in environ
            if name.startswith(prefix) and not re.fullmatch(r"_?(SERVICE|PORT_[0-9]+).*", name.removeprefix(prefix))
        )
        if names:
            advice = "; ".join(_instead_of_variable(name, name.removeprefix(prefix), environ[name]) for name in names)
            yield f"variables of {server} in the environment have no effect: {advice}."


def _script_name(environ: Mapping[str, str], merged: Layer) -> Iterator[str]:
    """Yields a warning of the variable that Gunicorn reads for each request."""
    if environ.get("SCRIPT_NAME") and not merged.keys() & {"root_path", "root_path_kept"}:
        yield (
            "SCRIPT_NAME in the environment is read by Gunicorn, and not by Ianus; write --root-path-kept"
            f" {environ['SCRIPT_NAME']}, or --root-path if the proxy strips the prefix."
        )


def _instead_of_variable(variable: str, rest: str, value: str) -> str:
    """Returns the advice about a variable of another server. rest: its name without the prefix."""
    name = _NAMES_IN_VARIABLES.get(rest, rest.lower())
    if (name, value) == ("interface", "asginl"):
        return f"write {PREFIX}INTERFACE=asgi and {PREFIX}LIFESPAN=off in place of {variable}"
    if name in NAMES:
        return f"write {PREFIX}{name.upper()} in place of {variable}"
    known_elsewhere = hint(name).removeprefix("Remove it: ").rstrip(".")
    return f"remove {variable} ({known_elsewhere})" if known_elsewhere else f"remove {variable}"


# Variables of Granian that are not called like its options.
_NAMES_IN_VARIABLES = {"LOG_ACCESS_ENABLED": "access_log", "LOG_ACCESS_FMT": "access_log_format"}


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
    yield from _without_tls(merged)


# Settings of which each turns TLS on, and those that have no effect without it. tls_values.py refuses others then.
_TLS_ON = ("ssl_certfile", "ssl_cert_dir", "ssl_context_factory", "tls_dev", "tls_auto")
_TLS_DETAILS = ("tls_engine", "timeout_tls_handshake", "limit_handshakes", "tls_handshake_log", "https_redirect_port")


def _without_tls(merged: Layer) -> Iterator[str]:
    """Yields warnings of settings about TLS that have no effect without others.

    Raises ConflictError for authorities of clients without the decision whether clients are asked.
    """
    if not any(name in merged and merged[name].value for name in _TLS_ON):
        if labels := _changed(merged, _TLS_DETAILS):
            yield f"{labels}: no effect without --ssl-certfile, which turns TLS on."
        if "http2" in merged and merged["http2"].value and not ("http2_cleartext" in merged or "http" in merged):
            yield (
                f"{as_written(merged['http2'])} has no effect without --ssl-certfile, which turns TLS on. Without TLS,"
                " clients can use HTTP/2 after --http2-cleartext."
            )
        return
    labels = _changed(merged, PROTECTING["tls_auto"])
    if labels and not ("tls_auto" in merged and merged["tls_auto"].value):
        yield f"{labels}: no effect without --tls-auto, since the certificate has another source."
    if _changed(merged, ["ssl_ca_certs"]) and not merged.keys() & {"ssl_cert_reqs", "ssl_context_factory"}:
        # Not a warning: a user would believe that only clients with a certificate are served.
        raise ConflictError(
            (as_written(merged["ssl_ca_certs"]), "--ssl-cert-reqs"),
            "{} needs {}: required or optional to check certificates of clients, or none to serve every client.",
            page="tls",
        )


def _changed(merged: Layer, names: Iterable[str]) -> str:
    """Returns those of the settings that do not have their defaults, as written; "" if all have them."""
    fields = Settings.__dataclass_fields__
    changed = [name for name in names if name in merged and merged[name].value != fields[name].default]
    return ", ".join(as_written(merged[name]) for name in changed)


def _explain_variable(name: str, value: str) -> str:
    if known_elsewhere := hint(name):
        return f". {known_elsewhere}"
    near = near_name(name, value, NAMES)
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
            raise SettingError(
                named.label, f"{path} cannot be read: {error.strerror}. Check its path and permissions."
            ) from None
        except UnicodeDecodeError:
            raise SettingError(named.label, f"{path} is not UTF-8 text.") from None
    for variable, value in found.items():
        if value is None:
            continue
        try:
            environ.setdefault(variable, value)
        except ValueError:  # a NUL, or = in a name
            raise SettingError(named.label, f"{variable!r} cannot be set to {value!r} in an environment.") from None


def _read_files(named: Given | None) -> list[_File]:
    """Reads the named file, or else those of the current directory, if any: one in TOML, and gunicorn's."""
    if named is None:
        path = next((each for each in (FILE, PROJECT_FILE) if os.path.isfile(each)), "")
        files = [_File(make_layer(_read_toml(path, path, is_named=False), NAMES))] if path else []
        if os.path.isfile(GUNICORN_FILE):
            files.append(_read_python(GUNICORN_FILE, GUNICORN_FILE))
        return files
    from ianus.settings.python_files import is_python  # Late: only for a file that is named.

    if named.value.endswith(".toml"):
        if "hypercorn" in os.path.basename(named.value):
            content, text = _load_toml(named.value, named.label)
            return [_as_file(translate(content, named.value, text, is_gunicorn=False))]
        return [_File(make_layer(_read_toml(named.value, named.label, is_named=True), NAMES))]
    if named.value in ("", "file:", "python:") or not is_python(named.value):
        raise SettingError(
            named.label,
            f"{named.value or 'an empty name'} is neither TOML nor Python; write settings as in"
            ' `bind = "127.0.0.1:8000"` into a .toml file.'
            + (f" `ianus migrate {named.value}` prints them." if named.value.endswith((".ini", ".json")) else ""),
        )
    return [_read_python(named.value, named.label)]


def _read_python(name: str, label: str) -> _File:
    """Executes a configuration of gunicorn or hypercorn, and translates it. Raises StartupError."""
    from ianus.settings.python_files import load, source_of, values_of  # Late: only for such a file.

    module = load(name, label)
    path, text = source_of(module)
    is_gunicorn = "gunicorn" in os.path.basename(path)
    translation = translate(values_of(module), path, text, is_gunicorn=is_gunicorn, has_hooks=True)
    file = _as_file(translation)
    if not translation.has_hooks:
        return file
    origin = Given("hooks", name if name.startswith("python:") else f"file:{path}", f"{path}: hooks", path)
    return file._replace(layer=file.layer | make_layer([origin], NAMES), program=module)


def _as_file(translation: Translation) -> _File:
    """Checks the values of another server's file."""
    warnings: tuple[str, ...] = ()
    if translation.ignored:
        ignored = "; ".join(translation.ignored)
        warnings = (f"{translation.path} has settings without effect: {ignored}.",)
    return _File(make_layer(translation.given, NAMES), warnings)


def _read_toml(path: str, label: str, *, is_named: bool) -> Iterator[Given]:
    """Yields the settings in a file of Ianus."""
    is_project = os.path.basename(path) == PROJECT_FILE
    content, text = _load_toml(path, label, only_with="ianus" if is_project and not is_named else "")
    if not is_project:
        yield from _entries(content, path, text)
        return
    tools = content.get("tool")
    settings = tools.get("ianus") if isinstance(tools, dict) else None
    if isinstance(settings, dict):
        yield from _entries(settings, f"{path} [tool.ianus]", "")
    elif settings is not None:
        raise SettingError(label, f"{path}: tool.ianus is not a table; write settings under [tool.ianus].")
    elif is_named:
        raise SettingError(label, f"{path} has no [tool.ianus] table.")


def _load_toml(path: str, label: str, only_with: str = "") -> tuple[dict[str, Any], str]:
    """Returns the content of a TOML file and its text; nothing if the text lacks `only_with`."""
    try:
        with open(path, encoding="utf-8-sig") as stream:
            text = stream.read()
    except OSError as error:
        raise SettingError(label, f"{path} cannot be read: {error.strerror}. Check its path and permissions.") from None
    except UnicodeDecodeError:
        raise SettingError(label, f"{path} is not UTF-8 text.") from None
    if only_with not in text:
        return {}, text  # Many projects have such a file, and parsing takes time.
    return _parse(text, path), text


def _unread_project_table() -> Iterator[str]:
    """Yields a warning if two files have settings, of which one is ignored."""
    if os.path.isfile(FILE) and has_project_table():
        yield f"{PROJECT_FILE} [tool.ianus] is ignored, because {FILE} exists. (ianus docs starting)"


def has_project_table() -> bool:
    """Returns whether the pyproject.toml in the current directory has settings."""
    if not os.path.isfile(PROJECT_FILE):
        return False
    try:
        with open(PROJECT_FILE, encoding="utf-8", errors="replace") as stream:
            text = stream.read()
    except OSError:
        return False  # It cannot be read, so it has no settings.
    return re.search(r"^[ \t]*\[tool\.ianus\]", text, re.MULTILINE) is not None


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
    origins = {key: _place_of(key, path, text) for key in content}
    _check_keys(content, path, origins)
    for key, value in content.items():
        origin = origins[key]
        name, label = key.replace("-", "_"), f"{origin}: {key}"
        if name == "config":
            raise SettingError(label, "a configuration file cannot name another one.")
        if isinstance(value, dict) and NAMES[name].setting.is_table:
            for entry, one in value.items():
                if not isinstance(one, str) and not (type(one) is list and all(isinstance(each, str) for each in one)):
                    raise SettingError(f"{label}.{entry}", f"{format_value(one)} is not a text{in_quotes(one)}")
        if NAMES[name].setting.parse is permissions and not isinstance(value, str):
            # As a number 440 would be 0o670, and 0o440 cannot be distinguished from 288.
            raise SettingError(label, 'write octal digits in quotes, as in "660".')
        yield Given(name, value, label, origin)


def _place_of(key: str, path: str, text: str) -> str:
    line = re.search(rf"^[ \t]*\[?[ \t]*[\"']?{re.escape(key)}[\"']?[ \t]*[]=.]", text, re.MULTILINE)
    return f"{path}:{text.count(chr(10), 0, line.start()) + 1}" if line else path


def _check_keys(content: Mapping[str, object], path: str, origins: Mapping[str, str]) -> None:
    """Raises SettingError with all keys that are not settings."""
    unknown = {
        f"{origins[key]}: {key}": _unknown_key(name, value)
        for key, value in content.items()
        if (name := key.replace("-", "_")) not in NAMES
    }
    if len(unknown) > 1:
        lines = "".join(f"\n  {label}: {problem}" for label, problem in unknown.items())
        raise SettingError(path, f"{len(unknown)} entries cannot be used.{lines}")
    for label, problem in unknown.items():
        raise SettingError(label, problem)


def _unknown_key(name: str, value: object) -> str:
    if isinstance(value, dict):
        return f"is a table; write settings at the top of {FILE}, or in [tool.ianus] of {PROJECT_FILE}."
    if known_elsewhere := hint(name):
        return f"unknown setting. {known_elsewhere}"
    near = closest_setting(name) or near_name(name, value, NAMES)
    return f"unknown setting; {f'did you mean {near}?' if near else 'see `ianus --help-all`.'}"
