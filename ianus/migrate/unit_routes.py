"""The routes of NGINX Unit: which application serves which paths.

A request takes the first step that matches it. Ianus chooses the mount with the longest prefix, in any order. So a step
whose requests all go to steps before it must not become a mount.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from ianus.migrate.migration import MigrationError, Note

# The start of all paths.
ALL = ""

MAX_STEPS = 1000  # of all routes, with those that steps pass to
_MAX_DEPTH = 20  # of routes that pass to routes

_CHOICE = (
    "An application is chosen by a prefix of the path alone, which has to be the `prefix` of the application (mount)."
    " Let the proxy choose, with a server for each application."
)
_STATIC = "Static files are not supported yet; serve them with a proxy or the application."


class Destination(NamedTuple):
    """An application that requests are passed to. entry: one of its `targets`, or ""."""

    name: str
    entry: str = ""


class Step(NamedTuple):
    """A step of a route.

    written: its place. match: its condition. starts: of the paths that it takes, as in /api/ or /api; none if more than
    the start of a path decides. target: None for an action without an application.
    """

    written: str
    match: Mapping[str, Any]
    starts: Sequence[str]
    target: Destination | None
    action: Mapping[str, Any]


class Routing(NamedTuple):
    """The applications of a route.

    main: for all paths that no mount has; None if there is none. mounts: by their prefixes.
    unreachable: applications of steps that no request reaches.
    """

    main: Destination | None
    mounts: Mapping[str, Destination]
    notes: Sequence[Note]
    unreachable: frozenset[str]


# Returns the `prefix` of an application; None if it cannot be served.
PrefixOf = Callable[[Destination], str | None]


def read_routing(content: Mapping[str, Any], target: str, prefix_of: PrefixOf) -> Routing:
    """Resolves the route that a listener passes to. target: `routes` or `routes/NAME`. Raises MigrationError."""
    steps = list(islice(_steps(content, target, (ALL,), 0), MAX_STEPS + 1))
    if len(steps) > MAX_STEPS:
        raise MigrationError(f"{target} has more than {MAX_STEPS} steps with the routes that they pass to.")
    return _Resolver(prefix_of).resolve(steps)


# --- Steps ---


def _steps(content: Mapping[str, Any], target: str, outer: Sequence[str], depth: int) -> Iterator[Step]:
    """Yields the steps of a route, with those of the routes that they pass to in their places.

    outer: the starts of the paths that reach the route.
    """
    routes, name = content.get("routes", []), target.partition("/")[2]
    steps = routes.get(name, []) if isinstance(routes, dict) else routes if not name else []
    for index, step in enumerate(steps if isinstance(steps, list) else []):
        if isinstance(step, dict):
            match = table_of(step, "match")
            starts = _within(outer, _starts_of(match))
            yield from _actions(content, f"{target}[{index}]", match, starts, table_of(step, "action"), depth)


def _actions(
    content: Mapping[str, Any],
    written: str,
    match: Mapping[str, Any],
    starts: Sequence[str],
    action: Mapping[str, Any],
    depth: int,
) -> Iterator[Step]:
    target = str(action.get("pass", ""))
    kind, _, rest = target.partition("/")
    if "fallback" in action:
        # The fallback gets the requests for which there is no file.
        share = {key: value for key, value in action.items() if key != "fallback"}
        yield Step(written, match, (), None, share)
        yield from _actions(content, f"{written}/fallback", match, starts, table_of(action, "fallback"), depth)
    elif kind == "routes" and depth < _MAX_DEPTH:
        yield from _steps(content, target, starts, depth + 1)
        # A request that no step of that route takes gets a 404; it does not return to this one.
        yield Step(written, match, starts, None, {})
    elif kind == "applications":
        name, _, entry = rest.partition("/")
        yield Step(written, match, starts, Destination(name, entry), action)
    else:
        yield Step(written, match, starts, None, action)


def _starts_of(match: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the starts of the paths that a condition takes; none if more than the start of a path decides."""
    if not match:
        return (ALL,)
    patterns = texts_of(match.get("uri"))
    starts = [pattern[:-1] for pattern in patterns if re.fullmatch(r"(/[^*%]*)?\*", pattern)]
    starts = [ALL if start == "/" else start for start in starts]
    others = [pattern for pattern in patterns if not re.fullmatch(r"(/[^*%]*)?\*", pattern)]
    # /api beside /api/* adds no start.
    if match.keys() != {"uri"} or not all(_is_below(f"{each}/", starts) for each in others):
        return ()
    return tuple(dict.fromkeys(starts))


def _is_below(path: str, starts: Sequence[str]) -> bool:
    return path.startswith("/") and any(path.startswith(start) for start in starts)


def _within(outer: Sequence[str], inner: Sequence[str]) -> tuple[str, ...]:
    """Returns the starts of paths that have one of both; none if they cannot be named."""
    both = [max(one, other, key=len) for one in outer for other in inner if one[: len(other)] == other[: len(one)]]
    return tuple(dict.fromkeys(both))


def path_of(start: str) -> str:
    """Returns the path of a mount for a start."""
    return start.rstrip("/")


# --- Resolution ---


class _Resolver:
    """Decides about the steps in their order.

    taken: starts of paths that a step takes, and its place. places: the steps of the mounts. pending: steps that pass
    to an application without being its mount, each with the number of mounts before it.
    """

    def __init__(self, prefix_of: PrefixOf) -> None:
        self.prefix_of = prefix_of
        self.main: Destination | None = None
        self.mounts: dict[str, Destination] = {}
        self.notes: list[Note] = []
        self.unreachable: set[str] = set()
        self.taken: list[tuple[str, str]] = []
        self.places: dict[str, Step] = {}
        self.pending: list[tuple[Step, int]] = []

    def resolve(self, steps: Sequence[Step]) -> Routing:
        for step in steps:
            if not self._is_reached(step):
                continue
            step = step._replace(starts=[start for start in step.starts if not self._place_before(start)])
            if step.target is None:
                self._note_action(step.written, step.action)
            else:
                self._choose(step, step.target)
            self.taken += [(start, step.written) for start in step.starts]
        if self.main is None:
            self._find_main()
        self._note_pending()
        self._fit_mounts()
        self._note_differences()
        served = {target.name for target in (self.main, *self.mounts.values()) if target is not None}
        return Routing(self.main, self.mounts, self.notes, frozenset(self.unreachable - served))

    def _is_reached(self, step: Step) -> bool:
        """Returns whether requests reach a step; notes one with an application that they do not reach."""
        # A step that more than a start decides may take any path.
        places = [self._place_before(start) for start in step.starts or (ALL,)]
        if not all(places):
            return True
        if step.target is not None:
            self.unreachable.add(step.target.name)
            self.notes.append(
                Note(
                    _shown(step),
                    f"No request reaches it: {places[0]} takes them all before, in NGINX Unit too. Move it before that"
                    " step if it should have an effect.",
                )
            )
        return False

    def _place_before(self, start: str) -> str:
        """Returns the place of a step before that takes all paths with a start; "" if there is none."""
        return next((written for other, written in self.taken if start.startswith(other)), "")

    def _note_action(self, written: str, action: Mapping[str, Any]) -> None:
        if "share" in action:
            self.notes.append(Note(f"{written}/share = {action['share']}", _STATIC))
        elif action:
            self.notes.append(
                Note(f"{written}/action = {dict(action)}", "Let the proxy or a middleware of the application do it.")
            )

    def _choose(self, step: Step, target: Destination) -> None:
        prefix = self.prefix_of(target)
        if prefix is None:
            self.notes.append(Note(_shown(step), "There is no application in Python with this name."))
            return
        self._note_action(step.written, {key: value for key, value in step.action.items() if key != "pass"})
        if ALL in step.starts:
            self.main = target
            return
        rest = [start for start in step.starts if not prefix or path_of(start) != prefix]
        if len(rest) < len(step.starts) and prefix not in self.mounts:
            self.mounts[prefix] = target
            self.places[prefix] = step
        else:
            rest = list(step.starts)
        if rest or not step.starts:
            self.pending.append((step._replace(starts=rest), len(self.mounts)))

    def _find_main(self) -> None:
        """Has the only application serve all paths."""
        steps = [*self.places.values(), *(step for step, _ in self.pending)]
        targets = {step.target for step in steps}
        if len(targets) == 1:
            self.main = targets.pop()
            self.mounts.clear()
            self.pending.clear()
            for step in steps:
                self.notes.append(
                    Note(
                        _shown(step),
                        "The application gets all other requests, too. NGINX Unit answers them with 404; let the proxy"
                        " or the application do that.",
                    )
                )
        elif self.mounts:
            self.notes.append(
                Note(
                    "routes",
                    "No step passes all other paths to an application. NGINX Unit answers them with 404; Ianus needs an"
                    " application for them: name one in app.",
                )
            )

    def _fit_mounts(self) -> None:
        """Makes the mounts relative to the prefix of the main application."""
        prefix = self.prefix_of(self.main) if self.main is not None else ""
        for each, target in list(self.mounts.items()) if prefix else ():
            del self.mounts[each]
            if each.startswith(f"{prefix}/"):
                self.mounts[each.removeprefix(str(prefix))] = target
            elif target != self.main:
                self.notes.append(Note(_shown(self.places[each]), _CHOICE))

    def _note_differences(self) -> None:
        """Notes paths that a mount has, and its step does not, or the other way round."""
        mounted = set(self.mounts.values())
        for path, step in self.places.items():
            patterns = texts_of(step.match.get("uri"))
            if step.target not in mounted or step.target == self.main:
                continue
            if f"{path}*" in patterns:
                self.notes.append(
                    Note(_shown(step), f"The mount has {path} and the paths below it, but not others such as {path}2.")
                )
            elif path not in patterns and f"{path}/*" in patterns:
                self.notes.append(
                    Note(
                        _shown(step),
                        f"The mount has the path {path} itself, too, which this step of NGINX Unit does not take.",
                    )
                )

    def _note_pending(self) -> None:
        """Notes steps whose requests another application gets."""
        for step, number in self.pending:
            mounts_after = list(self.mounts)[number:]
            is_overtaken = any(
                not step.starts or any(f"{start}/".startswith(f"{mount}/") for start in step.starts)
                for mount in mounts_after
            )
            if step.target != self.main or is_overtaken:
                self.notes.append(Note(_shown(step), _CHOICE))


def _shown(step: Step) -> str:
    """Returns the place, the condition and the application of a step."""
    match = f"/match = {dict(step.match)}" if step.match else ""
    return f"{step.written}{match} -> {step.action.get('pass', '')}"


def texts_of(value: object) -> list[str]:
    """Returns a text or a list of texts as a list."""
    return [value] if isinstance(value, str) else list(map(str, value)) if isinstance(value, list) else []


def table_of(content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Returns an object of an object; an empty one if it is something else."""
    value = content.get(key)
    return value if isinstance(value, dict) else {}
