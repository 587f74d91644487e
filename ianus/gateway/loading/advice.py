"""The advice of errors about modules and attributes that do not exist.

It is only made on the way out, so the modules that it needs are imported late.
"""
# ruff: noqa: PTH113, PTH118, PTH120  (pathlib takes 5 ms to import)

import inspect
import os
import re
import sys
from collections.abc import Iterable, Sequence
from types import ModuleType
from typing import Any

from ianus.errors import closest_match
from ianus.gateway.loading.interface import parameters

FACTORIES = ("create_app", "make_app", "get_app")


def explain_missing_module(name: str, missing: str, directory: str, attribute: str = "") -> str:
    """Returns the message for a module that does not exist.

    name: the module that was to be imported. missing: itself, or one of its packages. attribute: the part after the
    name, so that the right name can be copied.
    """
    parent, _, last = missing.rpartition(".")
    if not parent:
        places, shown = [directory], directory
    else:
        package = sys.modules[parent]
        if not hasattr(package, "__path__"):
            reason = f"{parent} is a file and not a package"
            return f"There is no module {missing}: {reason}. Did you mean {parent}:{last}?"
        places, shown = list(package.__path__), f"the package {parent}"
    message = f"There is no module {missing} in {shown}."
    # First, since wsgi of a folder is meant rather than a neighbour such as asgi.
    elsewhere = advise_folder(name, missing, directory, attribute)
    if elsewhere and not parent:
        return f"{message} {elsewhere}"
    near = closest_match(last, _modules_in(places))
    if near:
        right = f"{parent}.{near}" if parent else near
        return f"{message} Did you mean {right}{name.removeprefix(missing)}{attribute}?"
    if elsewhere:
        return f"{message} {elsewhere}"
    return f"{message} Check its spelling, or set --app-dir to the directory of the application."


def advise_folder(name: str, missing: str, directory: str, attribute: str = "") -> str:
    """Returns the advice to import from another folder, if `missing` is in one next to `directory`; else "".

    A common case is a Django project: the folder with manage.py has a package of the same name.
    """
    parent = os.path.dirname(directory)
    folders = {each: os.path.join(directory, each) for each in _folders_in(directory)} | {"..": parent}
    is_own = f"{name}.".startswith(f"{missing}.")
    # A module of the name of a package does not have the application.
    wanted = name if is_own and any(_has_module(path, name) for path in folders.values()) else missing
    for folder, path in folders.items():
        if not _has_module(path, wanted):
            continue
        if is_own and folder != ".." and _belongs_to_package(path, name):
            return f"Did you mean {folder}.{name}{attribute}?"
        is_django = os.path.isfile(os.path.join(path, "manage.py"))
        found = "the Django project" if is_django else f"the module {missing}"
        # The application's own name, from that folder: mysite.wsgi instead of wsgi or mysite.mysite.wsgi.
        file = os.path.join(directory, *name.split("."))
        below = os.path.relpath(file, path).split("/")
        right = ".".join(below) if ".." not in below and _has_module(path, ".".join(below)) else name
        write = "" if right == name else f" and write {right}{attribute}"
        return f"Add --app-dir {folder}{write}: {found} is in that directory."
    return ""


def _belongs_to_package(folder: str, name: str) -> bool:
    """Returns whether a module of a folder is imported by way of this folder, which is a package."""
    if os.path.isfile(os.path.join(folder, "__init__.py")):
        return True
    file = os.path.join(folder, *name.split(".")) + ".py"
    if "." in name or not os.path.isfile(file):
        return False
    with open(file, encoding="utf-8", errors="replace") as source:  # noqa: PTH123  (pathlib takes 5 ms to import)
        return re.search(r"^[ \t]*from[ \t]+\.", source.read(), re.MULTILINE) is not None


def advise_django(directory: str) -> str:
    """Returns a hint at the application of the Django project in a folder; "" if there is none."""
    if not os.path.isfile(os.path.join(directory, "manage.py")):
        return ""
    from ianus.gateway.loading.discovery import find_applications

    found = [each.app for each in find_applications(directory) if ":" not in each.app]
    return f" Did you mean {found[0]}:application?" if found else ""


def advise_relative_import(name: str, directory: str, attribute: str = "") -> str:
    """Returns the advice for a module that uses relative imports, and was imported without its package; or ""."""
    folder, package = os.path.split(directory)
    if "." in name or not os.path.isfile(os.path.join(directory, "__init__.py")) or not folder:
        return ""
    return f"{package} is a package: add --app-dir .. and write {package}.{name}{attribute}."


def _has_module(folder: str, name: str) -> bool:
    path = os.path.join(folder, *name.split("."))
    return os.path.isfile(f"{path}.py") or os.path.isfile(os.path.join(path, "__init__.py"))


def _modules_in(places: Iterable[str]) -> list[str]:
    import pkgutil

    return [module.name for module in pkgutil.iter_modules(places)]


def _folders_in(directory: str) -> list[str]:
    return sorted(entry.name for entry in os.scandir(directory) if entry.is_dir() and entry.name.isidentifier())


# --- Attributes ---


def advise_attribute(holder: Any, names: Sequence[str]) -> str:
    """Returns a hint at similar names, at applications and at functions that make one; or "".

    names: the path of attributes, of which `holder` does not have the first.
    """
    if right := _find_in_package(holder, names):
        return f" Did you mean {right}?"
    public = [each for each in dir(holder) if not each.startswith("_")]
    near = closest_match(names[0], public)
    if near and not (near in FACTORIES and isinstance(holder, ModuleType)):
        return f" Did you mean {near}?"
    return _advise_applications(holder, public)


def advise_module(module: ModuleType) -> str:
    """Returns a hint at the application of a module that was named in place of it; or ""."""
    return _advise_applications(module, [each for each in dir(module) if not each.startswith("_")], module.__name__)


def _advise_applications(holder: Any, public: Sequence[str], module: str = "") -> str:
    """Returns a hint at applications. public: the names in `holder`. module: its name, if it is in the hint."""
    applications = [each for each in public if _looks_like_an_application(getattr(holder, each, None))]
    if applications:
        return f" Did you mean {' or '.join(f'{module}:{each}' if module else each for each in applications)}?"
    factories = [each for each in FACTORIES if each in public]
    if factories and isinstance(holder, ModuleType):
        return f" Did you mean {holder.__name__}:{factories[0]}()?"
    right = _find_in_package(holder)
    return f" Did you mean {right}?" if right else ""


def _find_in_package(holder: Any, names: Sequence[str] = ()) -> str:
    """Returns the name of an application in a module of the package `holder`; "" if there is none.

    names: the path of the module, as written after the colon: `package:wsgi`.
    """
    places = getattr(holder, "__path__", None)
    if not isinstance(holder, ModuleType) or places is None:
        return ""
    from ianus.gateway.loading.discovery import find_in_package

    if right := find_in_package(holder.__name__, places, names):
        return right
    if any(_has_module(place, name) for place in places for name in names[:1]):
        return f"{holder.__name__}.{names[0]}:{'.'.join(names[1:]) or 'NAME'}"
    return ""


def _looks_like_an_application(value: Any) -> bool:
    if inspect.isclass(value) or not callable(value):
        return False
    params = parameters(value)
    if params is None:
        return False
    return params.names[:3] == ("scope", "receive", "send") or params.names[1:2] == ("start_response",)
