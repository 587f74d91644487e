"""Tables of cases that take microseconds, as one test: an item of pytest costs milliseconds."""

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest

Test = Callable[..., None]


def for_each_row(
    names: str | Sequence[str], rows: Iterable[Any], ids: Iterable[object] | None = None
) -> Callable[[Test], Test]:
    """Runs a test with each row of a table, all of them in one item of pytest, with the same fixtures.

    names, rows, ids: as for pytest.mark.parametrize. All rows run. The group that is raised has the exception of each
    failed row, with the row as a note.
    """
    names = [name.strip() for name in names.split(",")] if isinstance(names, str) else names
    cases = [dict(zip(names, (row,) if len(names) == 1 else row, strict=True)) for row in rows]
    assert cases, "the table is empty"
    labels = list(range(len(cases))) if ids is None else list(ids)

    def decorate(test: Test) -> Test:
        @functools.wraps(test)
        def run(**fixtures: Any) -> None:
            failures: list[BaseException] = []
            for label, case in zip(labels, cases, strict=True):
                try:
                    test(**case, **fixtures)
                except (Exception, pytest.fail.Exception) as failure:
                    failure.add_note(f"row {label}: {case}")
                    failures.append(failure)
            if failures:
                raise BaseExceptionGroup(f"{len(failures)} of {len(cases)} rows", failures)

        signature = inspect.signature(test)
        fixtures = [parameter for name, parameter in signature.parameters.items() if name not in names]
        run.__signature__ = signature.replace(parameters=fixtures)  # type: ignore[attr-defined]
        return run

    return decorate
