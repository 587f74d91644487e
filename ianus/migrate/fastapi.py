"""The command `fastapi run`, which starts Uvicorn."""

from collections.abc import Mapping, Sequence

from ianus.migrate import uvicorn
from ianus.migrate.flags import FlagList
from ianus.migrate.migration import Migration, MigrationError

SERVER = uvicorn.SERVER

OPTIONS = FlagList(
    "--host= --port= --workers= --root-path= --app= --entrypoint/-e= --reload --no-reload --reload-dir=+"
    " --proxy-headers --no-proxy-headers --forwarded-allow-ips= --verbose --no-verbose"
)


def migrate_command(migration: Migration, words: Sequence[str], variables: Mapping[str, str]) -> None:
    """Migrates a command line. Raises MigrationError."""
    if not words or words[0] not in ("run", "dev"):
        raise MigrationError("fastapi: only `fastapi run` and `fastapi dev` can be migrated.")
    flags, others = OPTIONS.parse(words[1:], migration.need_not, migration.note)
    given = {flag.name: flag.value for flag in flags}
    passed = [flag for flag in flags if flag.name not in ("app", "entrypoint", "verbose", "no_verbose")]
    line = [flag.written if flag.value is None else f"--{flag.name.replace('_', '-')}={flag.value}" for flag in passed]
    if words[0] == "run" and "host" not in given:
        line.append("--host=0.0.0.0")
    if words[0] == "dev" and not given.keys() & {"reload", "no_reload"}:
        line.append("--reload")
    if others:
        migration.app = f"{others[0]}:{given.get('app') or 'app'}"
    migration.app = given.get("entrypoint") or migration.app
    uvicorn.migrate_command(migration, line, variables)
