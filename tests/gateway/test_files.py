"""Files that an application hands over: paths, and objects with a descriptor."""

import io
import os
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from ianus.gateway.files import open_whole, part_of


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    return path


@pytest.mark.parametrize("kind", [str, os.fsencode, Path])
def test_absolute_path(file: Path, kind: type) -> None:
    fd, size = open_whole(kind(file))
    os.close(fd)
    assert size == 7


@pytest.mark.parametrize("kind", [str, os.fsencode, Path])
def test_relative_path(file: Path, monkeypatch: pytest.MonkeyPatch, kind: type) -> None:
    """The extension needs an absolute path; a relative one is relative to the server's directory."""
    monkeypatch.chdir(file.parent)
    with pytest.raises(ValueError, match="absolute path"):
        open_whole(kind(file.name))


@pytest.mark.parametrize(
    "what", [io.BytesIO(b"content"), MagicMock(), True, "1", b"1", 1.0, None], ids=lambda what: type(what).__name__
)
def test_object_without_a_descriptor(what: object) -> None:
    with pytest.raises(TypeError, match="descriptor"):
        part_of(what, 0, None)


def test_object_with_a_descriptor(file: Path) -> None:
    with file.open("rb") as opened:
        for what in (opened, opened.fileno(), opened.raw):
            fd, start, part = part_of(what, 2, None)
            os.close(fd)
            assert (start, part) == (2, 5)
