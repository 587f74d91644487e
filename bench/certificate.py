"""The certificate of the servers over TLS."""

import subprocess
from pathlib import Path

COMMAND = (
    *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"),
    *("-subj", "/CN=localhost"),
    *("-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout", "key.pem", "-out", "cert.pem"),
)


def make_certificate(folder: Path) -> None:
    """Writes cert.pem and key.pem, which servers on 127.0.0.1 use, if they are missing; the key is on P-256."""
    if not (folder / "cert.pem").exists():
        subprocess.run(COMMAND, cwd=folder, check=True, capture_output=True)
