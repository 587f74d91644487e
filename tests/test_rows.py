"""A table of cases in one test: all rows run, and a failure names its row."""

import pytest

from tests.rows import for_each_row


def test_each_row_runs_and_each_failed_one_is_named() -> None:
    ran = []

    @for_each_row(("number", "text"), [(1, "a"), (2, "b"), (3, "c")])
    def test(number: int, text: str) -> None:
        ran.append((number, text))
        assert number == 2
        with pytest.raises(ValueError, match="b"):
            raise ValueError(text)

    with pytest.raises(BaseExceptionGroup, match="2 of 3 rows") as raised:
        test()
    assert ran == [(1, "a"), (2, "b"), (3, "c")]
    assert [failure.__notes__[-1] for failure in raised.value.exceptions] == [
        "row 0: {'number': 1, 'text': 'a'}",
        "row 2: {'number': 3, 'text': 'c'}",
    ]


def test_a_test_that_raises_too_little_fails_too() -> None:
    @for_each_row("text", ["1", "x"], ids=["number", "letter"])
    def test(text: str) -> None:
        with pytest.raises(ValueError, match="invalid literal"):
            int(text)

    with pytest.raises(BaseExceptionGroup, match="1 of 2 rows") as raised:
        test()
    assert raised.value.exceptions[0].__notes__ == ["row number: {'text': '1'}"]


@for_each_row("name", ["a", "b"])
def test_fixtures_are_passed(name: str, request: pytest.FixtureRequest) -> None:
    assert request.node.name == "test_fixtures_are_passed"
    assert name in "ab"


def test_a_table_without_rows_is_a_mistake() -> None:
    with pytest.raises(AssertionError, match="empty"):
        for_each_row("name", [])
