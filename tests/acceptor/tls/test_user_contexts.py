"""Contexts that users make, and the choices of the engine that drives Python's ssl module."""

import contextlib
import gc
import ssl
import sys
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ianus.acceptor.tls.python import find_python
from tests.acceptor.serving import nothing_left
from tests.acceptor.tls.client import client_context
from tests.acceptor.tls.serving import MakeDefault, Store, TlsServing, UserEngine, load
from tests.certificates import Certificate, intermediate, localhost, rsa_key

pytestmark = pytest.mark.slow

Serve = Callable[..., TlsServing]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """serve(make_context=None, store=None, **options): a server of this test."""
    with nothing_left(), contextlib.ExitStack() as running:

        def start(make_context: Any = None, store: Store | None = None, **options: Any) -> TlsServing:
            engine = find_python() if make_context is None else UserEngine(make_context)
            serving = TlsServing(engine, store, **options)
            running.callback(serving.close)
            return serving

        yield start


def own_context(folder: Path, made: Certificate) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*made.write(folder, str(id(made))))
    return context


def peer_name(client: Any) -> str:
    return str(client.tls.getpeercert()["subjectAltName"][0][1])


# ---------------------------------------------------------------- contexts of the user


def test_a_default_context_that_was_changed(serve: Serve) -> None:
    def make(make_default: MakeDefault) -> ssl.SSLContext:
        context = make_default()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        return context

    client = serve(make).client()
    assert client.tls.version() == "TLSv1.2"
    assert client.get("/hello") == b"/hello"
    client.close()


def test_a_context_with_an_sni_callback(serve: Serve, tmp_path: Path) -> None:
    other = own_context(tmp_path, intermediate().issue("other.test"))
    seen = []

    def choose(ssl_object: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> int | None:
        seen.append(name)
        if name == "refused.test":
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        if name == "other.test":
            ssl_object.context = other
        return None

    def make(make_default: MakeDefault) -> ssl.SSLContext:
        context = make_default()
        context.sni_callback = choose
        return context

    serving = serve(make)
    for name in ("localhost", "other.test"):
        client = serving.client(server_name=name)
        assert peer_name(client) == name
        assert client.get() == b"/"
        client.close()
    with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
        serving.client(server_name="refused.test")
    assert seen == ["localhost", "other.test", "refused.test"]
    assert serving.failed() == {"callback failed": 1}


def test_an_sni_callback_that_raises(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    errors: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: errors.append(unraisable.exc_type))

    def choose(*_: Any) -> None:
        raise ValueError("the callback of the user")

    def make(make_default: MakeDefault) -> ssl.SSLContext:
        context = make_default()
        context.sni_callback = choose
        return context

    serving = serve(make)
    with pytest.raises(ssl.SSLError, match=r"(?i)handshake failure"):
        serving.client()
    assert serving.failed() == {"callback failed": 1}
    # Python itself reports it.
    assert errors == [ValueError]


def test_a_context_with_a_keylog_file(serve: Serve, tmp_path: Path) -> None:
    def make(make_default: MakeDefault) -> ssl.SSLContext:
        context = make_default()
        context.keylog_filename = str(tmp_path / "keys")
        return context

    serving = serve(make)
    for _ in range(2):
        client = serving.client()
        assert client.get() == b"/"
        client.close()
    assert (tmp_path / "keys").read_text().count("SERVER_TRAFFIC_SECRET_0") == 2


@pytest.mark.skipif(not hasattr(ssl.SSLContext, "set_psk_server_callback"), reason="needs Python 3.13")
def test_a_context_with_a_shared_key(serve: Serve) -> None:
    def make(make_default: MakeDefault) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("PSK")
        context.set_psk_server_callback(lambda identity: b"key" if identity == "me" else b"")  # type: ignore[attr-defined, unused-ignore]
        return context

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("PSK")
    context.set_psk_client_callback(lambda hint: ("me", b"key"))  # type: ignore[attr-defined, unused-ignore]
    client = serve(make).client(context)
    assert client.get() == b"/"
    client.close()


def test_a_context_without_certificates_of_the_store(serve: Serve, tmp_path: Path) -> None:
    context = own_context(tmp_path, localhost())
    serving = serve(lambda make_default: context, Store())
    client = serving.client()
    assert client.get() == b"/"
    client.close()


def test_the_protocols_are_those_of_the_server(serve: Serve, tmp_path: Path) -> None:
    context = own_context(tmp_path, localhost())
    context.set_alpn_protocols(["h2"])
    asking = client_context()
    asking.set_alpn_protocols(["h2", "http/1.1"])
    client = serve(lambda make_default: context).client(asking)
    assert client.tls.selected_alpn_protocol() == "http/1.1"
    client.close()


# ---------------------------------------------------------------- the contexts of the engine


def test_ecdsa_only_for_clients_that_take_it(serve: Serve) -> None:
    engine = find_python()
    pairs = [load(engine, intermediate().issue("localhost", key=rsa_key())), load(engine, localhost())]
    serving = serve(None, Store(*pairs))
    client = serving.client()
    assert client.tls.getpeercert(True) == localhost().der
    client.close()
    context = client_context(maximum_version=ssl.TLSVersion.TLSv1_2)
    context.set_ciphers("ECDHE+aRSA")
    client = serving.client(context)
    assert client.tls.getpeercert(True) != localhost().der
    client.close()


def test_contexts_of_replaced_pairs_are_freed(serve: Serve) -> None:
    engine = find_python()
    store = Store(load(engine, localhost()))
    serving = serve(None, store)
    before = serving.client()
    old = weakref.ref(store.default[0])
    store.default = (load(engine, intermediate().issue("localhost")),)
    client = serving.client()
    gc.collect()
    assert old() is None, "a connection keeps it"
    for each in (before, client):
        assert each.get() == b"/"
        each.close()


def test_a_session_is_resumed_after_a_change_of_the_certificate(serve: Serve) -> None:
    engine = find_python()
    store = Store(load(engine, localhost()))
    serving = serve(None, store)
    context = client_context()
    client = serving.client(context)
    client.get()
    session = client.tls.session
    client.close()
    store.default = (load(engine, intermediate().issue("localhost")),)
    client = serving.client(context, session=session)
    assert client.tls.session_reused
    client.close()


def test_a_big_first_message(serve: Serve) -> None:
    """The library refuses a message that is longer than any that clients send."""
    serving = serve()
    client = serving.connect()
    record = b"\x16\x03\x01\x40\x00" + b"\x01\x01\xff\xff" + bytes(0x4000 - 4)
    client.setblocking(True)
    with contextlib.suppress(OSError):
        for _ in range(12):
            client.sendall(record)
            serving.turn()
    assert sum(serving.failed().values()) == 1
    client.close()
