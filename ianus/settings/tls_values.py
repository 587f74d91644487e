"""Parsers of the settings about TLS, and the check of those that do not go together."""

import re
from typing import TYPE_CHECKING

from ianus.errors import ConflictError
from ianus.settings.values import format_value, seconds

if TYPE_CHECKING:
    from ianus.settings.schema import Settings

# The ACME directories of authorities
AUTHORITIES = {
    "letsencrypt": "https://acme-v02.api.letsencrypt.org/directory",
    "letsencrypt-staging": "https://acme-staging-v02.api.letsencrypt.org/directory",
}

# RFC 6797 section 6.1.2, and the list of browsers (hstspreload.org)
_OPTIONS = {"includesubdomains": "includeSubDomains", "preload": "preload"}


def password(value: object) -> str:
    """Parses the password of a key. The message does not show it."""
    if not isinstance(value, str) or "\0" in value:
        raise ValueError('the value is not a text; write it in quotes: "PASSWORD".')
    return value


def min_version(value: object) -> str:
    """Parses the lowest version of TLS, as 1.2, tls1.2 or TLSv1_2."""
    text = re.sub(r"(?i)^tls[ _]?v?", "", str(value)).replace("_", ".")
    if text in ("1.2", "1.3") and not isinstance(value, bool):
        return text
    if text in ("1", "1.0", "1.1"):
        raise ValueError(f"{format_value(value)} is not supported, since RFC 8996 forbids it; write 1.2.")
    raise ValueError(f"{format_value(value)} is not one of 1.2, 1.3.")


def cert_reqs(value: object) -> str:
    """Parses the demand for certificates of clients, also as the number or the name of Python's ssl module."""
    # An ssl.VerifyMode is a number with a name.
    text = str(int(value)) if isinstance(value, int) and not isinstance(value, bool) else str(value).lower()
    text = text.removeprefix("verifymode.").removeprefix("cert_")
    known = {"0": "none", "1": "optional", "2": "required"}
    if (text := known.get(text, text)) not in known.values():
        raise ValueError(f"{format_value(value)} is not one of none, optional, required.")
    return text


def client_verify(value: object) -> str:
    """Converts the switch of Granian to a demand for certificates of clients."""
    text = str(value).lower()
    if text in ("1", "true", "yes", "on"):
        return "required"
    return "none" if text in ("0", "false", "no", "off") else text


def context_factory(value: object) -> str:
    """Parses MODULE:FUNCTION; "" is none."""
    if not isinstance(value, str) or not re.fullmatch(r"|[\w.]+:[\w.]+", value):
        raise ValueError(f"{format_value(value)} does not name a function; write MODULE:FUNCTION.")
    return value


# RFC 1123 section 2.1; an underscore occurs in internal names.
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = rf"(?=.{{1,253}}$)(?:\*\.)?{_LABEL}(?:\.{_LABEL})*"


def certificate_name(value: object) -> str:
    """Parses a name of a certificate: a DNS name, also with a wildcard, or an address. Raises ValueError."""
    if not isinstance(value, str):
        raise ValueError(f"{format_value(value)} is not a host name such as example.org.")
    if ":" in value or re.fullmatch(r"[0-9.]+", value):
        import ipaddress  # Late: it takes 5 ms to import.

        try:
            return str(ipaddress.ip_address(value))
        except ValueError:
            raise ValueError(f"{format_value(value)} is neither a host name nor an IP address.") from None
    try:
        # As in URLs, which have the ASCII form of international names.
        name = value.lower() if value.isascii() else value.encode("idna").decode("ascii")
    except UnicodeError:
        name = ""
    if not re.fullmatch(_NAME, name):
        raise ValueError(f"{format_value(value)} is not a host name such as example.org.")
    return name


def automatic_name(value: object) -> str:
    """Parses a name for which an authority issues a certificate without a challenge by DNS. Raises ValueError."""
    name = certificate_name(value)
    # RFC 8555 section 8.3, RFC 8737 section 3, and the rules of the authorities
    if name.startswith("*.") or "." not in name or ":" in name or name.rpartition(".")[2].isdecimal():
        raise ValueError(f"{format_value(value)} is not a public host name such as example.org.")
    return name


def split_names(value: str) -> list[str]:
    """Splits a list of names."""
    return [part for part in re.split(r"[,\s]+", value) if part] or [value]


def thumbprint(value: object) -> str:
    """Parses the thumbprint of a key (RFC 7638): a SHA-256 in base64url. "" is none. Raises ValueError."""
    if not isinstance(value, str) or not re.fullmatch(r"|[A-Za-z0-9_-]{43}", value):
        raise ValueError(f"{format_value(value)} is not a thumbprint, which has 43 letters, digits, - and _.")
    return value


def authority(value: object) -> str:
    """Parses the name of a certificate authority, or the URL of its ACME directory. Raises ValueError."""
    if isinstance(value, str):
        if value in AUTHORITIES:
            return value
        if re.fullmatch(r"https://[^/\s]+(/\S*)?", value):
            return value
    raise ValueError(f"{format_value(value)} is not one of {', '.join(AUTHORITIES)}, or an https URL.")


def hsts(value: object) -> str:
    """Parses a time, and perhaps options: the value of Strict-Transport-Security, or "" for none.

    Raises ValueError.
    """
    if not isinstance(value, str):
        value = f"{seconds(value):g}" if type(value) in (int, float) else value
    if value in ("", None):
        return ""
    if not isinstance(value, str):
        raise ValueError(f"{format_value(value)} is not a time such as 31536000.")
    age, *options = (part.strip() for part in value.split(";"))
    names = []
    for option in filter(None, options):
        name = _OPTIONS.get(option.lower())
        if name is None:
            raise ValueError(f"{format_value(value)}: {option} is not one of includeSubDomains and preload.")
        if name not in names:
            names.append(name)
    # The value of the field is accepted too, so that it can be copied, and read back.
    max_age = seconds(re.sub(r"^max-age=\"?([0-9]+)\"?$", r"\1", age, flags=re.IGNORECASE))
    return "; ".join([f"max-age={max_age:.0f}", *names])


# Settings that promise protection, by the setting that turns TLS on for them. With one of them a server without TLS
# would look like one that has it, until a client connects. Of others, such as timeouts, the sources warn.
PROTECTING = {
    "ssl_certfile": (
        *("ssl_keyfile", "ssl_keyfile_password", "ssl_min_version", "ssl_ciphers", "ssl_ca_certs", "ssl_cert_reqs"),
        *("ssl_crl", "tls_host_check", "https_redirect", "hsts"),
    ),
    "tls_auto": ("tls_auto_dir", "tls_auto_authority", "tls_auto_challenge", "tls_auto_email"),
}


def _check_protection(settings: "Settings") -> None:
    """Raises ConflictError for settings that promise the protection of TLS, which is off."""
    fields = type(settings).__dataclass_fields__
    for source, names in PROTECTING.items():
        unmet = [name for name in names if getattr(settings, name) != fields[name].default]
        if unmet:
            have, them = ("has", "it") if len(unmet) == 1 else ("have", "them")
            raise ConflictError(
                (*unmet, source),
                f"{', '.join('{}' for _ in unmet)} {have} no effect without {{}}, which turns TLS on. Give that too, or"
                f" remove {them}.",
                page="tls",
            )


def check_tls(settings: "Settings") -> None:
    """Raises ConflictError for settings that do not go together."""
    if not settings.uses_tls():
        _check_protection(settings)
        return
    certificates, keys = len(settings.ssl_certfile), len(settings.ssl_keyfile)
    if keys and keys != certificates:
        raise ConflictError(
            ("ssl_keyfile", "ssl_certfile"),
            f"{{0}} names {keys} file(s) and {{1}} {certificates}; give each certificate its key, in the same order."
            " Without {0}, the files of {1} have the keys, too.",
            page="tls",
        )
    if settings.ssl_context_factory:
        if settings.tls_engine == "openssl":
            raise ConflictError(
                ("ssl_context_factory", "tls_engine"),
                "{} needs the engine of Python's ssl module; write {} python, or remove it.",
                page="tls",
            )
        return
    if settings.ssl_cert_reqs != "none" and not settings.ssl_ca_certs:
        raise ConflictError(
            ("ssl_cert_reqs", "ssl_ca_certs"),
            "{} needs {}: the file with the certificates of the authorities that issue the clients' certificates.",
            page="tls",
        )
    if settings.ssl_crl and not settings.ssl_ca_certs:
        raise ConflictError(
            ("ssl_crl", "ssl_ca_certs"),
            "{} needs {}: the file with the certificates of the authorities that have signed the lists.",
            page="tls",
        )
