"""The description of a setting: how it checks values, writes them as text, and how each kind is declared."""

import dataclasses
from typing import Any

import pytest

from ianus.settings import setting, values
from ianus.settings.setting import Alias, Setting
from tests.rows import for_each_row

GROUP = "Limits"


def declared(field: Any) -> tuple[Any, Setting]:
    """Returns the default and the description of a field."""
    assert isinstance(field, dataclasses.Field)
    return field.default, field.metadata["setting"]


def test_a_value_is_checked_by_the_parser() -> None:
    _, described = declared(setting.count(5, GROUP, "A number.", minimum=1, maximum=9))
    assert described.check("7") == 7
    with pytest.raises(ValueError, match=r"^10 is out of range; it can be 1 to 9\.$"):
        described.check(10)


@for_each_row(("value", "expected"), [("a", ("a",)), (["a", "b"], ("a", "b")), (("a",), ("a",)), ([], ())])
def test_each_element_of_a_repeatable_setting_is_checked(value: object, expected: tuple[str, ...]) -> None:
    _, described = declared(setting.texts((), GROUP, "Names."))
    assert described.check(value) == expected


def test_one_wrong_element_is_refused() -> None:
    _, described = declared(setting.texts((), GROUP, "Names."))
    with pytest.raises(ValueError, match=r"^3 is not a text"):
        described.check(["a", 3])


def test_a_list_is_not_a_value_of_a_setting_that_is_not_repeatable() -> None:
    _, described = declared(setting.count(5, GROUP, "A number."))
    with pytest.raises(ValueError, match=r"^\[7\] is not a whole number"):
        described.check([7])


def test_values_as_text() -> None:
    _, several = declared(setting.texts((), GROUP, "Names."))
    _, one = declared(setting.size(1 << 20, GROUP, "A size."))
    assert several.texts(("a", "b")) == ["a", "b"]
    assert several.texts(()) == []
    assert one.texts(1 << 20) == ["1M"]
    assert one.texts(None) == []


@for_each_row(
    ("field", "default", "expected"),
    [
        (setting.count(1, GROUP, "A."), 1, {"metavar": "N"}),
        (setting.seconds(1.5, GROUP, "A."), 1.5, {"metavar": "TIME", "zero_means": "no limit"}),
        (setting.seconds(1.5, GROUP, "A.", zero_means="never"), 1.5, {"zero_means": "never"}),
        (setting.size(64, GROUP, "A."), 64, {"metavar": "SIZE"}),
        (setting.mebibytes(64, GROUP, "A."), 64, {"metavar": "N", "unit": "MiB"}),
        (setting.flag(True, GROUP, "A."), True, {"parse": values.boolean}),
        (setting.path("", GROUP, "A."), "", {"parse": values.path}),
        (setting.path("-", GROUP, "A.", parse=values.log_file), "-", {"parse": values.log_file}),
        (setting.choice("a", GROUP, "A.", names="a b"), "a", {"choices": ("a", "b"), "metavar": "a|b"}),
        (setting.texts(("a",), GROUP, "A."), ("a",), {"repeatable": True}),
    ],
)
def test_kinds(field: Any, default: object, expected: dict[str, object]) -> None:
    found, described = declared(field)
    assert found == default
    assert {name: getattr(described, name) for name in expected} == expected
    assert (described.group, described.summary) == (GROUP, "A.")
    # The default is a value that the kind accepts, and that it can write and read.
    checked = described.check(default)
    assert checked == default
    texts = described.texts(checked)
    assert described.check(texts if described.repeatable else texts[0]) == default


def test_other_names() -> None:
    _, described = declared(setting.count(1, GROUP, "A.", aliases="one two"))
    assert described.aliases == (Alias("one"), Alias("two"))
    converted = Alias("three", values.milliseconds)
    _, described = declared(setting.seconds(1.0, GROUP, "A.", aliases=(converted,)))
    assert described.aliases == (converted,)
