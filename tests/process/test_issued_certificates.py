"""The certificates that the server makes itself before a start."""

import importlib.util
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ianus.errors import StartupError
from ianus.issuing.self_signed import DEV_NAME, make_self_signed, validity_of
from ianus.process.issued_certificates import challenge_of, with_issued_certificates
from ianus.process.tls_files import read_tls_files
from ianus.settings.schema import Settings


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("XDG_CACHE_HOME", "XDG_STATE_HOME", "STATE_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def automatic(*names: str, **more: object) -> Settings:
    return Settings.from_values({"tls_auto": list(names), "insecure_bind": ":8080", **more})


def test_other_settings_stay_as_they_are() -> None:
    settings = Settings()
    assert with_issued_certificates(settings, forks=False) is settings


@pytest.mark.parametrize("forks", [False, True])
def test_the_certificate_for_development_is_kept(home: Path, forks: bool) -> None:
    settings = with_issued_certificates(Settings(tls_dev=True), forks=forks)
    path = home / ".cache/ianus/dev-cert/dev-cert.pem"
    assert settings.ssl_certfile == settings.ssl_keyfile == (str(path),)
    pem = path.read_bytes()
    # Browsers keep their exceptions for it.
    with_issued_certificates(Settings(tls_dev=True), forks=forks)
    assert path.read_bytes() == pem
    path.write_bytes(make_self_signed(["localhost"], 6, DEV_NAME, time.time()))
    with_issued_certificates(Settings(tls_dev=True), forks=forks)
    assert validity_of(path.read_bytes())[1] > time.time() + 80 * 86400
    path.write_bytes(b"damaged")
    with_issued_certificates(Settings(tls_dev=True), forks=forks)
    assert validity_of(path.read_bytes())[1] > time.time() + 80 * 86400


def test_a_certificate_of_the_operator_is_not_replaced() -> None:
    with pytest.raises(StartupError, match="--tls-dev is given together with another certificate") as caught:
        with_issued_certificates(Settings(tls_dev=True, ssl_certfile=("cert.pem",)), forks=False)
    assert caught.value.page == "tls"


def test_a_failure_in_the_other_process_is_reported(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_issued_certificates(Settings(tls_dev=True), forks=False)

    def fail() -> float:
        raise OSError("no clock")

    monkeypatch.setattr(time, "time", fail)
    with pytest.raises(StartupError, match="No certificate can be made: OSError: no clock"):
        with_issued_certificates(Settings(tls_dev=True), forks=True)


def test_automatic_certificates_exist_before_the_start(home: Path) -> None:
    settings = with_issued_certificates(automatic("a.example.org,b.example.org"), forks=True)
    folder = home / ".local/state/ianus/acme-v02.api.letsencrypt.org-directory"
    assert settings.ssl_certfile == settings.ssl_keyfile
    assert settings.ssl_certfile == (str(folder / "a.example.org.pem"), str(folder / "b.example.org.pem"))
    assert all(Path(each).read_bytes().count(b"-----BEGIN ") == 2 for each in settings.ssl_certfile)
    assert len(settings.acme_thumbprint) == 43
    again = with_issued_certificates(automatic("a.example.org,b.example.org"), forks=True)
    assert again == settings


def test_they_may_be_beside_others(tmp_path: Path) -> None:
    given = automatic("a.example.org", ssl_certfile="c.pem", ssl_keyfile="k.pem", tls_auto_dir=str(tmp_path / "d"))
    settings = with_issued_certificates(given, forks=False)
    assert settings.ssl_certfile[0] == "c.pem"
    assert settings.ssl_keyfile[0] == "k.pem"
    assert settings.ssl_certfile[1] == settings.ssl_keyfile[1]


def test_the_folder_of_systemd_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    monkeypatch.setenv("STATE_DIRECTORY", f"{tmp_path}/state:/other")
    settings = with_issued_certificates(automatic("a.example.org"), forks=False)
    assert settings.ssl_certfile[0].startswith(f"{tmp_path}/state/")


def test_missing_libraries_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(StartupError, match=r"--tls-auto needs acme and josepy\. Install it \(pip install acme\)"):
        with_issued_certificates(automatic("a.example.org"), forks=False)
    with pytest.raises(StartupError, match=r"--tls-dev needs cryptography\. Install it \(pip install cryptography\)"):
        with_issued_certificates(Settings(tls_dev=True), forks=False)


def test_an_authority_that_requests_a_path_needs_an_address_without_tls() -> None:
    with pytest.raises(StartupError, match=r"--tls-auto-challenge http-01 needs .* Add --insecure-bind :80, or"):
        with_issued_certificates(Settings(tls_auto=("a.example.org",), tls_auto_challenge="http-01"), forks=False)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, "tls-alpn-01"),
        ({"insecure_bind": ":80"}, "http-01"),
        ({"insecure_bind": ":80", "tls_auto_challenge": "tls-alpn-01"}, "tls-alpn-01"),
        ({"insecure_bind": ":80", "tls_auto_challenge": "http-01"}, "http-01"),
    ],
)
def test_the_challenge_is_that_of_the_addresses(tmp_path: Path, more: dict[str, str], expected: str) -> None:
    settings = Settings.from_values({"tls_auto": "a.example.org", "tls_auto_dir": str(tmp_path / "d"), **more})
    assert challenge_of(settings) == expected
    files = read_tls_files(with_issued_certificates(settings, forks=False))
    assert files is not None
    assert (files.challenges is not None) == (expected == "tls-alpn-01")


def test_settings_without_automatic_certificates_have_no_challenge() -> None:
    assert challenge_of(Settings()) == ""


@pytest.mark.slow
def test_the_supervisor_loads_no_library(home: Path) -> None:
    program = """
import sys
from ianus.process.issued_certificates import with_issued_certificates
from ianus.settings.schema import Settings
with_issued_certificates(Settings.from_values({"tls_auto": "a.example.org", "insecure_bind": ":80"}), forks=True)
with_issued_certificates(Settings(tls_dev=True), forks=True)
print(sorted({name.partition(".")[0] for name in sys.modules} & {"acme", "cryptography", "josepy", "requests"}))
"""
    completed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert completed.stdout == "[]\n"
