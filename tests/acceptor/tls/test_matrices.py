"""Names and certificates in all combinations, with both engines and both versions, and the store of the server."""

import functools
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ianus.acceptor.tls.certificates import CertificateStore
from ianus.acceptor.tls.pair_files import PairSources, read_pairs
from tests.acceptor.serving import nothing_left
from tests.acceptor.tls.client import client_context
from tests.acceptor.tls.serving import Store, TlsServing, load
from tests.certificates import Authority, Certificate, intermediate, localhost, root, rsa_key
from tests.certificates import client as client_certificate

pytestmark = pytest.mark.slow

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@functools.cache
def pairs() -> dict[str, Certificate]:
    return {
        "default": intermediate().issue("default.test"),
        "exact": intermediate().issue("www.example.test", "example.test"),
        "exact RSA": intermediate().issue("www.example.test", "example.test", key=rsa_key()),
        "wildcard": intermediate().issue("*.example.test"),
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of all pairs, and of the authority."""
    path = tmp_path_factory.mktemp("pairs")
    (path / "ca.pem").write_bytes(root().pem)
    return path


@pytest.fixture
def serve(engine: Any) -> Iterator[Any]:
    """serve(store, **options): a server of this test."""
    running: list[TlsServing] = []

    def start(store: Any, **options: Any) -> TlsServing:
        running.append(TlsServing(engine, store, **options))
        return running[-1]

    with nothing_left():
        yield start
        for each in running:
            each.close()


@pytest.mark.parametrize("version", VERSIONS)
def test_names(engine: Any, serve: Any, folder: Path, version: ssl.TLSVersion) -> None:
    files = [made.write(folder, name) for name, made in pairs().items()]
    sources = PairSources(tuple(each[0] for each in files), tuple(each[1] for each in files), "")
    serving = serve(CertificateStore(sources, read_pairs(sources), engine.load_pair))
    expected = {
        "www.example.test": "exact",
        "WWW.Example.Test": "exact",
        "example.test": "exact",
        "mail.example.test": "wildcard",
        "a.b.example.test": "default",
        "unknown.test": "default",
        "default.test": "default",
        None: "default",
    }
    for name, pair in expected.items():
        context = client_context(check_hostname=False, maximum_version=version)
        client = serving.client(context, server_name=name)
        assert client.tls.getpeercert(True) == pairs()[pair].der, name
        assert client.get() == b"/"
        client.close()
    context = client_context(maximum_version=ssl.TLSVersion.TLSv1_2)
    context.set_ciphers("ECDHE+aRSA")
    client = serving.client(context, server_name="www.example.test")
    assert client.tls.getpeercert(True) == pairs()["exact RSA"].der
    client.close()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("is_revoked", [False, True], ids=["valid", "revoked"])
@pytest.mark.parametrize("reqs", ["none", "optional", "required"])
def test_client_certificates(
    engine: Any, serve: Any, folder: Path, tmp_path: Path, reqs: str, is_revoked: bool, version: ssl.TLSVersion
) -> None:
    """The second connection offers the session of the first one."""
    authority = Authority("Clients")
    accepted, other = authority.issue(for_client=True), authority.issue(for_client=True)
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    (tmp_path / "crl.pem").write_bytes(authority.revocation_list(accepted if is_revoked else other))
    options = {} if reqs == "none" else {"ca_certs": f"{tmp_path}/ca.pem", "crl": f"{tmp_path}/crl.pem"}
    serving = serve(Store(load(engine, localhost())), cert_reqs=reqs, **options)

    def result(certificate: Certificate | None) -> str:
        context = client_context(maximum_version=version)
        if certificate is not None:
            context.load_cert_chain(*certificate.write(tmp_path, "client"))
        reused = []
        session = None
        for _ in range(2):
            try:
                client = serving.client(context, session=session)
                assert client.get() == b"/"
            except (ssl.SSLError, ConnectionError, AssertionError):
                return "refused"
            reused.append(client.tls.session_reused)
            session = client.tls.session
            client.close()
        assert not reused[0]
        return "resumed" if reused[1] else "served"

    if reqs == "none":
        assert result(None) == result(accepted) == "resumed"
        return
    assert result(None) == ("refused" if reqs == "required" else "served")
    assert result(accepted) == ("refused" if is_revoked else "served")
    assert result(client_certificate()) == "refused", "of another authority"
