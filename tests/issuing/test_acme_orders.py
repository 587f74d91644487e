"""Orders at an authority that offers some challenges, with a fake of the library's client."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from acme import messages
from acme.messages import ChallengeBody

from ianus.issuing.acme_folder import AcmeFolder
from ianus.issuing.acme_orders import AcmeOrders

NAME = "a.example.org"
TOKEN = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"


class FakeClient:
    """The client of an account. seen: the files for a validation while it lasts."""

    def __init__(self, folder: AcmeFolder) -> None:
        self.folder = folder
        self.answered: list[Any] = []
        self.seen: list[str] = []
        self.failure: Exception | None = None

    def answer_challenge(self, challenge: Any, response: Any) -> None:
        assert response.json_dumps() == "{}"
        self.answered.append(challenge.to_json()["type"])

    def poll_and_finalize(self, order: Any, deadline: Any) -> Any:
        self.seen = [path.name for path in Path(self.folder.challenges.path).iterdir()]
        if self.failure is not None:
            raise self.failure
        return SimpleNamespace(fullchain_pem="chain")


def order_of(*kinds: str, status: Any = messages.STATUS_PENDING) -> Any:
    offered = [
        ChallengeBody.from_json({"type": kind, "url": "https://ca.example/1", "status": "pending", "token": TOKEN})
        for kind in kinds
    ]
    identifier = messages.Identifier(typ=messages.IDENTIFIER_FQDN, value=NAME)
    body = SimpleNamespace(status=status, challenges=offered, identifier=identifier)
    return SimpleNamespace(authorizations=[SimpleNamespace(body=body)])


def orders_of(path: Path, challenge: str) -> tuple[AcmeOrders, FakeClient]:
    path.chmod(0o700)
    folder = AcmeFolder(str(path), "https://ca.example/directory")
    folder.prepare([NAME], 1_800_000_000.0)
    orders, client = AcmeOrders(folder, challenge, ""), FakeClient(folder)
    orders._client = client
    return orders, client


def test_a_challenge_that_workers_answer_without_a_file(tmp_path: Path) -> None:
    orders, client = orders_of(tmp_path, "http-01")
    assert orders._finish(b"key ", order_of("dns-01", "tls-alpn-01", "http-01")) == b"key chain"
    assert client.answered == ["http-01"]
    assert client.seen == []


def test_a_validation_in_a_handshake_has_a_file_while_it_lasts(tmp_path: Path) -> None:
    orders, client = orders_of(tmp_path, "tls-alpn-01")
    order = order_of("http-01", "tls-alpn-01")
    assert orders._finish(b"key ", order) == b"key chain"
    assert client.answered == ["tls-alpn-01"]
    assert client.seen == [f"{NAME}.pem"]
    assert list(Path(client.folder.challenges.path).iterdir()) == []
    client.failure = ValueError("refused")
    with pytest.raises(ValueError, match="refused"):
        orders._finish(b"key ", order)
    assert client.seen == [f"{NAME}.pem"]
    assert list(Path(client.folder.challenges.path).iterdir()) == []


def test_an_authority_that_has_validated_the_name_before(tmp_path: Path) -> None:
    orders, client = orders_of(tmp_path, "tls-alpn-01")
    assert orders._finish(b"key ", order_of(status=messages.STATUS_VALID)) == b"key chain"
    assert client.answered == []


@pytest.mark.parametrize("challenge", ["http-01", "tls-alpn-01"])
def test_an_authority_that_does_not_offer_the_challenge(tmp_path: Path, challenge: str) -> None:
    orders, _ = orders_of(tmp_path, challenge)
    with pytest.raises(ValueError, match=f"the authority offers for this name: dns-01; and not {challenge}"):
        orders._finish(b"key ", order_of("dns-01"))
