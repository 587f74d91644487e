"""The certificates that the server makes or orders itself: --tls-dev and --tls-auto.

Before a start, each name has a file with a key and a certificate, perhaps a self-signed one. The settings of the server
then have these files, as if an operator had named them; so all else about certificates is the same. An own process
replaces the files (process/supervisor/certificate_issuer).
"""
# ruff: noqa: PTH111, PTH117, PTH118, PTH123  (pathlib takes 5 ms to import)

import os
import time
from collections.abc import Callable
from dataclasses import replace

from ianus.errors import StartupError
from ianus.issuing.acme_folder import AcmeFolder
from ianus.issuing.private_folder import PrivateFolder
from ianus.process.after_fork import own_fork
from ianus.settings.schema import Settings

DEV_FILE = "dev-cert.pem"
DEV_DAYS = 90.0
# A certificate that ends soon is replaced: a developer's server may run for days.
MIN_DEV_DAYS = 7.0


def with_issued_certificates(settings: Settings, *, forks: bool) -> Settings:
    """Returns the settings with the files of certificates that the server makes itself, which exist then.

    forks: make them in another process, so that this one does not load the libraries. Only for a process with one
    thread.

    Raises StartupError.
    """
    if settings.tls_dev:
        if settings.ssl_certfile or settings.ssl_cert_dir:
            raise StartupError("--tls-dev is given together with another certificate. Remove one.", page="tls")
        path = _prepare_dev(forks=forks)
        return replace(settings, ssl_certfile=(path,), ssl_keyfile=(path,))
    if settings.tls_auto:
        _check_acme(settings)
        folder = open_acme_folder(settings)
        if not folder.is_prepared(settings.tls_auto):
            _run(lambda: folder.prepare(settings.tls_auto, time.time()), forks=forks)
        paths = tuple(map(folder.pair_path, settings.tls_auto))
        return replace(
            settings,
            ssl_certfile=settings.ssl_certfile + paths,
            # Without --ssl-keyfile, the files of --ssl-certfile have the keys.
            ssl_keyfile=(settings.ssl_keyfile or settings.ssl_certfile) + paths,
            acme_thumbprint=folder.thumbprint(),
        )
    return settings


def challenge_of(settings: Settings) -> str:
    """Returns the challenge by which the authority of --tls-auto validates names, "" without --tls-auto."""
    if not settings.tls_auto:
        return ""
    if settings.tls_auto_challenge != "auto":
        return settings.tls_auto_challenge
    return "http-01" if settings.insecure_bind else "tls-alpn-01"


def open_acme_folder(settings: Settings) -> AcmeFolder:
    """Returns the folder of --tls-auto. Raises StartupError."""
    path = (
        settings.tls_auto_dir
        or os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
        or _home("STATE", ".local/state")
    )
    return AcmeFolder(path, settings.tls_auto_authority)


def _home(kind: str, default: str) -> str:
    """Returns the folder of this server among those of the user (XDG Base Directory Specification)."""
    base = os.environ.get(f"XDG_{kind}_HOME", "")
    if not os.path.isabs(base):
        base = os.path.join(os.path.expanduser("~"), default)
    return os.path.join(base, "ianus")


def _check_acme(settings: Settings) -> None:
    if challenge_of(settings) == "http-01" and not settings.insecure_bind:
        raise StartupError(
            "--tls-auto-challenge http-01 needs an address without TLS, at which the authority checks the names. Add"
            " --insecure-bind :80, or remove --tls-auto-challenge.",
            page="tls",
        )
    from importlib.util import find_spec

    missing = [name for name in ("acme", "josepy") if find_spec(name) is None]  # acme requires josepy.
    if missing:
        raise StartupError(
            f"--tls-auto needs {' and '.join(missing)}. Install it (pip install acme), or get"
            " certificates with another program, such as certbot.",
            page="tls",
        )


def _prepare_dev(*, forks: bool) -> str:
    """Makes the certificate of --tls-dev, unless there is one. Returns its path."""
    from ianus.issuing.self_signed import check_cryptography

    check_cryptography("--tls-dev")
    folder = PrivateFolder(os.path.join(_home("CACHE", ".cache"), "dev-cert"), "$XDG_CACHE_HOME")
    # The same one for all servers and starts of a developer: browsers keep exceptions for a certificate.
    _run(lambda: _renew_dev(folder), forks=forks)
    return folder.file(DEV_FILE)


def _renew_dev(folder: PrivateFolder) -> None:
    from ianus.issuing.self_signed import DEV_NAME, LOCAL_NAMES, make_self_signed, validity_of

    with folder.lock():
        known, now = folder.read(DEV_FILE), time.time()
        try:
            is_valid = known is not None and validity_of(known)[1] > now + MIN_DEV_DAYS * 86400
        except ValueError:
            is_valid = False  # It is damaged.
        if not is_valid:
            folder.write(DEV_FILE, make_self_signed(LOCAL_NAMES, DEV_DAYS, DEV_NAME, now))


def _run(function: Callable[[], None], *, forks: bool) -> None:
    """Calls the function, in another process if it forks. Raises StartupError if it fails there."""
    if not forks:
        function()
        return
    reading, writing = os.pipe()
    with own_fork():
        pid = os.fork()
    if pid == 0:
        try:
            function()
        except BaseException as error:
            text = error.message if isinstance(error, StartupError) else f"{type(error).__name__}: {error}"
            os.write(writing, text.encode("utf-8", "replace")[:4096])
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as file:
        failure = file.read().decode("utf-8", "replace")
    os.waitpid(pid, 0)
    if failure:
        raise StartupError(f"No certificate can be made: {failure}")
