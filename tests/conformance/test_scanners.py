"""The scanners testssl.sh and sslyze find nothing in the TLS of the server, with both engines."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.certificates import intermediate, localhost, root, rsa_key
from tests.helpers import Server

pytestmark = pytest.mark.conformance

# In an environment of its own, which `make conformance` makes: it needs an older version of `cryptography`.
SSLYZE = Path(__file__).parents[2] / "build/sslyze/bin/sslyze"

# Findings of testssl.sh that are not about the server, each with the reason.
NOT_OF_THE_SERVER = {
    "cert_revocation": "the authority of the tests has no lists",
    "DNS_CAArecord": "localhost has no such record",
    "security_headers": "fields of a response are the application's, but Strict-Transport-Security",
    "clientsimulation": "the programs that are simulated, and not the server",
    "scanTime": "the machine is slow",
    # Of 150 connections of `openssl s_client </dev/null` 26 to 30 end without one. test_sslyze looks at resumption.
    "sessionresumption_ticket": "its client often exits before the ticket of TLS 1.3 has arrived",
    "overall_grade": "follows from the others",
}

# The one difference from the configuration that Mozilla recommends. The groups are those of the library, so that an
# update adds those against quantum computers. These two are not weak.
DIFFERENCE = re.compile(
    r"tls_curves: TLS curves \{(?:, |'X448'|'secp521r1')+\} are supported, but should be rejected\."
)


@pytest.fixture(params=["openssl", "python"])
def server(request: pytest.FixtureRequest, start_server: Callable[..., Server], tmp_path: Path) -> Server:
    """A server with a certificate of each key type."""
    pairs = [localhost(), intermediate().issue("localhost", "127.0.0.1", key=rsa_key())]
    options = []
    for number, made in enumerate(pairs):
        certificate, key = made.write(tmp_path, str(number))
        options += ["--ssl-certfile", certificate, "--ssl-keyfile", key]
    (tmp_path / "root.pem").write_bytes(root().pem)
    return start_server("--tls-engine", request.param, "--hsts", "31536000", *options)


def port_of(server: Server) -> int:
    assert isinstance(server.address, tuple)
    return server.address[1]


def test_testssl(server: Server, tmp_path: Path) -> None:
    program = shutil.which("testssl") or shutil.which("testssl.sh")
    assert program, "testssl.sh is not installed: make conformance installs it"
    report = tmp_path / "report.json"
    command = [
        *(program, "--quiet", "--color", "0", "--warnings", "batch", "--ip", "one"),
        # The server's preference, its defaults, protocols, ciphers, forward secrecy, fields, and the known attacks.
        *("--protocols", "--std", "--fs", "--server-preference", "--server-defaults", "--headers", "--vulnerable"),
        *(
            "--add-ca",
            str(tmp_path / "root.pem"),
            "--jsonfile",
            str(report),
            f"https://localhost:{port_of(server)}/hello",
        ),
    ]
    # It looks for a file of OpenSSL's settings in the folder it runs in.
    subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=900, cwd=tmp_path)
    findings = json.loads(report.read_text())
    assert {"TLS1_3", "heartbleed", "HSTS_time", "cert_chain_of_trust <cert#1>"} <= {each["id"] for each in findings}
    bad = [
        f"{each['severity']} {each['id']}: {each['finding']}"
        for each in findings
        if each["severity"] not in ("OK", "INFO") and each["id"].partition(" ")[0] not in NOT_OF_THE_SERVER
    ]
    assert bad == []


def test_sslyze(server: Server, tmp_path: Path) -> None:
    assert os.access(SSLYZE, os.X_OK), "sslyze is not installed: make conformance installs it"
    command = [
        *(str(SSLYZE), "--mozilla_config", "intermediate", "--resum", "--early_data"),
        *("--certinfo_ca_file", str(tmp_path / "root.pem"), "--json_out", str(tmp_path / "report.json")),
        f"localhost:{port_of(server)}",
    ]
    output = subprocess.run(command, capture_output=True, text=True, timeout=300).stdout
    _, title, judgement = output.partition("COMPLIANCE AGAINST TLS CONFIGURATION")
    assert title, output
    differences = re.findall(r"^ +\* (.*)$", judgement, re.MULTILINE)
    assert [each for each in differences if not DIFFERENCE.fullmatch(each)] == []
    assert "VULNERABLE" not in output
    (scan,) = json.loads((tmp_path / "report.json").read_text())["server_scan_results"]
    results = {name: each["result"] for name, each in scan["scan_result"].items() if each["status"] == "COMPLETED"}
    assert len(results) >= 17
    assert results["session_resumption"]["tls_ticket_resumption_result"] == "FULLY_SUPPORTED"
    assert results["tls_1_3_early_data"]["supports_early_data"] is False
