"""Temporary files for request bodies: bytes are read as written, the limit holds, and errors are SpoolErrors."""

import os
import resource
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest

from ianus.gateway.wsgi.spool import MEMORY_SPOOL_BYTES, Spool, SpoolError
from ianus.settings.schema import Settings

BODY = b"first line\nsecond line\nrest"


def new_spool(spool_dir: Path | str = "", **values: Any) -> Spool:
    settings = Settings(spool_dir=str(spool_dir), **values)
    return Spool(settings.spool_dir, settings.limit_spool, in_memory=False)


def descriptors() -> int:
    """How many this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_written_body_is_read_from_the_start(tmp_path: Path) -> None:
    file = new_spool(tmp_path).create()
    for part in (b"first ", b"", b"line\nsecond", b" line\nrest"):
        file.write(part)
    body = file.rewind()
    assert body.tell() == 0
    assert body.readline() == b"first line\n"
    assert body.readline(3) == b"sec"
    assert body.read(4) == b"ond "
    assert list(body) == [b"line\n", b"rest"]
    assert body.read() == body.readline() == body.read(10) == b""
    file.close()


def test_readlines(tmp_path: Path) -> None:
    file = new_spool(tmp_path).create()
    file.write(BODY)
    assert file.rewind().readlines() == [b"first line\n", b"second line\n", b"rest"]
    file.close()


def test_no_file_has_a_name_and_none_is_opened_before_it_is_needed(tmp_path: Path) -> None:
    before = descriptors()
    file = new_spool(tmp_path).create()
    assert descriptors() == before
    file.write(BODY)
    assert descriptors() == before + 1
    assert list(tmp_path.iterdir()) == []
    file.close()
    assert descriptors() == before


def test_children_do_not_inherit_files(tmp_path: Path) -> None:
    file = new_spool(tmp_path).create()
    file.write(BODY)
    assert not os.get_inheritable(file.rewind().fileno())
    file.close()


def test_a_body_that_was_not_sent_is_empty() -> None:
    file = new_spool().create()
    assert file.rewind().read() == b""
    file.close()


def test_the_system_s_directory_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    file = new_spool().create()
    file.write(BODY)
    assert Path(f"/proc/self/fd/{file.rewind().fileno()}").readlink().parent == tmp_path
    file.close()


# --- The limit ---


def test_the_limit_is_that_of_all_files_together(tmp_path: Path) -> None:
    spool = new_spool(tmp_path, limit_spool=100)
    one, two = spool.create(), spool.create()
    one.write(bytes(60))
    two.write(bytes(40))
    with pytest.raises(SpoolError, match=r"--limit-spool \(100 bytes\)"):
        one.write(b"x")
    assert spool.used == 100
    one.close()
    two.close()


def test_closing_gives_the_bytes_back_once(tmp_path: Path) -> None:
    spool = new_spool(tmp_path, limit_spool=100)
    one, two = spool.create(), spool.create()
    one.write(bytes(100))
    one.rewind()
    one.close()
    one.close()
    assert spool.used == 0
    two.write(bytes(100))
    two.close()
    assert spool.used == 0


def test_a_refused_write_is_not_counted(tmp_path: Path) -> None:
    spool = new_spool(tmp_path, limit_spool=100)
    one, two = spool.create(), spool.create()
    with pytest.raises(SpoolError):
        one.write(bytes(101))
    two.write(bytes(100))
    one.close()
    assert spool.used == 100
    two.close()


def test_no_limit(tmp_path: Path) -> None:
    spool = new_spool(tmp_path)
    file = spool.create()
    file.write(bytes(1 << 20))
    assert spool.used == 1 << 20
    file.close()


# --- Errors ---


def test_a_full_disk_is_a_spool_error(tmp_path: Path) -> None:
    """The kernel's limit on the size of files fails as a full disk does: a short write first, then an error."""
    spool = new_spool(tmp_path)
    file = spool.create()
    file.write(bytes(99_000))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(SpoolError, match=rf"cannot be written to {tmp_path} \(File too large\)\..* --spool-dir"):
            file.write(bytes(2_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert file.rewind().seek(0, os.SEEK_END) == 100_000  # The first part was written: this was the second write.
    file.close()
    assert spool.used == 0


def test_a_directory_that_is_not_there_is_a_spool_error(tmp_path: Path) -> None:
    spool = new_spool(tmp_path / "missing")
    file = spool.create()
    with pytest.raises(SpoolError, match="No such file or directory"):
        file.write(BODY)
    file.close()
    assert spool.used == 0


def test_a_system_without_a_directory_for_temporary_files_is_a_spool_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("tempfile._candidate_tempdir_list", lambda: ["/nowhere/at/all"])
    with pytest.raises(SpoolError, match="the directory for temporary files"):
        new_spool().create().write(BODY)


def test_a_write_after_close_is_a_spool_error_and_opens_nothing(tmp_path: Path) -> None:
    spool = new_spool(tmp_path)
    file = spool.create()
    file.close()
    before = descriptors()
    with pytest.raises(SpoolError, match="closed"):
        file.write(BODY)
    assert spool.used == 0
    assert descriptors() == before


# --- Threads ---


def test_an_application_that_reads_after_the_end_of_its_request_gets_an_error(tmp_path: Path) -> None:
    file = new_spool(tmp_path).create()
    file.write(BODY)
    body = file.rewind()
    closing = threading.Thread(target=file.close)
    closing.start()
    closing.join()
    with pytest.raises(ValueError, match="closed"):
        body.read()


def test_the_count_is_right_with_many_threads(tmp_path: Path) -> None:
    spool = new_spool(tmp_path, limit_spool=1 << 20)

    def upload() -> None:
        for _ in range(20):
            file = spool.create()
            for _ in range(5):
                file.write(bytes(100))
            file.rewind()
            file.close()

    threads = [threading.Thread(target=upload) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert spool.used == 0


def test_the_error_of_a_missing_descriptor_states_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    lowest = os.dup(0)
    os.close(lowest)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    file = new_spool().create()
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        with pytest.raises(SpoolError) as caught:
            file.write(b"body")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    file.close()
    assert str(caught.value) == (
        "A request body cannot be written to the directory for temporary files (Too many open files). "
        "Raise the limit of open files (ulimit -n), or set --limit-connections."
    )


def test_bodies_are_in_memory_within_a_limit_if_no_directory_can_be_written() -> None:
    spool = Spool("", 0, in_memory=True)
    assert spool.limit_spool == MEMORY_SPOOL_BYTES
    assert Spool("", 2 * MEMORY_SPOOL_BYTES, in_memory=True).limit_spool == MEMORY_SPOOL_BYTES
    spool = Spool("/missing", len(BODY), in_memory=True)
    file = spool.create()
    file.write(BODY)
    assert file.rewind().readlines() == [b"first line\n", b"second line\n", b"rest"]
    with pytest.raises(
        SpoolError, match=r"^The request bodies in memory have reached 27 bytes, .* with --spool-dir\.$"
    ):
        spool.create().write(b"x")
    file.close()
    assert spool.used == 0
