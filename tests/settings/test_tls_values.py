"""The settings about TLS: values as other servers write them, and settings that do not go together."""

import ssl
from typing import Any

import pytest

from ianus.errors import ConflictError
from ianus.settings import tls_values
from ianus.settings.schema import Settings
from ianus.settings.sources import Configuration, settings_to_serve
from ianus.settings.toml_dump import dump_toml
from tests.rows import for_each_row


@for_each_row(
    ("value", "expected"),
    [
        ("1.2", "1.2"),
        (1.3, "1.3"),
        ("tls1.2", "1.2"),
        ("TLSv1_3", "1.3"),
        ("TLS 1.3", "1.3"),
        ("tlsv1.2", "1.2"),
    ],
)
def test_versions(value: object, expected: str) -> None:
    assert tls_values.min_version(value) == expected


@for_each_row(
    ("value", "problem"),
    [
        ("1.1", "'1.1' is not supported, since RFC 8996 forbids it; write 1.2."),
        (1.0, "1.0 is not supported"),
        ("ssl3", "'ssl3' is not one of 1.2, 1.3."),
        (True, "true is not one of 1.2, 1.3."),
        (2, "2 is not one of 1.2, 1.3."),
    ],
)
def test_versions_that_are_not_supported(value: object, problem: str) -> None:
    with pytest.raises(ValueError, match="^" + problem.replace(".", r"\.")):
        tls_values.min_version(value)


@for_each_row(
    ("value", "expected"),
    [
        ("none", "none"),
        ("Required", "required"),
        (0, "none"),
        ("2", "required"),
        (ssl.CERT_OPTIONAL, "optional"),
        ("CERT_REQUIRED", "required"),
        ("VerifyMode.CERT_NONE", "none"),
    ],
)
def test_demands_for_certificates_of_clients(value: object, expected: str) -> None:
    assert tls_values.cert_reqs(value) == expected


@for_each_row("value", [3, True, "maybe", "", 1.0])
def test_other_demands_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match="is not one of none, optional, required"):
        tls_values.cert_reqs(value)


@for_each_row(("value", "expected"), [(True, "required"), ("false", "none"), (False, "none"), ("1", "required")])
def test_the_switch_of_granian(value: object, expected: str) -> None:
    given = {"ssl_client_verify": value, "ssl_certfile": "c", "ssl_ca": "a"}
    assert Settings.from_values(given).ssl_cert_reqs == expected


@for_each_row("value", ["module", "module:", ":function", "a b:c", 5])
def test_a_factory_has_a_module_and_a_function(value: object) -> None:
    with pytest.raises(ValueError, match="does not name a function; write MODULE:FUNCTION"):
        tls_values.context_factory(value)


PAIR: dict[str, Any] = {"ssl_certfile": ("c",), "ssl_keyfile": ("k",)}


@for_each_row(
    ("given", "expected"),
    [
        (
            {"ssl_certfile": ("a", "b"), "ssl_keyfile": ("k",)},
            (
                "ssl_keyfile names 1 file(s) and ssl_certfile 2; give each certificate its key, in the same order."
                " Without ssl_keyfile, the files of ssl_certfile have the keys, too."
            ),
        ),
        ({**PAIR, "ssl_cert_reqs": "required"}, "ssl_cert_reqs needs ssl_ca_certs: the file with the certificates"),
        ({**PAIR, "ssl_crl": "crl.pem"}, "ssl_crl needs ssl_ca_certs: the file with the certificates"),
        (
            {"ssl_context_factory": "a:b", "tls_engine": "openssl"},
            "ssl_context_factory needs the engine of Python's ssl module; write tls_engine python, or remove it.",
        ),
    ],
)
def test_settings_that_do_not_go_together(given: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConflictError) as caught:
        Settings(**given)
    assert caught.value.message.startswith(expected)
    assert (caught.value.exit_code, caught.value.page) == (3, "tls")


# Each with a value that is not its default.
PROTECTING: dict[str, Any] = {
    "ssl_keyfile": "k",
    "ssl_keyfile_password": "p",
    "ssl_min_version": "1.3",
    "ssl_ciphers": "HIGH",
    "ssl_ca_certs": "a",
    "ssl_cert_reqs": "optional",
    "ssl_crl": "c",
    "tls_host_check": True,
    "hsts": "3600",
    "https_redirect": True,
    "tls_auto_dir": "d",
    "tls_auto_authority": "letsencrypt-staging",
    "tls_auto_challenge": "http-01",
    "tls_auto_email": "a@b.example",
}


def test_each_setting_that_promises_protection_needs_tls() -> None:
    """Otherwise a server that asks no client for a certificate would look like one that requires it."""
    assert PROTECTING.keys() == {name for names in tls_values.PROTECTING.values() for name in names}
    for name, value in PROTECTING.items():
        source = "tls-auto" if name.startswith("tls_auto") else "ssl-certfile"
        with pytest.raises(ConflictError) as caught:
            Settings.from_values({name: value})
        assert caught.value.message == (
            f"{name} has no effect without --{source}, which turns TLS on. Give that too, or remove it."
        )
        assert caught.value.page == "tls"
        fields = Settings.__dataclass_fields__
        assert getattr(Settings(**{name: fields[name].default}), name) == fields[name].default  # as printed


def test_all_settings_without_tls_are_named_at_once() -> None:
    with pytest.raises(ConflictError) as caught:
        Settings.from_values({"cert_reqs": 2, "ca_certs": "a", "ssl_crl": "c"})
    assert caught.value.message == (
        "ca_certs, cert_reqs, ssl_crl have no effect without --ssl-certfile, which turns TLS on. Give that too, or"
        " remove them."
    )


def test_other_settings_without_tls_are_only_warned_of() -> None:
    for name in ("timeout_tls_handshake", "limit_handshakes", "https_redirect_port"):
        with pytest.warns(UserWarning, match=f"^{name}: no effect without --ssl-certfile, which turns TLS on"):
            settings_to_serve({name: 7})


@for_each_row(
    "given",
    [
        {"ssl_certfile": ("a", "b")},
        {"ssl_certfile": ("a",), "ssl_keyfile": ("k",), "ssl_cert_dir": "d"},
        {"ssl_cert_dir": "d"},
        {"ssl_context_factory": "a:b", "ssl_cert_reqs": "required"},
        {**PAIR, "ssl_cert_reqs": "optional", "ssl_ca_certs": "a", "ssl_crl": "c"},
    ],
)
def test_each_of_these_turns_tls_on(given: dict[str, Any]) -> None:
    assert Settings(**given).uses_tls()
    assert not Settings().uses_tls()


def test_the_printed_configuration_does_not_show_the_password() -> None:
    settings = Settings(tls_dev=True, ssl_keyfile_password="Sesame-17")
    text = dump_toml(Configuration("", settings, {"ssl_keyfile_password": "x.toml"}))
    assert "Sesame" not in text
    (line,) = [line for line in text.splitlines() if "ssl_keyfile_password" in line]
    assert line.split("  ")[0] == '# ssl_keyfile_password = "********"'
    assert line.endswith("# x.toml")


def test_a_password_that_is_not_a_text_is_not_shown() -> None:
    with pytest.raises(ValueError, match="is not a text") as caught:
        Settings.from_values({"ssl_keyfile_password": 4711})
    assert "4711" not in str(caught.value)
