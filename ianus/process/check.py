"""What --check-config does: a start, as far as it goes without a socket."""

from ianus.process.main import new_loop
from ianus.process.worker import load_application
from ianus.settings.schema import Settings


def check(app: str, settings: Settings) -> str:
    """The application's name and interface. Raises StartupError for what would prevent a start."""
    new_loop(settings.loop).close()
    application = load_application(app, settings)
    return f"{application.name} ({application.interface})"
