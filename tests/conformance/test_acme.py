"""--tls-auto with Pebble: certificates of a real ACME server, for a server that is running."""

import os
import signal
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.certificates import root
from tests.conformance.pebble import free_port, run_pebble
from tests.helpers import Server, is_running, until

pytestmark = pytest.mark.conformance

NAME = "www.example.test"
# A changed file is noticed at a handshake, at most once in 10 s; and the machine may be busy.
NOTICE_SECONDS = 60.0


def issuer_of(server: Server, name: str) -> str:
    """Returns the organisation or the name of the authority of the certificate that a client gets."""
    from cryptography import x509

    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    assert isinstance(server.address, tuple)
    with socket.create_connection(server.address) as sock, context.wrap_socket(sock, server_hostname=name) as tls:
        der = tls.getpeercert(binary_form=True)
    assert der is not None
    return x509.load_der_x509_certificate(der).issuer.rfc4514_string()


def options(directory: str, folder: Path, http_port: int) -> tuple[str, ...]:
    return (
        *("--tls-auto", NAME, "--tls-auto-dir", str(folder / "acme"), "--tls-auto-authority", directory),
        *("--insecure-bind", f"127.0.0.1:{http_port}", "--https-redirect"),
    )


@pytest.fixture
def start(
    start_server: Callable[..., Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Server]:
    """start(pebble, *options): a server with a certificate of its own making, which orders another one."""

    def start(directory: str, authorities: Path, http_port: int, *more: str) -> Server:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authorities))
        return start_server(*options(directory, tmp_path, http_port), *more)

    return start


def test_a_certificate_is_ordered_while_the_server_runs(start: Callable[..., Server], tmp_path: Path) -> None:
    with run_pebble(tmp_path) as pebble:
        server = start(pebble.directory, pebble.authorities, pebble.http_port, "--workers", "2")
        # From the start, also before the authority has answered.
        first = issuer_of(server, NAME)
        server.log.wait_for(rf"certificate issued: name: {NAME}, valid until: ")
        until(lambda: "Pebble" in issuer_of(server, NAME), "the workers use it", NOTICE_SECONDS)
        assert "placeholder" in first or "Pebble" in first
        # The next start has it already.
        server.stop()
        server = start(pebble.directory, pebble.authorities, pebble.http_port)
        assert "Pebble" in issuer_of(server, NAME)
        assert "ordering a certificate" not in server.log.text


@pytest.mark.parametrize("more", [("none",), ("required", "--workers", "2")])
@pytest.mark.parametrize("engine", ["openssl", "python"])
def test_names_are_validated_in_handshakes(
    start_server: Callable[..., Server],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    engine: str,
    more: tuple[str, ...],
) -> None:
    """tls-alpn-01: the address with TLS is the only one."""
    authority = tmp_path / "clients.pem"
    authority.write_bytes(root().pem)
    with run_pebble(tmp_path) as pebble:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(pebble.authorities))
        server = start_server(
            *("--tls-auto", NAME, "--tls-auto-dir", str(tmp_path / "acme"), "--tls-auto-authority", pebble.directory),
            *("--tls-engine", engine, "--ssl-ca-certs", str(authority), "--ssl-cert-reqs", *more),
            bind=[f"127.0.0.1:{pebble.tls_port}"],
        )
        server.log.wait_for(rf"answered a challenge of an authority: client 127\.0\.0\.1:\d+, name: {NAME}$")
        server.log.wait_for(rf"certificate issued: name: {NAME}, valid until: ")
        assert list((tmp_path / "acme").glob("*/challenges/*")) == []
        if "none" in more:
            until(lambda: "Pebble" in issuer_of(server, NAME), "the workers use it", NOTICE_SECONDS)


def test_refused_nonces_are_tried_again(start: Callable[..., Server], tmp_path: Path) -> None:
    with run_pebble(tmp_path, PEBBLE_WFE_NONCEREJECT="30") as pebble:
        server = start(pebble.directory, pebble.authorities, pebble.http_port)
        server.log.wait_for(rf"certificate issued: name: {NAME}")


def test_a_reload_can_change_the_account(start: Callable[..., Server], tmp_path: Path) -> None:
    (tmp_path / "ianus.toml").write_text("workers = 1\n")
    with run_pebble(tmp_path) as pebble:
        server = start(pebble.directory, pebble.authorities, pebble.http_port)
        server.log.wait_for(rf"certificate issued: name: {NAME}")
        (tmp_path / "ianus.toml").write_text("workers = 1\ntls_auto_email = 'admin@example.test'\n")
        mark = server.log.mark()
        before = max(server.children())
        server.signal(signal.SIGHUP)
        server.log.wait_for("replaces pid", mark)
        until(lambda: before not in server.children(), "the process has the new settings")
        assert "ordering a certificate" not in server.log.since(mark)


def test_an_order_is_tried_again(start: Callable[..., Server], tmp_path: Path) -> None:
    port = free_port()
    authorities = tmp_path / "none.pem"
    authorities.write_text("")
    server = start(f"https://localhost:{free_port()}/dir", authorities, port)
    server.log.wait_for(rf"cannot get a certificate, trying again in \d+ s: name: {NAME}, failures: 1: ")
    assert "placeholder" in issuer_of(server, NAME)


def test_the_process_exits_with_the_supervisor(tmp_path: Path) -> None:
    server = Server("apps:app", *options(f"https://localhost:{free_port()}/dir", tmp_path, free_port()), cwd=tmp_path)
    try:
        server.log.wait_for("cannot get a certificate")
        processes = server.children()
        assert len(processes) == 2
    finally:
        server.process.kill()
        server.process.wait()
    until(lambda: not any(is_running(pid) for pid in processes), "all processes have exited")
    server.wait()


def test_the_process_is_started_again(start: Callable[..., Server], tmp_path: Path) -> None:
    server = start(f"https://localhost:{free_port()}/dir", tmp_path / "none.pem", free_port())
    server.log.wait_for("cannot get a certificate")
    issuer = max(server.children())
    mark = server.log.mark()
    os.kill(issuer, signal.SIGKILL)
    server.log.wait_for("the process that orders certificates exited unexpectedly", mark)
    assert "placeholder" in issuer_of(server, NAME)
