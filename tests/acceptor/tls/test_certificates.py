"""The certificates of a worker: the choice by name, changes of the files, and the messages about them."""

import base64
import os
from pathlib import Path
from typing import Any

import pytest

from ianus.acceptor.tls import pair
from ianus.acceptor.tls.certificates import CHECK_SECONDS, MAX_UNKNOWN_NAMES, CertificateStore
from ianus.acceptor.tls.pair_files import PairSources, read_pairs
from ianus.errors import StartupError
from tests.acceptor.tls.files import DAY, NOW, Clock, CountingStat, load_pair, open_store, write_pair

Pair = tuple[Path, Path]


@pytest.fixture
def files(tmp_path: Path) -> Pair:
    found = tmp_path / "cert.pem", tmp_path / "key.pem"
    write_pair(*found)
    return found


def make_pair(folder: Path, name: str, **facts: Any) -> Pair:
    found = folder / f"{name}.crt", folder / f"{name}.key"
    write_pair(*found, **facts)
    return found


def names_of(store: CertificateStore, server_name: str | None) -> list[str]:
    """Returns "NAME KEY-TYPE" of each selected pair, with the first name of the pair."""
    return [f"{each.names[0]} {each.key_type}" for each in store.select(server_name)]


def reason_of(caught: pytest.ExceptionInfo[StartupError]) -> str:
    assert caught.value.exit_code == 3
    assert caught.value.page == "tls"
    return caught.value.message


# --- Names ---


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (None, ["a.test EC"]),
        ("a.test", ["a.test EC"]),
        ("b.test", ["b.test EC", "b.test RSA"]),
        ("x.wild.test", ["*.wild.test EC"]),
        ("exact.wild.test", ["exact.wild.test EC"]),
        ("x.y.wild.test", ["a.test EC"]),
        ("wild.test", ["a.test EC"]),
        (".wild.test", ["a.test EC"]),
        ("*.wild.test", ["*.wild.test EC"]),
        ("unknown.test", ["a.test EC"]),
        ("", ["a.test EC"]),
    ],
)
def test_choice_by_name(tmp_path: Path, name: str | None, expected: list[str]) -> None:
    pairs = [
        make_pair(tmp_path, "a", names=["a.test"]),
        make_pair(tmp_path, "b", names=["b.test"]),
        make_pair(tmp_path, "b-rsa", names=["b.test"], key_type="RSA", key_bits=2048),
        make_pair(tmp_path, "b-again", names=["b.test"]),
        make_pair(tmp_path, "w", names=["*.wild.test"]),
        make_pair(tmp_path, "e", names=["exact.wild.test"]),
    ]
    store = open_store(*pairs)
    assert names_of(store, name) == expected
    assert len(store.pairs()) == 6


def test_the_default_has_both_key_types(tmp_path: Path) -> None:
    pairs = [make_pair(tmp_path, "a"), make_pair(tmp_path, "b", key_type="RSA", key_bits=4096)]
    assert [each.key_type for each in open_store(*pairs).select(None)] == ["EC", "RSA"]


def test_a_valid_pair_precedes_an_expired_one_of_its_type(tmp_path: Path) -> None:
    pairs = [make_pair(tmp_path, "2025", not_after=NOW - DAY), make_pair(tmp_path, "2026", subject="CN=new")]
    assert [each.subject for each in open_store(*pairs).select("example.com")] == ["CN=new"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.test", True), ("A.Test", True), ("x.b.test", True), ("10.0.0.1", True), ("c.test", False), ("", False)],
)
def test_known_hosts(tmp_path: Path, name: str, expected: bool) -> None:
    store = open_store(make_pair(tmp_path, "a", names=["a.test", "*.b.test", "10.0.0.1"]))
    assert store.has_name(name) is expected


def test_a_store_without_names_knows_every_host(tmp_path: Path) -> None:
    assert open_store(make_pair(tmp_path, "a", names=[])).has_name("c.test")


def test_an_unknown_name_is_logged_once(files: Pair, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    store = open_store(files)
    for name in ("b.test", "b.test", "bad\nname", "example.com"):
        store.select(name)
    assert [record.message for record in caplog.records] == [
        "no certificate for the name that a client asked for, sent the first one: b.test",
        r"no certificate for the name that a client asked for, sent the first one: 'bad\nname'",
    ]
    for number in range(2 * MAX_UNKNOWN_NAMES):
        store.select(f"{number}.test")
    assert len(caplog.records) == MAX_UNKNOWN_NAMES


# --- Changes ---


def test_a_changed_pair_is_used_from_the_next_check(files: Pair, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    clock, stat = Clock(), CountingStat()
    store = open_store(files, clock=clock, stat=stat)
    store.refresh(clock.monotonic)
    before = store.select(None)
    write_pair(*files, 2, subject="CN=new", names=["new.test"])
    asked = len(stat.paths)
    clock.pass_time(CHECK_SECONDS - 0.1)
    assert not store.refresh(clock.monotonic)
    assert store.select(None) is before
    assert len(stat.paths) == asked, "the files are looked at once in CHECK_SECONDS"
    clock.pass_time(0.2)
    assert store.refresh(clock.monotonic)
    assert [each.subject for each in store.select("new.test")] == ["CN=new"]
    assert [record.message for record in caplog.records] == [
        f"certificate loaded: {files[0]} and {files[1]}, names: new.test, valid until: 2027-01-16 08:00:00 UTC"
    ]


def test_a_copy_of_the_same_content_is_not_logged(files: Pair, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    clock = Clock()
    store = open_store(files, clock=clock)
    write_pair(*files)
    store.refresh(clock.monotonic)
    assert caplog.records == []


def test_links_that_are_swapped_as_kubernetes_does(tmp_path: Path) -> None:
    clock = Clock()
    for version in (1, 2):
        folder = tmp_path / f"..{version}"
        folder.mkdir()
        write_pair(folder / "tls.crt", folder / "tls.key", version, subject=f"CN={version}")
    (tmp_path / "..data").symlink_to("..1")
    for name in ("tls.crt", "tls.key"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    store = open_store((tmp_path / "tls.crt", tmp_path / "tls.key"), clock=clock)
    folder_store = open_store(directory=tmp_path, clock=clock)
    (tmp_path / "..new").symlink_to("..2")
    (tmp_path / "..new").replace(tmp_path / "..data")
    for each in (store, folder_store):
        assert each.select(None)[0].subject == "CN=1"
        each.refresh(clock.monotonic)
        assert [pair.subject for pair in each.pairs()] == ["CN=2"]


def test_a_store_of_files_that_were_read_long_ago(files: Pair, caplog: pytest.LogCaptureFixture) -> None:
    write_pair(*files, not_after=NOW - DAY)
    sources = PairSources((str(files[0]),), (str(files[1]),), "")
    contents = read_pairs(sources)
    write_pair(*files, 2, subject="CN=renewed")
    store = CertificateStore(sources, contents, load_pair, clock=lambda: NOW)
    assert store.select(None)[0].subject == "CN=renewed"
    assert caplog.records == [], "the certificate that has expired is not served"
    files[1].write_text("damaged")
    assert CertificateStore(sources, contents, load_pair, clock=lambda: NOW).select(None)[0].not_after == NOW - DAY


def test_a_broken_pair_is_reported_once_and_the_previous_one_stays(
    files: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    store = open_store(files, clock=clock)
    before = store.select(None)
    files[1].write_text("damaged")
    for _ in range(4):
        store.refresh(clock.monotonic)
        clock.pass_time(CHECK_SECONDS)
        assert store.select(None) is before
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert record.message.startswith(
        f"certificate not reloaded, keeping the previous one: {files[0]} and {files[1]}: {files[1]} has no private key"
    )
    files[1].write_text("damaged otherwise")
    for _ in range(3):
        store.refresh(clock.monotonic)
        clock.pass_time(CHECK_SECONDS)
    assert len(caplog.records) == 2
    write_pair(*files, 3, subject="CN=good")
    store.refresh(clock.monotonic)
    assert store.select(None)[0].subject == "CN=good"


def test_a_defect_of_an_engine_ends_no_handshake(files: Pair, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    store = open_store(files, clock=clock)
    before = store.select(None)
    files[0].write_text("-----BEGIN CERTIFICATE-----\nnot JSON\n")
    for _ in range(3):
        store.refresh(clock.monotonic)
        clock.pass_time(CHECK_SECONDS)
    assert store.select(None) is before
    (record,) = caplog.records
    assert "OpenSSL cannot use the certificate in" in record.message
    assert "JSONDecodeError" in record.message


def test_files_that_change_one_after_the_other_are_not_reported(files: Pair, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    store = open_store(files, clock=clock)
    key = files[1].read_text()
    write_pair(*files, 2, subject="CN=new")
    new_key = files[1].read_text()
    files[1].write_text(key)
    store.refresh(clock.monotonic)
    assert store.select(None)[0].subject == "CN=example.com"
    files[1].write_text(new_key)
    clock.pass_time(CHECK_SECONDS)
    store.refresh(clock.monotonic)
    assert store.select(None)[0].subject == "CN=new"
    assert caplog.records == []


def test_a_removed_file_keeps_its_pair(files: Pair, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    store = open_store(files, clock=clock)
    files[0].unlink()
    for _ in range(3):
        store.refresh(clock.monotonic)
        clock.pass_time(CHECK_SECONDS)
    assert store.select("example.com")
    (record,) = caplog.records
    assert f"{files[0]} of --ssl-certfile cannot be read: No such file or directory." in record.message


def test_a_restored_pair_is_not_a_failure(files: Pair, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    store = open_store(files, clock=clock)
    before = store.select(None)
    backup = files[1].rename(files[1].with_suffix(".bak"))
    store.refresh(clock.monotonic)
    backup.rename(files[1])
    for _ in range(3):
        clock.pass_time(CHECK_SECONDS)
        store.refresh(clock.monotonic)
    assert store.select(None) is before
    assert caplog.records == []


def test_pairs_of_a_directory_come_and_go(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    clock = Clock()
    make_pair(tmp_path, "a", names=["a.test"])
    store = open_store(directory=tmp_path, clock=clock)
    added = make_pair(tmp_path, "b", names=["b.test"])
    store.refresh(clock.monotonic)
    assert names_of(store, "b.test") == ["b.test EC"]
    for file in added:
        file.unlink()
    for is_known in (True, False):
        clock.pass_time(CHECK_SECONDS)
        store.refresh(clock.monotonic)
        assert store.has_name("b.test") is is_known, "it has to be missing twice"
    assert [record.message.partition(":")[0] for record in caplog.records] == [
        "certificate loaded",
        "certificate removed",
    ]


def test_a_pair_whose_file_is_missing_for_a_moment_stays(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    clock = Clock()
    (first, _), *_ = [make_pair(tmp_path, name, names=[f"{name}.test"]) for name in "ab"]
    store = open_store(directory=tmp_path, clock=clock)
    backup = first.rename(tmp_path / "backup")
    store.refresh(clock.monotonic)
    assert names_of(store, "a.test") == names_of(store, None) == ["a.test EC"]
    backup.rename(first)
    for _ in range(2):
        clock.pass_time(CHECK_SECONDS)
        store.refresh(clock.monotonic)
    assert names_of(store, None) == ["a.test EC"]
    assert caplog.records == []


def test_an_emptied_or_removed_directory_keeps_the_pairs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    folder = tmp_path / "certificates"
    folder.mkdir()
    found = make_pair(folder, "a", names=["a.test"])
    store = open_store(directory=folder, clock=clock)
    for file in found:
        file.unlink()
    store.refresh(clock.monotonic)
    assert store.has_name("a.test")
    folder.rmdir()
    for _ in range(3):
        clock.pass_time(CHECK_SECONDS)
        store.refresh(clock.monotonic)
    assert store.has_name("a.test")
    (record,) = caplog.records
    assert record.message.startswith("certificates not reloaded, keeping the previous ones: ")


def test_a_file_of_another_user_is_left_to_the_supervisor(files: Pair, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    asked: list[int] = []

    def forbid(path: str) -> os.stat_result:
        raise PermissionError(13, "Permission denied", path)

    other = make_pair(files[0].parent, "other")
    store = open_store(files, other, clock=clock, stat=forbid, on_unreadable=lambda: asked.append(1))
    for _ in range(3):
        store.refresh(clock.monotonic)
        clock.pass_time(CHECK_SECONDS)
    assert len(asked) == 4, "the supervisor knows whether the files have changed"
    assert caplog.records == []


def test_only_one_worker_reports(files: Pair, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    clock = Clock()
    write_pair(*files, not_after=NOW - DAY, has_san=False)
    store = open_store(files, clock=clock, is_reporting=False)
    files[1].write_text("damaged")
    for _ in range(3):
        store.refresh(clock.monotonic)
        clock.pass_time(CHECK_SECONDS)
    assert caplog.records == []
    store.select("unknown.test")
    assert len(caplog.records) == 1, "a client's connections may all have been this worker's"


# --- Pairs that cannot be used ---


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        (pair.KEY_TOO_SMALL, "is too small: OpenSSL refuses it, as clients do. Make one with an RSA key of 2048 bits"),
        (pair.UNSUPPORTED, "OpenSSL cannot use the certificate in {cert} with its key. Make a new pair."),
        (pair.NOT_PEM, "The PEM data in {cert} and {key} is damaged. Copy the file again."),
    ],
)
def test_reasons_of_an_engine(files: Pair, reason: str, expected: str) -> None:
    write_pair(*files, problem=reason)
    with pytest.raises(StartupError) as caught:
        open_store(files)
    assert expected.format(cert=files[0], key=files[1]) in reason_of(caught)


def test_a_certificate_that_is_not_pem(files: Pair) -> None:
    files[0].write_bytes(b"\x30\x82")
    with pytest.raises(StartupError) as caught:
        open_store(files)
    assert f"{files[0]} has no certificate in PEM form (-----BEGIN CERTIFICATE-----). Convert" in reason_of(caught)


def test_files_that_are_exchanged(files: Pair) -> None:
    with pytest.raises(StartupError) as caught:
        open_store((files[1], files[0]))
    assert f"{files[1]} has a private key and no certificate. Name the file of the certificate;" in reason_of(caught)


def test_a_file_of_pkcs12(tmp_path: Path) -> None:
    (tmp_path / "a.p12").write_bytes(b"\x30\x82")
    with pytest.raises(StartupError) as caught:
        open_store((tmp_path / "a.p12", tmp_path / "a.p12"))
    assert f"openssl pkcs12 -in {tmp_path}/a.p12 -nodes -out {tmp_path}/a.pem" in reason_of(caught)


def test_a_key_that_is_not_pem(files: Pair) -> None:
    files[1].write_text("none")
    with pytest.raises(StartupError) as caught:
        open_store(files)
    assert f"{files[1]} has no private key in PEM form" in reason_of(caught)


def test_a_certificate_without_its_key(files: Pair) -> None:
    with pytest.raises(StartupError) as caught:
        open_store((files[0], files[0]))
    assert f"{files[0]} has a certificate and no private key. Name the file of the key" in reason_of(caught)


def test_a_file_of_a_directory_without_its_pair_has_advice_for_directories(tmp_path: Path, files: Pair) -> None:
    directory = tmp_path / "site"
    directory.mkdir()
    alone = directory / "a.pem"
    for content, expected in (
        (files[0], f"{alone} has a certificate and no private key. Put the key beside it, as {directory}/a.key, or"),
        (files[1], f"{alone} has a private key and no certificate. Rename it like its certificate, as NAME.key"),
    ):
        alone.write_bytes(content.read_bytes())
        with pytest.raises(StartupError) as caught:
            open_store(directory=directory)
        assert reason_of(caught).startswith(expected)
        assert "--ssl-keyfile" not in reason_of(caught)


def test_a_key_of_another_certificate_names_both_files(files: Pair) -> None:
    files[1].write_text(files[1].read_text().replace("1", "2"))
    with pytest.raises(StartupError) as caught:
        open_store(files)
    message = reason_of(caught)
    assert f"The key in {files[1]} does not belong to the certificate in {files[0]}." in message


def test_a_key_of_another_certificate_in_one_file(files: Pair, tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_text(files[0].read_text() + files[1].read_text())
    assert open_store((both, both), load=lambda *given: FakeLoaded).pairs() == (FakeLoaded,)

    def mismatch(*given: object) -> pair.LoadedPair:
        raise pair.CertificateError(pair.KEY_MISMATCH)

    with pytest.raises(StartupError) as caught:
        open_store((both, both), load=mismatch)
    assert f"The key in {both} does not belong to the first certificate in it." in reason_of(caught)


FakeLoaded = pair.LoadedPair(
    names=(),
    has_san=True,
    not_before=0,
    not_after=int(NOW * 2),
    key_type="EC",
    key_bits=256,
    subject="",
    issuer="",
    is_self_signed=True,
    chain_is_complete=True,
    pem="",
    handle=None,
)


@pytest.mark.parametrize(
    ("password", "expected"),
    [
        (
            "",
            "is encrypted. Give its password in --ssl-keyfile-password, or in the variable IANUS_SSL_KEYFILE_PASSWORD.",
        ),
        ("wrong", "The password of --ssl-keyfile-password does not decrypt the key in"),
    ],
)
def test_passwords(files: Pair, password: str, expected: str) -> None:
    write_pair(*files, password="secret")
    with pytest.raises(StartupError) as caught:
        open_store(files, password=password)
    message = reason_of(caught)
    assert expected in message
    assert "secret" not in message
    assert open_store(files, password="secret").select(None)


# --- Warnings ---


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    assert {record.levelname for record in caplog.records} <= {"WARNING"}
    return [record.message for record in caplog.records]


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (
            {"not_after": NOW - DAY},
            "certificate has expired, clients refuse it: {cert}, valid until: 2027-01-14 08:00:00 UTC; replace the",
        ),
        (
            {"not_before": NOW + DAY, "not_after": NOW + 2 * DAY},
            "certificate is not valid yet, clients refuse it: {cert}, valid from: 2027-01-16 08:00:00 UTC; check",
        ),
        ({"has_san": False}, "certificate names no host in subjectAltName, browsers refuse it: {cert}, subject: CN=ex"),
        ({"key_type": "RSA", "key_bits": 1024}, "certificate has a weak key: {cert}, RSA bits: 1024"),
        (
            {"chain_is_complete": False, "comment": "-----END CERTIFICATE-----"},
            "certificate chain is out of order, some clients refuse it: {cert}; each",
        ),
    ],
)
def test_a_warning_for_each_weakness(
    files: Pair, facts: dict[str, Any], expected: str, caplog: pytest.LogCaptureFixture
) -> None:
    write_pair(*files, **facts)
    assert open_store(files).select(None), "it is served all the same"
    (message,) = warnings_of(caplog)
    assert message.startswith(expected.format(cert=files[0]))


def test_a_missing_intermediate(files: Pair, caplog: pytest.LogCaptureFixture) -> None:
    text = "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n"
    leaf = text.format(base64.b64encode(bytes.fromhex("308201" + "06082b06010505073002" + "8600")).decode())
    private = text.format(base64.b64encode(b"no address of an issuer").decode())
    facts = {name: getattr(FakeLoaded, name) for name in FakeLoaded.__dataclass_fields__}
    issued = pair.LoadedPair(**facts | {"is_self_signed": False, "issuer": "CN=R3"})
    for content, warned in ((leaf, True), (leaf + private, False), (private, False), (text.format("=damaged"), False)):
        caplog.clear()
        files[0].write_text(content)
        open_store(files, load=lambda *given: issued)
        assert len(warnings_of(caplog)) == warned
    files[0].write_text(leaf)
    open_store(files, load=lambda *given: issued)
    assert warnings_of(caplog)[0].startswith(
        f"certificate of the issuer is missing, some clients refuse the server: {files[0]}, issuer: CN=R3; append it"
    )


def test_a_key_that_all_users_can_read(files: Pair, caplog: pytest.LogCaptureFixture) -> None:
    files[1].chmod(0o644)
    open_store(files)
    assert warnings_of(caplog) == [f"private key can be read by all users of this machine: {files[1]}; chmod o-r"]
    caplog.clear()
    files[1].chmod(0o640)
    open_store(files)
    assert warnings_of(caplog) == []


def test_a_certificate_that_expires_while_it_is_served(files: Pair, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    store = open_store(files, clock=clock)
    for _ in range(3):
        store.refresh(clock.monotonic)
        clock.pass_time(DAY)
    assert [message.partition(":")[0] for message in warnings_of(caplog)] == [
        "certificate has expired, clients refuse it"
    ]
