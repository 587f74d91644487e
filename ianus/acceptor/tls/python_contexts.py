"""The contexts of the engine that drives Python's ssl module: how they are made, and chosen in a handshake."""

import itertools
import os
import ssl
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from ianus.acceptor.tls.challenge_files import CHALLENGE_PROTOCOL
from ianus.acceptor.tls.client_authorities import ClientAuthorities
from ianus.acceptor.tls.client_hello import ClientHello, HelloReader
from ianus.acceptor.tls.options import TlsOptionError, TlsOptions
from ianus.acceptor.tls.pair import (
    KEY_MISMATCH,
    KEY_TOO_SMALL,
    NOT_PEM,
    PASSWORD_MISSING,
    PASSWORD_WRONG,
    UNSUPPORTED,
    CertificateError,
    LoadedPair,
)
from ianus.runtime.x509 import X509Error, read_certificate, read_pem_certificates
from ianus.telemetry.logger import logger

MakeContext = Callable[[Callable[[], ssl.SSLContext]], ssl.SSLContext]

# RFC 7301 section 3.2. Python has no name for it.
NO_APPLICATION_PROTOCOL = 120

_CHALLENGE_PROTOCOLS = frozenset((CHALLENGE_PROTOCOL.encode("ascii"),))

# An argument of certificates in Python's private module
DER_ENCODING = 2


class Certificates(Protocol):
    """The part of a CertificateStore that a handshake uses."""

    def select(self, server_name: str | None, /) -> tuple[LoadedPair, ...]: ...

    def refresh(self, now: float, /) -> bool: ...

    def find_challenge(self, server_name: str | None, /) -> LoadedPair | None: ...


@dataclass(frozen=True, eq=False, repr=False)
class PairMaterial:
    """The content of two files, of which each further context is made. Its repr() has none of it."""

    certificates_pem: bytes
    key_pem: bytes
    password: bytes | None

    def load(self, context: ssl.SSLContext) -> None:
        """Loads the pair into a context that no connection uses yet. Raises CertificateError."""
        password_asked = False

        def password() -> bytes:
            nonlocal password_asked
            password_asked = True
            return self.password or b""

        try:
            with _as_file(self.certificates_pem + b"\n" + self.key_pem) as path:
                context.load_cert_chain(path, password=password)
        except ssl.SSLError as error:
            raise self._certificate_error(error, password_asked) from None
        except ValueError as error:
            # Such as a password that is too long for OpenSSL
            raise CertificateError(PASSWORD_WRONG, detail=str(error), is_key=True) from None

    def _certificate_error(self, error: ssl.SSLError, password_asked: bool) -> CertificateError:
        reason = error.reason or ""
        # The last one: a key of another type than that of the certificate
        if reason in ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"):
            return CertificateError(KEY_MISMATCH, detail=describe_error(error), is_key=True)
        if reason.endswith("KEY_TOO_SMALL"):
            return CertificateError(KEY_TOO_SMALL, detail=describe_error(error))
        if password_asked:
            kind = PASSWORD_WRONG if self.password else PASSWORD_MISSING
            return CertificateError(kind, detail=describe_error(error), is_key=True)
        return CertificateError(UNSUPPORTED, detail=describe_error(error), is_key=True)


def load_python_pair(certificates_pem: bytes, key_pem: bytes, password: bytes | None) -> LoadedPair:
    """Loads a certificate, the chain after it, and its key. Raises CertificateError."""
    try:
        chain = [read_certificate(der) for der in read_pem_certificates(certificates_pem)]
    except X509Error as error:
        raise CertificateError(NOT_PEM, detail=str(error)) from None
    if not chain:
        raise CertificateError(NOT_PEM)
    if b"PRIVATE KEY-----" not in key_pem:
        raise CertificateError(NOT_PEM, is_key=True)
    # Only the certificates: a file may have its key, too, and the key file is the one that counts.
    material = PairMaterial("".join(each.pem() for each in chain).encode(), key_pem, password)
    # Verifies that the key is that of the certificate.
    material.load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    first, last = chain[0], chain[-1]
    return LoadedPair(
        names=first.names,
        has_san=first.has_san,
        not_before=first.not_before,
        not_after=first.not_after,
        key_type=first.key_type,
        key_bits=first.key_bits,
        subject=first.subject,
        issuer=first.issuer,
        is_self_signed=first.is_self_signed,
        chain_is_complete=all(each.issuer_der == issuer.subject_der for each, issuer in itertools.pairwise(chain))
        and (first.is_self_signed or last is not first),
        pem=first.pem(),
        handle=material,
    )


@contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """Returns the path of a file in memory: the ssl module takes certificates from files alone."""
    try:
        fd = os.memfd_create("ianus-certificate", os.MFD_CLOEXEC)
    except OSError:
        fd = -1
    if fd >= 0:
        try:
            os.write(fd, content)
            path = f"/proc/self/fd/{fd}"
            if Path(path).exists():
                yield path
                return
        finally:
            os.close(fd)
    # Without /proc. The file is readable by its owner alone, and removed at once.
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        yield file.name


@dataclass(frozen=True, eq=False, repr=False)
class _Authorities:
    """The authorities of clients, and the lists of revoked certificates, of which each further context is made.

    ca_pem: the content of the file `ca_certs`; None if that is a folder.
    """

    ca_certs: str = ""
    ca_pem: bytes | None = None
    crl: str = ""
    crl_pem: bytes = b""

    @staticmethod
    def read(options: TlsOptions) -> "_Authorities":
        """Reads the files. Raises TlsOptionError."""
        is_folder = Path(options.ca_certs).is_dir()
        ca_pem = None if is_folder else _read("ssl_ca_certs", options.ca_certs)
        return _Authorities(
            options.ca_certs, ca_pem, options.crl, _read("ssl_crl", options.crl) if options.crl else b""
        )

    def load(self, context: ssl.SSLContext) -> None:
        """Loads them into a context that no connection uses yet. Raises TlsOptionError."""
        if self.ca_pem is None:
            context.load_verify_locations(capath=self.ca_certs)
        else:
            _load_verify_file(context, "ssl_ca_certs", self.ca_certs, self.ca_pem)
        if self.crl:
            _load_verify_file(context, "ssl_crl", self.crl, self.crl_pem)
            if not context.cert_store_stats()["crl"]:
                raise TlsOptionError("ssl_crl", f"{self.crl}: there is no list of revoked certificates in it")


def _read(setting: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise TlsOptionError(setting, f"{path}: {describe_error(error)}") from None


def _load_verify_file(context: ssl.SSLContext, setting: str, path: str, content: bytes) -> None:
    try:
        with _as_file(content) as copy:
            context.load_verify_locations(cafile=copy)
    except (ssl.SSLError, OSError) as error:
        raise TlsOptionError(setting, f"{path}: {describe_error(error)}") from None


class Handshake:
    """One handshake: the first message of its client, and the choice that was made.

    hello: None until it is complete. pair: the chosen one, or None. refusal: the reason of an alert, or None.
    """

    def __init__(self) -> None:
        self.hello: ClientHello | None = None
        self.pair: LoadedPair | None = None
        self.refusal: str | None = None
        self._reader = HelloReader()

    @property
    def server_name(self) -> str | None:
        return None if self.hello is None else self.hello.server_name

    def feed(self, data: bytes) -> None:
        """Reads the first message of the client, which may arrive in pieces."""
        self.hello = self._reader.feed(data)


class ServerObject(ssl.SSLObject):
    """The object of a connection with a context of the server. handshake: None after its end."""

    handshake: Handshake | None = None


class PythonContexts:
    """The contexts of a factory. make_context: of the user, or None.

    Raises TlsOptionError if the library does not take an option.
    """

    def __init__(self, store: Certificates, options: TlsOptions, make_context: MakeContext | None) -> None:
        self._store = store
        self._options = options
        # By pair, so that those of a pair that was replaced are freed with it.
        self._by_pair: WeakKeyDictionary[LoadedPair, ssl.SSLContext] = WeakKeyDictionary()
        self._protocols = frozenset(protocol.encode("ascii") for protocol in options.alpn)
        # Sessions of TLS 1.2 are kept in the context that a connection starts with. None must be resumed if clients
        # have certificates, and Python has no switch for that: then each connection starts with a context of its own.
        self._has_base_for_each = make_context is None and options.cert_reqs != "none"
        self._authority_files: ClientAuthorities | None = None
        self._authorities = _Authorities()
        if options.cert_reqs != "none":
            self._authority_files = ClientAuthorities(options)
            self._read_authorities()
        if make_context is None:
            self.base = self._make_base()
        else:
            self.base = make_context(self.make_default)
            # Only the server knows the protocols that it has.
            self.base.set_alpn_protocols(list(options.alpn))
        self._suites = {cipher["name"]: cipher["id"] & 0xFFFF for cipher in self.base.get_ciphers()}

    def make_default(self) -> ssl.SSLContext:
        """Makes a context by the settings, with the default certificate: the one that user code may change."""
        context = self._make_context()
        self._load_first(context)
        return context

    def wrap(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, handshake: Handshake) -> ssl.SSLObject:
        """Makes the object of a connection whose first message is complete."""
        context = self._make_challenge_context(handshake)
        if context is not None:
            return context.wrap_bio(incoming, outgoing, server_side=True)
        base = self._make_base() if self._has_base_for_each else self.base
        made = base.wrap_bio(incoming, outgoing, server_side=True)
        if isinstance(made, ServerObject):
            made.handshake = handshake
        return made

    def _make_challenge_context(self, handshake: Handshake) -> ssl.SSLContext | None:
        """Makes the context for an authority that validates a name (RFC 8737 section 3), or returns None."""
        hello = handshake.hello
        if not self._options.answers_challenges or hello is None or hello.protocols != _CHALLENGE_PROTOCOLS:
            return None
        pair = self._store.find_challenge(hello.server_name)
        if pair is None:
            return None
        # None of the settings: it asks for no certificate of a client, and no context of a user has a part in it.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols([CHALLENGE_PROTOCOL])
        pair.handle.load(context)
        return context

    def suite_number(self, cipher_name: str) -> int | None:
        """Returns the number of a cipher suite in the registry of TLS."""
        return self._suites.get(cipher_name)

    def _choose(self, ssl_object: ssl.SSLObject, _: str | None, __: ssl.SSLContext) -> int | None:
        """Chooses the certificate of a handshake. Returns None, or the number of the alert that ends it."""
        try:
            assert isinstance(ssl_object, ServerObject)
            handshake = ssl_object.handshake
            assert handshake is not None
            hello = handshake.hello
            # The ssl module itself would continue without a protocol (RFC 7301 section 3.2).
            if hello is not None and hello.protocols is not None and not hello.protocols & self._protocols:
                handshake.refusal = "no application protocol"
                return NO_APPLICATION_PROTOCOL
            if self._store.refresh(time.monotonic()) and self._authority_files is not None:
                self._authority_files.refresh(self._read_authorities)
            pairs = self._store.select(handshake.server_name)
            if not pairs:
                handshake.refusal = "no certificate"
                return ssl.ALERT_DESCRIPTION_HANDSHAKE_FAILURE
            handshake.pair = pair = _choose_pair(pairs, hello)
            context = self._by_pair.get(pair)
            if context is None:
                context = self._make_context()
                pair.handle.load(context)
                self._by_pair[pair] = context
            ssl_object.context = context
        except Exception:
            # Python would print it to standard error.
            logger.exception("internal error while choosing a certificate")
            return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR
        return None

    def _make_base(self) -> ssl.SSLContext:
        """Makes a context that connections start with. _choose() gives them another one, with the authorities."""
        context = self._make_context(has_authorities=False)
        # It has a certificate, too: OpenSSL looks for one before it calls back.
        self._load_first(context)
        context.sslobject_class = ServerObject
        context.sni_callback = self._choose
        return context

    def _load_first(self, context: ssl.SSLContext) -> None:
        pairs = self._store.select(None)
        if pairs:
            pairs[0].handle.load(context)

    def _make_context(self, *, has_authorities: bool = True) -> ssl.SSLContext:
        """Makes a context by the settings, without a certificate. has_authorities: it has those of clients."""
        options = self._options
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # Debian's default is a lower version.
        context.minimum_version = ssl.TLSVersion(options.min_version)
        # OP_NO_COMPRESSION is Python's default; renegotiation is not off by default.
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
        # One ticket is enough for browsers, and each costs time in the handshake.
        context.num_tickets = 1
        try:
            context.set_ciphers(options.ciphers)
        except ssl.SSLError as error:
            raise TlsOptionError("ssl_ciphers", f"{options.ciphers}: {describe_error(error)}") from None
        if options.alpn:
            context.set_alpn_protocols(list(options.alpn))
        if options.cert_reqs != "none":
            self._ask_clients(context)
            if has_authorities:
                self._authorities.load(context)
        return context

    def _ask_clients(self, context: ssl.SSLContext) -> None:
        options = self._options
        context.verify_mode = ssl.CERT_REQUIRED if options.cert_reqs == "required" else ssl.CERT_OPTIONAL
        # A resumed session has the certificate of the client without its chain.
        context.num_tickets = 0
        context.options |= ssl.OP_NO_TICKET
        if options.crl:
            context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF

    def _read_authorities(self) -> None:
        """Reads the authorities of clients for contexts that are made from now on. Raises TlsOptionError."""
        authorities = _Authorities.read(self._options)
        authorities.load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        self._authorities = authorities
        self._by_pair.clear()


def _choose_pair(pairs: tuple[LoadedPair, ...], hello: ClientHello | None) -> LoadedPair:
    """Chooses between an ECDSA and an RSA certificate for the same name."""
    takes_ecdsa = hello is not None and hello.takes_ecdsa
    for pair in pairs:
        if (pair.key_type == "EC") == takes_ecdsa:
            return pair
    return pairs[0]


def client_chain(ssl_object: ssl.SSLObject) -> tuple[bytes, ...]:
    """Returns the DER encodings of the certificates that the client has sent, its own one first."""
    leaf = ssl_object.getpeercert(binary_form=True)
    if leaf is None:
        return ()
    chain: list[Any] = []
    try:
        if hasattr(ssl_object, "get_unverified_chain"):
            chain = ssl_object.get_unverified_chain()
        else:
            # Python 3.13 has made it public. Before, it returns objects.
            private = getattr(ssl_object, "_sslobj")  # noqa: B009  (not in the stubs)
            chain = [each.public_bytes(DER_ENCODING) for each in private.get_unverified_chain() or ()]
    except (AttributeError, TypeError, ValueError):
        pass
    # A resumed session has no chain.
    return tuple(chain) if chain and chain[0] == leaf else (leaf,)


def describe_error(error: Exception) -> str:
    """Returns the reason of a failure in the words of the library."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate verify failed: {error.verify_message}"
    # Errors that the module itself raises have no reason.
    if reason := getattr(error, "reason", None):
        return str(reason).lower().replace("_", " ")
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
