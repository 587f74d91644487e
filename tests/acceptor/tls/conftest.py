"""Both engines of TLS: a test with the fixture `engine` runs with each of them."""

from typing import Any

import pytest

from ianus.acceptor.tls.openssl import find_openssl
from ianus.acceptor.tls.python import find_python


@pytest.fixture(params=["openssl", "python"])
def engine(request: pytest.FixtureRequest) -> Any:
    return find_openssl() if request.param == "openssl" else find_python()
