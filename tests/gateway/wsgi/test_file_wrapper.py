"""wsgi.file_wrapper: sendfile for exactly the objects for which it sends the same bytes as iteration."""

import gzip
import io
import os
import stat
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from django.core.files import File
from werkzeug.test import EnvironBuilder
from werkzeug.utils import send_file

from ianus.gateway.wsgi.file_wrapper import FileWrapper, file_part

CONTENT = bytes(range(256)) * 100


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "content"
    path.write_bytes(CONTENT)
    return path


def sent(filelike: Any) -> bytes:
    """Returns the bytes that sendfile sends of a file, and closes the descriptor as the server does."""
    part = file_part(FileWrapper(filelike))
    assert part is not None, "would be read"
    fd, offset, count = part
    try:
        return os.pread(fd, count, offset)
    finally:
        os.close(fd)


# --- Iterating ---


def test_a_file_is_iterated_in_blocks() -> None:
    assert list(FileWrapper(io.BytesIO(CONTENT), 10_000)) == [
        CONTENT[:10_000],
        CONTENT[10_000:20_000],
        CONTENT[20_000:],
    ]


def test_blocks_are_8_kib_by_default() -> None:
    assert len(next(FileWrapper(io.BytesIO(CONTENT)))) == 8192


def test_iteration_starts_at_the_position_of_the_file() -> None:
    file = io.BytesIO(CONTENT)
    file.seek(25_000)
    assert b"".join(FileWrapper(file)) == CONTENT[25_000:]


def test_an_object_that_only_has_read_is_enough() -> None:
    class Once:
        blocks = iter([b"one", b"two", b""])

        def read(self, size: int) -> bytes:
            return next(self.blocks)

    wrapper = FileWrapper(Once())
    assert file_part(wrapper) is None
    assert not wrapper.seekable()
    assert list(wrapper) == [b"one", b"two"]
    wrapper.close()


def test_closing_closes_the_file() -> None:
    file = io.BytesIO(CONTENT)
    FileWrapper(file).close()
    assert file.closed


def test_a_close_method_that_was_replaced_later_is_called(path: Path) -> None:
    """Django puts the response's close() in the place of the file's."""
    called = []
    with path.open("rb") as file:
        wrapper = FileWrapper(file)
        file.close = lambda: called.append(True)  # type: ignore[method-assign]
        wrapper.close()
        assert called == [True]
        assert sent(file) == CONTENT
        del file.close


def test_werkzeug_does_not_read_up_to_a_range() -> None:
    class Counting(io.BytesIO):
        read_so_far = 0

        def read(self, size: int | None = -1) -> bytes:
            block = super().read(size)
            self.read_so_far += len(block)
            return block

    file = Counting(CONTENT)
    environ = EnvironBuilder(headers=[("Range", "bytes=20000-20099")]).get_environ()
    environ["wsgi.file_wrapper"] = FileWrapper
    response = send_file(file, environ, mimetype="text/plain", conditional=True)
    assert response.status_code == 206
    response.direct_passthrough = False
    assert response.data == CONTENT[20000:20100]
    assert file.read_so_far <= 8192


def test_a_wrapper_can_be_positioned_if_its_file_can(path: Path) -> None:
    with path.open("rb") as file:
        wrapper = FileWrapper(file)
        assert wrapper.seekable()
        assert wrapper.seek(25_000) == wrapper.tell() == 25_000
        assert b"".join(wrapper) == CONTENT[25_000:]


# --- Files that are sent by the kernel ---


@pytest.mark.parametrize("buffering", [0, -1])
@pytest.mark.parametrize("mode", ["rb", "r+b"])
def test_python_s_binary_files_are_sent(path: Path, mode: str, buffering: int) -> None:
    with open(path, mode, buffering=buffering) as file:  # noqa: PTH123  the test is about its type
        assert sent(file) == CONTENT


def test_of_a_partly_read_file_the_rest_is_sent(path: Path) -> None:
    """The descriptor of a buffered file is further on than the file."""
    with path.open("rb") as file:
        file.read(10)
        assert os.lseek(file.fileno(), 0, os.SEEK_CUR) > 10
        assert sent(file) == CONTENT[10:]


def test_the_position_is_then_that_after_iteration(path: Path) -> None:
    with path.open("rb") as file:
        assert sent(file) == CONTENT
        assert file.tell() == len(CONTENT)
        assert list(FileWrapper(file)) == []


def test_buffered_writes_are_sent(tmp_path: Path) -> None:
    with (tmp_path / "new").open("w+b") as file:
        file.write(b"a few bytes")
        file.seek(2)
        assert sent(file) == b"few bytes"
        file.seek(0)
        file.write(b"A FEW")
        assert sent(file) == b" bytes"


def test_temporary_files_are_sent() -> None:
    with tempfile.TemporaryFile() as unnamed, tempfile.NamedTemporaryFile() as named:
        for file in (unnamed, named):
            file.write(CONTENT)
            file.seek(5)
        assert sent(unnamed) == sent(named) == CONTENT[5:]


def test_django_s_files_are_sent(path: Path) -> None:
    with path.open("rb") as file, tempfile.NamedTemporaryFile() as temporary:
        temporary.write(CONTENT)
        temporary.seek(0)
        assert sent(File(file)) == CONTENT
        assert sent(File(temporary)) == CONTENT
        file.seek(0)
        assert sent(File(File(file))) == CONTENT


def test_the_descriptor_is_one_of_its_own(path: Path) -> None:
    with path.open("rb") as file:
        part = file_part(FileWrapper(file))
        assert part is not None
        fd = part[0]
        assert fd != file.fileno()
        assert not os.get_inheritable(fd)
    assert stat.S_ISREG(os.fstat(fd).st_mode), "it was closed with the application's"
    os.close(fd)


# --- Files that have to be read ---


class Shouting(io.FileIO):
    """A subclass of a file that reads something else."""

    def readinto(self, buffer: Any) -> int:
        size = super().readinto(buffer)
        buffer[:size] = bytes(buffer[:size]).upper()
        return size


class Decrypting:
    """A proxy that has a file, and a read() of its own."""

    def __init__(self, file: io.BufferedReader) -> None:
        self.file = file
        self.fileno = file.fileno

    def read(self, size: int = -1) -> bytes:
        return bytes(255 - byte for byte in self.file.read(size))


class Lines:
    """Something whose read() is a file's, but not its read()."""

    def __init__(self, file: io.BufferedReader) -> None:
        self.read = file.readline


def unsuitable(path: Path) -> Iterator[Any]:
    compressed = path.with_suffix(".gz")
    compressed.write_bytes(gzip.compress(CONTENT))
    with zipfile.ZipFile(path.with_suffix(".zip"), "w") as archive:
        archive.write(path, "content")
    with ExitStack() as stack:
        yield stack.enter_context(gzip.open(compressed))
        yield stack.enter_context(io.BufferedReader(stack.enter_context(gzip.open(compressed))))
        yield stack.enter_context(stack.enter_context(zipfile.ZipFile(path.with_suffix(".zip"))).open("content"))
        yield stack.enter_context(path.open(encoding="latin-1"))
        yield io.BytesIO(CONTENT)
        yield stack.enter_context(Shouting(path))
        yield stack.enter_context(io.BufferedReader(Shouting(path)))
        yield Decrypting(stack.enter_context(path.open("rb")))
        yield Lines(stack.enter_context(path.open("rb")))
        spooled = stack.enter_context(tempfile.SpooledTemporaryFile())
        spooled.write(CONTENT)
        text = stack.enter_context(tempfile.NamedTemporaryFile("w+"))
        text.write("text")
        for file in (spooled, text):
            file.seek(0)
            yield file


def test_objects_whose_read_is_not_the_file_s_are_read(path: Path) -> None:
    for file in unsuitable(path):
        wrapper = FileWrapper(file)
        assert file_part(wrapper) is None, file
        assert next(wrapper), "its position has moved"


def test_a_file_with_a_read_of_its_own_is_read(path: Path) -> None:
    with path.open("rb") as file:
        file.read = lambda size=-1: b""  # type: ignore[method-assign]
        assert file_part(FileWrapper(file)) is None


@pytest.mark.parametrize("name", ["/proc/self/status", "/sys/kernel/mm/transparent_hugepage/enabled"])
def test_files_of_the_kernel_are_read(name: str) -> None:
    """Their size is reported as 0, or as one page."""
    if not os.path.exists(name):  # noqa: PTH110
        pytest.skip(f"no {name} here")
    with open(name, "rb") as file:  # noqa: PTH123
        wrapper = FileWrapper(file)
        assert file_part(wrapper) is None
        assert b"".join(wrapper)


def test_pipes_are_read() -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as pipe, os.fdopen(writer, "wb"):
        assert file_part(FileWrapper(pipe)) is None


def test_of_a_file_at_its_end_nothing_is_sent(path: Path) -> None:
    with path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        assert file_part(FileWrapper(file)) is None
        file.seek(10, os.SEEK_END)
        assert file_part(FileWrapper(file)) is None


def test_an_object_that_is_not_a_file_fails_when_it_is_read() -> None:
    wrapper = FileWrapper([b"block"])
    assert file_part(wrapper) is None
    with pytest.raises(AttributeError, match="read"):
        next(wrapper)


def test_a_file_that_cannot_be_read_fails_when_it_is_read(path: Path) -> None:
    with path.open("ab", buffering=0) as file:
        file.seek(0)
        wrapper = FileWrapper(file)
        assert file_part(wrapper) is None
        with pytest.raises(io.UnsupportedOperation):
            next(wrapper)
    with path.open("rb") as file:
        wrapper = FileWrapper(file)
    assert file_part(wrapper) is None
    with pytest.raises(ValueError, match="closed"):
        next(wrapper)


def test_nothing_is_left_open_where_nothing_is_sent(path: Path) -> None:
    with path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        following = os.dup(0)
        os.close(following)
        assert file_part(FileWrapper(file)) is None
        assert os.dup(0) == following
        os.close(following)
