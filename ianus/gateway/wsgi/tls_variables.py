"""The variables of TLS in environs: those of Apache's mod_ssl, by the names and in the forms that applications know.

PEP 3333 mentions them in "environ Variables". docs/wsgi.md lists the ones that exist.
"""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ianus.exchange.tls_facts import TlsFacts

if TYPE_CHECKING:
    from ianus.runtime.x509 import X509Certificate

# mod_ssl's own names of attributes, if they are not the short ones
ATTRIBUTE_VARIABLES = {"emailAddress": "Email", "title": "T", "initials": "I", "GN": "G", "SN": "S", "description": "D"}
ATTRIBUTES = ("C", "ST", "L", "O", "OU", "CN", "UID", *ATTRIBUTE_VARIABLES)


def tls_variables(facts: TlsFacts) -> dict[str, str]:
    """Returns the variables of a connection, apart from HTTPS."""
    variables = {
        "SSL_PROTOCOL": facts.protocol_name,
        "SSL_CIPHER": facts.cipher_name,
        "SSL_CLIENT_VERIFY": "NONE",
    }
    if facts.server_name is not None:
        variables["SSL_TLS_SNI"] = facts.server_name
    if facts.client_chain:
        variables["SSL_CLIENT_VERIFY"] = f"FAILED:{facts.client_error}" if facts.client_error else "SUCCESS"
        variables["SSL_CLIENT_CERT"] = facts.client_chain[0]
        for number, certificate in enumerate(facts.client_chain[1:]):
            variables[f"SSL_CLIENT_CERT_CHAIN_{number}"] = certificate
    if facts.client is not None:
        variables.update(_client_variables(facts.client))
    return variables


def _client_variables(client: "X509Certificate") -> Iterator[tuple[str, str]]:
    yield "SSL_CLIENT_M_VERSION", str(client.version)
    yield "SSL_CLIENT_M_SERIAL", _format_serial(client.serial)
    yield "SSL_CLIENT_S_DN", _native(client.subject)
    yield "SSL_CLIENT_I_DN", _native(client.issuer)
    yield "SSL_CLIENT_V_START", _format_time(client.not_before)
    yield "SSL_CLIENT_V_END", _format_time(client.not_after)
    yield from _name_variables("SSL_CLIENT_S_DN", client.subject_attributes)
    yield from _name_variables("SSL_CLIENT_I_DN", client.issuer_attributes)
    for number, name in enumerate(client.dns_names):
        yield f"SSL_CLIENT_SAN_DNS_{number}", name
    for number, address in enumerate(client.mail_addresses):
        yield f"SSL_CLIENT_SAN_Email_{number}", address


def _name_variables(prefix: str, attributes: tuple[tuple[str, str], ...]) -> Iterator[tuple[str, str]]:
    """Yields a variable for each attribute, and numbered ones if there are several of a kind."""
    for kind in ATTRIBUTES:
        texts = [_native(text) for name, text in attributes if name == kind]
        variable = f"{prefix}_{ATTRIBUTE_VARIABLES.get(kind, kind)}"
        if texts:
            yield variable, texts[0]
        if len(texts) > 1:
            for number, text in enumerate(texts):
                yield f"{variable}_{number}", text


def _format_serial(serial: int) -> str:
    """Formats a serial number as hexadecimal bytes."""
    digits = f"{abs(serial):X}"
    return ("-" if serial < 0 else "") + digits.zfill(len(digits) + len(digits) % 2)


def _format_time(seconds: int) -> str:
    """Formats a time as OpenSSL does: the name of the month is always English."""
    year, month, day, hour, minute, second, *_ = time.gmtime(seconds)
    name = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")[month - 1]
    return f"{name} {day:2} {hour:02}:{minute:02}:{second:02} {year} GMT"


def _native(text: str) -> str:
    """Converts text to a native string: its bytes decoded as Latin-1 (PEP 3333, "Unicode Issues")."""
    return text.encode("utf-8").decode("latin-1")
