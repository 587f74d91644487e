"""The compiled modules that are loaded before the fork of workers, which share their memory then."""

import ast
import subprocess
import sys
from typing import Any

import pytest

PROGRAM = """
import ast, sys
from ianus.process.worker.stack import import_compiled_modules
from ianus.settings.schema import Settings
import_compiled_modules((), Settings(**ast.literal_eval(sys.argv[1])))
print([name.removeprefix("ianus.codec.") for name in sys.modules if name.startswith("ianus.codec.")])
"""


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, {"http1.codec"}),
        ({"http2": True}, {"http1.codec"}),
        ({"http2_cleartext": True}, {"http1.codec", "http2.codec"}),
        ({"tls_dev": True}, {"http1.codec", "http2.codec"}),
        ({"http2": False, "tls_dev": True}, {"http1.codec"}),
        ({"http2_cleartext": True, "http": "1"}, {"http1.codec"}),
        ({"http": "2"}, {"http2.codec"}),
    ],
)
def test_codecs_of_the_versions_that_are_served(settings: dict[str, Any], expected: set[str]) -> None:
    run = subprocess.run([sys.executable, "-c", PROGRAM, repr(settings)], capture_output=True, check=True, text=True)
    assert set(ast.literal_eval(run.stdout)) & {"http1.codec", "http2.codec"} == expected
