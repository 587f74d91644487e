"""`ianus version` shows the version, as --version does."""

import click

from ianus._version import __version__
from ianus.settings.cli import format_version
from ianus.settings.paged_command import PagedCommand


def describe_tls() -> str:
    """Returns the line about TLS."""
    from ianus.acceptor.tls.engines import describe_engine  # Late: it is compiled, and loads OpenSSL.

    return describe_engine()


def build_command() -> click.Command:
    return PagedCommand(
        "version",
        page="starting",
        callback=lambda: click.echo(format_version(__version__, describe_tls())),
        help="Show the versions of Ianus, Python and OpenSSL.",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
