"""Where the command and ianus.run() begin, and where what prevents the start is told."""

import sys
from typing import Any

from ianus.errors import StartupError
from ianus.settings.schema import Settings


def start(app: Any, settings: Settings, *, hard_exit: bool = False) -> int:
    """Serves `app` ("MODULE:ATTR" or the application) until asked to stop. Returns the exit code.

    What prevents the start is printed. hard_exit: see main.run().
    """
    try:
        from ianus.process import main

        return main.run(app, settings, hard_exit=hard_exit)
    except StartupError as error:
        sys.stderr.write(error.report())
        return error.exit_code
