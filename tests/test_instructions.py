"""The instructions of each compiled module: read from the output of callgrind, and stated in its docstring."""

import re
import runpy
from pathlib import Path

ROOT = Path(__file__).parents[1]

instructions_by_module = runpy.run_path(str(ROOT / "bench/instructions.py"))["instructions_by_module"]

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


def test_modules_that_requests_pass_state_their_instructions() -> None:
    reasons = {}
    for path in (ROOT / "ianus").rglob("*.pyx"):
        if found := re.search(r"Compiled because (.*?\.)(?:\s|\"\"\")", path.read_text(), re.DOTALL):
            reasons[str(path.relative_to(ROOT / "ianus").with_suffix(""))] = found[1]
    assert len(reasons) > 30
    passed = {module for module, reason in reasons.items() if re.search(r"\bpass(es)?\shere\b", reason)}
    missing = {module for module in passed if re.search(r"\d instructions\b", reasons[module]) is None}
    assert sorted(missing) == [], "add the figure of `make instructions ARGS='--modules asgi'`"
