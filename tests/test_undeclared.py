"""The search for attributes of compiled objects that are not declared (tools/undeclared.py)."""

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LOOKUP = "__Pyx_PyObject_GetAttrStr(((PyObject *)__pyx_v_%s), __pyx_mstate_global->__pyx_n_u_%s)"


@pytest.mark.parametrize(
    ("lookup", "found"),
    [
        (("self", "gateway"), ["self.gateway"]),
        (("session->codec", "encoder"), ["session->codec.encoder"]),
        (("self", "on_ready"), []),
    ],
    ids=["field", "field of a field", "method"],
)
def test_a_name_that_is_no_method_is_found(lookup: tuple[str, str], found: list[str]) -> None:
    undeclared = runpy.run_path(str(ROOT / "tools" / "undeclared.py"))["undeclared"]
    assert undeclared(LOOKUP % lookup, {"on_ready"}) == found
