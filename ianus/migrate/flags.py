"""Parses the command lines of other servers by lists of their options."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from ianus.settings.line_words import may_be_application

# The value of an option at the end of a line that needs one; no argument has this character.
_MISSING = "\0"


class Flag(NamedTuple):
    """An option of a command line.

    name: its first name in the list, with underscores; "" if the list does not have it.
    value: None for a switch.
    written: as on the command line.
    """

    name: str
    value: str | None
    written: str


class FlagList:
    """The options of a server.

    text: the options with spaces between them. `/` separates the names of one option, and the first one counts. An
    option that takes a value ends with `=`. One that takes two ends with `==`. A `+` after that is an option of which
    all values count; of others the last one does.
    """

    def __init__(self, text: str) -> None:
        self._counts: dict[str, int] = {}
        self._names: dict[str, str] = {}
        self._lists: set[str] = set()
        for word in text.split():
            option = word.removesuffix("+")
            bare = option.rstrip("=")
            names = bare.split("/")
            first = names[0].lstrip("-").replace("-", "_")
            if option != word:
                self._lists.add(first)
            for name in names:
                self._counts[_dashed(name)] = len(option) - len(bare)
                self._names[_dashed(name)] = first

    def names(self) -> list[str]:
        """Returns the names of the options, with underscores."""
        return list(dict.fromkeys(self._names.values()))

    def flags(self) -> Mapping[str, int]:
        """Returns the numbers of values of the options, by each of their names."""
        return self._counts

    def lists(self) -> frozenset[str]:
        """Returns the names of the options of which all values count, with underscores."""
        return frozenset(self._lists)

    def parse(
        self,
        words: Sequence[str],
        on_repeated: Callable[[str, str], None] | None = None,
        on_incomplete: Callable[[str, str], None] | None = None,
    ) -> tuple[list[Flag], list[str]]:
        """Returns the options of a line, and the words that are not options.

        on_repeated: called with an option that a later one replaces, as written, and the reason.
        on_incomplete: called with an option at the end of the line whose value is missing, and a sentence about it.
        """
        others: list[str] = []
        flags = list(self._flags(list(words), others))
        if flags and flags[-1].value == _MISSING:
            flag = flags.pop()
            if on_incomplete is not None:
                on_incomplete(flag.written, "The option needs a value.")
        last = {flag.name: flag for flag in flags if flag.value is not None and flag.name not in self._lists}
        kept = []
        for flag in flags:
            final = last.get(flag.name, flag) if flag.name and flag.value is not None else flag
            if final is flag:
                kept.append(flag)
            elif on_repeated is not None and final.value != flag.value:
                on_repeated(flag.written, f"the option is repeated, and the last one counts: {final.written}")
        return kept, others

    def _flags(self, words: list[str], others: list[str]) -> Iterator[Flag]:
        while words:
            word = words.pop(0)
            if word == "--":
                others += words
                return
            if not word.startswith("-") or word == "-":
                others.append(word)
                continue
            if word.startswith("--"):
                flag, equals, value = word.partition("=")
                flag = self._complete(flag)
            else:
                flag, value = word[:2], word[2:].removeprefix("=")
                equals = value
            count = self._counts.get(flag)
            if count is None:
                if not equals and words and self._may_be_value(words, others):
                    yield Flag("", words[0], f"{word} {words.pop(0)}")
                else:
                    yield Flag("", value or None, word)
            elif count == 0:
                yield Flag(self._names[flag], None, word)
                if equals and not word.startswith("--"):  # -DR is -D -R
                    words.insert(0, f"-{value}")
            elif equals:
                yield Flag(self._names[flag], value, word)
            else:
                values, words[:] = words[:count], words[count:]
                value = " ".join(values) if len(values) == count else _MISSING
                yield Flag(self._names[flag], value, " ".join([word, *map(_quoted, values)]))

    def _may_be_value(self, words: Sequence[str], others: Sequence[str]) -> bool:
        """Whether the first of the words may be the value of an unknown option, and not the application."""
        is_name = may_be_application(words[0]) and (len(words) == 1 or ":" in words[0])
        return re.match("--?[^0-9-]", words[0]) is None and (bool(others) or not is_name)

    def _complete(self, flag: str) -> str:
        """Returns the option that `flag` is the start of, if there is just one, as argparse and getopt do."""
        flag = _dashed(flag)
        if flag in self._counts:
            return flag
        found = {name for name in self._counts if name.startswith(flag) and name.startswith("--")}
        return found.pop() if len({self._names[name] for name in found}) == 1 else flag


def _dashed(flag: str) -> str:
    return flag.replace("_", "-")


def _quoted(word: str) -> str:
    return word if re.fullmatch(r"[\w@%+=:,./*${}\[\]-]+", word) else repr(word)
