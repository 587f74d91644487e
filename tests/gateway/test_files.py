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


def open_descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


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


@pytest.mark.parametrize("path", [None, 1, object()], ids=lambda path: type(path).__name__)
def test_a_path_is_a_string(path: object) -> None:
    with pytest.raises(TypeError, match=r"^the path of a file is a string, not "):
        open_whole(path)


def test_a_path_of_a_directory_is_refused(tmp_path: Path) -> None:
    before = open_descriptors()
    with pytest.raises(ValueError, match="is not a regular file"):
        open_whole(tmp_path)
    assert open_descriptors() == before


@pytest.mark.parametrize(
    ("offset", "count", "error", "text"),
    [
        ("1", None, TypeError, "offset is an int, not str"),
        (True, None, TypeError, "offset is an int, not bool"),
        (0, 1.0, TypeError, "count is an int, not float"),
        (-1, None, ValueError, "offset -1 is negative"),
        (0, -1, ValueError, "count -1 is negative"),
        (2**63, None, ValueError, f"offset {2**63} is beyond every file"),
    ],
)
def test_a_part_that_is_not_in_a_file(
    file: Path, offset: object, count: object, error: type[Exception], text: str
) -> None:
    with file.open("rb") as opened, pytest.raises(error) as raised:
        part_of(opened, offset, count)
    assert str(raised.value) == text


class Positioned:
    """A file with methods of its own for its position."""

    def __init__(self, fd: int, position: int) -> None:
        self.fd, self.position = fd, position

    def fileno(self) -> int:
        return self.fd

    def tell(self) -> int:
        return self.position

    def seek(self, position: int) -> None:
        raise OSError("it cannot be moved")


def test_a_position_that_is_in_no_file(file: Path) -> None:
    with file.open("rb") as opened, pytest.raises(ValueError, match=r"^position -1 is in no file$"):
        part_of(Positioned(opened.fileno(), -1), None, None)


def test_a_file_that_cannot_be_moved_leaves_no_descriptor(file: Path) -> None:
    with file.open("rb") as opened:
        before = open_descriptors()
        with pytest.raises(OSError, match="it cannot be moved"):
            part_of(Positioned(opened.fileno(), 0), None, None)
        assert open_descriptors() == before


def test_the_position_advances_only_if_it_was_used(file: Path) -> None:
    with file.open("rb") as opened:
        for offset, count, start, size, position in ((2, 3, 2, 3, 0), (None, 3, 0, 3, 3), (None, None, 3, 4, 7)):
            fd, first, left = part_of(opened, offset, count)
            os.close(fd)
            assert (first, left, opened.tell()) == (start, size, position)
    fd = os.open(file, os.O_RDONLY)
    os.close(part_of(fd, None, 3)[0])
    assert os.lseek(fd, 0, os.SEEK_CUR) == 3
    os.close(fd)


@pytest.mark.parametrize(("offset", "count", "size"), [(5, 10, 2), (7, None, 0), (100, None, 0), (0, 0, 0)])
def test_a_part_ends_with_its_file(file: Path, offset: int, count: int | None, size: int) -> None:
    with file.open("rb") as opened:
        fd, start, left = part_of(opened, offset, count)
        os.close(fd)
        assert (start, left) == (offset, size)
