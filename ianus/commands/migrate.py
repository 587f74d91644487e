"""`ianus migrate FILE|COMMAND...` prints the ianus.toml that is equivalent to another server's configuration."""

import click

from ianus.commands.subcommand import SubCommand


def build_command() -> click.Command:
    def run(words: tuple[str, ...]) -> None:
        if not words:
            raise click.UsageError(
                "No configuration is given; name a file or a command, as in `ianus migrate gunicorn.conf.py` or"
                " `ianus migrate gunicorn -w 4 main:app`."
            )
        if words[0].startswith("-"):
            raise click.UsageError(
                f"No such option: {words[0]}. The file or the command is first; the result is on standard output."
            )
        from ianus.migrate.command import migrate  # Late: --help does not need it.

        click.echo(migrate(words), nl=False)

    return SubCommand(
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
            "ignore_unknown_options": True,
            "allow_interspersed_args": False,
        },
    )
