"""The configuration that workers are started with."""

from typing import NamedTuple

from ianus.process.hooks import Hooks
from ianus.process.open_files import check_supervisor
from ianus.process.privileges import Identity, resolve
from ianus.settings.schema import Settings


class Generation(NamedTuple):
    """The applications and settings of workers, as configured at a time.

    number: counts generations. workers: their number. identity: the user and group that they change to.
    """

    number: int
    app: str
    settings: Settings
    workers: int
    hooks: Hooks
    identity: Identity | None


def build_generation(app: str, settings: Settings) -> Generation:
    """Returns the first generation; `Generations` numbers later ones. Raises StartupError."""
    count = settings.workers
    if count == "auto":
        from ianus.process.supervisor.cpus import cpus  # Imported only if needed.

        count = cpus()
    check_supervisor(settings, count)
    hooks = Hooks.load(settings.hooks, settings.app_dir)
    return Generation(1, app, settings, count, hooks, resolve(settings.user, settings.group))
