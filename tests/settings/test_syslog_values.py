"""The address of syslog, the facility and the name of the records."""

import re
import socket

import pytest

from ianus.settings import syslog_values
from tests.rows import for_each_row

DGRAM, STREAM = socket.SOCK_DGRAM, socket.SOCK_STREAM


@for_each_row(
    ("text", "expected"),
    [
        ("udp://localhost:514", (("localhost", 514), DGRAM)),
        ("udp://", (("localhost", 514), DGRAM)),
        ("tcp://logs.example", (("logs.example", 514), STREAM)),
        ("tcp://[::1]:601", (("::1", 601), STREAM)),
        ("unix:///dev/log", ("/dev/log", None)),
        ("unix:///run/my log#dgram", ("/run/my log", DGRAM)),
        ("unix:///dev/log#stream", ("/dev/log", STREAM)),
    ],
)
def test_addresses(text: str, expected: object) -> None:
    assert syslog_values.target(syslog_values.address(text)) == expected


@for_each_row(
    "value",
    ["", "localhost:514", "udp://a:0", "udp://a:65536", "tcp://::1:601", "unix://dev/log", "unix:///a#raw",
     "unix:///a\0", "udp://a/b", "tcp://a b", "udp://a:514\n", 514, None],
)  # fmt: skip
def test_other_texts_are_not_addresses(value: object) -> None:
    with pytest.raises(ValueError, match=re.escape("is not an address of syslog, such as unix:///dev/log")):
        syslog_values.address(value)


def test_facilities() -> None:
    assert syslog_values.facility("LOCAL0") == "local0"
    assert syslog_values.facility("security") == "auth"
    with pytest.raises(ValueError, match=r"'local8' is not one of auth, .*, local7\.$"):
        syslog_values.facility("local8")


@for_each_row("value", ["a b", "a:b", "a\n", "\N{SNOWMAN}", "x" * 49, 3])
def test_a_prefix_is_one_word(value: object) -> None:
    with pytest.raises(ValueError, match="is not a name for syslog"):
        syslog_values.prefix(value)


@for_each_row(
    ("prefix", "process_name", "expected"),
    [
        ("", "", "ianus.error"),
        ("shop", "other", "ianus.shop.error"),
        ("", "main:app", "ianus.main.app.error"),
        ("", "my shop\n<1>", "ianus.my_shop_<1>.error"),
    ],
)
def test_the_name_of_records(prefix: str, process_name: str, expected: str) -> None:
    assert syslog_values.tag(syslog_values.prefix(prefix), process_name) == expected
