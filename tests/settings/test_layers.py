"""Layers of one source each: names, repeated values, priorities, and the address that is given in halves."""

from typing import Any

import pytest

from ianus.errors import SettingError
from ianus.settings.layers import Given, Layer, as_written, make_layer, merge_layers, warn_caller
from ianus.settings.schema import NAMES
from ianus.settings.values import TcpBind, UnixBind
from tests.rows import for_each_row


def layer(source: str, *given: tuple[str, Any]) -> Layer:
    return make_layer([Given(name, value, f"{source} {name}", source) for name, value in given], NAMES)


def values(merged: Layer) -> dict[str, Any]:
    return {name: each.value for name, each in merged.items()}


def test_a_layer_has_checked_values_by_the_names_of_the_settings() -> None:
    assert values(layer("line", ("graceful_timeout", "5s"), ("backlog", "7"))) == {
        "timeout_stop": 5.0,
        "backlog": 7,
    }


def test_an_alias_converts_each_value() -> None:
    assert values(layer("line", ("uds", ["/a", "/b"]))) == {"bind": (UnixBind("/a"), UnixBind("/b"))}
    assert values(layer("line", ("http1_header_read_timeout", 1500))) == {"timeout_request_header": 1.5}


def test_repeated_values_are_joined_with_their_origins() -> None:
    joined = layer("line", ("reload_dir", "a"), ("reload_dirs", ["b", "c"]))["reload_dir"]
    assert joined.value == ("a", "b", "c")
    assert joined.origin == "line, line"


def test_another_value_is_given_by_one_of_its_names() -> None:
    with pytest.raises(SettingError) as caught:
        layer("line", ("timeout_keep_alive", 5), ("keep_alive", 5))
    assert caught.value.message == "line keep_alive: sets the same value as line timeout_keep_alive; give one of them."


def test_an_invalid_value_is_refused_with_its_label() -> None:
    with pytest.raises(SettingError) as caught:
        layer("IANUS", ("backlog", "many"))
    assert caught.value.setting == "IANUS backlog"


def test_the_first_layer_counts() -> None:
    merged = merge_layers([layer("line", ("backlog", 1)), layer("file", ("backlog", 2), ("workers", 3))])
    assert values(merged) == {"backlog": 1, "workers": 3}
    assert {name: each.origin for name, each in merged.items()} == {"backlog": "line", "workers": "file"}


def test_several_values_of_one_layer_replace_those_of_another() -> None:
    merged = merge_layers([layer("line", ("reload_dir", "a")), layer("file", ("reload_dir", ["b", "c"]))])
    assert values(merged) == {"reload_dir": ("a",)}


@for_each_row(
    ("layers", "expected"),
    [
        ([layer("line", ("port", 1))], TcpBind("127.0.0.1", 1)),
        ([layer("line", ("host", "h"))], TcpBind("h", 8000)),
        ([layer("line", ("host", "h")), layer("file", ("port", 1))], TcpBind("h", 1)),
        ([layer("line", ("port", 2)), layer("file", ("host", "h"), ("port", 1))], TcpBind("h", 2)),
        # A whole address ends the search for the other half.
        ([layer("line", ("port", 2)), layer("file", ("bind", "h:1"))], TcpBind("127.0.0.1", 2)),
        ([layer("line", ("bind", "h:1")), layer("file", ("port", 2))], TcpBind("h", 1)),
    ],
)
def test_an_address_is_joined_from_halves(layers: list[Layer], expected: TcpBind) -> None:
    assert values(merge_layers(layers)) == {"bind": (expected,)}


def test_the_variable_port_means_all_interfaces() -> None:
    given = make_layer([Given("port", "5", "PORT", "environment PORT")], NAMES)
    assert values(merge_layers([given])) == {"bind": (TcpBind("0.0.0.0", 5),)}


def test_a_half_and_a_whole_address_exclude_each_other_in_a_layer() -> None:
    with pytest.raises(SettingError, match="line port: sets the address to listen on, as line bind does"):
        layer("line", ("bind", "h:1"), ("port", 2))


def test_names_in_the_middle_of_a_sentence() -> None:
    assert as_written(Given("backlog", 1, "--backlog", "command line --backlog")) == "--backlog"
    assert as_written(Given("backlog", 1, "ianus.toml:3: backlog", "ianus.toml:3")) == "backlog (ianus.toml:3)"


def test_a_warning_is_about_the_line_of_the_caller() -> None:
    with pytest.warns(UserWarning, match="has no effect") as caught:
        warn_caller("it has no effect")
    assert caught[0].filename == __file__
