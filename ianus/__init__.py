"""Ianus, an application server for Python.

    $ ianus main:app                          the command
    >>> ianus.run("main:app", bind="127.0.0.1:8000")     the same from Python
    >>> await ianus.Server(app).serve()                  inside a running event loop
    >>> with ianus.testing.serve(app) as url: ...        for tests

docs/architecture.md describes the folders, in the order in which a request passes them.
"""

from typing import TYPE_CHECKING, Any

from ianus._version import __version__
from ianus.errors import SettingError, StartupError
from ianus.settings.schema import Settings

if TYPE_CHECKING:
    from ianus import hooks as hooks
    from ianus import testing as testing
    from ianus.process.worker.server import Server

__all__ = ["Server", "SettingError", "Settings", "StartupError", "__version__", "freeze_support", "run"]


def run(app: Any, **settings: Any) -> None:
    """Serves `app` until the process is asked to stop, then returns.

    app: "MODULE:ATTR" as on the command line, or the application itself.
    settings: those of the command line, with underscores (`bind=["127.0.0.1:8000"]`, `timeout_write=30`).

    Raises SettingError (a ValueError) for a value that a setting cannot have and TypeError for a setting that
    does not exist. A server that cannot start prints its one message and raises SystemExit(3), as the command
    does. One that is loading the calling module raises StartupError, since that would start servers without end.
    """
    # Late: importing the package must stay cheap.
    from ianus.settings.sources import settings_to_serve

    chosen = settings_to_serve(settings)
    from ianus.process.run_guard import check_call
    from ianus.process.start import start

    check_call()

    try:
        code = start(app, chosen)
    except StartupError as error:
        from ianus.process.failures import write_failed_command

        write_failed_command(error, chosen)
        raise SystemExit(error.exit_code) from None
    if code:
        raise SystemExit(code)


def freeze_support() -> None:
    """Becomes the supervisor if this process is a frozen program (PyInstaller) that ianus.run() has started as that.

    To be called first under `if __name__ == "__main__":`. In other processes it does nothing.
    """
    import sys

    if getattr(sys, "frozen", False):
        from ianus.process import spawned

        spawned.freeze_support()


def __getattr__(name: str) -> Any:
    # Late, as above.
    if name == "Server":
        from ianus.process.worker.server import Server

        return Server
    if name == "testing":
        import ianus.testing

        return ianus.testing
    if name == "hooks":
        import ianus.hooks

        return ianus.hooks
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), "Server", "hooks", "testing"})
