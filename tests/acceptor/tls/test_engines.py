"""The choice of an engine."""

import logging
from typing import Any

import pytest

from ianus.acceptor.tls import openssl
from ianus.acceptor.tls.engines import choose_engine, describe_engine
from ianus.errors import StartupError


@pytest.fixture
def without_openssl(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_openssl() -> Any:
        raise RuntimeError("the ssl module has LibreSSL")

    monkeypatch.setattr(openssl, "find_openssl", find_openssl)


def test_the_engine_that_is_named(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert choose_engine("auto").name == choose_engine("openssl").name == "openssl"
    assert choose_engine("python").name == "python"
    assert describe_engine().endswith(", engine openssl")
    assert caplog.messages == []


def test_a_python_whose_library_cannot_be_called(without_openssl: None, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="ianus.error")
    assert choose_engine("auto").name == "python"
    assert caplog.messages == [
        "TLS engine not available, using the engine python: openssl: the ssl module has LibreSSL"
    ]
    assert describe_engine().endswith(", engine python")
    with pytest.raises(StartupError, match="openssl: the ssl module has LibreSSL"):
        choose_engine("openssl")
