"""A short run of `make stress`: no response is lost, doubled or sent to the wrong client."""

from pathlib import Path

import pytest

from tests.conformance.stress import stress


@pytest.mark.parametrize(
    "options",
    [
        pytest.param([], id="led"),
        pytest.param(["--mount", "/asgi=stress_app:asgi"], id="pool"),
        pytest.param(["--threads", "1"], id="one thread"),
        pytest.param(["--threads", "3"], id="three threads"),
    ],
)
def test_stress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]) -> None:
    for name in ("CHAOS_SEED", "STRESS_REQUESTS", "STRESS_THREADS"):  # set by the program: undone after the test
        monkeypatch.setenv(name, "")
    stress(1500, 1, 12, options, tmp_path)
