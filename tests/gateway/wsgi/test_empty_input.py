"""The input of requests without a body, which all of them share."""

import io

import pytest

from ianus.gateway.wsgi.empty_input import EMPTY_INPUT, EmptyInput


def test_it_has_no_content() -> None:
    for read in (EMPTY_INPUT.read, EMPTY_INPUT.read1, EMPTY_INPUT.readline):
        assert read() == read(-1) == read(10) == read(None) == b""
    assert EMPTY_INPUT.readlines() == EMPTY_INPUT.readlines(10) == list(EMPTY_INPUT) == []
    assert EMPTY_INPUT.getvalue() == b""
    buffer = bytearray(b"kept")
    assert EMPTY_INPUT.readinto(buffer) == EMPTY_INPUT.readinto1(buffer) == 0
    assert buffer == b"kept"


def test_it_has_one_position() -> None:
    assert EMPTY_INPUT.seek(7) == EMPTY_INPUT.seek(0, io.SEEK_END) == EMPTY_INPUT.tell() == 0


def test_an_application_cannot_change_it_for_others() -> None:
    with EMPTY_INPUT as file:
        file.close()
    assert not EMPTY_INPUT.closed
    assert EMPTY_INPUT.read() == b""
    with pytest.raises(io.UnsupportedOperation):
        EMPTY_INPUT.write(b"x")
    with pytest.raises(AttributeError):
        EMPTY_INPUT.read = None  # type: ignore[method-assign, assignment]
    with pytest.raises(AttributeError):
        EMPTY_INPUT.note = 1  # type: ignore[attr-defined]


def test_it_has_no_descriptor() -> None:
    with pytest.raises(OSError, match="fileno"):
        EMPTY_INPUT.fileno()


def test_it_can_be_wrapped() -> None:
    assert isinstance(EMPTY_INPUT, io.BufferedIOBase)
    with io.TextIOWrapper(EMPTY_INPUT) as text:  # type: ignore[type-var]
        assert text.read() == ""
    assert io.BufferedReader(EmptyInput()).read() == b""  # type: ignore[type-var]
    assert EMPTY_INPUT.read() == b""
