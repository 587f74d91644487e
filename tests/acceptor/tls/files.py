"""Files of certificates for unit tests, and an engine that reads their facts from the text of a fake certificate."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ianus.acceptor.tls.certificates import CertificateStore
from ianus.acceptor.tls.pair import (
    KEY_MISMATCH,
    NOT_PEM,
    PASSWORD_MISSING,
    PASSWORD_WRONG,
    CertificateError,
    LoadedPair,
)
from ianus.acceptor.tls.pair_files import PairSources, read_pairs

NOW = 1_800_000_000.0  # 2027-01-15
DAY = 86400.0

FACTS: dict[str, Any] = {
    "names": ["example.com"],
    "has_san": True,
    "not_before": NOW - DAY,
    "not_after": NOW + DAY,
    "key_type": "EC",
    "key_bits": 256,
    "subject": "CN=example.com",
    "issuer": "CN=authority",
    "is_self_signed": False,
    "chain_is_complete": True,
}


def write_pair(certificate: Path, key: Path, number: int = 1, *, password: str = "", **facts: Any) -> None:
    """Writes a certificate and its key. number: both files of a pair have the same one."""
    content = {"number": number, **FACTS, **facts}
    certificate.write_text(f"-----BEGIN CERTIFICATE-----\n{json.dumps(content)}\n-----END CERTIFICATE-----\n")
    key.write_text(f"-----BEGIN PRIVATE KEY-----\n{number} {password}\n-----END PRIVATE KEY-----\n")
    key.chmod(0o600)


def load_pair(certificates_pem: bytes, key_pem: bytes, password: bytes | None) -> LoadedPair:
    """Loads a pair as an engine does."""
    if b"BEGIN CERTIFICATE" not in certificates_pem or b"BEGIN PRIVATE KEY" not in key_pem:
        raise CertificateError(NOT_PEM)
    facts = json.loads(certificates_pem.splitlines()[1])
    number, _, secret = key_pem.splitlines()[1].decode().partition(" ")
    if secret and password is None:
        raise CertificateError(PASSWORD_MISSING)
    if secret and password != secret.encode():
        raise CertificateError(PASSWORD_WRONG)
    if int(number) != facts.pop("number"):
        raise CertificateError(KEY_MISMATCH)
    if problem := facts.pop("problem", ""):
        raise CertificateError(problem)
    facts.pop("comment", "")
    facts["names"] = tuple(facts["names"])
    return LoadedPair(**facts, pem=certificates_pem.decode(), handle=None)


class Clock:
    """A clock that tests move. posix, monotonic: its two times."""

    def __init__(self) -> None:
        self.posix = NOW
        self.monotonic = 1000.0

    def pass_time(self, seconds: float) -> None:
        self.posix += seconds
        self.monotonic += seconds


class CountingStat:
    """os.stat, with the paths for which it was called."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    def __call__(self, path: str) -> os.stat_result:
        self.paths.append(path)
        return Path(path).stat()


def open_store(
    *pairs: tuple[Path, Path],
    directory: Path | None = None,
    clock: Clock | None = None,
    load: Callable[[bytes, bytes, bytes | None], LoadedPair] = load_pair,
    **options: Any,
) -> CertificateStore:
    """Reads the files and returns their store."""
    sources = PairSources(
        tuple(str(certificate) for certificate, _ in pairs),
        tuple(str(key) for _, key in pairs),
        str(directory) if directory is not None else "",
    )
    clock = clock or Clock()
    return CertificateStore(sources, read_pairs(sources), load, clock=lambda: clock.posix, **options)
