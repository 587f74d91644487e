"""Finds the server in a file or a command line, and migrates it."""

import json
import os
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from ianus.errors import closest_match
from ianus.migrate import daphne, fastapi, granian, gunicorn, hypercorn, mod_wsgi, nginx_unit, uvicorn, uwsgi, waitress
from ianus.migrate.migration import Expansion, Migration, MigrationError, is_start_variable
from ianus.migrate.text_file import read_text
from ianus.migrate.toml_page import write_page

# The name of each server's program, or of the module that `python -m` runs.
PROGRAMS: Mapping[str, ModuleType] = {
    "gunicorn": gunicorn,
    "uvicorn": uvicorn,
    "fastapi": fastapi,
    "granian": granian,
    "hypercorn": hypercorn,
    "daphne": daphne,
    "waitress-serve": waitress,
    "waitress": waitress,
    "uwsgi": uwsgi,
    "mod_wsgi-express": mod_wsgi,
}

_SHELLS = ("sh", "bash", "ash", "dash")

# Files with a command, and the pattern of its lines.
_COMMAND_LINES = (
    (r".*\.service", r"^\s*ExecStart\s*=[-@:+!]*(.*)"),
    (r"Procfile.*", r"^web:\s*(.*)"),
    (r".*\.conf", r"^\s*command\s*=(.*)"),
    (r"(?:.*\.)?(?:Docker|Container)file.*", r"^\s*(?:CMD|ENTRYPOINT)\s+(.*)"),
    (r".*\.sh", rf"^\s*(.*\b(?:{'|'.join(PROGRAMS)})\b.*)"),
)

# Programs that start a command, by the suffix of their files, and the parts of it that they compute.
_EXPANSIONS = {
    ".conf": Expansion("supervisor", re.compile(r"(?<!%)(?:%%)*%\(\w+\)[-+ #0-9.]*[a-z]")),
    ".service": Expansion("systemd", re.compile(r"(?<!%)(?:%%)*%[A-Za-z]")),
}

# Of a word to the name of a program that it may be a misspelling of, from 0 to 1.
MIN_SIMILARITY = 0.8

# Unknown names in a message.
MAX_SHOWN = 6


class Command(NamedTuple):
    """A command line of a server.

    variables: those that the line sets for the command.
    wrapper: the words in front of the server's program.
    before, after: the commands that the line runs first, and after the server.
    redirections: of the server's streams.
    """

    variables: Mapping[str, str]
    wrapper: Sequence[str]
    program: str
    arguments: Sequence[str]
    before: str = ""
    after: str = ""
    redirections: str = ""


def migrate(words: Sequence[str]) -> str:
    """Returns the ianus.toml for a file, or for the words of a command line.

    Raises StartupError.
    """
    page = _migrate(words)
    try:
        page.encode()
    except UnicodeEncodeError as error:
        # Of an argument, a JSON file or a configuration in Python.
        bad = page[error.start : error.end]
        raise MigrationError(f"A text has {bad!a}, which is not a character. A .toml file cannot have it.") from None
    return page


def _migrate(words: Sequence[str]) -> str:
    if len(words) == 1 and words[0].rpartition("/")[2] not in PROGRAMS:
        path = Path(words[0])
        # Unlike those of Path, these functions raise no error for a text that is too long for a name.
        if os.path.isfile(path):  # noqa: PTH113
            return _migrate_file(path)
        if " " not in words[0]:
            problem = "this is a directory" if os.path.isdir(path) else "there is no such file"  # noqa: PTH112
            raise MigrationError(
                f"{words[0]}: {problem}. Name a file or a command, as in `ianus migrate gunicorn -w 4 main:app`."
            )
        return _migrate_command(split_line(words[0]), words[0])
    return _migrate_command(list(words), shlex.join(words))


def _migrate_command(words: Sequence[str], source: str, expansion: Expansion | None = None) -> str:
    if expansion is not None:
        words = [expansion.replace_escapes(word) for word in words]
    command = parse_command(words)
    server = PROGRAMS[command.program]
    migration = Migration(server.SERVER, expansion, server.OPTIONS.flags() if hasattr(server, "OPTIONS") else ())
    arguments = [_replace_variables(word, command.variables) for word in command.arguments]
    early = {name: value for name, value in command.variables.items() if is_start_variable(name)}
    others = {name: value for name, value in command.variables.items() if name not in early}
    server.migrate_command(migration, arguments, others)
    for name, value in early.items():
        migration.set_start_variable(name, value)
    migration.check()
    if command.before:
        migration.note(
            command.before, "Run it first, as before. After a `cd`, `ianus` reads the ianus.toml of that folder."
        )
    if command.redirections:
        migration.note(
            command.redirections,
            "Write it after `ianus`, as before. Or name files in error_logfile and access_logfile, which are opened"
            " again after SIGUSR1: the server log is standard error, and the access log is standard output.",
        )
    if command.after:
        migration.note(command.after, "Run it after `ianus`, as before.")
    if command.wrapper:
        migration.note(
            " ".join(command.wrapper), f"Start as before, with Ianus: {' '.join([*command.wrapper, 'ianus'])}"
        )
    return write_page(migration, source)


def parse_command(words: Sequence[str]) -> Command:
    """Finds the server's program in a line. Raises MigrationError."""
    before, words, after = _split_commands(list(words))
    words, redirections = _split_redirections(words)
    if "env" in words[:1]:
        del words[0]
    variables: dict[str, str] = {}
    while words and re.fullmatch(r"[A-Za-z_]\w*=.*", words[0], re.DOTALL):
        name, _, value = words.pop(0).partition("=")
        variables[name] = value
    if words[:1] == ["exec"]:
        del words[0]
    if len(words) == 3 and words[0].rpartition("/")[2] in _SHELLS and re.fullmatch("-[a-z]*c", words[1]):
        inner = parse_command(split_line(words[2]))
        return inner._replace(
            variables=variables | dict(inner.variables),
            before=" ; ".join(filter(None, (before, inner.before))),
            after=" ; ".join(filter(None, (inner.after, after))),
            redirections=" ".join(filter(None, (inner.redirections, redirections))),
        )
    index = _find_program(words)
    if index is not None:
        wrapper = words[:index]
        if len(wrapper) > 1 and wrapper[-1] == "-m" and "python" in wrapper[-2]:
            wrapper = wrapper[:-2]  # `python -m`
        return Command(
            variables, wrapper, words[index].rpartition("/")[2], words[index + 1 :], before, after, redirections
        )
    advice = f"Known are {', '.join(PROGRAMS)}; for a file, give its path."
    if words and os.path.isfile(words[0]):  # noqa: PTH113
        advice = f"Give one file alone, as in `ianus migrate {words[0]}`; the result is on standard output."
    elif near := next(filter(None, (closest_match(word, PROGRAMS, MIN_SIMILARITY) for word in words)), ""):
        advice = f"Did you mean {near}? {advice}"
    raise MigrationError(f"No server is found in: {shlex.join(words)}. {advice}")


def split_line(line: str) -> list[str]:
    """Splits a line as a shell does, without its variables. Raises MigrationError."""
    lexer = shlex.shlex(line.replace("\\\n", " "), posix=True, punctuation_chars=";")
    lexer.whitespace_split, lexer.commenters = True, ""
    try:
        words = list(lexer)
    except ValueError as error:
        raise MigrationError(f"The line cannot be split into words ({error}): {line}") from None
    return list(takewhile(lambda word: not word.startswith("#"), words))


def _replace_variables(word: str, variables: Mapping[str, str]) -> str:
    """Returns a word with the variables that its line sets."""

    def replace(match: re.Match[str]) -> str:
        return variables.get(match[1] or match[2], match[0])

    return re.sub(r"\$(?:(\w+)|\{(\w+)(?::?-[^{}]*)?\})", replace, word)


def _find_program(words: Sequence[str]) -> int | None:
    """Returns the index of the server's program; a package to install and a class of workers are not one."""
    for index, word in enumerate(words):
        if (
            word.rpartition("/")[2] in PROGRAMS
            and "install" not in words[:index]
            and words[index - 1 : index] != ["-k"]
        ):
            return index
    return None


def _split_commands(words: list[str]) -> tuple[str, list[str], str]:
    """Returns the commands in front of the one with the server, its words, and the commands after it."""
    ends = [index for index, word in enumerate(words) if word in ("&&", "||", "|", ";", "&")]
    starts = [0, *(end + 1 for end in ends)]
    parts = [words[start:end] for start, end in zip(starts, [*ends, len(words)], strict=True)]
    for start, part in zip(starts, parts, strict=True):
        if _find_program(part) is not None:
            end = start + len(part)
            # A final & alone is the background, which a service has anyway.
            return " ".join(words[: max(start - 1, 0)]), part, " ".join(words[end:] if words[end + 1 :] else [])
    return "", words, ""


def _split_redirections(words: Sequence[str]) -> tuple[list[str], str]:
    """Returns the words of a command, and its redirections."""
    kept: list[str] = []
    redirections: list[str] = []
    for index, word in enumerate(words):
        (redirections if _is_redirection(word, words[index - 1] if index else "") else kept).append(word)
    return kept, " ".join(redirections)


def _is_redirection(word: str, before: str) -> bool:
    """Whether a word redirects a stream, or is the file of one."""
    return (
        re.fullmatch(r"[0-9&]*[<>]{1,2}[^<>]*", word) is not None
        or re.fullmatch(r"[0-9&]*[<>]{1,2}", before) is not None
    )


# --- Files ---


def _migrate_file(path: Path) -> str:
    # A configuration in Python has an encoding of its own.
    text = "" if path.suffix == ".py" else read_text(str(path))
    for name, pattern in _COMMAND_LINES:
        if re.fullmatch(name, path.name):
            return _migrate_command(_command_in(text, pattern, path), str(path), _EXPANSIONS.get(path.suffix))
    migration = _migration_of(path, text)
    return write_page(migration, str(path))


def _migration_of(path: Path, text: str) -> Migration:
    def result(server: ModuleType, migrate_file: Callable[..., None], *arguments: object) -> Migration:
        migration = Migration(server.SERVER)
        migrate_file(migration, *arguments)
        migration.check()
        if migration.is_empty():
            unknown = ", ".join(note.written.partition(" ")[0] for note in migration.unknown[:MAX_SHOWN])
            raise MigrationError(
                f"{path} has no setting of {server.SERVER}{f' (unknown: {unknown})' if unknown else ''}."
                " Name the file or the command that starts the server."
            )
        return migration

    if path.suffix == ".py":
        server = hypercorn if "hypercorn" in path.name else gunicorn
        return result(server, server.migrate_python_file, str(path))
    if path.suffix == ".toml":
        return result(hypercorn, hypercorn.migrate_toml, text, str(path))
    if path.suffix == ".ini":
        return result(uwsgi, uwsgi.migrate_ini, text, str(path))
    if path.suffix == ".json":
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise MigrationError(f"{path} is not valid JSON: {error}.") from None
        if isinstance(content, dict) and isinstance(content.get("uwsgi"), dict):
            return result(uwsgi, uwsgi.migrate_json, content["uwsgi"], str(path))
        return result(nginx_unit, nginx_unit.migrate_json, content, str(path))
    if path.suffix in (".yaml", ".yml", ".xml"):
        raise MigrationError(
            f"{path}: {path.suffix} files cannot be read. If it has the command of a server, give the command, as in"
            " `ianus migrate gunicorn -w 4 main:app`; write settings of uWSGI as an .ini or .json file."
        )
    raise MigrationError(
        f"{path} is not recognised. Files are a gunicorn.conf.py, hypercorn.toml, uWSGI's .ini or .json, NGINX Unit's"
        " .json, and Procfile, Dockerfile, .service, .conf and .sh files with a command."
    )


def _exec_form(line: str) -> list[str]:
    """Returns the words of a command of a Dockerfile in JSON; an empty list for one of a shell."""
    try:
        words = json.loads(line)
    except (ValueError, RecursionError):
        return []
    return [str(word) for word in words] if isinstance(words, list) else []


def _command_in(text: str, pattern: str, path: Path) -> list[str]:
    """Returns the words of the last command of a file that runs a server. Raises MigrationError."""
    joined = re.sub(r"\\\r?\n", " ", text)
    found = re.findall(pattern, joined, re.MULTILINE)
    if "ENTRYPOINT" in pattern:
        # Docker appends the words of CMD to those of ENTRYPOINT.
        starts, arguments = (re.findall(rf"^\s*{name}\s+(.*)", joined, re.MULTILINE) for name in ("ENTRYPOINT", "CMD"))
        if starts and arguments and (start := _exec_form(starts[-1])):
            found.append(json.dumps([*start, *_exec_form(arguments[-1])]))
    for line in reversed(found):
        words = _exec_form(line) or split_line(line)
        if any(program in " ".join(words) for program in PROGRAMS):
            return words
    raise MigrationError(f"{path} has no command of {', '.join(PROGRAMS)}.")
