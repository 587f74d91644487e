"""The configuration that workers are started with."""

from types import ModuleType
from typing import NamedTuple

from ianus.process.hooks import Hooks
from ianus.process.open_files import check_supervisor
from ianus.process.privileges import Identity, resolve
from ianus.process.tls_files import TlsFiles, read_tls_files
from ianus.settings.schema import Settings


class Generation(NamedTuple):
    """The applications and settings of workers, as configured at a time.

    number: counts generations. workers: their number. identity: the user and group that they change to. tls: their
    certificates, if they have TLS.
    """

    number: int
    app: str
    settings: Settings
    workers: int
    hooks: Hooks
    identity: Identity | None
    tls: TlsFiles | None = None


def build_generation(
    app: str, settings: Settings, program: ModuleType | None = None, ticket_secret: bytes = b""
) -> Generation:
    """Returns the first generation; `Generations` numbers later ones. Raises StartupError.

    program: the configuration with the hooks, if it is one in Python. ticket_secret: of the server.
    """
    count = settings.workers
    if count == "auto":
        from ianus.process.supervisor.cpus import cpus  # Imported only if needed.

        count = cpus()
    check_supervisor(settings, count)
    hooks = Hooks.load(settings.hooks, settings.app_dir, program)
    identity = resolve(settings.user, settings.group)
    return Generation(1, app, settings, count, hooks, identity, read_tls_files(settings, ticket_secret, identity))
