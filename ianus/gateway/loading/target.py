"""Parses the name of an application: a module or a file, a path of attributes, and the arguments of a call.

| form | application |
|---|---|
| `main:app`, `package.module:site.app` | the attribute of a module |
| `main` | its attribute `application` or, failing that, `app` |
| `main:create_app("x", debug=True)` | the result of a call with literal arguments |
| `src/main.py:app`, `/srv/app/main.py`, `site.wsgi` | a file, which is imported as a module |
| `src/main:app` | a module in the folder `src` |

Nothing is imported here, so that the supervisor can parse names too.
"""
# ruff: noqa: PTH100, PTH112, PTH113, PTH118, PTH119, PTH120, PTH122, PTH208  (pathlib takes 5 ms to import)

import os
import re
from typing import Any, NamedTuple

from ianus.errors import StartupError, closest_match

SOURCE_SUFFIXES = (".py", ".wsgi")

ATTRIBUTE = r"(?P<path>\w+(?:\.\w+)*)(?P<call>\((?P<arguments>.*)\))?"


class CallArguments(NamedTuple):
    """The arguments of a call in the name of an application."""

    positional: tuple[Any, ...]
    named: dict[str, Any]


class Target(NamedTuple):
    """The parsed name of an application.

    module: the name by which the module is imported.
    folder: the absolute path of the folder that is searched first.
    file: the absolute path of the module's file, if the name has a file; else "".
    attributes: the path of the attribute; empty for the default one.
    call: the arguments, if the attribute is to be called; else None.
    """

    module: str
    folder: str
    file: str
    attributes: tuple[str, ...]
    call: CallArguments | None

    def format(self, attributes: tuple[str, ...]) -> str:
        """Returns the name for the log. Arguments are omitted, since they may be secrets."""
        return f"{self.module}{_format_attribute(attributes, self.call)}"

    def attribute(self) -> str:
        """Returns the part after the module for a message, with its colon; "" for the default attribute."""
        return _format_attribute(self.attributes, self.call)


def parse_target(spec: str, app_dir: str) -> Target:
    """Parses the name of an application. Raises StartupError with the correct form.

    app_dir: the value of --app-dir; a relative path of a file is relative to it.
    """
    directory = os.path.abspath(app_dir)
    if not os.path.isdir(directory):
        raise StartupError(f"The directory {app_dir} does not exist; give the application's as --app-dir.")
    module, colon, path = spec.partition(":")
    attributes, call = _parse_attribute(path, spec) if colon else ((), None)
    folder, file = directory, ""
    if module and _is_path(module, directory):
        folder, module, file = _locate(module, directory, spec, _format_attribute(attributes, call))
    if not file and not _is_dotted_name(module):
        raise StartupError(_explain(spec))
    return Target(module, folder, file, attributes, call)


def search_folder(spec: str, app_dir: str) -> str:
    """Returns the folder of the application's modules, without a check that it exists."""
    try:
        return parse_target(spec, app_dir).folder
    except StartupError:
        return os.path.abspath(app_dir)


def _format_attribute(attributes: tuple[str, ...], call: CallArguments | None) -> str:
    if not attributes:
        return ""
    return f":{'.'.join(attributes)}{'' if call is None else '(...)' if any(call) else '()'}"


def _is_dotted_name(name: str) -> bool:
    return all(part.isidentifier() for part in name.split("."))


def _explain(spec: str) -> str:
    prefix, _, rest = spec.partition(":")
    if prefix in ("asgi", "wsgi") and ":" in rest:
        return f"{spec!r}: write {rest}; its interface is recognised, or set by --interface {prefix}."
    return f"{spec!r} does not name an application; write MODULE:ATTRIBUTE, as in main:app."


# --- Files ---


def _is_path(module: str, directory: str) -> bool:
    """Returns whether the part before the colon is a path, and not the name of a module."""
    if "/" in module or module.endswith(".py"):
        return True
    # project.wsgi is a module of a Django project, unless there is such a file.
    is_module = os.path.isfile(os.path.join(directory, *module.split(".")) + ".py")
    return module.endswith(".wsgi") and not is_module and os.path.isfile(os.path.join(directory, module))


def _locate(path: str, directory: str, spec: str, attribute: str) -> tuple[str, str, str]:
    """Returns the folder to search, the module's name, and the file for the path of a file or of a module.

    attribute: the part after the path, for a message.
    """
    joined = os.path.normpath(os.path.join(directory, path))
    folder, name = os.path.split(joined)
    is_module = os.path.isfile(f"{joined}.py") or os.path.isfile(os.path.join(joined, "__init__.py"))
    if os.path.isdir(joined) and not is_module:
        raise StartupError(f"{spec!r} is a folder; name the file in it, as in {os.path.join(path, 'main.py')}.")
    if not os.path.isdir(folder):
        if os.path.isfile(f"{folder}.py") and name.isidentifier():
            raise StartupError(f"{spec!r} is not a path. Did you mean {os.path.dirname(path)}:{name}?")
        raise StartupError(f"{spec!r}: the folder {folder} does not exist.")
    stem, suffix = os.path.splitext(name)
    # Without such a file, src/project.wsgi is the module of a Django project.
    if suffix not in SOURCE_SUFFIXES or (suffix == ".wsgi" and not os.path.isfile(joined)):
        if not _is_dotted_name(name):
            raise StartupError(_explain(spec))
        return *_leave_package(folder, name), ""
    if not os.path.isfile(joined):
        near = _find_below(folder, name) or closest_match(name, os.listdir(folder))
        right = os.path.join(os.path.dirname(path), near)
        advice = f"Did you mean {right}{attribute}?" if near else "Check its spelling."
        raise StartupError(f"There is no file {name} in {folder}. {advice}")
    if suffix == ".wsgi":
        # Not the stem: such files often import a module of that name.
        return folder, f"{stem}_wsgi", joined
    if "." in stem:
        raise StartupError(f"{spec!r} cannot be imported, since its name has a dot; rename the file.")
    if stem == "__init__":
        folder, stem = os.path.split(folder)
    return *_leave_package(folder, stem), joined


def _find_below(folder: str, name: str) -> str:
    """Returns the path of a file in one of the folders of `folder`; "" if there is none."""
    paths = (os.path.join(each, name) for each in sorted(os.listdir(folder)) if not each.startswith("."))
    return next((path for path in paths if os.path.isfile(os.path.join(folder, path))), "")


def _leave_package(folder: str, name: str) -> tuple[str, str]:
    """Returns the folder above the package that contains a module, and the module's full name.

    Otherwise the relative imports of the module would fail.
    """
    while os.path.isfile(os.path.join(folder, "__init__.py")) and os.path.basename(folder).isidentifier():
        folder, package = os.path.split(folder)
        name = f"{package}.{name}"
    return folder, name


# --- Attributes and arguments ---


def _parse_attribute(text: str, spec: str) -> tuple[tuple[str, ...], CallArguments | None]:
    match = re.fullmatch(ATTRIBUTE, text.strip(), re.DOTALL)
    if match is None and text.count("(") > text.count(")"):
        raise StartupError(f"{spec!r}: the closing parenthesis is missing; write {spec}).")
    if match is None and "(" in text:
        raise StartupError(
            f"{spec!r}: a call ends the name, as in main:create_app(). Write a function that returns the application."
        )
    if match is None or not _is_dotted_name(match["path"]):
        raise StartupError(_explain(spec))
    names = tuple(match["path"].split("."))
    if match["call"] is None:
        return names, None
    return names, _parse_arguments(match["arguments"], spec) if match["arguments"].strip() else CallArguments((), {})


def _parse_arguments(text: str, spec: str) -> CallArguments:
    import ast  # Late: few names have arguments.

    try:
        # Parentheses let the text have several lines, and no second expression.
        call = ast.parse(f"_({text}\n)", mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            raise StartupError(
                f"{spec!r}: a call ends the name, as in main:create_app(). Write a function that returns the"
                " application."
            )
        named = {}
        for keyword in call.keywords:
            if keyword.arg is None:
                raise ValueError("**")
            if keyword.arg in named:
                raise SyntaxError(f"the argument {keyword.arg} is repeated")  # as Python's compiler does
            named[keyword.arg] = ast.literal_eval(keyword.value)
        return CallArguments(tuple(ast.literal_eval(each) for each in call.args), named)
    except SyntaxError as error:
        reason = f"the arguments are not valid Python ({error.msg})"
    except (ValueError, TypeError, MemoryError, RecursionError):
        reason = "arguments are literals: texts in quotes, numbers, True, False, None, and lists of these"
    raise StartupError(f"{spec!r}: {reason}; write them as in main:create_app('production', debug=False).")
