"""Orders certificates by ACME (RFC 8555), with the library of certbot: `acme`, and `josepy` for its keys.

Challenges:
- http-01: the authority requests a path of the name by plain HTTP, and any worker of any machine with the account's
  thumbprint answers it (gateway/challenge). So no token has to be passed to workers.
- tls-alpn-01: the authority makes a handshake, and gets a certificate with a hash of its token. Workers of all machines
  read it in the folder at that time (acceptor/tls/challenge_files).
"""

import contextlib
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from ianus._version import __version__
from ianus.issuing.acme_folder import ACCOUNT_FILE, KEY_FILE, AcmeFolder, challenge_file

# Maximum time of one order, of which validation by the authority takes some seconds.
ORDER_TIMEOUT = timedelta(minutes=3)
NETWORK_TIMEOUT_SECONDS = 30

# Maximum number of attempts of an order, if the authority does not accept a nonce any more. RFC 8555 section 6.5 asks
# for another attempt then. The library makes one for each request, and authorities may refuse that too.
MAX_NONCES = 10


class AcmeOrders:
    """The account of a folder at its authority.

    challenge: "http-01" or "tls-alpn-01". tls_auto_email: the contact of a new account, "" for none.
    """

    def __init__(self, folder: AcmeFolder, challenge: str, tls_auto_email: str) -> None:
        self._folder = folder
        self._challenge = challenge
        self._email = tls_auto_email
        self._client: Any = None

    def order(self, name: str) -> bytes:
        """Returns the PEM of a new key and of the chain of its certificate.

        Raises exceptions of `acme` and `requests` if the authority refuses, or cannot be reached.
        """
        from acme import messages

        for _ in range(MAX_NONCES):
            try:
                return self._order_once(name)
            except messages.Error as error:
                if error.code == "accountDoesNotExist":
                    # The authority has lost it, as staging environments do. The next attempt makes another one.
                    self._folder.write(ACCOUNT_FILE, b"")
                if error.code != "badNonce":
                    raise
                refusal = error
            finally:
                self._client = None  # Its connections would be idle for weeks.
        raise refusal

    def _order_once(self, name: str) -> bytes:
        from acme import crypto_util

        from ianus.issuing.account_key import make_account_key

        key = make_account_key()  # A key of the same kind: P-256.
        return self._finish(key, self._connected().new_order(crypto_util.make_csr(key, [name])))

    def advise(self, pem: bytes) -> tuple[float | None, float]:
        """Returns the time at which the authority advises to renew a certificate, or None, and when to ask again."""
        begin = pem.index(b"-----BEGIN CERTIFICATE-----")
        try:
            advised, again = self._connected().renewal_time(pem[begin:])
        finally:
            self._client = None
        return None if advised is None else advised.timestamp(), again.timestamp()

    def _connected(self) -> Any:
        from acme import client, messages
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
        from josepy.jwa import ES256
        from josepy.jwk import JWKEC

        if self._client is None:
            pem = self._folder.read(KEY_FILE)
            assert pem is not None, "prepare() has made it"
            key: Any = load_pem_private_key(pem, None)
            network = client.ClientNetwork(
                JWKEC(key=key),
                alg=ES256,
                user_agent=f"ianus/{__version__}",
                timeout=NETWORK_TIMEOUT_SECONDS,
            )
            acme = client.ClientV2(client.ClientV2.get_directory(self._folder.url, network), network)
            account = messages.RegistrationResource(uri=self._account_url(acme), body=messages.Registration())
            network.account = account
            self._client = acme
        return self._client

    def _account_url(self, acme: Any) -> str:
        from acme import errors, messages

        if known := self._folder.read(ACCOUNT_FILE):
            return str(json.loads(known)["url"])
        contact: dict[str, Any] = {"email": self._email} if self._email else {}
        new = messages.NewRegistration.from_data(**contact, terms_of_service_agreed=True)
        try:
            url = acme.new_account(new).uri
        except errors.ConflictError as error:
            url = error.location  # RFC 8555 section 7.3.1: the key has an account.
        self._folder.write(ACCOUNT_FILE, json.dumps({"url": url}).encode())
        return str(url)

    def _finish(self, key: bytes, order: Any) -> bytes:
        from acme import challenges, messages

        with contextlib.ExitStack() as answers:
            for authorization in order.authorizations:
                if authorization.body.status == messages.STATUS_VALID:
                    continue
                offered = {each.chall.to_partial_json().get("type"): each for each in authorization.body.challenges}
                if (chosen := offered.get(self._challenge)) is None:
                    kinds = ", ".join(sorted(map(str, offered)))
                    raise ValueError(f"the authority offers for this name: {kinds}; and not {self._challenge}")
                token = chosen.chall.to_partial_json()["token"]
                answers.enter_context(self._answering(authorization.body.identifier.value, token))
                # RFC 8555 section 7.5.1: the response is an empty object, whichever challenge it is.
                self._client.answer_challenge(chosen, challenges.HTTP01Response(key_authorization=""))
            finished = self._client.poll_and_finalize(order, datetime.now() + ORDER_TIMEOUT)  # noqa: DTZ005  (as `acme`)
        return key + str(finished.fullchain_pem).encode("ascii")

    @contextlib.contextmanager
    def _answering(self, name: str, token: str) -> Iterator[None]:
        """Has the workers answer the challenge of a name until the end of the context."""
        if self._challenge != "tls-alpn-01":
            yield
            return
        from ianus.issuing.challenge_certificate import make_challenge_certificate

        folder, file = self._folder.challenges, challenge_file(name)
        folder.write(file, make_challenge_certificate(name, f"{token}.{self._folder.thumbprint()}"))
        try:
            yield
        finally:
            folder.remove(file)
