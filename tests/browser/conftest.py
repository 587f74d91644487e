"""Tests with a browser run only on request: `make browser`."""

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.option.markexpr != "browser":
        driven = [item for item in items if item.get_closest_marker("browser")]
        config.hook.pytest_deselected(items=driven)
        items[:] = [item for item in items if item not in driven]
