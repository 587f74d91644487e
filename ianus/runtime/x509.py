"""Reads X.509 certificates: the names, dates and keys in their DER encoding (RFC 5280).

OpenSSL verifies certificates; this only reads them. Python's `ssl` reads a certificate only after it was verified, and
not as RFC 4514 writes names.
"""

import base64
import binascii
import calendar
import functools
import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

# A TRUSTED CERTIFICATE of OpenSSL is one with other data after it.
PEM_CERTIFICATE = re.compile(
    rb"-----BEGIN (?P<kind>(?:TRUSTED |X509 )?CERTIFICATE)-----(?P<text>[A-Za-z0-9+/=\s]+)-----END (?P=kind)-----"
)
PEM_LINE_BYTES = 64

# Tags of DER (X.690), with the bit of constructed types
INTEGER, OBJECT_ID, UTC_TIME, SEQUENCE = 0x02, 0x06, 0x17, 0x30
VERSION_TAG, EXTENSIONS_TAG = 0xA0, 0xA3
MAIL_TAG, DNS_TAG, IP_TAG = 0x81, 0x82, 0x87

# The Python encoding of each type of string that names have
STRING_ENCODINGS = {
    0x0C: "utf-8",
    0x12: "ascii",
    0x13: "ascii",
    0x14: "latin-1",
    0x16: "ascii",
    0x1A: "ascii",
    0x1C: "utf-32-be",
    0x1E: "utf-16-be",
}

# Registered short names of attributes (RFC 4514 section 2.3, RFC 4519, RFC 2985); OpenSSL writes the same ones.
ATTRIBUTE_NAMES = {
    "2.5.4.3": "CN",
    "2.5.4.4": "SN",
    "2.5.4.5": "serialNumber",
    "2.5.4.6": "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.9": "STREET",
    "2.5.4.10": "O",
    "2.5.4.11": "OU",
    "2.5.4.12": "title",
    "2.5.4.13": "description",
    "2.5.4.15": "businessCategory",
    "2.5.4.17": "postalCode",
    "2.5.4.41": "name",
    "2.5.4.42": "GN",
    "2.5.4.43": "initials",
    "2.5.4.44": "generationQualifier",
    "2.5.4.46": "dnQualifier",
    "2.5.4.65": "pseudonym",
    "2.5.4.97": "organizationIdentifier",
    "0.9.2342.19200300.100.1.1": "UID",
    "0.9.2342.19200300.100.1.3": "mail",
    "0.9.2342.19200300.100.1.25": "DC",
    "1.2.840.113549.1.9.1": "emailAddress",
}
ALTERNATIVE_NAMES = "2.5.29.17"

KEY_TYPES = {
    "1.2.840.113549.1.1.1": "RSA",
    "1.2.840.113549.1.1.10": "RSA-PSS",
    "1.2.840.10040.4.1": "DSA",
    "1.2.840.10045.2.1": "EC",
    "1.3.101.112": "ED25519",
    "1.3.101.113": "ED448",
}
CURVE_BITS = {
    "1.2.840.10045.3.1.7": 256,
    "1.3.132.0.10": 256,
    "1.3.132.0.34": 384,
    "1.3.132.0.35": 521,
}

# RFC 4514 section 2.4: these are escaped anywhere in a value.
ESCAPED = frozenset('"+,;<>\\')


class X509Error(ValueError):
    """The bytes are not a certificate."""


class Element(NamedTuple):
    """One element of DER. start: of its content; the tag is at `at`."""

    data: bytes
    at: int
    tag: int
    start: int
    end: int

    @property
    def content(self) -> bytes:
        return self.data[self.start : self.end]

    @property
    def encoding(self) -> bytes:
        """Returns the element with its tag and length."""
        return self.data[self.at : self.end]

    def children(self) -> Iterator["Element"]:
        at = self.start
        while at < self.end:
            child = read_element(self.data, at, self.end)
            at = child.end
            yield child


def read_element(data: bytes, at: int, end: int) -> Element:
    """Reads the element at a position. Raises X509Error if it does not end before `end`."""
    if at + 2 > end:
        raise X509Error("truncated")
    tag, length = data[at], data[at + 1]
    start = at + 2
    if tag & 0x1F == 0x1F:
        raise X509Error("a tag of several bytes")
    if length & 0x80:
        count = length & 0x7F
        # 0 is an indefinite length, which DER does not have. Four bytes are more than any certificate needs.
        if not 1 <= count <= 4 or start + count > end:
            raise X509Error("an invalid length")
        length = int.from_bytes(data[start : start + count], "big")
        start += count
    if start + length > end:
        raise X509Error("truncated")
    return Element(data, at, tag, start, start + length)


@dataclass(frozen=True)
class X509Certificate:
    """The contents of a certificate.

    subject, issuer: names by RFC 4514. dns_names, ip_addresses, mail_addresses: of the subject alternative name, in
    lower case. not_before, not_after: POSIX seconds. key_bits: 0 if the size is not known. The attributes of a name are
    in its own order, and without those that have no short name or no text.
    """

    der: bytes
    version: int
    serial: int
    subject: str
    issuer: str
    subject_der: bytes
    issuer_der: bytes
    subject_attributes: tuple[tuple[str, str], ...]
    issuer_attributes: tuple[tuple[str, str], ...]
    has_san: bool
    dns_names: tuple[str, ...]
    ip_addresses: tuple[str, ...]
    mail_addresses: tuple[str, ...]
    not_before: int
    not_after: int
    key_type: str
    key_bits: int

    @property
    def is_self_signed(self) -> bool:
        return self.subject_der == self.issuer_der

    @property
    def common_name(self) -> str | None:
        """Returns the last common name, which is that of the certificate itself."""
        return dict(self.subject_attributes).get("CN")

    @property
    def names(self) -> tuple[str, ...]:
        """Returns the names that the certificate is for: of the SAN, else the common name (RFC 6125 section 6.4.4)."""
        if self.has_san:
            return self.dns_names + self.ip_addresses
        return (self.common_name.lower(),) if self.common_name else ()

    def pem(self) -> str:
        return format_pem(self.der)


def format_pem(der: bytes) -> str:
    """Returns a certificate as text (RFC 7468)."""
    text = base64.b64encode(der).decode("ascii")
    lines = [text[at : at + PEM_LINE_BYTES] for at in range(0, len(text), PEM_LINE_BYTES)]
    return "\n".join(("-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""))


def read_pem_certificates(pem: bytes) -> tuple[bytes, ...]:
    """Returns the DER encoding of each certificate in a text, which may have keys and comments as well."""
    found = []
    for match in PEM_CERTIFICATE.finditer(pem):
        try:
            found.append(base64.b64decode(b"".join(match["text"].split()), validate=True))
        except binascii.Error as error:
            raise X509Error(f"invalid base64: {error}") from None
    return tuple(found)


def read_certificate(der: bytes) -> X509Certificate:
    """Reads a certificate. Raises X509Error if it is not one."""
    try:
        return _read(der)
    except X509Error:
        raise
    # An element that is missing, or of a length that its type does not have
    except (IndexError, StopIteration, ValueError, OverflowError) as error:
        raise X509Error(f"not a certificate: {error}") from error


def _read(der: bytes) -> X509Certificate:
    certificate = read_element(der, 0, len(der))
    body = next(certificate.children())
    fields = list(body.children())
    version = 1
    if fields[0].tag == VERSION_TAG:
        version = int.from_bytes(next(fields[0].children()).content, "big") + 1
        del fields[0]
    serial, _, issuer, validity, subject, key = fields[:6]
    if serial.tag != INTEGER or issuer.tag != SEQUENCE or subject.tag != SEQUENCE:
        raise X509Error("not a certificate")
    not_before, not_after = map(_read_time, validity.children())
    names = _alternative_names(fields[6:])
    key_type, key_bits = _read_key(key)
    return X509Certificate(
        der=certificate.encoding,
        version=version,
        serial=int.from_bytes(serial.content, "big", signed=True),
        subject=format_name(subject.encoding),
        issuer=format_name(issuer.encoding),
        subject_der=subject.encoding,
        issuer_der=issuer.encoding,
        subject_attributes=tuple(_attributes(subject)),
        issuer_attributes=tuple(_attributes(issuer)),
        has_san=names is not None,
        dns_names=tuple(_texts(names, DNS_TAG)),
        ip_addresses=tuple(_addresses(names)),
        mail_addresses=tuple(_texts(names, MAIL_TAG)),
        not_before=not_before,
        not_after=not_after,
        key_type=key_type,
        key_bits=key_bits,
    )


# ---------------------------------------------------------------- names


@functools.lru_cache(maxsize=256)
def format_name(der: bytes) -> str:
    """Returns a distinguished name as RFC 4514 writes it: the last part first."""
    parts = []
    for relative in read_element(der, 0, len(der)).children():
        attributes = []
        for attribute in relative.children():
            kind, value = attribute.children()
            attributes.append(_format_attribute(_read_object_id(kind), value))
        parts.append("+".join(attributes))
    return ",".join(reversed(parts))


def _format_attribute(object_id: str, value: Element) -> str:
    name = ATTRIBUTE_NAMES.get(object_id)
    text = _read_text(value)
    if name is None or text is None:
        # Section 2.4: without a short name, or a string, the value is written as its encoding.
        return f"{name or object_id}=#{value.encoding.hex()}"
    return f"{name}={_escape(text)}"


def _escape(text: str) -> str:
    escaped = []
    for at, character in enumerate(text):
        is_first, is_last = at == 0, at == len(text) - 1
        if character in ESCAPED or (character == " " and (is_first or is_last)) or (character == "#" and is_first):
            escaped.append("\\" + character)
        elif ord(character) < 0x20 or ord(character) == 0x7F:
            # Only NUL has to be. The others could break the line of a log or of a header.
            escaped.append(f"\\{ord(character):02X}")
        else:
            escaped.append(character)
    return "".join(escaped)


def _read_text(value: Element) -> str | None:
    """Returns the text of a string, or None for another type, or if it is invalid."""
    encoding = STRING_ENCODINGS.get(value.tag)
    if encoding is None:
        return None
    try:
        return value.content.decode(encoding)
    except UnicodeDecodeError:
        return None


def _attributes(name: Element) -> Iterator[tuple[str, str]]:
    for relative in name.children():
        for attribute in relative.children():
            kind, value = attribute.children()
            short_name, text = ATTRIBUTE_NAMES.get(_read_object_id(kind)), _read_text(value)
            if short_name is not None and text is not None:
                yield short_name, text


def _alternative_names(optional: list[Element]) -> list[Element] | None:
    """Returns the general names of the certificate, or None if it has no such extension."""
    for field in optional:
        if field.tag != EXTENSIONS_TAG:
            continue
        for extension in next(field.children()).children():
            object_id, *_, value = extension.children()
            if _read_object_id(object_id) == ALTERNATIVE_NAMES:
                return list(read_element(value.content, 0, len(value.content)).children())
    return None


def _texts(names: list[Element] | None, tag: int) -> Iterator[str]:
    for name in names or ():
        if name.tag == tag:
            # An IA5String. A byte that is not ASCII can match no name of a client.
            yield name.content.decode("ascii", "backslashreplace").lower()


def _addresses(names: list[Element] | None) -> Iterator[str]:
    for name in names or ():
        if name.tag == IP_TAG and len(name.content) in (4, 16):
            yield str(ipaddress.ip_address(name.content))


# ---------------------------------------------------------------- other fields


def _read_object_id(element: Element) -> str:
    if element.tag != OBJECT_ID or not element.content:
        raise X509Error("not an object identifier")
    values = []
    value = 0
    for byte in element.content:
        value = value << 7 | byte & 0x7F
        if not byte & 0x80:
            values.append(value)
            value = 0
    if not values:
        raise X509Error("an incomplete object identifier")
    first = min(values[0] // 40, 2)
    return ".".join(map(str, (first, values[0] - 40 * first, *values[1:])))


def _read_time(element: Element) -> int:
    """Reads a time of RFC 5280 section 4.1.2.5 as POSIX seconds."""
    text = element.content.decode("ascii")
    if element.tag == UTC_TIME:
        # Two digits of the year: 50 to 99 are of the last century.
        text = ("19" if int(text[:2]) >= 50 else "20") + text
    match = re.fullmatch(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z", text)
    if match is None:
        raise X509Error(f"an invalid time: {text!r}")
    year, month, day, hour, minute, second = map(int, match.groups())
    return calendar.timegm((year, month, day, hour, minute, second))


def _read_key(element: Element) -> tuple[str, int]:
    """Returns the type of the public key and its size in bits."""
    algorithm, bits = element.children()
    object_id, *parameters = algorithm.children()
    key_type = KEY_TYPES.get(_read_object_id(object_id), _read_object_id(object_id))
    if key_type in ("RSA", "RSA-PSS"):
        # The first byte of a bit string is the number of unused bits.
        modulus = next(read_element(bits.content, 1, len(bits.content)).children())
        return key_type, int.from_bytes(modulus.content, "big").bit_length()
    if key_type == "EC" and parameters and parameters[0].tag == OBJECT_ID:
        return key_type, CURVE_BITS.get(_read_object_id(parameters[0]), 0)
    return key_type, {"ED25519": 256, "ED448": 456}.get(key_type, 0)
