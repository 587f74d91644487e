"""The files of certificates as a server reads them, and the worker's TLS that is made of them."""

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from ianus.acceptor.tls import engines
from ianus.acceptor.tls.options import TlsOptionError
from ianus.errors import StartupError
from ianus.process.supervisor.certificate_changes import CertificateChanges
from ianus.process.tls_files import TICKET_SECRET_BYTES, TlsFiles, read_tls_files
from ianus.process.worker import tls
from ianus.process.worker.tls import open_tls
from ianus.settings.schema import Settings
from tests.acceptor.tls.files import load_pair, write_pair


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    write_pair(tmp_path / "cert.pem", tmp_path / "key.pem", not_after=4_000_000_000, not_before=0)
    return Settings(ssl_certfile=(f"{tmp_path}/cert.pem",), ssl_keyfile=(f"{tmp_path}/key.pem",))


def read(settings: Settings) -> TlsFiles:
    files = read_tls_files(settings)
    assert files is not None
    return files


def test_no_file_is_read_without_tls() -> None:
    assert read_tls_files(Settings()) is None
    assert open_tls(Settings(), None) is None


def test_a_server_has_one_secret_for_tickets(settings: Settings) -> None:
    one, other = read(settings), read(settings)
    assert len(one.ticket_secret) == TICKET_SECRET_BYTES
    assert one.ticket_secret != other.ticket_secret
    again = read_tls_files(settings, one.ticket_secret)
    assert again is not None
    assert again.ticket_secret == one.ticket_secret


def refusal(settings: Settings) -> str:
    with pytest.raises(StartupError) as caught:
        open_tls(settings, read_tls_files(settings))
    assert (caught.value.exit_code, caught.value.page) == (3, "tls")
    return caught.value.message


def test_a_missing_file(settings: Settings, tmp_path: Path) -> None:
    message = refusal(replace(settings, ssl_keyfile=(f"{tmp_path}/none.pem",)))
    assert message == (
        f"{tmp_path}/none.pem of --ssl-keyfile cannot be read: No such file or directory. Correct --ssl-keyfile."
    )


def test_a_file_that_must_not_be_read(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbid(*given: Any) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("ianus.acceptor.tls.pair_files.os.open", forbid)
    assert refusal(settings).endswith(
        "cannot be read: Permission denied. Let the user of the server read it, and its directories; or start the"
        " server as root, and the workers as another user (--user)."
    )


def test_a_directory_without_certificates(tmp_path: Path) -> None:
    assert refusal(Settings(ssl_cert_dir=str(tmp_path))).startswith(
        f"{tmp_path} of --ssl-cert-dir has no certificate. Put NAME.crt and NAME.key there, or"
    )


# --- The worker ---


class FakeEngine:
    """An engine without OpenSSL. options: those of its last factory."""

    name = "openssl"
    library = "OpenSSL 3.9"
    problem: TlsOptionError | None = None

    def load_pair(self, *given: Any) -> Any:
        return load_pair(*given)

    def create_factory(self, store: Any, options: Any) -> Any:
        if self.problem is not None:
            raise self.problem
        return store, options


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> FakeEngine:
    fake = FakeEngine()
    monkeypatch.setattr(engines, "choose_engine", lambda tls_engine: fake)
    return fake


def test_options_of_handshakes(settings: Settings, engine: FakeEngine) -> None:
    given = replace(
        settings, ssl_min_version="1.3", ssl_ciphers="HIGH", timeout_tls_handshake=3.0, tls_handshake_log=True
    )
    files = read(given)
    serving = open_tls(given, files)
    assert serving is not None
    store, options = cast("tuple[Any, Any]", serving.filters)
    assert store is serving.store
    assert serving.description == "TLS by OpenSSL 3.9"
    assert (options.min_version, options.ciphers, options.cert_reqs) == (0x0304, "HIGH", "none")
    assert (options.ticket_secret, options.alpn) == (files.ticket_secret, ("h2", "http/1.1"))
    assert (options.timeout_handshake, options.limit_handshakes, options.handshake_log) == (3.0, 1000, True)


@pytest.mark.parametrize(
    ("setting", "content"),
    [("ssl_ca_certs", "certificate"), ("ssl_crl", "list of revoked certificates")],
)
def test_files_about_clients(
    settings: Settings, engine: FakeEngine, tmp_path: Path, setting: str, content: str
) -> None:
    option = f"--{setting.replace('_', '-')}"
    given = replace(settings, ssl_cert_reqs="required", ssl_ca_certs=f"{tmp_path}/cert.pem")
    path = tmp_path / "other.pem"
    given = replace(given, **{setting: str(path)})  # type: ignore[arg-type]
    assert refusal(given).startswith(f"{path} of {option} cannot be read: No such file or directory. Correct the path")
    path.write_text("nothing")
    assert refusal(given) == f"{path} of {option} has no {content} in PEM form. Name a file that has one."


def test_an_option_that_openssl_does_not_accept(settings: Settings, engine: FakeEngine) -> None:
    engine.problem = TlsOptionError("ssl_ciphers", "no cipher match: X")
    assert refusal(settings) == "--ssl-ciphers is not accepted by OpenSSL: no cipher match: X. Correct it."


def test_no_engine(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    class Module:
        def __getattr__(self, name: str) -> Any:
            def find() -> None:
                raise RuntimeError(f"{name} has failed")

            return find

    monkeypatch.setattr("importlib.import_module", lambda name: Module())
    assert refusal(settings) == (
        "TLS is not available with this Python (openssl: find_openssl has failed; python: find_python has failed)."
        " Put a proxy in front."
    )
    assert "(python: find_python has failed)" in refusal(replace(settings, tls_engine="python"))


def test_the_versions_of_tls_are_those_of_the_setting() -> None:
    assert list(tls._VERSIONS) == ["1.2", "1.3"]


# --- Changes that the workers must not read ---


def change(settings: Settings, number: int) -> None:
    write_pair(Path(settings.ssl_certfile[0]), Path(settings.ssl_keyfile[0]), number)


def test_a_change_is_read_when_it_has_settled(settings: Settings) -> None:
    files = read(settings)
    changes = CertificateChanges()
    assert changes.find_changed(files, 100.0) is None
    change(settings, 22)
    assert changes.find_changed(files, 110.0) is None, "the other file may be about to change"
    assert changes.find_changed(files, 110.1) is None, "another worker asks at the same time"
    change(settings, 4444)
    assert changes.find_changed(files, 111.9) is None
    assert changes.find_changed(files, 113.0) is None
    found = changes.find_changed(files, 113.9)
    assert found is not None
    assert b"4444" in found.contents[0].key_pem
    assert found.ticket_secret == files.ticket_secret
    assert changes.find_changed(files, 130.0) is None, "it was returned, and its workers may have failed to start"
    assert changes.find_changed(found, 140.0) is None
    change(settings, 333)
    assert changes.find_changed(found, 150.0) is None
    assert changes.find_changed(found, 160.0) is not None


def test_a_change_that_is_taken_back_is_none(settings: Settings) -> None:
    files = read(settings)
    changes = CertificateChanges()
    key = Path(settings.ssl_keyfile[0])
    backup = key.rename(key.with_suffix(".bak"))
    assert changes.find_changed(files, 100.0) is None
    backup.rename(key)
    assert changes.find_changed(files, 110.0) is None
    assert changes.find_changed(files, 120.0) is None


def test_files_that_the_supervisor_cannot_read_are_reported_once(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    files = read(settings)
    changes = CertificateChanges()
    Path(settings.ssl_keyfile[0]).unlink()
    for number in range(4):
        assert changes.find_changed(files, 100.0 + 10 * number) is None
    (record,) = caplog.records
    assert record.message.startswith("certificates not reloaded, keeping the previous ones: ")
