"""Keeps the certificates of some names valid, in a folder that several machines may share."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ianus.issuing.acme_folder import AcmeFolder, pair_file
from ianus.issuing.renewal import default_renewal_time, latest_renewal_time, retry_delay
from ianus.issuing.self_signed import validity_of
from ianus.telemetry.logger import logger

# Maximum time between two steps: the clock may be changed, another machine may renew a certificate, and a machine may
# have been suspended.
MAX_WAIT_SECONDS = 3600.0

# Time until the lock of the folder is tried again, which another process has while it orders.
LOCK_RETRY_SECONDS = 30.0

# Minimum time between two orders of a name: an authority may advise for ever to renew at once.
MIN_ORDER_SECONDS = 6 * 3600.0

# Time until the authority is asked for advice again if it gives no time, or does not answer.
ADVICE_SECONDS = 6 * 3600.0


@dataclass
class _Certificate:
    """The certificate of one name, and the times of the next acts."""

    pem: bytes
    renew_at: float
    advice_at: float
    retry_at: float = 0.0
    failures: int = 0


class Issuer:
    """Orders certificates when they are due.

    tls_auto: the names. order: makes a key and gets a certificate for a name; returns the PEM of both. advise: returns
    the time at which the authority advises to renew a certificate, or None, and the time to ask again. clock: POSIX
    seconds. random: a number from 0 to 1.
    """

    def __init__(
        self,
        folder: AcmeFolder,
        tls_auto: Sequence[str],
        order: Callable[[str], bytes],
        advise: Callable[[bytes], tuple[float | None, float]],
        clock: Callable[[], float],
        random: Callable[[], float],
    ) -> None:
        self._folder = folder
        self._names = tls_auto
        self._order = order
        self._advise = advise
        self._clock = clock
        self._random = random
        self._certificates: dict[str, _Certificate] = {}

    def step(self) -> float:
        """Asks for advice and orders certificates, as far as that is due. Returns the seconds until the next step."""
        due = []
        for name in self._names:
            certificate = self._look_at(name)
            if self._clock() >= max(certificate.renew_at, certificate.retry_at):
                self._renew(name, certificate)
                certificate = self._look_at(name)
            due.append(max(certificate.retry_at, min(certificate.renew_at, certificate.advice_at)))
        return min(max(min(due) - self._clock(), 1.0), MAX_WAIT_SECONDS)

    def _look_at(self, name: str) -> _Certificate:
        """Reads the certificate of a name, which another machine may have renewed, and the advice for it."""
        pem = self._folder.read(pair_file(name)) or b""
        certificate = self._certificates.get(name)
        now = self._clock()
        if certificate is None or certificate.pem != pem:
            self._certificates[name] = certificate = self._new_certificate(pem)
        if now >= certificate.advice_at:
            self._ask(name, certificate)
        return certificate

    def _new_certificate(self, pem: bytes) -> _Certificate:
        now = self._clock()
        try:
            is_issued = not self._folder.is_placeholder(pem)
        except ValueError:
            is_issued = False  # There is no file, or it is damaged.
        if not is_issued:
            return _Certificate(pem, renew_at=now, advice_at=math.inf)
        start, end = validity_of(pem)
        # By the certificate and not by the time of the order: this process may be started again and again.
        earliest = start + min(MIN_ORDER_SECONDS, (end - start) / 4)
        return _Certificate(
            pem,
            renew_at=default_renewal_time(start, end, self._random()),
            advice_at=now,
            retry_at=min(earliest, now + MIN_ORDER_SECONDS),
        )

    def _ask(self, name: str, certificate: _Certificate) -> None:
        certificate.advice_at = self._clock() + ADVICE_SECONDS
        try:
            advised, again_at = self._advise(certificate.pem)
        except Exception as error:
            logger.info("no advice on the renewal of a certificate: name: %s: %s", name, describe_failure(error))
            return
        certificate.advice_at = max(again_at, self._clock() + 60.0)
        if advised is not None:
            # Advice that is wrong must not let a certificate expire: failed orders need time, too.
            certificate.renew_at = min(advised, latest_renewal_time(*validity_of(certificate.pem)))

    def _renew(self, name: str, certificate: _Certificate) -> None:
        with self._folder.lock(waits=False) as has_lock:
            if not has_lock:
                certificate.retry_at = self._clock() + LOCK_RETRY_SECONDS * (0.5 + self._random())
                return
            if (self._folder.read(pair_file(name)) or b"") != certificate.pem:
                return  # Another machine has just renewed it.
            logger.info("ordering a certificate: name: %s, authority: %s", name, self._folder.authority)
            try:
                pem = self._order(name)
                self._folder.write(pair_file(name), pem)
            except Exception as error:
                certificate.failures += 1
                delay = retry_delay(certificate.failures, self._random())
                certificate.retry_at = self._clock() + delay
                logger.error(
                    "cannot get a certificate, trying again in %d s: name: %s, failures: %d: %s",
                    delay,
                    name,
                    certificate.failures,
                    describe_failure(error),
                )
                return
            end = datetime.fromtimestamp(validity_of(pem)[1], UTC)
            logger.info("certificate issued: name: %s, valid until: %s", name, end.strftime("%Y-%m-%d %H:%M UTC"))


def describe_failure(error: Exception) -> str:
    """Returns one line about a failure of the authority or of the network."""
    text = " ".join(str(error).split()) or type(error).__name__
    return f"{type(error).__name__}: {text}"[:500]
