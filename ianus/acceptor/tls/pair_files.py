"""The files of certificates and their keys: how they are found and read, and how a change is noticed.

Plain Python, since the supervisor reads the files too: it may be root, and the workers another user.
"""
# ruff: noqa: PTH118, PTH122, PTH123, PTH208  (pathlib takes 5 ms to import)

import os
import stat
from collections.abc import Callable, Iterator
from typing import NamedTuple

from ianus.safe_paths import Parent, UnsafePathError

# Far more than a chain or a key has.
MAX_FILE_BYTES = 1 << 20

# Device, inode, size and time of change: a file or a link that was replaced differs in one of them.
FileState = tuple[int, int, int, int]
Stat = Callable[[str], os.stat_result]

_CERTIFICATE_ENDINGS = (".crt", ".cer", ".cert", ".pem")


class PairFiles(NamedTuple):
    """The files of a certificate. key: the same path as `certificate` if that file has both. setting: their option."""

    certificate: str
    key: str
    setting: str

    def __str__(self) -> str:
        return self.certificate if self.key == self.certificate else f"{self.certificate} and {self.key}"


class PairContent(NamedTuple):
    """The content of a pair of files. states: of the files that were read. is_key_public: all users may read the key"""

    files: PairFiles
    certificates_pem: bytes
    key_pem: bytes
    states: tuple[FileState, FileState]
    is_key_public: bool


class PairFileError(Exception):
    """A file or directory cannot be read. problem: the system's, or a phrase. is_forbidden: another user may."""

    def __init__(self, path: str, setting: str, problem: str, *, is_forbidden: bool = False) -> None:
        super().__init__(f"{path} of {setting} cannot be read: {problem}.")
        self.path = path
        self.setting = setting
        self.problem = problem
        self.is_forbidden = is_forbidden


class PairSources(NamedTuple):
    """The configured files. keys: one for each certificate, or none. directory: "" for none."""

    certificates: tuple[str, ...]
    keys: tuple[str, ...]
    directory: str

    def find(self) -> list[PairFiles]:
        """Returns the files of all pairs, those of the directory in the order of their names. Raises PairFileError."""
        keys = self.keys or self.certificates
        found = [
            PairFiles(certificate, key, "--ssl-certfile")
            for certificate, key in zip(self.certificates, keys, strict=True)
        ]
        if self.directory:
            found += _find_in_directory(self.directory)
        return found


class PairReader(NamedTuple):
    """The user that gets the content of files which root reads. groups: all groups of the user."""

    uid: int
    groups: tuple[int, ...]


def read_pairs(sources: PairSources, reader: PairReader | None = None) -> tuple[PairContent, ...]:
    """Reads all files. reader: as of read_pair(). Raises PairFileError."""
    return tuple(read_pair(files, reader) for files in sources.find())


def read_pair(files: PairFiles, reader: PairReader | None = None) -> PairContent:
    """Reads a pair of files. Raises PairFileError.

    reader: gets the content. A file that the reader must not read itself counts only if no other user can choose it.
    """
    certificates_pem, certificate = _read(files.certificate, files.setting, reader)
    if files.key == files.certificate:
        key_pem, key = certificates_pem, certificate
    else:
        setting = "--ssl-keyfile" if files.setting == "--ssl-certfile" else files.setting
        key_pem, key = _read(files.key, setting, reader)
    states = file_state(certificate), file_state(key)
    return PairContent(files, certificates_pem, key_pem, states, bool(key.st_mode & stat.S_IROTH))


def pair_states(files: PairFiles, stat: Stat = os.stat) -> tuple[FileState, FileState]:
    """Returns the present states of both files. Raises OSError."""
    certificate = file_state(stat(files.certificate))
    return certificate, certificate if files.key == files.certificate else file_state(stat(files.key))


def file_state(status: os.stat_result) -> FileState:
    """Returns the state of a file, which differs after a change."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _read(path: str, setting: str, reader: PairReader | None) -> tuple[bytes, os.stat_result]:
    content, status = _read_any(path, setting)
    if reader is None or _may_read(status, reader):
        return content, status
    try:
        # A link in a folder of the reader could lead to another key of root.
        with Parent(path, follow=True, groups=reader.groups) as parent:
            return parent.read(MAX_FILE_BYTES)
    except OSError as error:
        fix = f". {error.fix}" if isinstance(error, UnsafePathError) else ""
        raise PairFileError(path, setting, f"{error.strerror}{fix}") from None


def _may_read(status: os.stat_result, reader: PairReader) -> bool:
    if status.st_uid == reader.uid:
        return bool(status.st_mode & stat.S_IRUSR)
    return bool(status.st_mode & (stat.S_IRGRP if status.st_gid in reader.groups else stat.S_IROTH))


def _read_any(path: str, setting: str) -> tuple[bytes, os.stat_result]:
    try:
        # The open of a FIFO would wait for its writer.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(fd, "rb") as file:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                raise PairFileError(path, setting, "it is not a regular file")
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        problem = error.strerror or str(error)
        raise PairFileError(path, setting, problem, is_forbidden=isinstance(error, PermissionError)) from None
    except ValueError:  # a NUL in the path
        raise PairFileError(path, setting, "no file can have this name") from None
    if len(content) > MAX_FILE_BYTES:
        raise PairFileError(path, setting, "it is larger than 1 MiB")
    return content, status


def _find_in_directory(directory: str) -> list[PairFiles]:
    """Returns the pairs of a directory and of its subdirectories. Raises PairFileError."""
    try:
        with os.scandir(directory) as entries:
            found_entries = sorted(entries, key=lambda entry: entry.name)
        found = list(_pairs_of(directory, [entry.name for entry in found_entries]))
        for entry in found_entries:
            # Kubernetes keeps the versions of a secret in hidden directories, to which the visible names are links.
            if not entry.name.startswith(".") and entry.is_dir():
                found += _pairs_of(entry.path, sorted(os.listdir(entry.path)))
    except OSError as error:
        problem = error.strerror or str(error)
        is_forbidden = isinstance(error, PermissionError)
        raise PairFileError(error.filename or directory, "--ssl-cert-dir", problem, is_forbidden=is_forbidden) from None
    return found


def _pairs_of(directory: str, names: list[str]) -> Iterator[PairFiles]:
    """Yields the pairs in a directory. Files that are a part of another pair are none of their own."""
    known = set(names)
    if "fullchain.pem" in known and "privkey.pem" in known:
        # certbot keeps the parts of the chain beside it.
        yield _pair(directory, "fullchain.pem", "privkey.pem")
        return
    if "tls.crt" in known and "tls.key" in known:
        # cert-manager adds the certificate of the authority to a secret of Kubernetes.
        names = [name for name in names if name != "ca.crt"]
    keys = {key for name in names if (key := _key_of(name, known)) != name}
    for name in names:
        if name.endswith(_CERTIFICATE_ENDINGS) and not name.startswith(".") and name not in keys:
            yield _pair(directory, name, _key_of(name, known))


def _pair(directory: str, certificate: str, key: str) -> PairFiles:
    return PairFiles(os.path.join(directory, certificate), os.path.join(directory, key), "--ssl-cert-dir")


def _key_of(name: str, known: set[str]) -> str:
    """Returns the name of the key of a certificate, by the conventions of other programs; its own if it has both."""
    if not name.endswith(_CERTIFICATE_ENDINGS):
        return name
    stem, ending = os.path.splitext(name)
    candidates = [f"{stem}.key", f"{stem}-key{ending}"]
    if stem == "cert" or stem.endswith(("-cert", "_cert")):  # `ianus dev-cert` makes dev-cert.pem and dev-key.pem.
        candidates.append(f"{stem.removesuffix('cert')}key{ending}")
    return next((each for each in candidates if each in known), name)
