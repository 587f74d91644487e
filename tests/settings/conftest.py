"""A directory and an environment without settings."""

import os
from pathlib import Path

import pytest


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, which is empty."""
    monkeypatch.chdir(tmp_path)
    for variable in list(os.environ):
        if variable.startswith("IANUS_") or variable in ("PORT", "WEB_CONCURRENCY"):
            monkeypatch.delenv(variable)
    return tmp_path
