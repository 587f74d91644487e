"""The id of a request: what somebody in front of us gave it, or else a new one."""

from __future__ import annotations

import os
import re

# It comes back in the response and goes into logs: short, and nothing but visible ASCII.
_is_valid = re.compile(rb"[\x21-\x7e]{1,128}").fullmatch


def request_id(headers: list[tuple[bytes, bytes]], name: bytes) -> bytes:
    """The id in the field `name` (lower case) of a request, which it has afterwards in any case: 128 random bits in
    hexadecimal where it came with none, or with one that is not 1 to 128 visible ASCII characters.
    """
    given = [value for key, value in headers if key == name]
    if len(given) == 1 and _is_valid(given[0]):
        return given[0]
    if given:
        headers[:] = [field for field in headers if field[0] != name]
    made = os.urandom(16).hex().encode()
    headers.append((name, made))
    return made
