"""TLS in a worker: its certificates, and the filters that encrypt the bytes of connections."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from ianus.errors import StartupError
from ianus.process.tls_files import TlsFiles
from ianus.process.worker.http_versions import offers_http1, offers_http2
from ianus.settings.schema import Settings

if TYPE_CHECKING:
    from ianus.acceptor.byte_filter import ByteFilterFactory
    from ianus.acceptor.tls.certificates import CertificateStore
    from ianus.acceptor.tls.engines import Engine
    from ianus.acceptor.tls.options import TlsOptions
    from ianus.process.worker.context_factory import NoCertificates

_VERSIONS = {"1.2": 0x0303, "1.3": 0x0304}

# The protocols that clients are offered, the preferred one first (RFC 7301).
_PROTOCOLS = {(False, True): ("http/1.1",), (True, False): ("h2",), (True, True): ("h2", "http/1.1")}


class ServingTls(NamedTuple):
    """The TLS of a worker's listeners. filters: makes the filters of connections. description: of the engine."""

    store: "CertificateStore | NoCertificates"
    filters: "ByteFilterFactory"
    description: str


def open_tls(
    settings: Settings,
    files: TlsFiles | None,
    *,
    hook: Callable[..., object] | None = None,
    on_unreadable: Callable[[], None] | None = None,
    is_reporting: bool = True,
) -> ServingTls | None:
    """Loads the certificates; None without TLS. Raises StartupError.

    files: None if a context factory has its own ones. hook: ssl_context. on_unreadable: called if the worker must not
    read a changed file. is_reporting: this worker is the one that logs messages about files.
    """
    if not settings.uses_tls():
        return None
    # Late: a server without TLS loads none of it.
    from ianus.acceptor.tls.client_authorities import check_authority_files
    from ianus.acceptor.tls.engines import choose_engine
    from ianus.acceptor.tls.options import TlsOptionError
    from ianus.process.worker.context_factory import find_context_factory

    check_authority_files(settings.ssl_ca_certs, settings.ssl_crl)
    make_context = find_context_factory(settings, hook)
    if make_context is not None and settings.tls_engine == "openssl":
        raise StartupError("The hook ssl_context needs --tls-engine python, or auto. Remove one of both.", page="tls")
    engine = choose_engine(settings.tls_engine if make_context is None else "python")
    store = _open_store(settings, files, engine, on_unreadable, is_reporting)
    options = build_tls_options(settings, files, is_reporting=is_reporting)
    try:
        if make_context is None:
            filters = engine.create_factory(store, options)
        else:
            from ianus.acceptor.tls.python import find_python

            filters = find_python().create_factory(store, options, make_context)
    except TlsOptionError as error:
        raise StartupError(error.explain(), page="tls") from None
    # The other engine is the usual one.
    description = f"TLS by {engine.library}" + (", engine python" if engine.name == "python" else "")
    return ServingTls(store, filters, description)


def _open_store(
    settings: Settings,
    files: TlsFiles | None,
    engine: "Engine",
    on_unreadable: Callable[[], None] | None,
    is_reporting: bool,
) -> "CertificateStore | NoCertificates":
    from ianus.acceptor.tls.certificates import CertificateStore
    from ianus.process.worker.context_factory import NoCertificates

    if files is None:
        return NoCertificates()
    return CertificateStore(
        files.sources,
        files.contents,
        engine.load_pair,
        password=settings.ssl_keyfile_password,
        on_unreadable=on_unreadable,
        challenges=files.challenges,
        is_reporting=is_reporting,
    )


def build_tls_options(settings: Settings, files: TlsFiles | None, *, is_reporting: bool) -> "TlsOptions":
    """Returns the options of handshakes. is_reporting: as of open_tls()."""
    from ianus.acceptor.tls.options import TlsOptions

    return TlsOptions(
        min_version=_VERSIONS[settings.ssl_min_version],
        ciphers=settings.ssl_ciphers,
        cert_reqs=settings.ssl_cert_reqs,
        ca_certs=settings.ssl_ca_certs,
        crl=settings.ssl_crl,
        ticket_secret=b"" if files is None else files.ticket_secret,
        alpn=_PROTOCOLS[offers_http2(settings), offers_http1(settings)],
        timeout_handshake=settings.timeout_tls_handshake,
        limit_handshakes=settings.limit_handshakes,
        handshake_log=settings.tls_handshake_log,
        answers_challenges=files is not None and files.challenges is not None,
        is_reporting=is_reporting,
    )
