"""What takes long runs only where it is asked for: `make conformance`."""

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.option.markexpr != "conformance":
        long = [item for item in items if item.get_closest_marker("conformance")]
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]
