"""The folder of automatic certificates: the account at an authority, and a file for each name.

account-key.pem   the key of the account
account.json      its URL at the authority
thumbprint        of the key: the answer to challenges has it (RFC 8555 section 8.1)
NAME.pem          a key, and the chain of its certificate
challenges        a folder with a key and a certificate for each name that is being validated (tls-alpn-01)
lock              held while a certificate is ordered
"""

# ruff: noqa: PTH110, PTH118  (pathlib takes 5 ms to import)

import os
import re
from collections.abc import Sequence

from ianus.issuing.private_folder import PrivateFolder, ServedFolder, make_folder
from ianus.settings.tls_values import AUTHORITIES

KEY_FILE = "account-key.pem"
ACCOUNT_FILE = "account.json"
THUMBPRINT_FILE = "thumbprint"

PLACEHOLDER_DAYS = 3650.0


def challenge_file(name: str) -> str:
    """Returns the name of the file in the folder of challenges. acceptor/tls/challenge_files reads it."""
    return f"{name}.pem"


def pair_file(name: str) -> str:
    """Returns the name of the file with the key and the certificate of a name."""
    return f"{name}.pem"


class AcmeFolder(PrivateFolder):
    """The folder of one authority, in --tls-auto-dir.

    tls_auto_authority: a key of AUTHORITIES, or the URL of an ACME directory. Certificates of authorities are kept
    apart: those of a staging environment are not trusted.

    Raises StartupError if the folder cannot be used.
    """

    def __init__(self, path: str, tls_auto_authority: str) -> None:
        # systemd makes a StateDirectory= that others can read.
        make_folder(path, "--tls-auto-dir", is_private=False)
        self.authority = tls_auto_authority
        self.url = AUTHORITIES.get(tls_auto_authority, tls_auto_authority)
        name = re.sub(r"[^a-z0-9.-]+", "-", self.url.removeprefix("https://").lower()).strip("-")
        super().__init__(os.path.join(path, name), "--tls-auto-dir")
        # Workers read it, which may be another user. They are not let into the folder above it.
        self.challenges = ServedFolder(self.file("challenges"), "--tls-auto-dir")

    def pair_path(self, name: str) -> str:
        """Returns the path of the file with the key and the certificate of a name."""
        return self.file(pair_file(name))

    def thumbprint(self) -> str:
        """Returns the thumbprint of the account's key, "" before prepare()."""
        return (self.read(THUMBPRINT_FILE) or b"").decode("ascii")

    def is_prepared(self, tls_auto: Sequence[str]) -> bool:
        """Returns whether prepare() has nothing to do."""
        files = (THUMBPRINT_FILE, KEY_FILE, *map(pair_file, tls_auto))
        return all(os.path.exists(self.file(each)) for each in files)

    def prepare(self, tls_auto: Sequence[str], now: float) -> None:
        """Makes the key of the account, and self-signed certificates for names without one.

        Until an authority has issued certificates, the server can start with those. now: POSIX seconds.
        """
        from ianus.issuing.account_key import make_account_key, thumbprint_of
        from ianus.issuing.self_signed import PLACEHOLDER_NAME, make_self_signed

        with self.lock():
            key = self.read(KEY_FILE)
            if key is None:
                key = make_account_key()
                self.write(KEY_FILE, key)
            self.write(THUMBPRINT_FILE, thumbprint_of(key).encode("ascii"))
            for name in tls_auto:
                if self.read(pair_file(name)) is None:
                    pem = make_self_signed([name], PLACEHOLDER_DAYS, PLACEHOLDER_NAME, now)
                    self.write(pair_file(name), pem)

    def is_placeholder(self, pem: bytes) -> bool:
        """Returns whether prepare() has made this certificate."""
        from ianus.issuing.self_signed import PLACEHOLDER_NAME, is_self_signed_by

        return is_self_signed_by(pem, PLACEHOLDER_NAME)
