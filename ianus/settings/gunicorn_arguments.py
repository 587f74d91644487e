"""The words of GUNICORN_CMD_ARGS, as options of Ianus."""

from collections.abc import Iterator

from ianus.errors import SettingError

GUNICORN_VARIABLE = "GUNICORN_CMD_ARGS"


def split_arguments(text: str) -> list[str]:
    """Splits the text as a shell does. Gunicorn's -p is a file, and not a port. Raises SettingError."""
    import shlex  # Late: few environments have the variable.

    try:
        return list(_renamed(shlex.split(text)))
    except ValueError as error:
        raise SettingError(GUNICORN_VARIABLE, f"{text!r} cannot be split into options: {error}.") from None


def _renamed(words: list[str]) -> Iterator[str]:
    for word in words:
        if word == "-p":
            yield "--pid"
        elif word.startswith("-p"):
            yield f"--pid={word[2:].removeprefix('=')}"
        else:
            yield word
