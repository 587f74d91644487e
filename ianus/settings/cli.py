"""The command line: it joins the values of the line to those of the other sources, and those to the server.

The caller hands in the functions that use the settings, so that `ianus --help` loads nothing of the server.
"""

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from ianus.errors import ConflictError, SettingError, StartupError
from ianus.settings.foreign_options import flag_of
from ianus.settings.layers import Given
from ianus.settings.line import ACTIONS, Line, parse_arguments, parse_line
from ianus.settings.schema import Settings
from ianus.settings.sources import Configuration, Reader, read_sources

if TYPE_CHECKING:
    import click

NO_APPLICATION = (
    'No application is given; name it, as in `ianus main:app`. It can also be named in ianus.toml (app = "main:app") or'
    " in the variable IANUS_APP. (ianus docs starting)"
)

# The variable by which a shell asks click for completions.
COMPLETION_VARIABLE = "_IANUS_COMPLETE"

Serve = Callable[[str, Settings, Reader], int]


class LineError(Exception):
    """A line that cannot be served. It is printed with the usage."""


class ServingCommand:
    """The command `ianus` without a sub-command.

    serve: called with APP, its settings and a reader of both; returns the exit code. check: in place of it for
    --check-config. build_pages: returns the command that shows the help pages, and completes lines. on_missing: called
    if there is no APP; may raise LineError with a better message than its own.
    """

    def __init__(
        self,
        serve: Serve,
        check: Serve,
        build_pages: "Callable[[], click.Command]",
        on_missing: Callable[[Settings], None] = lambda settings: None,
    ) -> None:
        self._serve = serve
        self._check = check
        self._build_pages = build_pages
        self._on_missing = on_missing

    def main(self, args: Sequence[str], prog_name: str) -> NoReturn:
        """Runs a line. args: the words after the name of the command. prog_name: that name, for messages."""
        line = parse_line(args)
        if (line.page and not line.problems) or COMPLETION_VARIABLE in os.environ:
            self._build_pages().main([line.page], prog_name)
        try:
            code = self._run(line)
        except LineError as error:
            code = self._refuse(str(error), prog_name)
        except KeyboardInterrupt:  # ^C while files are read
            code = 130
        sys.exit(code)

    def _run(self, line: Line) -> int:
        problems = [*line.problems, *filter(None, [_explain_words(line.applications)])]
        if problems:
            raise LineError(_list(problems))
        reader = Reader(partial(_collect, line))
        try:
            configuration = reader.read()
        except StartupError as error:
            # A conflict of settings has a message of its own: each of them is understood.
            if (
                isinstance(error, SettingError)
                and error.setting.startswith("--")
                and not isinstance(error, ConflictError)
            ):
                raise LineError(error.explain()) from None
            sys.stderr.write(error.report())
            return error.exit_code
        for warning in (*line.warnings, *configuration.warnings):
            sys.stderr.write(f"Warning: {warning}\n")
        if "print_config" in line.given:
            from ianus.settings.toml_dump import dump_toml  # Late: only --print-config needs it.

            return _print(dump_toml(configuration))
        if not configuration.app:
            self._on_missing(configuration.settings)
            raise LineError(NO_APPLICATION)
        act = self._check if "check_config" in line.given else self._serve
        return act(configuration.app, configuration.settings, reader)

    def _refuse(self, message: str, program: str) -> int:
        """Prints the error with the usage. Returns the exit code."""
        import click  # Late: only for an error.

        from ianus.settings.paged_command import with_page

        pages = self._build_pages()
        error = click.UsageError(
            with_page(message, "settings"), click.Context(pages, info_name=program, **pages.context_settings)
        )
        error.show()
        return error.exit_code


def _print(text: str) -> int:
    """Prints a text. Returns the exit code."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        # Python would write the rest again at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):  # The reader has gone, such as `head`.
            sys.stderr.write(f"Error: The output cannot be written: {error.strerror}.\n")
        return 1
    return 0


def _collect(line: Line) -> Configuration:
    """Reads the line and all other sources. Raises StartupError."""
    words = [Given("app", word, "APP", "command line") for word in line.applications]
    given = [*words, *_given(line, "", "command line ")]
    return read_sources(given, parse_arguments=_parse_gunicorn_arguments)


def _given(line: Line, prefix: str, source: str) -> Iterator[Given]:
    for name, value in line.given.items():
        if name not in ACTIONS:
            label = f"{prefix}{flag_of(name)}"
            yield Given(name, value, label, f"{source}{label}")


def _parse_gunicorn_arguments(text: str) -> tuple[list[Given], list[str]]:
    """Parses GUNICORN_CMD_ARGS, and ignores words that are not options, as gunicorn does. Raises SettingError."""
    if not text:
        return [], []
    from ianus.settings.gunicorn_arguments import GUNICORN_VARIABLE, split_arguments

    line = parse_arguments(split_arguments(text))
    if line.problems:
        raise SettingError(GUNICORN_VARIABLE, _list(line.problems))
    return [*_given(line, f"{GUNICORN_VARIABLE} ", "environment ")], [
        f"{GUNICORN_VARIABLE}: {warning}" for warning in line.warnings
    ]


def _list(problems: Sequence[str]) -> str:
    """Returns the problems of a line as one message."""
    if len(problems) == 1:
        return problems[0]
    return f"This line has {len(problems)} problems." + "".join(f"\n  {problem}" for problem in problems)


# --- Words ---

# Patterns of words that belong to an option.
_MISPLACED = {
    "--port": r"[0-9]+",
    "--host": r"localhost|[0-9]+(?:\.[0-9]+){3}",
    "--bind": r"(?:[\w.-]*|\*|\[.*\]):[0-9]+|unix:.*/.*|fd://.*",
}


_OTHER_SERVERS = ("gunicorn", "uvicorn", "granian", "hypercorn", "daphne", "waitress-serve", "uwsgi")


def _explain_file(path: str) -> str:
    """Returns the sentence with the line that uses a file of settings."""
    if path.endswith(".toml"):
        return f"Write -c {path} to read it."
    return f"`ianus migrate {path}` prints the ianus.toml for it."


def _explain_words(words: tuple[str, ...]) -> str:
    """Returns the problem with the words that are not options; "" if there is none."""
    for word in words:
        for flag, pattern in _MISPLACED.items():
            if re.fullmatch(pattern, word):
                return f"{word!r} does not name an application; write {flag} {word} to listen there."
        # A file may be called with arguments: /srv/main.py:create_app(debug=True).
        if re.fullmatch(r"/[^=(]*=.+", word):
            return f"{word!r} does not name an application for /; write --mount {word} to add another application."
        if word == "-":
            return "'-' is not an application; remove it."
        if word.lower() in ("true", "false", "on", "off", "yes", "no"):
            return f"{word!r} is not an application; switches take no value. Turn one off as in --no-access-log."
        if word.endswith((".ini", ".json", ".toml")) and os.path.isfile(word):  # noqa: PTH113  (pathlib takes 5 ms to import)
            return f"{word!r} is a file of settings. {_explain_file(word)}"
    if len(words) > 1 and words[0] in _OTHER_SERVERS:
        return (
            f"{words[0]} is another server; write `ianus {words[1]}`, or `ianus migrate` before the whole line for the"
            " equivalent ianus.toml."
        )
    if len(words) > 1 and words[0] in ("run", "serve", "start", "start-server"):
        return f"There is no sub-command {words[0]}. Write `ianus {words[1]}`. (ianus docs starting)"
    if len(words) > 1:
        return (
            f"Only one application can be served at /, but {len(words)} are given: {' '.join(words)}."
            f" Serve another one below a path, as in --mount /path={words[1]}."
        )
    return ""
