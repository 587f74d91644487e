"""The stub files (.pyi) of compiled modules agree with the modules: names, signatures, defaults.

A stub has the names that Python code uses, so it may lack others of the module.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import ianus

BUILD = Path(ianus.__file__).parents[1]

# Patterns of names that stubtest cannot compare, with the reason.
NOT_COMPARABLE = {
    r".*\.__init__": "compiled constructors take *args and **kwargs, and check them themselves",
}


@pytest.mark.slow
def test_stub_files_describe_the_compiled_modules(tmp_path: Path) -> None:
    modules = [
        ".".join(stub.relative_to(BUILD).with_suffix("").parts) for stub in sorted((BUILD / "ianus").rglob("*.pyi"))
    ]
    allowed = tmp_path / "allowed"
    allowed.write_text("\n".join(NOT_COMPARABLE))
    found = subprocess.run(
        [
            *(sys.executable, "-m", "mypy.stubtest", "--ignore-missing-stub", "--ignore-disjoint-bases"),
            *("--allowlist", str(allowed), *modules),
        ],
        cwd=tmp_path,
        env=os.environ | {"MYPYPATH": str(BUILD), "PYTHONPATH": str(BUILD)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert found.returncode == 0, found.stdout
