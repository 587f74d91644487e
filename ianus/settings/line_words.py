"""The words of a command line as options of this server.

Other servers have options that look like ours and are read in another way: a switch with or without a value, a letter
with two meanings, an option that is two settings here. These words are rewritten into the options that mean the same.
Options without effect are removed, with a warning each. All options that cannot be used are reported together.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from ianus.settings.foreign_options import HINTS, IGNORED_BY_FLAG, REJECTED_SWITCHES


class Word(NamedTuple):
    """An option of a line: its flag with dashes, and its value, which is None for a switch.

    A word that is not an option has the flag "".
    """

    flag: str
    value: str | None = None

    def __str__(self) -> str:
        return f"{self.flag} {self.value}" if self.value else self.flag


class LineWords(NamedTuple):
    """The words of a line.

    options: those that are known, rewritten if that is necessary.
    applications: the words that are not options.
    warnings: a sentence for each option without effect.
    problems: a sentence for each option that cannot be used.
    """

    options: list[Word]
    applications: list[str]
    warnings: list[str]
    problems: list[str]


Suggest = Callable[[str, str | None], str]


def read_line(
    words: Sequence[str], flags: Mapping[str, bool], suggest: Suggest, *, has_application: bool = False
) -> LineWords:
    """Reads the words of a line.

    flags: all flags of the settings, each with True if it takes a value.
    suggest: returns the flag of which the given one may be a misspelling, if the given value fits; "" if none does.
    has_application: the application is named elsewhere, and no word of this line.
    """
    line = LineWords([], [], [], [])
    options = list(_split(list(words), flags, has_application=has_application))
    given = {"-vN" if each.flag == "-v" and each.value else each.flag for each in options}
    for option in options:
        if option.flag:
            _read_option(option, line, flags, suggest, like_daphne=not given.isdisjoint(_DAPHNE))
        elif option.value != "--":
            line.applications.append(option.value or "")
    return line


def _read_option(
    option: Word, line: LineWords, flags: Mapping[str, bool], suggest: Suggest, *, like_daphne: bool
) -> None:
    """Adds an option to the line, rewritten if that is necessary, or a warning or a problem."""
    if like_daphne and option.flag in _IN_DAPHNE:
        option = Word(_IN_DAPHNE[option.flag], option.value)
    flag, value = option
    try:
        rewritten = _REWRITTEN[flag](value) if flag in _REWRITTEN else None
    except ValueError as error:
        line.problems.append(f"{flag} {error}")
        return
    if rewritten is not None:
        line.options.extend(rewritten)
    elif flag in flags and value is None and flags[flag]:
        line.problems.append(f"Option '{flag}' requires an argument.")
    elif flag in flags and value is not None and not flags[flag]:
        line.problems.append(f"Option '{flag}' does not take a value.")
    elif flag in flags:
        line.options.append(option)
    elif flag in IGNORED_BY_FLAG:
        _ignore(option, line)
    else:
        line.problems.append(f"No such option: {flag}. {_advice(option, flags, suggest)}")


def _ignore(option: Word, line: LineWords) -> None:
    ignored, value = IGNORED_BY_FLAG[option.flag], option.value
    long = option.flag if option.flag.startswith("--") else re.findall(r"--[\w-]+", ignored.flags)[0]
    shown = Word(long, value)
    if value is None and ignored.values is not None:
        line.problems.append(f"Option '{long}' requires an argument.")
    elif reason := ignored.reason_for(value or ""):
        line.warnings.append(f"{shown} has no effect: {reason}.")
    else:
        line.problems.append(f"{shown} is not supported: {ignored.remedy_for(value or '')}.")


def _advice(option: Word, flags: Mapping[str, bool], suggest: Suggest) -> str:
    """Returns the advice about an option that does not exist."""
    # --app of Waitress is a setting of files.
    flag = "--module" if option.flag == "--app" else option.flag
    if flag in HINTS:
        return HINTS[flag]
    if f"-{option.flag}" in flags:
        return f"It has two dashes: -{option.flag}."
    near = suggest(*option)
    return f"Did you mean {near}?" if near else "`ianus --help-all` lists all options."


# --- The options of a line ---


def _split(words: list[str], flags: Mapping[str, bool], *, has_application: bool) -> Iterator[Word]:
    """Yields the options, each with its value, and the other words."""
    while words:
        word = words.pop(0)
        if not word.startswith("-") or word == "-":
            has_application = True
            yield Word("", word)
            continue
        if word == "--":
            yield from (Word("", each) for each in (word, *words))
            return
        flag, value = _halves(word, flags)
        if value is not None and not flag.startswith("--") and not _may_take(flag, value, flags):
            words.insert(0, f"-{value}")  # letters of switches, such as -hv
            yield Word(flag)
        elif value is None and words and _takes(flag, words, flags, has_application=has_application):
            yield Word(flag, words.pop(0))
        else:
            yield Word(flag, value)


def _halves(word: str, flags: Mapping[str, bool]) -> tuple[str, str | None]:
    """Splits an option into its flag and the value that is attached to it; None if it has none."""
    name, equals, value = word.partition("=")
    # -port=80 misses a dash; to click it would be -p with the value "ort=80".
    if word.startswith("--") or f"-{name}" in flags:
        return name.replace("_", "-"), value if equals else None
    # As in argparse, -w=1 is -w 1.
    return word[:2], word[2:].removeprefix("=") if word[2:] else None


def _may_take(flag: str, value: str, flags: Mapping[str, bool]) -> bool:
    """Whether letters after a letter are its value."""
    if flag in _OPTIONAL_VALUES:
        return re.fullmatch(_OPTIONAL_VALUES[flag], value) is not None
    return _takes_value(flag, flags) is not False


def _takes_value(flag: str, flags: Mapping[str, bool]) -> bool | None:
    """Whether an option takes a value; None if it is not known."""
    if flag in flags:
        return flags[flag]
    if flag in IGNORED_BY_FLAG:
        return IGNORED_BY_FLAG[flag].values is not None
    if flag in HINTS:
        return flag not in REJECTED_SWITCHES
    return flag not in _REWRITTEN_SWITCHES if flag in _REWRITTEN else None


def _takes(flag: str, words: Sequence[str], flags: Mapping[str, bool], *, has_application: bool) -> bool:
    """Whether the first of the words after `flag` is its value."""
    following = words[0]
    if flag in _OPTIONAL_VALUES:
        return re.fullmatch(_OPTIONAL_VALUES[flag], following, re.IGNORECASE) is not None
    if _takes_value(_halves(following, flags)[0], flags) is not None:
        return False  # It is an option.
    takes_value = _takes_value(flag, flags)
    if takes_value is None:
        # An unknown option: the last word of a line is its application, if there is no other one.
        is_application = not has_application and len(words) == 1 and may_be_application(following)
        return re.match("--?[^0-9-]", following) is None and not is_application
    return takes_value


def may_be_application(word: str) -> bool:
    """Returns whether a word has the form of the name of an application, and not that of a number or an address."""
    is_value = re.fullmatch(rf"[0-9.]+|localhost|{_BOOLEAN}", word, re.IGNORECASE)
    return is_value is None and re.fullmatch(r"[\w./${}-]*[\w}](?::[^\W\d].*)?", word, re.DOTALL) is not None


# Options whose value may be missing, with the values that they take: a bare --ws of granian is followed by another
# option or by the application.
_BOOLEAN = "true|false|on|off|yes|no|1|0|t|f|y|n"
_FILE = r"-|(?:[^:]*/)?[^:/]+\.log|/(?:dev|proc|var)/[^:]+"
_OPTIONAL_VALUES = {
    "--ws": r"auto|none|websockets(?:-sansio)?|wsproto",
    "--proxy-protocol": "off|v1|v2|auto",
    "--access-log": _FILE,
    "--ws-per-message-deflate": _BOOLEAN,
    "--websocket-per-message-deflate": _BOOLEAN,
    "-v": r"[0-9]",
}

# --- Options with another meaning in another server ---

# Options that only daphne has, and the meaning of others beside them.
_OF_DAPHNE = (
    "-vN --http-timeout --websocket-timeout --websocket-connect-timeout --websocket-max-frame-size --verbosity"
    " --endpoint --application-close-timeout --ping-interval --ping-timeout --proxy-headers-host --proxy-headers-port"
)
_DAPHNE = frozenset(_OF_DAPHNE.split())
_IN_DAPHNE = {"-t": "--http-timeout", "--root-path": "--root-path-kept"}


def _websockets(value: str | None) -> list[Word]:
    return [Word("--ws", value or "auto")]


def _proxy_protocol(value: str | None) -> list[Word]:
    return [Word("--proxy-protocol", value or "auto")]


def _access_log(value: str | None) -> list[Word] | None:
    """Hypercorn and daphne: the file."""
    is_file = value is not None and not re.fullmatch(_BOOLEAN, value, re.IGNORECASE)
    return [Word("--access-logfile", value)] if is_file else None


def _deflate(value: str | None) -> list[Word]:
    is_off = value is not None and value.lower() in ("false", "off", "no", "0", "f", "n")
    return [Word("--no-ws-per-message-deflate" if is_off else "--ws-per-message-deflate")]


def _interface(value: str | None) -> list[Word] | None:
    return [Word("--interface", "asgi"), Word("--lifespan", "off")] if value == "asginl" else None


def _worker_class(value: str | None) -> list[Word] | None:
    """In Hypercorn the worker class is the event loop."""
    return [Word("--loop", value)] if value in ("uvloop", "asyncio") else None


def _identity(value: str | None) -> list[Word]:
    """waitress: the Server field."""
    return [Word("--no-server-header"), *([Word("--header", f"Server: {value}")] if value else [])]


def _trusted_fields(value: str | None) -> list[Word] | None:
    return (
        [Word("--forwarded-headers", "forwarded")]
        if value is not None and value.strip().lower() == "forwarded"
        else None
    )


def _user(value: str | None) -> list[Word] | None:
    """daphne: the path of a Unix socket."""
    return [Word("--uds", value)] if value is not None and ("/" in value or value.endswith(".sock")) else None


def _port(value: str | None) -> list[Word] | None:
    """gunicorn and Hypercorn: the file of the process id."""
    is_path = value is not None and ("/" in value or value.endswith(".pid"))
    return [Word("--pid-file", value)] if is_path else None


def _umask(value: str | None) -> list[Word] | None:
    """gunicorn: 22 is a decimal number, and 022 an octal one."""
    if value is not None and re.fullmatch(r"[1-9][0-9]+", value):
        octal = "" if re.search("[89]", value) else f"0{value} for octal digits, or "
        raise ValueError(f"{value} is a decimal number in gunicorn; write {octal}0{int(value):o} for that number.")
    return None


def _log_config(value: str | None) -> list[Word] | None:
    """Hypercorn: the format in front of the path."""
    if value is not None and value.startswith("toml:"):
        raise ValueError(f"{value} is not supported; write the configuration in JSON or YAML.")
    return (
        [Word("--log-config", value.removeprefix("json:"))] if value is not None and value.startswith("json:") else None
    )


def _environment(value: str | None) -> list[Word] | None:
    """gunicorn: a variable. daphne: an endpoint of Twisted."""
    return None if value is None or re.match(r"[A-Za-z_]\w*=", value) is None else [Word("--env", value)]


def _verbosity(value: str | None) -> list[Word] | None:
    """daphne. Without a number, -v shows the version in gunicorn."""
    levels = {"0": [Word("--log-level", "warning"), Word("--no-access-log")], "1": []}
    return None if value is None else levels.get(value, [Word("--log-level", "debug")])


_REWRITTEN: dict[str, Callable[[str | None], list[Word] | None]] = {
    "--ws": _websockets,
    "--no-ws": lambda value: [Word("--ws", "none")],
    "--proxy-protocol": _proxy_protocol,
    "--access-log": _access_log,
    "--ws-per-message-deflate": _deflate,
    "--websocket-per-message-deflate": _deflate,
    "--interface": _interface,
    "--worker-class": _worker_class,
    "-k": _worker_class,
    "--ident": _identity,
    "--trusted-proxy-headers": _trusted_fields,
    "-u": _user,
    "-p": _port,
    "-m": _umask,
    "--umask": _umask,
    "--log-config": _log_config,
    "-e": _environment,
    "-v": _verbosity,
    "--verbosity": _verbosity,
    "--no-server-name": lambda value: [Word("--no-server-header")],
    "--ssl-client-verify": lambda value: [Word("--ssl-cert-reqs", "required")],
}
_REWRITTEN_SWITCHES = ("--no-ws", "--no-server-name", "--ssl-client-verify")
