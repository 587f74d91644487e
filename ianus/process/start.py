"""Where the command and ianus.run() begin: serve, or watch files and serve anew; and tell what prevents it."""

import sys
from typing import Any

from ianus.errors import StartupError
from ianus.settings.schema import Settings


def start(app: Any, settings: Settings, *, hard_exit: bool = False) -> int:
    """Serves `app` ("MODULE:ATTR" or the application) until asked to stop. Returns the exit code.

    What prevents the start is printed. hard_exit: see main.run().
    """
    try:
        if settings.reload:
            from ianus.process import reload

            return reload.run(app, settings)
        from ianus.process import main

        return main.run(app, settings, hard_exit=hard_exit)
    except StartupError as error:
        sys.stderr.write(error.report())
        return error.exit_code
