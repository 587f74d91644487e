"""What --check-config does: a start, as far as it goes without a socket."""

from ianus.gateway.loader import load
from ianus.process.main import new_loop
from ianus.settings.schema import Settings


def check(app: str, settings: Settings) -> str:
    """The application's name and interface. Raises StartupError for what would prevent a start."""
    new_loop(settings.loop).close()
    application = load(app, factory=settings.factory, app_dir=settings.app_dir, interface=settings.interface)
    return f"{application.name} ({application.interface})"
