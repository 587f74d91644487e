"""Handshakes of an authority that validates a name (tls-alpn-01, RFC 8737), with both engines."""

import logging
import os
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from ianus.acceptor.tls.certificates import CertificateStore
from ianus.acceptor.tls.challenge_files import CHALLENGE_PROTOCOL, ChallengeFiles
from ianus.acceptor.tls.pair_files import PairSources
from ianus.issuing.challenge_certificate import ACME_IDENTIFIER, make_challenge_certificate
from tests.acceptor.serving import nothing_left
from tests.acceptor.tls.client import TlsClient, client_context
from tests.acceptor.tls.serving import MakeDefault, Store, TlsServing, UserEngine, load
from tests.certificates import localhost, root

pytestmark = pytest.mark.slow

TLS_1_2, TLS_1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
NAME = "a.test"
CHALLENGE = make_challenge_certificate(NAME, "token.thumbprint")


def context_of(*protocols: str, **options: Any) -> ssl.SSLContext:
    """Returns the context of an authority, which knows no certificate of the server yet."""
    context = client_context(check_hostname=False, verify_mode=ssl.CERT_NONE, **options)
    context.set_alpn_protocols(list(protocols))
    return context


def is_challenge(client: TlsClient) -> bool:
    """Returns whether the client has got the certificate for a validation."""
    der = client.tls.getpeercert(True)
    assert der is not None
    extensions = x509.load_der_x509_certificate(der).extensions
    found = [each.critical for each in extensions if each.oid.dotted_string == ACME_IDENTIFIER]
    assert found in ([], [True])
    return bool(found)


@pytest.fixture
def serve(engine: Any) -> Iterator[Any]:
    """serve(**options): a server to which a name is being validated."""
    running: list[TlsServing] = []

    def start(used: Any = None, **options: Any) -> TlsServing:
        store = Store(load(engine, localhost()))
        store.challenges[NAME] = engine.load_pair(CHALLENGE, CHALLENGE, None)
        running.append(TlsServing(used or engine, store, **{"answers_challenges": True} | options))
        return running[-1]

    with nothing_left():
        yield start
        for each in running:
            each.close()
            assert each.factory.handshakes == 0


@pytest.mark.parametrize("chunk", [1, 1 << 30])
@pytest.mark.parametrize("version", [TLS_1_2, TLS_1_3])
def test_a_validation(serve: Any, version: ssl.TLSVersion, chunk: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "ianus.error")
    serving = serve()
    client = TlsClient(serving, context_of(CHALLENGE_PROTOCOL, maximum_version=version), server_name=NAME)
    client.handshake(chunk)
    assert client.tls.selected_alpn_protocol() == CHALLENGE_PROTOCOL
    assert is_challenge(client)
    # No request is served on this connection.
    client.read_until(lambda: client.ended)
    client.close()
    serving.until(lambda: serving.reactor.connections == 0)
    assert serving.factory.failures == {}
    assert serving.state["requests"] == []
    assert f", name: {NAME}" in caplog.text


@pytest.mark.parametrize("version", [TLS_1_2, TLS_1_3])
def test_an_authority_has_no_certificate_of_a_client(serve: Any, tmp_path: Path, version: ssl.TLSVersion) -> None:
    (tmp_path / "ca.pem").write_bytes(root().pem)
    serving = serve(cert_reqs="required", ca_certs=str(tmp_path / "ca.pem"))
    context = context_of(CHALLENGE_PROTOCOL, maximum_version=version)
    client = serving.client(context, server_name=NAME)
    assert is_challenge(client)
    client.read_until(lambda: client.ended)
    client.close()
    # Other clients still need one.
    with pytest.raises((ssl.SSLError, ConnectionError)):
        serving.client(context_of("http/1.1"), server_name=NAME).get()


def test_a_context_of_a_user_has_no_part_in_it(engine: Any, serve: Any) -> None:
    if engine.name != "python":
        pytest.skip("the other engine has no such contexts")

    def refuse(*_: object) -> int:
        return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME

    def make(make_default: MakeDefault) -> ssl.SSLContext:
        context = make_default()
        context.sni_callback = refuse
        return context

    client = serve(UserEngine(make)).client(context_of(CHALLENGE_PROTOCOL), server_name=NAME)
    assert is_challenge(client)
    client.close()


@pytest.mark.parametrize("version", [TLS_1_2, TLS_1_3])
@pytest.mark.parametrize("name", ["b.test", None])
def test_a_name_that_is_not_being_validated(serve: Any, name: str | None, version: ssl.TLSVersion) -> None:
    serving = serve()
    context = context_of(CHALLENGE_PROTOCOL, maximum_version=version)
    with pytest.raises(ssl.SSLError, match=r"(?i)alert no application protocol"):
        serving.client(context, server_name=name)
    assert serving.failed() == {"no application protocol": 1}


def test_a_server_without_challenges(serve: Any) -> None:
    serving = serve(answers_challenges=False)
    with pytest.raises(ssl.SSLError, match=r"(?i)alert no application protocol"):
        serving.client(context_of(CHALLENGE_PROTOCOL), server_name=NAME)


@pytest.mark.parametrize("version", [TLS_1_2, TLS_1_3])
@pytest.mark.parametrize("protocols", [("acme-tls/1", "http/1.1"), ("http/1.1", "acme-tls/1"), ("http/1.1",)])
def test_other_clients_get_the_usual_certificate(
    serve: Any, protocols: tuple[str, ...], version: ssl.TLSVersion
) -> None:
    """An authority offers that protocol alone (RFC 8737 section 3)."""
    serving = serve()
    # Before and after a validation
    for offered in (protocols, (CHALLENGE_PROTOCOL,), protocols):
        client = serving.client(context_of(*offered, maximum_version=version), server_name=NAME)
        assert is_challenge(client) == (offered == (CHALLENGE_PROTOCOL,))
        if offered == protocols:
            assert client.tls.selected_alpn_protocol() == "http/1.1"
            assert client.get() == b"/"
        client.close()


# ---------------------------------------------------------------- the folder


def test_the_store_finds_a_challenge_while_it_lasts(engine: Any, tmp_path: Path) -> None:
    files = ChallengeFiles(str(tmp_path), [NAME])
    store = CertificateStore(PairSources((), (), ""), [content_of(tmp_path)], engine.load_pair, challenges=files)
    assert store.find_challenge(NAME) is None
    (tmp_path / f"{NAME}.pem").write_bytes(CHALLENGE)
    found = store.find_challenge(NAME)
    assert found is not None
    assert found.names == (NAME,)
    assert store.find_challenge("b.test") is None
    assert store.find_challenge(None) is None
    (tmp_path / f"{NAME}.pem").unlink()
    assert store.find_challenge(NAME) is None


def test_a_damaged_challenge_ends_no_handshake(engine: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = ChallengeFiles(str(tmp_path), [NAME])
    store = CertificateStore(PairSources((), (), ""), [content_of(tmp_path)], engine.load_pair, challenges=files)
    (tmp_path / f"{NAME}.pem").write_bytes(b"damaged")
    assert store.find_challenge(NAME) is None
    assert f"certificate for a challenge cannot be used: name: {NAME}: not PEM" in caplog.text


def content_of(folder: Path) -> Any:
    from ianus.acceptor.tls.pair_files import PairFiles, read_pair

    return read_pair(PairFiles(*localhost().write(folder, "pair"), "--ssl-certfile"))


def test_names_that_were_not_ordered_are_not_looked_for(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "secret.pem").write_bytes(b"secret")
    (tmp_path / "folder" / "link.test.pem").symlink_to(tmp_path / "secret.pem")
    (tmp_path / "folder" / "b.test.pem").write_bytes(b"b")
    files = ChallengeFiles(str(tmp_path / "folder"), [NAME, "link.test"])
    for name in ("../secret", str(tmp_path / "secret"), "b.test", "link.test", NAME, "", "a\0b"):
        assert files.read(name) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_workers_of_another_user_read_it_in_a_private_folder(tmp_path: Path) -> None:
    from ianus.issuing.acme_folder import AcmeFolder

    tmp_path.chmod(0o700)
    challenges = AcmeFolder(str(tmp_path), "https://ca.example/directory").challenges
    files = ChallengeFiles(challenges.path, [NAME])
    challenges.write(f"{NAME}.pem", CHALLENGE)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setgroups([])
            os.setgid(54321)
            os.setuid(54321)
            assert not os.access(challenges.file(f"{NAME}.pem"), os.R_OK)
            code = 0 if files.read(NAME) == CHALLENGE else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
