"""Finds attributes of compiled objects that are not declared: ``python tools/undeclared.py`` after a translation.

Cython looks such a name up at run time, as Python does. So the use of a field that was renamed or moved fails only when
its line runs. Methods that start with `def` are looked up too, and exist.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
METHOD = re.compile(r"^ +(?:async +)?def +(\w+)", re.MULTILINE)
# In C: the variable is cast, so its class is known; the prefix is that of names.
LOOKUP = re.compile(r"GetAttrStr\(\(\(PyObject \*\)__pyx_v_([\w>-]+)\), (?:\w+->)?__pyx_n_[su]_(\w+)")


def undeclared(translated: str, methods: set[str]) -> list[str]:
    """Returns the attributes that a translated module looks up in compiled objects, and that are not methods."""
    return sorted({f"{variable}.{name}" for variable, name in LOOKUP.findall(translated) if name not in methods})


def translation(source: Path) -> Path | None:
    """Returns the newest translation of a source: that of a build with strict warnings, or of `make check`."""
    name = source.relative_to(ROOT).with_suffix(".c")
    found = [each for each in (*ROOT.glob(f"build/cython/*/{name}"), ROOT / "build/check" / name) if each.exists()]
    return max(found, key=lambda each: each.stat().st_mtime, default=None)


def main() -> int:
    sources = sorted((ROOT / "ianus").rglob("*.pyx"))
    methods = {name for source in sources for name in METHOD.findall(source.read_text())}
    problems = []
    for source in sources:
        translated = translation(source)
        names = ["is not translated"] if translated is None else undeclared(translated.read_text(), methods)
        problems += [f"{source.relative_to(ROOT)}: {name}" for name in names]
    print("\n".join(problems), end="\n" if problems else "")
    if problems:
        print(f"{len(problems)} attributes that are not declared")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
