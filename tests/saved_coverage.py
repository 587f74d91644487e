"""A plugin of pytest for `make coverage`: pytest-xdist kills a worker that takes more than two seconds to exit."""

from coverage import Coverage


def pytest_sessionfinish() -> None:
    running = Coverage.current()
    if running is not None:
        running.save()
