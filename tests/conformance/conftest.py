"""Long tests run only on request: `make conformance`."""

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.option.markexpr != "conformance":
        long = [item for item in items if item.get_closest_marker("conformance")]
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]
