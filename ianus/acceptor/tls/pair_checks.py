"""The texts about certificates for the operator: the reasons why a pair cannot be used, and its weaknesses."""

import base64
import binascii
import re
import time

from ianus.acceptor.tls.pair import (
    KEY_MISMATCH,
    KEY_TOO_SMALL,
    NOT_PEM,
    PASSWORD_MISSING,
    PASSWORD_WRONG,
    CertificateError,
    LoadedPair,
)
from ianus.acceptor.tls.pair_files import PairContent, PairFileError
from ianus.telemetry.logger import logger

# NIST SP 800-131A: RSA keys are at least this long.
MIN_RSA_BITS = 2048

_CERTIFICATE = rb"-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----"
_KEY = rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----"

# The access method caIssuers in a certificate (RFC 5280 4.2.2.1), as DER: public authorities name the certificate of
# the issuer so, and private ones, whose root issues certificates itself, do not.
_CA_ISSUERS = bytes.fromhex("06082b06010505073002")


def explain_unreadable(error: PairFileError) -> str:
    """Returns the problem and the remedy of a file that cannot be read."""
    if error.is_forbidden:
        remedy = (
            "Let the user of the server read it, and its directories; or start the server as root, and the workers as"
            " another user (--user)."
        )
    else:
        remedy = f"Correct {error.setting}."
    return f"{error} {remedy}"


def explain_unusable(content: PairContent, error: CertificateError) -> str:
    """Returns the problem and the remedy of a pair that cannot be loaded."""
    certificate, key, _ = content.files
    reason = error.reason
    if reason == NOT_PEM:
        return _explain_form(content)
    if reason == KEY_MISMATCH:
        if key == certificate:
            return f"The key in {key} does not belong to the first certificate in it. Put that certificate first."
        return (
            f"The key in {key} does not belong to the certificate in {certificate}. Name the files of one pair; the"
            " certificate of the server precedes its chain."
        )
    if reason == PASSWORD_MISSING:
        return (
            f"The key in {key} is encrypted. Give its password in --ssl-keyfile-password, or in the variable"
            " IANUS_SSL_KEYFILE_PASSWORD."
        )
    if reason == PASSWORD_WRONG:
        return f"The password of --ssl-keyfile-password does not decrypt the key in {key}. Correct it."
    if reason == KEY_TOO_SMALL:
        return (
            f"The key of the certificate in {certificate} is too small: OpenSSL refuses it, as clients do. Make one"
            f" with an RSA key of {MIN_RSA_BITS} bits or more, or with an EC key."
        )
    detail = f" ({error.detail})" if error.detail else ""
    return f"OpenSSL cannot use the certificate in {certificate} with its key{detail}. Make a new pair."


def _explain_form(content: PairContent) -> str:
    certificate, key, setting = content.files
    is_in_directory = setting == "--ssl-cert-dir"
    if re.search(_CERTIFICATE, content.certificates_pem) is None and re.search(_KEY, content.certificates_pem):
        fix = (
            "Rename it like its certificate, as NAME.key beside NAME.pem."
            if is_in_directory
            else "Name the file of the certificate; that of the key is for --ssl-keyfile."
        )
        return f"{certificate} has a private key and no certificate. {fix}"
    if re.search(_CERTIFICATE, content.certificates_pem) is None:
        return f"{certificate} has no certificate in PEM form (-----BEGIN CERTIFICATE-----). {_conversion(certificate)}"
    if re.search(_KEY, content.key_pem) is None:
        if key == certificate:
            fix = (
                f"Put the key beside it, as {certificate.rpartition('.')[0]}.key, or move it out of the directory."
                if is_in_directory
                else "Name the file of the key: --ssl-keyfile."
            )
            return f"{certificate} has a certificate and no private key. {fix}"
        return f"{key} has no private key in PEM form (-----BEGIN PRIVATE KEY-----). Name the file that has it."
    return f"The PEM data in {content.files} is damaged. Copy the file again."


def _conversion(path: str) -> str:
    if path.endswith((".p12", ".pfx")):
        return f"Convert it: openssl pkcs12 -in {path} -nodes -out {path.rpartition('.')[0]}.pem"
    return f"Convert another form: openssl x509 -in {path} -out {path.rpartition('.')[0] or path}.pem"


def log_weaknesses(content: PairContent, pair: LoadedPair, now: float) -> None:
    """Logs a warning for each property of a pair that clients may refuse. now: POSIX seconds."""
    certificate, key, _ = content.files
    if content.is_key_public:
        logger.warning("private key can be read by all users of this machine: %s; chmod o-r", key)
    if now > pair.not_after:
        log_expired(content, pair)
    elif now < pair.not_before:
        logger.warning(
            "certificate is not valid yet, clients refuse it: %s, valid from: %s; check the clock of this machine",
            certificate,
            format_date(pair.not_before),
        )
    if not pair.has_san:
        logger.warning(
            "certificate names no host in subjectAltName, browsers refuse it: %s, subject: %s",
            certificate,
            pair.subject,
        )
    if pair.key_type == "RSA" and pair.key_bits < MIN_RSA_BITS:
        logger.warning("certificate has a weak key: %s, RSA bits: %d", certificate, pair.key_bits)
    is_alone = content.certificates_pem.count(b"-----END CERTIFICATE-----") == 1
    if not pair.chain_is_complete and not is_alone:
        logger.warning(
            "certificate chain is out of order, some clients refuse it: %s; each certificate is followed by that of"
            " its issuer",
            certificate,
        )
    elif is_alone and not pair.is_self_signed and _names_issuer(content):
        logger.warning(
            "certificate of the issuer is missing, some clients refuse the server: %s, issuer: %s; append it, or name"
            " the file with the full chain",
            certificate,
            pair.issuer,
        )


def log_expired(content: PairContent, pair: LoadedPair) -> None:
    """Logs that a certificate has expired."""
    logger.warning(
        "certificate has expired, clients refuse it: %s, valid until: %s; replace the files",
        content.files.certificate,
        format_date(pair.not_after),
    )


def format_date(posix: float) -> str:
    """Formats POSIX seconds as the date of a certificate, which may be any year."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(posix))
    except (OverflowError, ValueError, OSError):
        return "an invalid date"


def _names_issuer(content: PairContent) -> bool:
    """Returns whether the certificate has the address of its issuer's certificate."""
    block = re.search(_CERTIFICATE + rb"(.*?)-----END", content.certificates_pem, re.DOTALL)
    try:
        return block is not None and _CA_ISSUERS in base64.b64decode(block[1])
    except binascii.Error:
        return False
