"""The files of certificates: how they are found in a directory, and read."""

import os
from pathlib import Path

import pytest

from ianus.acceptor.tls.pair_files import MAX_FILE_BYTES, PairFileError, PairFiles, PairReader, PairSources, read_pair

EMPTY = PairSources((), (), "")


def find(folder: Path, *names: str) -> list[tuple[str, str]]:
    """Makes the files, and returns the pairs that are found, relative to the folder."""
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("")
    found = EMPTY._replace(directory=str(folder)).find()
    return [(os.path.relpath(each.certificate, folder), os.path.relpath(each.key, folder)) for each in found]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a.crt", "a.key"], [("a.crt", "a.key")]),
        (["b.pem", "b.key", "a.cer", "a.key"], [("a.cer", "a.key"), ("b.pem", "b.key")]),
        (["a.pem"], [("a.pem", "a.pem")]),
        (["a.pem", "a-key.pem"], [("a.pem", "a-key.pem")]),
        (["cert.pem", "key.pem"], [("cert.pem", "key.pem")]),
        (["dev-cert.pem", "dev-key.pem"], [("dev-cert.pem", "dev-key.pem")]),
        (["a_cert.crt", "a_key.crt", "cert.pem"], [("a_cert.crt", "a_key.crt"), ("cert.pem", "cert.pem")]),
        (["tls.crt", "tls.key", "..data"], [("tls.crt", "tls.key")]),
        (["ca.crt", "tls.crt", "tls.key", "..data"], [("tls.crt", "tls.key")]),
        (["ca.crt", "ca.key"], [("ca.crt", "ca.key")]),
        (["cert.pem", "chain.pem", "fullchain.pem", "privkey.pem", "README"], [("fullchain.pem", "privkey.pem")]),
        (["README", "a.key", "a.txt", ".a.crt"], []),
        (
            ["x.test/fullchain.pem", "x.test/privkey.pem", "README", "y.test/tls.crt", "y.test/tls.key"],
            [("x.test/fullchain.pem", "x.test/privkey.pem"), ("y.test/tls.crt", "y.test/tls.key")],
        ),
        (["..2026/tls.crt", "..2026/tls.key", "tls.crt", "tls.key"], [("tls.crt", "tls.key")]),
    ],
)
def test_conventions_for_names(tmp_path: Path, names: list[str], expected: list[tuple[str, str]]) -> None:
    assert find(tmp_path, *names) == expected


def test_configured_files_precede_those_of_the_directory(tmp_path: Path) -> None:
    (tmp_path / "a.pem").write_text("")
    found = PairSources(("c1", "c2"), ("k1", "k2"), str(tmp_path)).find()
    assert found == [
        PairFiles("c1", "k1", "--ssl-certfile"),
        PairFiles("c2", "k2", "--ssl-certfile"),
        PairFiles(f"{tmp_path}/a.pem", f"{tmp_path}/a.pem", "--ssl-cert-dir"),
    ]
    assert PairSources(("c1",), (), "").find() == [PairFiles("c1", "c1", "--ssl-certfile")]
    assert [str(each) for each in found[1:]] == ["c2 and k2", f"{tmp_path}/a.pem"]


def problem_of(certificate: Path, key: Path) -> PairFileError:
    with pytest.raises(PairFileError) as caught:
        read_pair(PairFiles(str(certificate), str(key), "--ssl-certfile"))
    assert not caught.value.is_forbidden
    return caught.value


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    good = tmp_path / "good"
    good.write_text("x")
    missing = problem_of(good, tmp_path / "missing")
    assert str(missing) == f"{tmp_path}/missing of --ssl-keyfile cannot be read: No such file or directory."
    assert str(problem_of(tmp_path, good)) == f"{tmp_path} of --ssl-certfile cannot be read: Is a directory."
    os.mkfifo(tmp_path / "fifo")
    assert problem_of(tmp_path / "fifo", good).problem == "it is not a regular file"
    (tmp_path / "large").write_bytes(b"x" * (MAX_FILE_BYTES + 1))
    assert problem_of(tmp_path / "large", good).problem == "it is larger than 1 MiB"
    with pytest.raises(PairFileError, match="no file can have this name"):
        read_pair(PairFiles("a\0b", str(good), "--ssl-certfile"))


@pytest.mark.skipif(os.geteuid() != 0, reason="root reads the files of others")
def test_root_reads_no_key_that_the_reader_of_its_content_has_chosen(tmp_path: Path) -> None:
    reader = PairReader(54321, (54321,))
    secret = tmp_path / "ssh_host_key"
    secret.write_text("the key of another program")
    secret.chmod(0o600)
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    certificate = theirs / "cert.pem"
    certificate.write_text("a certificate")
    for path in (theirs, certificate):
        os.chown(path, reader.uid, reader.groups[0])
    link = theirs / "key.pem"
    link.symlink_to(secret)

    def read(key: Path) -> bytes:
        return read_pair(PairFiles(str(certificate), str(key), "--ssl-certfile"), reader).key_pem

    with pytest.raises(PairFileError, match="is a symbolic link, in a folder that other users than root can write to"):
        read(link)
    link.unlink()
    os.link(secret, link)
    with pytest.raises(PairFileError, match="has a second name"):
        read(link)
    link.unlink()
    link.symlink_to(certificate)
    assert read(link) == b"a certificate", "the reader may read it"
    # Folders of root, as those of certbot.
    private = tmp_path / "private"
    private.mkdir()
    (private / "key.pem").symlink_to(secret)
    assert read(private / "key.pem") == b"the key of another program"


def test_a_directory_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(PairFileError, match="of --ssl-cert-dir cannot be read: No such file or directory"):
        EMPTY._replace(directory=str(tmp_path / "missing")).find()


def test_a_file_with_both_is_read_once(tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_text("x")
    content = read_pair(PairFiles(str(both), str(both), "--ssl-cert-dir"))
    assert content.certificates_pem is content.key_pem
    assert content.states[0] == content.states[1]
