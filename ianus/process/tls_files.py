"""The files of certificates and keys, as a server reads them before it serves.

The supervisor reads them for its workers: it may be root, and the workers a user that must not read keys.
"""

import os
from typing import TYPE_CHECKING, NamedTuple

from ianus.errors import StartupError
from ianus.process.issued_certificates import challenge_of, open_acme_folder
from ianus.process.privileges import Identity
from ianus.settings.schema import Settings

# Functions import these by themselves: a server without TLS loads none of them.
if TYPE_CHECKING:
    from ianus.acceptor.tls.challenge_files import ChallengeFiles
    from ianus.acceptor.tls.pair_files import FileState, PairContent, PairFiles, PairReader, PairSources

    # None for files that cannot be seen.
    PairStates = dict[PairFiles, tuple[FileState, FileState] | None]

TICKET_SECRET_BYTES = 32


class TlsFiles(NamedTuple):
    """The configured files and their content.

    ticket_secret: the keys of session tickets are derived from it. reader: the user of the workers, if it is another.
    challenges: of --tls-auto, if authorities validate its names in handshakes.
    """

    sources: "PairSources"
    contents: "tuple[PairContent, ...]"
    ticket_secret: bytes
    reader: "PairReader | None" = None
    challenges: "ChallengeFiles | None" = None

    def states(self) -> "PairStates":
        """Returns the states of the files that were read."""
        return {content.files: content.states for content in self.contents}

    def present_states(self) -> "PairStates":
        """Returns the states of the files as they are now. Raises PairFileError."""
        from ianus.acceptor.tls.pair_files import pair_states

        states: PairStates = {}
        for files in self.sources.find():
            try:
                states[files] = pair_states(files)
            except OSError:
                states[files] = None
        return states

    def read_again(self) -> "TlsFiles":
        """Returns the present content of the files. Raises PairFileError."""
        from ianus.acceptor.tls.pair_files import read_pairs

        return self._replace(contents=read_pairs(self.sources, self.reader))


def read_tls_files(settings: Settings, ticket_secret: bytes = b"", identity: Identity | None = None) -> TlsFiles | None:
    """Reads the files of --ssl-certfile, --ssl-keyfile and --ssl-cert-dir; None if none is named.

    ticket_secret: of the server; by default a new one. identity: of the workers.

    Raises StartupError.
    """
    if not settings.ssl_certfile and not settings.ssl_cert_dir:
        return None
    from ianus.acceptor.tls.pair_checks import explain_unreadable
    from ianus.acceptor.tls.pair_files import PairFileError, PairReader, PairSources, read_pairs

    sources = PairSources(settings.ssl_certfile, settings.ssl_keyfile, settings.ssl_cert_dir)
    reader = PairReader(identity.uid, identity.groups) if identity is not None else None
    try:
        contents = read_pairs(sources, reader)
    except PairFileError as error:
        raise StartupError(explain_unreadable(error), page="tls") from None
    if not contents:
        raise StartupError(
            f"{sources.directory} of --ssl-cert-dir has no certificate. Put NAME.crt and NAME.key there, or name"
            " another directory.",
            page="tls",
        )
    return TlsFiles(sources, contents, ticket_secret or make_ticket_secret(), reader, _open_challenges(settings))


def _open_challenges(settings: Settings) -> "ChallengeFiles | None":
    if challenge_of(settings) != "tls-alpn-01":
        return None
    from ianus.acceptor.tls.challenge_files import ChallengeFiles

    return ChallengeFiles(open_acme_folder(settings).challenges.path, settings.tls_auto)


def make_ticket_secret() -> bytes:
    """Makes a secret for session tickets. Tickets are valid in all processes that have it."""
    return os.urandom(TICKET_SECRET_BYTES)
