"""Serves without a supervisor, as ianus.run() does, with the options of the command: for a debugger.

A debugger follows one process. If it ended a worker, the supervisor would start another one.
"""

import sys
from typing import Any

from ianus.process.start import start
from ianus.settings.cli import ServingCommand
from ianus.settings.help_pages import build_pages
from ianus.settings.schema import Settings


def serve(app: str, settings: Settings, reader: Any) -> int:
    return start(app, settings)


ServingCommand(serve, serve, lambda: build_pages("debugger")).main(sys.argv[1:], "make debug")
