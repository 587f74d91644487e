"""Reads the text of a file of another server. Files are taken as they are: any size, any kind."""

import os

from ianus.migrate.migration import MigrationError

# Of a configuration. Each word and line of it is compared with tables, and the rest of a line is copied for each word.
MAX_FILE_BYTES = 262_144


def read_text(name: str) -> str:
    """Returns the text of a file. Raises MigrationError."""
    try:
        # A pipe or a device may have no end.
        if os.path.exists(name) and not os.path.isfile(name):  # noqa: PTH110, PTH113
            raise MigrationError(f"{name} is not a file.")
        with open(name, "rb") as stream:  # noqa: PTH123
            content = stream.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        # ValueError: the name has a NUL or a surrogate.
        reason = error.strerror if isinstance(error, OSError) else error
        raise MigrationError(f"{name} cannot be read: {reason}.") from None
    if len(content) > MAX_FILE_BYTES:
        raise MigrationError(
            f"{name} is larger than {MAX_FILE_BYTES >> 10} KiB. Give the part with the server's settings."
        )
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise MigrationError(f"{name} is not UTF-8 text.") from None
