"""`ianus version` shows the version, as --version does."""

import click

from ianus._version import __version__
from ianus.commands.subcommand import SubCommand
from ianus.settings.help_pages import format_version


def describe_tls() -> str:
    """Returns the line about TLS."""
    from ianus.acceptor.tls.engines import describe_engine  # Late: it is compiled, and loads OpenSSL.

    return describe_engine()


def build_command() -> click.Command:
    return SubCommand(
        "version",
        page="starting",
        callback=lambda: click.echo(format_version(__version__, describe_tls())),
        help="Show the versions of Ianus, Python and OpenSSL.",
    )
