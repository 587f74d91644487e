"""The wheel takes longer than any other file of tests: built first, so that the other worker does not wait for it."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("extended") is None)
