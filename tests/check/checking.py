"""Checks an application in the process of the test."""

from typing import Any

from ianus.check.application_check import CheckResult, check_application
from ianus.gateway.loading.loader import load


def check(app: Any, *paths: str, timeout: float = 10.0) -> CheckResult:
    """Returns the result of a check of an application for the paths, by default /."""
    loaded = load(app, factory=False, app_dir=".", interface="auto")
    return check_application(loaded, paths or ("/",), interface="auto", host="localhost", timeout=timeout)
