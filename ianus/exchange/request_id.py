"""The id of a request: from a proxy in front of the server, or else a new one."""

from __future__ import annotations

import os
import re

# It is sent back in the response and logged: short, and only visible ASCII.
_is_valid = re.compile(rb"[\x21-\x7e]{1,128}").fullmatch


def request_id(headers: list[tuple[bytes, bytes]], name: bytes) -> bytes:
    """Returns the id in the field `name` (lower case) of a request.

    If the field is missing, or is not 1 to 128 visible ASCII characters, it is set to 128 random bits in hexadecimal.
    """
    given = [value for key, value in headers if key == name]
    if len(given) == 1 and _is_valid(given[0]):
        return given[0]
    if given:
        headers[:] = [field for field in headers if field[0] != name]
    made = os.urandom(16).hex().encode()
    headers.append((name, made))
    return made
