"""The instructions of a request: read from callgrind's output, compared with kept ones, stated in docstrings."""

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

instructions_by_module = runpy.run_path(str(ROOT / "bench/callgrind.py"))["instructions_by_module"]
KeptCounts = runpy.run_path(str(ROOT / "bench/kept_counts.py"))["KeptCounts"]

PROFILE = """# callgrind format
version: 1
pid: 4711
cmd:  python -c "ob=(1) in a command"
positions: line
events: Ir
summary: 191

ob=(1) /usr/bin/python3.11
fl=(1) ceval.c
fn=(1) _PyEval_EvalFrameDefault
10 100
+3 20
cob=(2) /srv/ianus/codec/fields.cpython-311-x86_64-linux-gnu.so
cfn=(2) find_name
calls=3 0
* 5000
* 1

ob=(2)
fn=(2)
0 40
+1
cob=(1)
calls=1 0
0 7
fn=(3) hex_value
-5 30

ob=(3) /srv/ianus/codec/output.cpython-311-x86_64-linux-gnu.so
fn=(4) flush
0
totals: 191
"""


def test_own_instructions_of_each_module_are_counted_without_calls() -> None:
    counts = instructions_by_module(PROFILE.splitlines(keepends=True), "/srv/ianus/")
    assert counts == {"others": 121, "codec/fields.cpython-311-x86_64-linux-gnu.so": 70}


def test_the_sum_is_the_total_of_callgrind() -> None:
    counts = instructions_by_module(PROFILE.splitlines(keepends=True), "/srv/ianus/")
    assert f"totals: {counts.total()}\n" in PROFILE


def test_modules_of_another_tree_are_not_distinguished() -> None:
    assert set(instructions_by_module(PROFILE.splitlines(keepends=True), "/other/ianus/")) == {"others"}


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    path = tmp_path / "instructions.tsv"
    KeptCounts.read(path, "3.11.7 GCC 12").renew({"asgi": 10_000.4, "wsgi": 20_000})
    return path


def test_counts_within_one_percent_of_the_kept_ones_pass(kept: Path) -> None:
    assert KeptCounts.read(kept, "3.11.7 GCC 12").compare({"asgi": 10_099, "wsgi": 19_801}) == ([], [])


def test_a_kind_that_takes_more_instructions_is_named_with_the_remedy(kept: Path) -> None:
    failures, notes = KeptCounts.read(kept, "3.11.7 GCC 12").compare({"asgi": 10_101, "wsgi": 20_000})
    assert failures[0] == "asgi: 10,101 instructions a request, kept 10,000 (+1.0%)"
    assert "`make bench-check ARGS=--renew`" in failures[1]
    assert "--modules asgi'" in failures[1]
    assert notes == []


def test_a_kind_that_takes_fewer_instructions_passes_with_a_note(kept: Path) -> None:
    failures, (note,) = KeptCounts.read(kept, "3.11.7 GCC 12").compare({"wsgi": 19_000})
    assert failures == []
    assert note.startswith("wsgi: 19,000 instructions a request, kept 20,000 (-5.0%)")


def test_another_build_of_python_has_no_kept_counts(kept: Path) -> None:
    (failure,), notes = KeptCounts.read(kept, "3.11.7 shared GCC 12").compare({"asgi": 10_000})
    assert failure.startswith("no kept count for CPython 3.11.7 shared GCC 12: asgi\n")
    assert notes == []


def test_renewing_keeps_the_rows_of_other_builds_and_kinds(kept: Path) -> None:
    KeptCounts.read(kept, "3.13.0 GCC 12").renew({"asgi": 9_000})
    KeptCounts.read(kept, "3.11.7 GCC 12").renew({"asgi": 11_000})
    assert KeptCounts.read(kept, "").rows == {
        ("3.11.7 GCC 12", "asgi"): 11_000,
        ("3.11.7 GCC 12", "wsgi"): 20_000,
        ("3.13.0 GCC 12", "asgi"): 9_000,
    }


def test_modules_that_requests_pass_state_their_instructions() -> None:
    reasons = {}
    for path in (ROOT / "ianus").rglob("*.pyx"):
        if found := re.search(r"Compiled because (.*?\.)(?:\s|\"\"\")", path.read_text(), re.DOTALL):
            reasons[str(path.relative_to(ROOT / "ianus").with_suffix(""))] = found[1]
    assert len(reasons) > 30
    passed = {module for module, reason in reasons.items() if re.search(r"\bpass(es)?\shere\b", reason)}
    missing = {module for module in passed if re.search(r"\d instructions\b", reasons[module]) is None}
    assert sorted(missing) == [], "add the figure of `make instructions ARGS='--modules asgi'`"
