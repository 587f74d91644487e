"""Authorities of clients and lists of revoked certificates, whose files change while connections are served."""

import os
import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ianus.acceptor.tls.client_authorities import ClientAuthorities, check_authority_files
from ianus.acceptor.tls.options import TlsOptionError, TlsOptions
from ianus.errors import StartupError
from tests.acceptor.serving import nothing_left
from tests.acceptor.tls.client import TlsClient, client_context
from tests.acceptor.tls.serving import TlsServing, load
from tests.certificates import Authority, Certificate, localhost

pytestmark = pytest.mark.slow

CA = "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n"
CRL = "-----BEGIN X509 CRL-----\n{}\n-----END X509 CRL-----\n"


class Loader:
    """An engine that notes how often it loads. problem: raised the next time."""

    def __init__(self) -> None:
        self.loads = 0
        self.problem: Exception | None = None

    def __call__(self) -> None:
        if self.problem is not None:
            raise self.problem
        self.loads += 1


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    found = tmp_path / "ca.pem", tmp_path / "crl.pem"
    found[0].write_text(CA.format("one"))
    found[1].write_text(CRL.format("one"))
    return found


def watch(ca_certs: Path, crl: Path | str = "", **options: Any) -> ClientAuthorities:
    return ClientAuthorities(TlsOptions(ticket_secret=b"", ca_certs=str(ca_certs), crl=str(crl), **options))


@pytest.mark.parametrize("changed", [0, 1], ids=["authorities", "revoked"])
def test_a_changed_file_is_loaded_once(
    files: tuple[Path, Path], changed: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    authorities, load = watch(*files), Loader()
    authorities.refresh(load)
    assert load.loads == 0
    files[changed].write_text((CA, CRL)[changed].format("another"))
    for _ in range(3):
        authorities.refresh(load)
    assert load.loads == 1
    assert [record.message for record in caplog.records] == [
        f"authorities of clients loaded: {files[0]} and {files[1]}",
    ]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "cannot be read: No such file or directory. Correct the path, or let the user of the workers read"),
        ("nothing", "has no certificate in PEM form. Name a file that has one."),
    ],
)
def test_a_broken_file_is_reported_once_if_it_stays(
    files: tuple[Path, Path], content: str | None, problem: str, caplog: pytest.LogCaptureFixture
) -> None:
    authorities, load = watch(*files), Loader()
    files[0].unlink()
    if content is not None:
        files[0].write_text(content)
    authorities.refresh(load)
    assert not caplog.records, "it may be written at this time"
    for _ in range(3):
        authorities.refresh(load)
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert record.message.startswith(
        f"authorities of clients not reloaded, keeping the previous ones: {files[0]} of --ssl-ca-certs {problem}"
    )
    assert load.loads == 0
    files[0].write_text(CA.format("a good one"))
    authorities.refresh(load)
    assert load.loads == 1


def test_a_fifo_is_refused_without_waiting_for_its_writer(files: tuple[Path, Path], tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with pytest.raises(StartupError, match="fifo of --ssl-crl is not a regular file"):
        check_authority_files(str(files[0]), str(fifo))


def test_a_file_that_is_being_written_is_not_reported(
    files: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    authorities, load = watch(*files), Loader()
    for content in ("", "-", "--", CA.format("complete")):
        files[0].write_text(content)
        authorities.refresh(load)
    assert load.loads == 1
    assert not caplog.records


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (TlsOptionError("ssl_crl", "no list"), "--ssl-crl is not accepted by OpenSSL: no list. Correct it."),
        (ValueError("of the library"), "ValueError: of the library."),
    ],
)
def test_content_that_the_library_does_not_take(
    files: tuple[Path, Path], error: Exception, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    authorities, load = watch(*files), Loader()
    load.problem = error
    files[1].write_text(CRL.format("another"))
    for _ in range(3):
        authorities.refresh(load)
    assert [record.message for record in caplog.records] == [
        f"authorities of clients not reloaded, keeping the previous ones: {text}"
    ]


def test_the_previous_file_again(files: tuple[Path, Path], caplog: pytest.LogCaptureFixture) -> None:
    """After that, the same problem is a new one."""
    authorities, load = watch(*files), Loader()
    aside = files[0].with_name("aside")
    for _ in range(2):
        files[0].rename(aside)
        for _ in range(2):
            authorities.refresh(load)
        aside.rename(files[0])
        authorities.refresh(load)
    assert load.loads == 0
    assert len(caplog.records) == 2


def test_other_workers_do_not_log(files: tuple[Path, Path], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    authorities, load = watch(*files, is_reporting=False), Loader()
    files[0].write_text(CA.format("another"))
    authorities.refresh(load)
    assert load.loads == 1
    files[0].write_text("")
    for _ in range(3):
        authorities.refresh(load)
    assert not caplog.records


def test_a_folder_of_authorities(tmp_path: Path) -> None:
    """A file in it is added, overwritten and removed; a link that leads nowhere changes nothing."""
    (tmp_path / "dangling").symlink_to("nothing")
    authorities, load = watch(tmp_path), Loader()
    authorities.refresh(load)
    assert load.loads == 0
    file = tmp_path / "00000000.0"
    changes: list[Callable[[], object]] = [
        lambda: file.write_text("one"),
        lambda: file.write_text("longer"),
        file.unlink,
    ]
    for count, change in enumerate(changes, start=1):
        change()
        for _ in range(2):
            authorities.refresh(load)
        assert load.loads == count


# --- With both engines ---


class Clients:
    """Two authorities, and a client of each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authorities = Authority("One"), Authority("Other")
        self.certificates = [authority.issue(for_client=True) for authority in self.authorities]
        self.ca_certs, self.crl = folder / "ca.pem", folder / "crl.pem"
        self.trust(0)

    def trust(self, number: int, *revoked: Certificate) -> None:
        """Writes the files of one authority."""
        self.ca_certs.write_bytes(self.authorities[number].pem)
        self.crl.write_bytes(self.authorities[number].revocation_list(*revoked))

    def connect(self, serving: TlsServing, number: int) -> TlsClient:
        context = client_context()
        context.load_cert_chain(*self.certificates[number].write(self.folder, f"client{number}"))
        client: TlsClient = serving.client(context)
        # With TLS 1.3 a client learns from the response that its certificate is accepted.
        assert client.get() == b"/"
        return client

    def accepted(self, serving: TlsServing) -> list[bool]:
        """Returns for each client whether it is served."""
        results = []
        for number in range(len(self.certificates)):
            try:
                self.connect(serving, number).close()
                results.append(True)
            except (ssl.SSLError, ConnectionError):
                results.append(False)
        return results


@pytest.fixture
def clients(tmp_path: Path) -> Clients:
    return Clients(tmp_path)


@pytest.fixture
def serving(engine: Any, clients: Clients) -> Iterator[TlsServing]:
    with nothing_left():
        made = TlsServing(engine, cert_reqs="required", ca_certs=str(clients.ca_certs), crl=str(clients.crl))
        yield made
        made.close()


def test_clients_of_another_authority(serving: TlsServing, clients: Clients) -> None:
    """The new authority alone counts for new connections. Present ones continue."""
    assert clients.accepted(serving) == [True, False]
    present = clients.connect(serving, 0)
    clients.trust(1)
    assert clients.accepted(serving) == [False, True]
    assert present.get("/again") == b"/again"
    present.close()


def test_the_files_are_looked_at_when_those_of_certificates_are(serving: TlsServing, clients: Clients) -> None:
    serving.store.is_due = False
    clients.trust(1)
    assert clients.accepted(serving) == [True, False]
    serving.store.is_due = True
    assert clients.accepted(serving) == [False, True]


def test_a_certificate_that_is_revoked_later(serving: TlsServing, clients: Clients) -> None:
    clients.connect(serving, 0).close()
    clients.trust(0, clients.certificates[0])
    assert clients.accepted(serving) == [False, False]
    assert "certificate verify failed: certificate revoked" in serving.failed()


def test_damaged_files_change_nothing(serving: TlsServing, clients: Clients, caplog: pytest.LogCaptureFixture) -> None:
    good = clients.crl.read_bytes()
    for file, damaged in [
        (clients.crl, good[: len(good) // 2] + b"\n-----END X509 CRL-----\n"),
        (clients.ca_certs, CA.format("damaged").encode()),
    ]:
        file.write_bytes(damaged)
        caplog.clear()
        assert clients.accepted(serving) == [True, False]
        assert clients.accepted(serving) == [True, False]
        assert sum("authorities of clients not reloaded" in record.message for record in caplog.records) == 1
    # A context that is made after the damage has the previous authorities, too.
    serving.store.default = (load(serving.engine, localhost()),)
    assert clients.accepted(serving) == [True, False]


def test_a_folder_is_replaced_by_another(engine: Any, tmp_path: Path, clients: Clients) -> None:
    """As Kubernetes replaces the content of a mounted volume: by exchanging a link."""
    for number, authority in enumerate(clients.authorities):
        (tmp_path / f"..{number}").mkdir()
        (tmp_path / f"..{number}" / "ca.pem").write_bytes(authority.pem)
        # A file of a folder is found by the hash of its subject.
        subprocess.run(["openssl", "rehash", str(tmp_path / f"..{number}")], check=True)
    link = tmp_path / "authorities"
    link.symlink_to("..0")
    serving = TlsServing(engine, cert_reqs="required", ca_certs=str(link))
    assert clients.accepted(serving) == [True, False]
    (tmp_path / "new").symlink_to("..1")
    (tmp_path / "new").replace(link)
    assert clients.accepted(serving) == [False, True]
    serving.close()
