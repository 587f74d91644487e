"""Starts ianus.run(): serves in this process, or has a supervisor in another one."""

import sys
from typing import Any

from ianus.errors import StartupError
from ianus.process.activation import Activation
from ianus.process.streams import open_standard_streams
from ianus.settings.paths import resolve_paths
from ianus.settings.schema import PROCESS, WORKERS, Settings, table

# Groups of settings that need a supervisor.
SUPERVISED = (WORKERS, PROCESS)


def _refuse_running_loop() -> None:
    """Raises StartupError inside a running event loop, which serving in this thread would block."""
    asyncio = sys.modules.get("asyncio")  # Without it there is no loop.
    if asyncio is not None and asyncio._get_running_loop() is not None:
        raise StartupError(
            "ianus.run() was called inside a running event loop, such as that of a coroutine or a notebook. "
            "There it is written: await ianus.Server(app).serve()",
            page="operations",
        )


def start(app: Any, settings: Settings) -> int:
    """Serves `app` ("MODULE:ATTR" or the application) until asked to stop. Returns the exit code.

    It serves in this process, or in others if the settings need that.

    Raises StartupError if it cannot start.
    """
    open_standard_streams()
    settings = Activation().apply(settings)
    needing = [
        name for name, setting, default in table() if setting.group in SUPERVISED and getattr(settings, name) != default
    ]
    if settings.admin_bind is not None:
        needing.append("admin_bind")
    if settings.reload:
        needing.append("reload")
    if not needing:
        _refuse_running_loop()
        from ianus.process import serve

        return serve.run(app, resolve_paths(settings))
    if not all(isinstance(each, str) for each in (app, *(mount.app for mount in settings.mount))):
        raise StartupError(
            f'With {needing[0]} applications are given by name, as in ianus.run("main:app").', page="operations"
        )
    from ianus.process import spawned

    return spawned.run(app, settings)
