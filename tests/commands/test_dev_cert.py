"""`ianus dev-cert`: a self-signed certificate for development."""

import importlib.util
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
    assert result.exit_code == 3
    assert result.stderr == (
        "Error: ./dev-key.pem exists; name another directory with --dir, or replace it with --force. (ianus docs tls)\n"
    )
    assert (folder / "dev-key.pem").read_bytes() == before
    assert invoke("--force").exit_code == 0
    assert (folder / "dev-key.pem").read_bytes() != before


def test_a_missing_directory_is_named() -> None:
    result = invoke("--dir", "missing")
    assert (result.exit_code, result.stderr) == (
        3,
        "Error: missing/dev-key.pem cannot be written (No such file or directory). (ianus docs tls)\n",
    )


def test_without_cryptography_the_message_names_the_package_and_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    result = invoke()
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.startswith("Error: `ianus dev-cert` needs cryptography. Install it (pip install cryptography)")
    assert result.stderr.endswith(" (ianus docs tls)\n")


@for_each_row(
    ("days", "problem"),
    [
        ("0", "--days: 0 is out of range; it can be 1 to 825."),
        ("x", "--days: 'x' is not a whole number from 1 to 825."),
    ],
)
def test_an_invalid_time_is_refused(days: str, problem: str) -> None:
    result = invoke("--days", days)
    assert result.exit_code == 2
    assert result.stderr.endswith(f"Error: {problem} (ianus docs tls)\n")
