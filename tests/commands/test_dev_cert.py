"""`ianus dev-cert`: a self-signed certificate for development."""

import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography import x509

from ianus.commands import build_subcommand
from tests.rows import for_each_row


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def invoke(*line: str) -> Result:
    return CliRunner().invoke(build_subcommand("dev-cert"), line)


def names(folder: Path) -> list[str]:
    certificate = x509.load_pem_x509_certificate((folder / "dev-cert.pem").read_bytes())
    extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(each.value) for each in extension]


def test_it_is_for_this_machine_and_not_trusted(folder: Path) -> None:
    result = invoke()
    assert result.exit_code == 0
    assert names(folder) == ["localhost", "127.0.0.1", "::1"]
    assert "Clients do not trust it" in result.output
    assert "--ssl-certfile ./dev-cert.pem --ssl-keyfile ./dev-key.pem" in result.output
    assert stat.S_IMODE((folder / "dev-key.pem").stat().st_mode) == 0o600
    assert b"PRIVATE KEY" not in (folder / "dev-cert.pem").read_bytes()


def test_it_may_have_other_names(folder: Path) -> None:
    assert invoke("*.Example.test", "10.0.0.1", "--days", "1").exit_code == 0
    assert names(folder) == ["*.example.test", "10.0.0.1"]


@for_each_row("name", ["a b", "http://localhost", "a..b", "1.2.3", "x" * 64])
def test_an_invalid_name_is_refused(name: str) -> None:
    result = invoke(name)
    assert result.exit_code == 2
    assert "Traceback" not in result.output


def test_files_are_kept_unless_forced(folder: Path) -> None:
    assert invoke().exit_code == 0
    before = (folder / "dev-key.pem").read_bytes()
    result = invoke()
    assert result.exit_code == 1
    assert "dev-key.pem exists; name another directory with --dir, or replace it with --force." in result.output
    assert (folder / "dev-key.pem").read_bytes() == before
    assert invoke("--force").exit_code == 0
    assert (folder / "dev-key.pem").read_bytes() != before


def test_a_missing_directory_is_named() -> None:
    result = invoke("--dir", "missing")
    assert result.exit_code == 1
    assert "missing/dev-key.pem cannot be written (No such file or directory)." in result.output
