"""A wheel is optimised by the records of a training: `setup.py` passes them to the compiler."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from setuptools import Distribution, Extension
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parents[2]


def load_setup(monkeypatch: pytest.MonkeyPatch, **variables: str) -> ModuleType:
    for name in ("ASAN", "COVERAGE", "DEBUG", "FUZZ", "PROFILE", "PROFILED"):
        monkeypatch.delenv(f"IANUS_{name}", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    spec = importlib.util.spec_from_file_location("ianus_setup", ROOT / "setup.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_module_of_the_training_is_compiled_by_its_records(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    setup = load_setup(monkeypatch, IANUS_PROFILED=str(tmp_path / "tree"))
    in_distribution = Path(setup.RECORDS, "build", "cython", "trained.gcda")
    records = tmp_path / "tree" / in_distribution
    records.parent.mkdir(parents=True)
    records.write_bytes(b"records")
    compiled: list[Extension] = []
    monkeypatch.setattr(build_ext, "build_extension", lambda _, extension: compiled.append(extension))
    (tmp_path / "distribution").mkdir()
    monkeypatch.chdir(tmp_path / "distribution")
    command = setup.BuildExt(Distribution())
    trained, other = (
        Extension(name, [f"build/cython/{name}.c"], extra_compile_args=setup.COMPILE_ARGS)
        for name in ("trained", "other")
    )
    for extension in (trained, other):
        command.build_extension(extension)
    assert compiled == [trained, other]
    assert "-fprofile-use" in trained.extra_compile_args
    assert in_distribution.read_bytes() == b"records"
    assert other.extra_compile_args == setup.COMPILE_ARGS
    assert "-fprofile-use" not in other.extra_compile_args


def test_a_profiling_build_counts_in_all_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = load_setup(monkeypatch, IANUS_PROFILE="1")
    command = setup.BuildExt(Distribution())
    command.finalize_options()
    assert command.build_temp == setup.RECORDS
    assert {"-fprofile-generate", "-fprofile-update=atomic"} <= set(setup.COMPILE_ARGS)
    assert "-fprofile-generate" in setup.LINK_ARGS
    assert "-fprofile-generate" not in load_setup(monkeypatch, IANUS_PROFILE="0").COMPILE_ARGS
