"""`ianus dev-cert [NAME...]` makes a self-signed certificate for development."""

import os
import time

import click

from ianus.commands.subcommand import ParsedValue, SubCommand
from ianus.errors import StartupError
from ianus.settings.values import integer

HELP = """Make a self-signed certificate for development.

It is valid for localhost, 127.0.0.1 and ::1, or for the given names and addresses. No client trusts it: browsers show
a warning, and other clients need the file as an authority, as in `curl --cacert dev-cert.pem`. The private key is
readable for you alone.

\b
dev-cert.pem  the certificate
dev-key.pem   its key
"""

CERTIFICATE_FILE = "dev-cert.pem"
KEY_FILE = "dev-key.pem"

# Clients on some systems accept no certificate for a longer time.
MAX_DAYS = 825


def build_command() -> click.Command:
    return SubCommand(
        "dev-cert",
        page="tls",
        params=[
            click.Argument(["names"], metavar="[NAME...]", nargs=-1),
            click.Option(["--dir", "directory"], metavar="DIR", default=".", help="Write the files here."),
            click.Option(
                ["--days"], metavar="N", default=90, type=ParsedValue(integer(1, MAX_DAYS)), help="Days until it ends."
            ),
            click.Option(["--force"], is_flag=True, help="Replace files that exist."),
        ],
        callback=make_dev_cert,
        help=HELP,
    )


def make_dev_cert(names: tuple[str, ...], directory: str, days: int, force: bool) -> None:
    """Writes the files. Raises StartupError if it cannot."""
    from ianus.issuing.self_signed import DEV_NAME, LOCAL_NAMES, check_cryptography, make_self_signed, split_pem
    from ianus.settings.tls_values import certificate_name

    try:
        check_cryptography("`ianus dev-cert`")
        checked = [certificate_name(name) for name in names] or list(LOCAL_NAMES)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    certificate, key = (os.path.join(directory, name) for name in (CERTIFICATE_FILE, KEY_FILE))  # noqa: PTH118
    pem, key_pem = split_pem(make_self_signed(checked, days, DEV_NAME, time.time()))
    for path, content, mode in ((key, key_pem, 0o600), (certificate, pem, 0o644)):
        _write(path, content, mode, force=force)
    click.echo(f"Made {certificate} and {key} for {', '.join(checked)}; valid for {days} days.")
    click.echo("Clients do not trust it: it is for development alone.")
    click.echo(f"Serve with it: ianus APP --ssl-certfile {certificate} --ssl-keyfile {key}")


def _write(path: str, content: bytes, mode: int, *, force: bool) -> None:
    try:
        if force and os.path.lexists(path):
            os.unlink(path)  # noqa: PTH108
        # Made with its mode, so that the key is never readable by others.
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content)
    except FileExistsError:
        raise StartupError(
            f"{path} exists; name another directory with --dir, or replace it with --force.", page="tls"
        ) from None
    except OSError as error:
        raise StartupError(f"{path} cannot be written ({error.strerror}).", page="tls") from None
