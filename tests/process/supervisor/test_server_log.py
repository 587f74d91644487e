"""The error log of the supervisor: at a reload, and after its file was renamed."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ianus.errors import StartupError
from ianus.process.supervisor.server_log import ServerLog
from ianus.settings.schema import Settings
from ianus.telemetry.logger import logger


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "error.log"


@pytest.fixture
def log(path: Path) -> Iterator[ServerLog]:
    each = ServerLog(Settings(error_logfile=str(path)))
    yield each
    each.close()


def test_a_renamed_file_is_created_again(log: ServerLog, path: Path) -> None:
    path.rename(path.with_suffix(".1"))
    logger.error("before")
    log.reopen()
    logger.error("after")
    assert "before" in path.with_suffix(".1").read_text()
    assert path.read_text().endswith("after\n")


def test_a_file_that_cannot_be_opened_again_is_kept(log: ServerLog, path: Path) -> None:
    path.rename(path.with_suffix(".1"))
    path.mkdir()
    log.reopen()
    assert "cannot reopen log file, keeping the old one" in path.with_suffix(".1").read_text()


def test_a_reload_may_change_the_file(log: ServerLog, path: Path) -> None:
    other = path.with_name("other.log")
    log.replace(Settings(error_logfile=str(other)), Settings(error_logfile=str(path)))
    logger.error("after")
    assert path.read_text() == ""
    assert "after" in other.read_text()


def test_the_old_file_is_kept_if_the_new_one_cannot_be_opened(log: ServerLog, path: Path) -> None:
    missing = path.parent / "missing" / "error.log"
    with pytest.raises(StartupError):
        log.replace(Settings(error_logfile=str(missing)), Settings(error_logfile=str(path)))
    logger.error("after")
    assert "after" in path.read_text()


def test_workers_import_modules_of_the_application_that_a_configuration_has_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the supervisor they would have the source of its start, after each reload."""
    (tmp_path / "shop_logging.py").write_text("import logging\nclass Handler(logging.NullHandler): pass\n")
    (tmp_path / "log.json").write_text(
        '{"version": 1, "disable_existing_loggers": false, "handlers": {"own": {"class": "shop_logging.Handler"}}}'
    )
    monkeypatch.syspath_prepend(tmp_path)
    ServerLog(Settings(log_config=str(tmp_path / "log.json"), app_dir=str(tmp_path))).close()
    assert "shop_logging" not in sys.modules
    assert "logging.config" in sys.modules
