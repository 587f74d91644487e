"""Finds applications in the files of a folder, without importing them: for `ianus` without APP.

It reads modules of the usual names, and looks for the assignments and functions that make an application.
"""
# ruff: noqa: PTH100, PTH113, PTH118, PTH119, PTH123  (pathlib takes 5 ms to import)

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

# Names of files without the suffix, in the order of their preference.
MODULES = ("main", "app", "wsgi", "asgi", "application", "server", "api", "run")
ATTRIBUTES = ("application", "app", "api", "server")
FACTORIES = ("create_app", "make_app", "get_app")

MAX_FILE_BYTES = 1 << 20
MAX_FOLDERS = 50

DJANGO_SETTINGS = re.compile(r"DJANGO_SETTINGS_MODULE['\"]\s*,\s*['\"]([\w.]+)['\"]")


class Candidate(NamedTuple):
    """An application that may be meant.

    app: its name. app_dir: the value of --app-dir that it needs, or "". found: a description of the place.
    """

    app: str
    found: str
    app_dir: str = ""

    def command(self, program: str = "ianus") -> str:
        """Returns the command that serves it, for a shell. program: its words before the name."""
        from shlex import quote  # Late: only for a line without APP.

        app = f"'{self.app}'" if "(" in self.app else self.app
        return f"{program} {app}" + (f" --app-dir {quote(self.app_dir)}" if self.app_dir else "")


def find_applications(app_dir: str) -> list[Candidate]:
    """Returns the applications in a folder, or else in its folders; the one that is likely meant is the first."""
    found = list(_enclosing_project(app_dir)) or [*_django_projects(app_dir, ""), *_modules(app_dir, "")]
    if not found:
        for folder in _folders(app_dir):
            found += _django_projects(os.path.join(app_dir, folder), folder)
            found += _modules(os.path.join(app_dir, folder), folder)
    return [each._replace(app_dir=_joined(app_dir, each.app_dir)) for each in found]


def find_in_package(package: str, places: Iterable[str], names: Sequence[str] = ()) -> str:
    """Returns the name of an application in a module of a package; "" if none is found.

    package: its name. places: its folders. names: the path of a module in it; if given, only this module, those above
    it and those in it are searched.
    """
    for place in places:
        for module in _modules_named(names) if names else _usual_modules(place):
            path = os.path.join(place, *module.split("."))
            found = _application_in(_read(f"{path}.py") or _read(os.path.join(path, "__init__.py")))
            if found is not None:
                return f"{package}.{module}:{found[0]}"
    return ""


def _modules_named(names: Sequence[str]) -> Iterator[str]:
    for count in range(len(names), 0, -1):
        name = ".".join(names[:count])
        yield from (name, *(f"{name}.{module}" for module in MODULES))


def _usual_modules(place: str) -> Iterator[str]:
    yield from MODULES
    for folder in _folders(place):
        yield from (f"{folder}.{module}" for module in MODULES)
        yield folder


def _joined(app_dir: str, folder: str) -> str:
    path = os.path.normpath(os.path.join(app_dir, folder))
    return "" if path == "." else path


def _folders(directory: str) -> list[str]:
    try:
        names = [entry.name for entry in os.scandir(directory) if entry.is_dir()]
    except OSError:
        return []
    # Others are not modules: .git, node_modules is one, and so is a virtual environment.
    usual = [name for name in sorted(names) if name.isidentifier() and name not in ("node_modules", "tests", "venv")]
    return usual[:MAX_FOLDERS]


def _django_projects(directory: str, folder: str) -> Iterator[Candidate]:
    settings = DJANGO_SETTINGS.search(_read(os.path.join(directory, "manage.py")))
    if settings is None:
        return
    package = settings[1].split(".")[0]
    for module in ("wsgi", "asgi"):
        if os.path.isfile(os.path.join(directory, package, f"{module}.py")):
            path = os.path.normpath(directory)
            place = "this folder" if path == "." else f"the folder {path}"
            yield Candidate(f"{package}.{module}", f"{place} is a Django project ({module.upper()})", folder)


def _enclosing_project(directory: str) -> Iterator[Candidate]:
    """Finds the Django project of which `directory` is the package. Its wsgi.py cannot be imported from there."""
    package = os.path.basename(os.path.abspath(directory))
    for project in _django_projects(os.path.join(directory, ".."), ".."):
        module = project.app.removeprefix(f"{package}.")
        if module in ("wsgi", "asgi"):
            yield project._replace(found=f"this folder is the package of a Django project ({module.upper()})")


def _modules(directory: str, folder: str) -> Iterator[Candidate]:
    is_package = bool(folder) and os.path.isfile(os.path.join(directory, "__init__.py"))
    for module in (*MODULES, *(["__init__"] if is_package else [])):
        file = os.path.join(folder, f"{module}.py")
        found = _application_in(_read(os.path.join(directory, f"{module}.py")))
        if found is None:
            continue
        attribute, description = found
        name = f"{folder}.{module}".removesuffix(".__init__") if is_package else file if folder else module
        yield Candidate(f"{name}:{attribute}", f"{file} has {description}")


def _application_in(source: str) -> tuple[str, str] | None:
    """Returns the name of an application in a module, or a call that makes one, with a description; None if none."""
    try:
        names = _names_in(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    for name in ATTRIBUTES:
        if name in names:
            return name, f"{name} = {names[name]}(...)" if names[name] else name
    for name in FACTORIES:
        if name in names:
            return f"{name}()", f"the function {name}"
    return None


def _names_in(source: str) -> dict[str, str]:
    """Returns the names that a module defines, with the functions whose results they are; "" for other values."""
    import ast  # Late: only for a line without APP.

    names: dict[str, str] = {}
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            maker = _called(statement.value)
            names |= {each.id: maker for each in targets if isinstance(each, ast.Name)}
        elif isinstance(statement, ast.ImportFrom):
            names |= {alias.asname or alias.name: "" for alias in statement.names}
        elif isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            names[statement.name] = ""
    return names


def _called(value: object) -> str:
    """Returns the dotted name of the called function in an assignment; "" for other values."""
    import ast

    if not isinstance(value, ast.Call):
        return ""
    name = ast.unparse(value.func)
    return name if re.fullmatch(r"[\w.]{1,80}", name) else ""


def _read(path: str) -> str:
    if not os.path.isfile(path):
        return ""  # Opening a named pipe would wait for a writer.
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(MAX_FILE_BYTES)
    except OSError:
        return ""
