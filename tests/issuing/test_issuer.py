"""The renewal of certificates, by a clock that the test moves."""

import logging
from pathlib import Path

import pytest

from ianus.errors import StartupError
from ianus.issuing.acme_folder import AcmeFolder, pair_file
from ianus.issuing.issuer import ADVICE_SECONDS, MAX_WAIT_SECONDS, Issuer
from ianus.issuing.renewal import DAY_SECONDS
from ianus.issuing.self_signed import make_self_signed

NAME = "a.example.org"


class Authority:
    """Issues certificates of 90 days. advised: the time of renewal that it advises."""

    def __init__(self, path: Path) -> None:
        self.now = 1_800_000_000.0
        path.chmod(0o700)
        self.folder = AcmeFolder(str(path), "https://ca.example/directory")
        self.folder.prepare([NAME], self.now)
        self.orders: list[str] = []
        self.questions = 0
        self.failure: Exception | None = None
        self.advised: float | None = None
        self.issuer = self.new_issuer(NAME)

    def new_issuer(self, *names: str) -> Issuer:
        return Issuer(self.folder, names, self.order, self.advise, lambda: self.now, lambda: 0.5)

    def order(self, name: str) -> bytes:
        self.orders.append(name)
        if self.failure is not None:
            raise self.failure
        return make_self_signed([name], 90, "Authority", self.now + 3600)

    def advise(self, pem: bytes) -> tuple[float | None, float]:
        self.questions += 1
        return self.advised, self.now + 3 * 3600

    def run(self, days: float) -> None:
        """Moves the clock as a process does that sleeps until its next step."""
        end = self.now + days * DAY_SECONDS
        while self.now < end:
            delay = self.issuer.step()
            assert 1 <= delay <= MAX_WAIT_SECONDS
            self.now += delay


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def test_a_placeholder_is_replaced_at_once(authority: Authority) -> None:
    placeholder = authority.folder.read(pair_file(NAME))
    assert placeholder is not None
    assert authority.folder.is_placeholder(placeholder)
    authority.issuer.step()
    assert authority.orders == [NAME]
    issued = authority.folder.read(pair_file(NAME))
    assert issued is not None
    assert not authority.folder.is_placeholder(issued)
    authority.issuer.step()
    authority.new_issuer(NAME).step()  # of another start
    assert authority.orders == [NAME]


def test_a_certificate_is_renewed_before_its_end(authority: Authority) -> None:
    authority.run(58)
    assert len(authority.orders) == 1
    authority.run(2)
    assert len(authority.orders) == 2
    authority.run(300)
    assert len(authority.orders) in (6, 7)


def test_the_authority_can_have_it_renewed_earlier(authority: Authority) -> None:
    authority.run(1)
    authority.advised = authority.now + 3600
    authority.run(0.5)
    # The advice stays the same, and must not lead to an order after each other.
    assert 2 <= len(authority.orders) <= 4
    # ... nor if the process is started again each time.
    orders = len(authority.orders)
    for _ in range(60):
        authority.new_issuer(NAME).step()
        authority.now += 60
    assert len(authority.orders) <= orders + 1


@pytest.mark.parametrize(
    "content", [None, b"", b"damaged", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_a_damaged_or_missing_file_is_replaced(authority: Authority, content: bytes | None) -> None:
    path = Path(authority.folder.pair_path(NAME))
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    authority.run(1)
    assert authority.orders == [NAME]


def test_a_late_advice_does_not_let_it_expire(authority: Authority) -> None:
    authority.advised = authority.now + 1000 * DAY_SECONDS
    authority.run(80)
    assert len(authority.orders) == 1
    authority.run(2)
    assert len(authority.orders) == 2


def test_the_authority_is_asked_seldom(authority: Authority) -> None:
    authority.run(2)
    assert authority.questions <= 2 * 8 + 2


def test_an_authority_that_gives_no_advice(authority: Authority, caplog: pytest.LogCaptureFixture) -> None:
    def advise(pem: bytes) -> tuple[float | None, float]:
        authority.questions += 1
        raise OSError("unreachable")

    authority.issuer._advise = advise
    with caplog.at_level(logging.INFO):
        authority.run(2)
    assert authority.questions <= 2 * DAY_SECONDS / ADVICE_SECONDS + 2
    assert f"no advice on the renewal of a certificate: name: {NAME}: OSError: unreachable" in caplog.text
    authority.run(60)
    assert len(authority.orders) == 2


def test_failures_are_logged_and_tried_again(authority: Authority, caplog: pytest.LogCaptureFixture) -> None:
    authority.failure = ValueError("the name\ndoes not resolve")
    authority.run(1 / 24)
    # An authority allows five failures in an hour.
    assert 2 <= len(authority.orders) <= 4
    assert f"cannot get a certificate, trying again in 60 s: name: {NAME}, failures: 1: ValueError: the name does" in (
        caplog.text
    )
    authority.failure = None
    authority.run(1)
    orders = len(authority.orders)
    authority.run(10)
    assert len(authority.orders) == orders


def test_each_name_has_its_own_certificate(authority: Authority) -> None:
    other = "b.example.org"
    authority.folder.prepare([NAME, other], authority.now)
    order = authority.order

    def order_one(name: str) -> bytes:
        if name == other:
            raise ValueError("refused")
        return order(name)

    authority.issuer = Issuer(
        authority.folder, [other, NAME], order_one, authority.advise, lambda: authority.now, lambda: 0.5
    )
    authority.run(1)
    assert authority.orders == [NAME]


def test_another_machine_that_orders_is_left_alone(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AcmeFolder, "lock", lambda self, *, waits=True: _NoLock())
    assert authority.issuer.step() == 30
    assert authority.orders == []


def test_a_certificate_of_another_machine_is_used(authority: Authority) -> None:
    authority.run(59)
    lock = authority.folder.lock

    def renew_first(*, waits: bool = True) -> object:
        # Between the look at the file and the lock.
        authority.folder.write(pair_file(NAME), make_self_signed([NAME], 90, "Authority", authority.now))
        return lock(waits=waits)

    authority.folder.lock = renew_first  # type: ignore[method-assign, assignment]
    authority.run(2)
    assert len(authority.orders) == 1


def test_the_clock_may_jump(authority: Authority) -> None:
    authority.issuer.step()
    authority.now += 200 * DAY_SECONDS
    authority.issuer.step()
    assert len(authority.orders) == 2
    authority.now -= 150 * DAY_SECONDS
    authority.issuer.step()
    assert len(authority.orders) == 2


class _NoLock:
    def __enter__(self) -> bool:
        return False

    def __exit__(self, *_: object) -> None:
        pass


def test_authorities_are_kept_apart(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    folders = [
        AcmeFolder(str(tmp_path), each) for each in ("letsencrypt", "letsencrypt-staging", "https://ca.test:14000/dir")
    ]
    assert len({folder.path for folder in folders}) == 3
    assert folders[2].path.endswith("/ca.test-14000-dir")


def test_only_the_inner_folder_has_to_be_private(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    folder = AcmeFolder(str(tmp_path), "letsencrypt")
    assert Path(folder.path).stat().st_mode & 0o777 == 0o700
    tmp_path.chmod(0o775)
    with pytest.raises(StartupError, match="Other users have access to the folder"):
        AcmeFolder(str(tmp_path), "letsencrypt")


def test_a_folder_is_prepared_once(authority: Authority) -> None:
    before = authority.folder.thumbprint()
    pem = authority.folder.read(pair_file(NAME))
    assert len(before) == 43
    assert authority.folder.is_prepared([NAME])
    assert not authority.folder.is_prepared([NAME, "b.example.org"])
    authority.folder.prepare([NAME, "b.example.org"], authority.now)
    assert authority.folder.is_prepared([NAME, "b.example.org"])
    assert authority.folder.thumbprint() == before
    assert authority.folder.read(pair_file(NAME)) == pem
