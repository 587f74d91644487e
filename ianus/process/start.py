"""Where the command and ianus.run() begin: serve, or watch files and serve anew."""

from typing import Any

from ianus.process.streams import open_standard_streams
from ianus.settings.schema import Settings


def start(app: Any, settings: Settings, *, hard_exit: bool = False) -> int:
    """Serves `app` ("MODULE:ATTR" or the application) until asked to stop. Returns the exit code.

    hard_exit: see main.run().

    Raises StartupError where serving cannot begin.
    """
    open_standard_streams()
    if settings.reload:
        from ianus.process import reload

        return reload.run(app, settings)
    from ianus.process import main

    return main.run(app, settings, hard_exit=hard_exit)
