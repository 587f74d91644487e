"""`ianus init` writes a commented ianus.toml with the settings that matter at first."""
# ruff: noqa: PTH123  (pathlib takes 5 ms to import)

import os

import click

from ianus.commands.subcommand import SubCommand
from ianus.errors import StartupError
from ianus.gateway.loading.discovery import find_applications
from ianus.settings.json_schema import schema_url
from ianus.settings.sources import FILE, PROJECT_FILE, has_project_table

TEMPLATE = """\
#:schema {schema}
# Settings of Ianus. `ianus` in this folder reads them; `ianus --check-config` checks them, and `ianus docs settings`
# has them all. The command line and variables such as IANUS_WORKERS take precedence.

# The application: MODULE:ATTRIBUTE.
{app}

# The address. "0.0.0.0:8000" accepts connections from other machines, "unix:/run/app.sock" those of a local proxy.
bind = "127.0.0.1:8000"

# Processes. "auto" is one for each CPU.
workers = 1

# WSGI calls at the same time in each worker. "auto" starts threads as calls block.
threads = "auto"

# Proxies that are trusted with the client's address and https: theirs, or "*" if only a proxy can connect.
# forwarded_allow_ips = "127.0.0.1,::1,unix"
"""


def build_command() -> click.Command:
    def run() -> None:
        if has_project_table():
            raise StartupError(
                f"{PROJECT_FILE} has settings in [tool.ianus], which {FILE} would replace; change them there.",
                page="settings",
            )
        found = find_applications(".")
        first = found[0] if found else None
        app = f'app = "{_escape(first.app)}"' if first else '# app = "main:app"'
        if first and first.app_dir:
            app += f'\n# The folder that is searched for modules.\napp_dir = "{_escape(first.app_dir)}"'
        try:
            with open(FILE, "x", encoding="utf-8") as file:
                file.write(TEMPLATE.format(schema=schema_url(), app=app))
        except FileExistsError:
            raise StartupError(f"{FILE} exists, and was not changed.", page="settings") from None
        except OSError as error:
            raise StartupError(
                f"{FILE} cannot be written in {os.path.abspath('.')}: {error.strerror}.",  # noqa: PTH100
                page="settings",
            ) from None
        click.echo(f"{FILE} was written. {_next_step(first.found if first else '')}")
        if os.path.isfile("gunicorn.conf.py"):  # noqa: PTH113
            click.echo("gunicorn.conf.py is read too; settings of ianus.toml take precedence. (ianus docs gunicorn)")

    return SubCommand(
        "init",
        page="starting",
        callback=run,
        help=f"Write a commented {FILE} with the settings that matter at first. An existing file is not changed.",
    )


def _next_step(found: str) -> str:
    if found:
        return f"Its application: {found}. `ianus` serves it."
    return "Set the application in it (`ianus docs starting` has the forms); then `ianus` serves it."


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
