"""Writes docs/settings.md from the table: `python -m ianus.settings.docs_page > docs/settings.md`."""

from collections.abc import Iterable, Iterator

from ianus.settings.foreign_options import IGNORED_OPTIONS, REJECTED
from ianus.settings.schema import EXTRA_INPUTS, inputs, table
from ianus.settings.setting import Setting
from ianus.settings.values import boolean_to_text

HEAD = """\
# Settings

<!-- Written from the table in ianus/settings/schema.py by `python -m ianus.settings.docs_page`; change that. -->

Each setting can be given in four places, under one name:

| place | written |
| --- | --- |
| command line | `--timeout-write 30`; also `--timeout_write 30` |
| environment | `IANUS_TIMEOUT_WRITE=30` |
| file | `timeout_write = 30`; also `timeout-write = 30` |
| Python | `ianus.run("main:app", timeout_write=30)`, `ianus.Settings(timeout_write=30)` |

`ianus --help` describes the common options, `ianus --help-all` all of them. `ianus --print-config` prints every setting
with its origin, as a valid `ianus.toml`. `ianus --check-config` does everything of a start except opening sockets and
running the lifespan: it checks all settings, loads the application and reports errors. Its exit code is 0 without
errors, 2 for an invalid setting, and 3 for any other error that would prevent a start.

Names of these settings in other servers are accepted too: [other names](#other-names). A line of gunicorn, Uvicorn,
Granian, Hypercorn, Daphne or waitress has the meaning that it has there, or is refused with the option to write. All
options of a line that cannot be used are reported together. These options are read by their value:

| option | meaning |
| --- | --- |
| `-p 8000`, `-p server.pid` | a port, or a file of the process id |
| `-u www-data`, `-u /run/app.sock` | a user, or a Unix socket |
| `-e NAME=value` | a variable; an endpoint of Twisted is refused |
| `-v`, `-v1` | the version, or the verbosity of Daphne: 0, 1, or 2 for `--log-level debug` |
| `-t 30` | `--timeout`; beside an option that only Daphne has, a time for requests, which is ignored |
| `--root-path /p` | as in Uvicorn; beside an option that only Daphne has, `--root-path-kept /p` |
| `--access-log`, `--access-log FILE` | a switch, or `--access-logfile FILE` |
| `--ws`, `--ws websockets`, `--no-ws` | `--ws auto` or `--ws none` |
| `--ws-per-message-deflate false` | `--no-ws-per-message-deflate` |
| `--proxy-protocol` | `--proxy-protocol auto` |
| `-m 022`, `-m 22` | octal digits; a number of several digits without the 0 is refused |
| `--log-config json:FILE` | `--log-config FILE` |
| `--interface asginl` | `--interface asgi --lifespan off` |
| `-k uvloop`, `-k asyncio` | `--loop`, as in Hypercorn |
| `--ident NAME`, `--no-server-name` | `--no-server-header`, and for a name `--header 'Server: NAME'` |
| `--trusted-proxy-headers forwarded` | `--forwarded-headers forwarded` |
| `-b HOST -p PORT` | `--bind HOST:PORT` |

## Priority of the sources

If several sources give a setting, the first of these wins:

1. the command line
2. variables `IANUS_...`
3. `GUNICORN_CMD_ARGS`, in gunicorn's spelling: `-p` is a file there
4. the file
5. `gunicorn.conf.py`, if `--config` does not name a file
6. `PORT` and `WEB_CONCURRENCY`, which platforms set
7. the default

All values of a repeatable setting are taken from one source. `PORT=5000` means `0.0.0.0:5000`, and is used if no other
source gives an address. `--host` and `--port` form one address. If a source gives only one of them, the other is taken
from the next source, or from the default.

From Python, only the given values count: neither file nor environment is read. `None` counts as not given. Options of
other servers that have no effect cause a `UserWarning`. `ianus.settings.sources.read_sources()` reads the file and the
environment as the command does.

## The file

It is the file of `--config`, or else `ianus.toml` in the current directory, or else the table `[tool.ianus]` in its
`pyproject.toml`. A `gunicorn.conf.py` in the current directory is read as well; [gunicorn.md](gunicorn.md) has the
details, and the other files in Python that `--config` takes. In TOML an unknown name is an error. Write octal digits
in quotes: `uds-permissions = "660"`. `ianus init` writes a file to start with, and editors can check it
([starting.md](starting.md#editors)).

```toml
app = "main:app"                         # `ianus` alone serves it
bind = ["0.0.0.0:8000", "unix:/run/app.sock"]
max-request-body-size = "10M"
timeout-stop = "1m"
header = ["X-Frame-Options: DENY"]

[mount]
"/api" = "api:app"
"/ws" = "realtime.asgi:create_app()"
```

`mount` and `header` are lists, as on the command line, or tables. Tables follow all other settings.

Paths are relative to the current directory, not to the file. `factory` and `interface` apply to the application at `/`;
write a mounted application that a function creates as a call.

## The environment

An empty variable counts as not set. Switches are `1`, `true`, `yes`, `on` or `0`, `false`, `no`, `off`.
Several values are separated by commas, those of `IANUS_HEADER` by line ends. A variable `IANUS_...` that is
not a setting causes a warning, except those that Kubernetes sets for a service with the name `ianus`.
`UVICORN_...` and `GRANIAN_...` have no effect, and cause a warning with the names to use instead.

`--env-file .env` sets the variables of a file before the environment is read, unless they are set
(`pip install python-dotenv`). It may be repeated; the later of two files wins. `--env NAME=value` sets a variable, also
if it has another value in the environment.

## Times and sizes

A time is a number of seconds (`10`, `0.5`) or has a unit: `500ms`, `30s`, `5m`, `1h`. A size is a number of bytes or
has a unit, of either case: `K`, `M`, `G`, also written `KB` or `KiB`; all are powers of 1024.

"""

COMPLETION = """\
## Shell completion

`eval "$(ianus completion bash)"`, also for `zsh` and `fish`, makes the shell complete options and their values.

A sub-command, such as `completion`, is the first word of a line. If it is the only word, a module of that name in the
current folder is served instead. `ianus completion:app` always serves the module. `ianus help` lists the sub-commands.
"""


def build_page() -> str:
    """Returns the page in Markdown."""
    return HEAD + "\n".join([*_groups(), COMPLETION, *_aliases(), *_ignored_and_rejected()])


def _groups() -> Iterator[str]:
    rows = [*table(), *((name, setting, None) for name, setting in EXTRA_INPUTS.items())]
    groups = dict.fromkeys(setting.group for _, setting, _ in rows)
    for group in groups:
        lines = (_row(name, setting, default) for name, setting, default in rows if setting.group == group)
        yield f"## {group}\n\n" + _table(["option", "variable", "default", "meaning"], lines)


def _row(name: str, setting: Setting, default: object) -> list[str]:
    option = f"--{name.replace('_', '-')}"
    flags = {"app": "`APP`"}.get(name, f"`{option}`" if not setting.short else f"`{setting.short}` `{option}`")
    if setting.to_text is boolean_to_text:
        flags += f" `--no-{option[2:]}`"
    variable = f"`IANUS_{name.upper()}`" + (f", `{setting.variable}`" if setting.variable else "")
    shown = ", ".join(f"`{text}`" for text in setting.texts(default) if text)
    if isinstance(default, bool):
        shown = "on" if default else "off"
    notes = [
        f"One of {', '.join(setting.choices)}." if setting.choices else "",
        f"In {setting.unit}." if setting.unit else "",
    ]
    notes.append(f"0: {setting.zero_means}." if setting.zero_means else "")
    notes.append("May be repeated." if setting.repeatable else "")
    return [flags, variable, shown, " ".join(filter(None, [setting.summary, setting.details, *notes]))]


def _aliases() -> Iterator[str]:
    yield "## Other names\n\nThese names of other servers are accepted from every source.\n"
    lines = [
        [f"`--{alias.name.replace('_', '-')}`", f"`--{name.replace('_', '-')}`" + EXPLAINED.get(alias.name, "")]
        for name, setting in inputs()
        for alias in setting.aliases
    ]
    yield _table(["name", "setting"], sorted(lines))


# Conversions of values, for the table of other names.
EXPLAINED = {
    "uds": " `unix:PATH`",
    "unix_socket": " `unix:PATH`",
    "fd": " `fd://N`",
    "http1_header_read_timeout": ", in milliseconds",
    "reload_tick": ", in milliseconds",
    "graceful_timeout": ", at least 1",
    "timeout_graceful_shutdown": ", at least 1",
    "workers_kill_timeout": ", at least 1",
    "ssl_client_verify": " `required`",
    "http_protocols": ": h1 is 1, h2 is 2",
}


def _ignored_and_rejected() -> Iterator[str]:
    yield "These are accepted with a warning on the command line and from Python, because they have no effect.\n"
    lines = (
        [
            _flags(each.flags),
            ", ".join(f"`{value}`" for value in each.values or ()),
            "; ".join(dict.fromkeys((each.reason, *(reason for _, reason in each.notes)))),
        ]
        for each in IGNORED_OPTIONS
    )
    yield _table(["option", "values", "reason"], lines)
    yield "These are rejected.\n"
    yield _table(["option", "instead"], ([_flags(names), instead] for names, instead in REJECTED.items()))


def _flags(names: str) -> str:
    return " ".join(f"`{name}`" for name in names.split())


def _table(head: list[str], rows: Iterable[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


if __name__ == "__main__":
    print(build_page(), end="")
