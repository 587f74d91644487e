"""The files that --reload watches: directories, the files that count in them, and replaced links.

Directories are listed here, and not by watchfiles, so that large ones without files of the application take none
of the system's watches, and so that links and directories that were replaced are noticed.
"""
# ruff: noqa: PTH100, PTH112, PTH116, PTH120  (pathlib takes 5 ms to import)

import os
import sys
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from typing import NamedTuple

from ianus.errors import StartupError

# Directories without files that users edit, beside those whose names start with a dot.
IGNORED = ("__pycache__", "node_modules", "site-packages")

# Device and inode.
Identity = tuple[int, int]


class Watched:
    """Which files count.

    directories: searched with all below. reload_include, reload_exclude: globs of names, or of paths relative to one
    of them; one that excludes a directory excludes its content.

    Raises StartupError for a directory that does not exist.
    """

    def __init__(
        self, directories: Iterable[str], reload_include: Iterable[str], reload_exclude: Iterable[str]
    ) -> None:
        self.directories = [os.path.abspath(each) for each in directories]
        self.reload_include = tuple(reload_include)
        self.reload_exclude = tuple(each.rstrip("/") for each in reload_exclude)
        for each in self.directories:
            if not os.path.isdir(each):
                raise StartupError(f"The directory {each} does not exist, and cannot be watched (--reload-dir).")

    def roots(self) -> dict[str, Identity]:
        """The directories that exist now."""
        found = ((each, _identity(each)) for each in self.directories)
        return {each: identity for each, identity in found if identity is not None}

    def tree(self) -> "Tree":
        """The directories and links to watch now."""
        roots = self.roots()
        tree = Tree(roots, {}, {}, {})
        pending = [*reversed(roots)]
        seen: set[Identity] = set()
        while pending:
            folder = pending.pop()
            identity = _identity(folder)
            # By links, a directory may have several names, or be in itself.
            if identity is not None and identity not in seen and os.access(folder, os.R_OK):
                seen.add(identity)
                pending += self._look_into(folder, identity, tree)
        return tree

    def _look_into(self, folder: str, identity: Identity, tree: "Tree") -> list[str]:
        """Adds a directory to the tree. Returns those in it that count."""
        tree.directories[folder] = identity
        files = tree.files[folder] = set()
        below = []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_dir():
                        if self._is_searched(entry.path):
                            below.append(entry.path)
                    elif self.matches(entry.path):
                        files.add(entry.path)
                        if entry.is_symlink() and (target := _identity(entry.path)) is not None:
                            tree.links[entry.path] = target
        except OSError:
            pass  # It is gone this moment.
        return below

    def _is_searched(self, directory: str) -> bool:
        parts, names = self._names(directory)
        return not (
            any(part.startswith(".") or part in IGNORED for part in parts)
            or any(fnmatch(name, pattern) for name in names for pattern in self.reload_exclude)
        )

    def matches(self, path: str) -> bool:
        """Whether a change of `path` matters."""
        parts, names = self._names(path)
        if any(part.startswith(".") or part in IGNORED for part in parts[:-1]):
            return False
        if any(fnmatch(name, pattern) for name in names for pattern in self.reload_exclude):
            return False
        return any(fnmatch(name, pattern) for name in (parts[-1], "/".join(parts)) for pattern in self.reload_include)

    def _names(self, path: str) -> tuple[list[str], list[str]]:
        """The names of a file and of the directories above it, up to the one that is watched; and these with their
        paths."""
        within = max((each for each in self.directories if path.startswith(each + "/")), key=len, default="/")
        parts = os.path.relpath(path, within).split("/")
        return parts, [*parts, *("/".join(parts[: end + 1]) for end in range(1, len(parts)))]


class Tree(NamedTuple):
    """Directories to watch, as they are at one moment, by path.

    roots: those that were named. directories: all. files: those in each that count. links: those of them that are
    links, with their targets.
    """

    roots: dict[str, Identity]
    directories: dict[str, Identity]
    files: dict[str, set[str]]
    links: dict[str, Identity]

    def differences(self, before: "Tree", replaced: set[str]) -> set[str]:
        """The files in directories that are new, gone or replaced, and the links that lead elsewhere."""
        moved = replaced | _unequal(self.directories, before.directories)
        files = [self.files.get(each, set()) | before.files.get(each, set()) for each in moved]
        return set().union(*files, _unequal(self.links, before.links))


def _unequal(one: dict[str, Identity], other: dict[str, Identity]) -> set[str]:
    return {path for path in one.keys() | other.keys() if one.get(path) != other.get(path)}


def _identity(path: str) -> Identity | None:
    """Returns the identity of the file with this name, or of a link's target; None if there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


# --- Packages ---


def editable_directories() -> list[str]:
    """The directories with modules of packages that are installed from elsewhere (pip install --editable)."""
    roots = [os.path.realpath(each) for each in _editable_projects()]
    finders = [module for name, module in sys.modules.items() if name.startswith("__editable__")]
    mapped = [path for finder in finders for path in getattr(finder, "MAPPING", {}).values()]
    found = []
    for path in (*sys.path, *mapped):
        directory = os.path.realpath(path if os.path.isdir(path) else os.path.dirname(path) or ".")
        for root in roots:
            below = directory.removeprefix(root).split("/")
            is_within = directory == root or directory.startswith(root + "/")
            if path and is_within and not any(part.startswith(".") or part in IGNORED for part in below):
                found.append(directory)
    return list(dict.fromkeys(found))


def _editable_projects() -> Iterator[str]:
    import json
    from importlib.metadata import distributions
    from urllib.parse import unquote, urlsplit

    for each in distributions():
        try:
            source = json.loads(each.read_text("direct_url.json") or "{}")
            is_editable = source.get("dir_info", {}).get("editable", False)
            if is_editable and each.metadata["Name"] != "ianus":  # which a reload does not renew
                yield unquote(urlsplit(source["url"]).path)
        except (OSError, ValueError, KeyError):
            continue  # A broken installation
