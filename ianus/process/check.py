"""Performs --check-config: a start of the supervisor and of one worker, without sockets."""

# ruff: noqa: PTH109  (pathlib takes 5 ms to import)

import os
from types import ModuleType

from ianus.process.hooks import Hooks
from ianus.process.issued_certificates import with_issued_certificates
from ianus.process.privileges import resolve
from ianus.process.resources import check_spool, open_log
from ianus.process.serve import new_loop
from ianus.process.supervisor.template import become_subreaper
from ianus.process.supervisor.working_directory import enter
from ianus.process.tls_files import read_tls_files
from ianus.process.worker.tls import open_tls
from ianus.process.worker.worker import describe, load_applications, serves_wsgi
from ianus.settings.schema import Settings
from ianus.telemetry.logs import LogFile, apply_config


def check(app: str, settings: Settings, program: ModuleType | None = None) -> str:
    """Returns the names and interfaces of the applications. Log files are opened, and created if they do not exist.

    program: the configuration with the hooks, if it is one in Python.

    Raises StartupError for a problem that would prevent a start.
    """
    enter(settings)
    if settings.reload:
        from ianus.process.supervisor.watcher import prepare

        prepare(app, settings)
    if settings.preload:
        become_subreaper()
    settings = with_issued_certificates(settings, forks=False)
    resolve(settings.user, settings.group)
    open_tls(settings, read_tls_files(settings))
    Hooks.load(settings.hooks, settings.app_dir, program)
    if settings.log_config:
        apply_config(settings.log_config, settings.app_dir)
    directory = os.getcwd()
    apps = load_applications(app, settings)
    os.chdir(directory)  # An application may have changed it; paths are relative to the directory of the command.
    if serves_wsgi(apps):
        check_spool(settings)
    open_log(settings).close()
    if settings.access_log:
        LogFile(settings.access_logfile, "--access-logfile", 1).close()
    new_loop(settings.loop, apps).close()
    return describe(apps)
