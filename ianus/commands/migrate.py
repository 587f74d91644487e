"""`ianus migrate FILE|COMMAND...` prints the ianus.toml that is equivalent to another server's configuration."""

import click

from ianus.errors import StartupError
from ianus.settings.paged_command import PagedCommand


def build_command() -> click.Command:
    @click.pass_context
    def run(context: click.Context, words: tuple[str, ...]) -> None:
        if not words:
            raise click.UsageError(
                "No configuration is given; name a file or a command, as in `ianus migrate gunicorn.conf.py` or"
                " `ianus migrate gunicorn -w 4 main:app`."
            )
        from ianus.migrate.command import migrate  # Late: --help does not need it.

        try:
            click.echo(migrate(words), nl=False)
        except StartupError as error:
            click.echo(error.report(), err=True, nl=False)
            context.exit(error.exit_code)

    return PagedCommand(
        "migrate",
        page="migrating",
        params=[click.Argument(["words"], metavar="FILE|COMMAND...", nargs=-1, type=click.UNPROCESSED)],
        callback=run,
        help="Print the ianus.toml that is equivalent to a configuration of Gunicorn, Uvicorn, Granian, Hypercorn,"
        " Daphne, Waitress, uWSGI, NGINX Unit or mod_wsgi-express.\n\n"
        "FILE is a gunicorn.conf.py, a hypercorn.toml, a uWSGI .ini or .json, a NGINX Unit .json, or a file with a"
        " command: Procfile, Dockerfile, systemd .service, supervisor .conf, .sh. COMMAND is the command line itself,"
        " as in `ianus migrate gunicorn --workers 4 main:app`. A configuration in Python is run.",
        context_settings={
            "help_option_names": ["-h", "--help"],
            "ignore_unknown_options": True,
            "allow_interspersed_args": False,
        },
    )
