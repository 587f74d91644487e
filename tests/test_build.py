"""The tests load the build that was just made.

The release build is in the working copy: a stray path entry would find it before the debug build.
"""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import ianus

ROOT = Path(__file__).parents[1]
# The Makefile names the folder of the build; a plain `pytest` tests the one in the working copy.
BUILD = Path(os.environ.get("IANUS_BUILD", ROOT))


def test_the_package_is_the_build_under_test() -> None:
    assert Path(ianus.__file__) == BUILD / "ianus" / "__init__.py"


def test_every_module_is_compiled() -> None:
    for source in (ROOT / "ianus").rglob("*.pyx"):
        module = source.relative_to(ROOT).with_suffix("")
        spec = find_spec(".".join(module.parts))
        assert spec is not None, f"{module} is not compiled"
        assert Path(spec.origin or "").parent == BUILD / module.parent


def test_another_process_loads_the_same_build(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import ianus; print(ianus.__file__)"]
    for folder in (ROOT, tmp_path):
        loaded = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True, check=True).stdout
        assert loaded.strip() == ianus.__file__
