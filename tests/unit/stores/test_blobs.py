"""Files come in by pieces, under our own names, whole or not at all. One suite for every kind of storage."""

import errno
import io
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from obstore.store import MemoryStore

from jobs.domain.documents import EmptyFile, TooLarge
from jobs.stores.blobs import BlobNotFound, BlobStore, LocalShelf, Shelf, StorageError, StorageFull, build_blobs
from jobs.stores.buckets import BucketShelf

CONTENT = "文件 file\n".encode() * 300_000  # more than one piece


@pytest.fixture(params=["local", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    shelf: Shelf = LocalShelf(tmp_path / "blobs")
    if request.param == "bucket":
        shelf = BucketShelf("memory://", MemoryStore())
    return BlobStore(shelf, tmp_path / "blobs" / ".incoming")


def test_what_is_put_comes_back(store: BlobStore) -> None:
    name = put(store, CONTENT)
    with store.open(name) as path:
        assert path.read_bytes() == CONTENT


def test_size_and_digest_are_those_of_the_content(store: BlobStore) -> None:
    with store.stage(io.BytesIO(b"abc"), 100) as staged:
        assert staged.size == 3
        assert staged.sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_name_holds_the_tenant_and_nothing_of_the_client(store: BlobStore) -> None:
    tenant, _, rest = put(store, b"x", tenant="acme").partition("/")
    assert tenant == "acme"
    assert rest.isalnum()


def test_equal_contents_are_two_blobs(store: BlobStore) -> None:
    """So that deleting one document never takes another's file."""
    assert put(store, b"x") != put(store, b"x")


def test_a_deleted_blob_is_gone_and_may_be_deleted_again(store: BlobStore) -> None:
    name = put(store, b"x")
    store.delete(name)
    store.delete(name)
    with pytest.raises(BlobNotFound), store.open(name):
        pass


def test_all_blobs_are_listed_with_their_age(store: BlobStore) -> None:
    names = {put(store, b"x"), put(store, b"y", tenant="other")}
    listed = list(store.list())
    assert {blob.name for blob in listed} == names
    assert all(abs(blob.changed_at - time.time()) < 60 for blob in listed)


@pytest.mark.parametrize(("content", "error"), [(b"", EmptyFile), (b"x" * 101, TooLarge), (b"x" * 5_000_000, TooLarge)])
def test_a_refused_file_leaves_nothing(store: BlobStore, tmp_path: Path, content: bytes, error: type) -> None:
    with pytest.raises(error), store.stage(io.BytesIO(content), 100):
        pass
    assert files(tmp_path) == []


def test_a_file_of_exactly_the_limit_is_taken(store: BlobStore) -> None:
    with store.stage(io.BytesIO(b"x" * 100), 100) as staged:
        assert staged.size == 100


def test_no_more_than_a_piece_is_read_beyond_the_limit(store: BlobStore) -> None:
    stream = Endless()
    with pytest.raises(TooLarge), store.stage(stream, 10):
        pass
    assert stream.given <= 1024 * 1024


def test_a_client_that_leaves_leaves_nothing(store: BlobStore, tmp_path: Path) -> None:
    with pytest.raises(StorageError), store.stage(Failing(errno.EPIPE), 10**9):
        pass
    assert files(tmp_path) == []


def test_a_full_disk_is_told_and_leaves_nothing(store: BlobStore, tmp_path: Path) -> None:
    with pytest.raises(StorageFull), store.stage(Failing(errno.ENOSPC), 10**9):
        pass
    assert files(tmp_path) == []


def test_what_a_killed_upload_left_is_deleted_when_it_is_old(store: BlobStore, tmp_path: Path) -> None:
    folder = tmp_path / "blobs" / ".incoming"
    folder.mkdir(parents=True)
    (folder / "old").write_bytes(b"x")
    os.utime(folder / "old", (0, 0))
    (folder / "young").write_bytes(b"x")
    assert store.delete_stale_uploads(3600) == 1
    assert files(tmp_path) == ["young"]


def test_what_a_killed_reader_left_is_deleted_when_it_is_old(
    store: BlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bucket's file is copied to where the upkeep looks; one of this machine is read where it lies."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    name = put(store, CONTENT)
    before = files(tmp_path)
    killed = store.open(name)
    killed.__enter__()  # and it comes to nothing more
    left = [path for path in tmp_path.rglob("*") if path.is_file() and path.name not in before]
    for path in left:
        os.utime(path, (0, 0))
    assert store.delete_stale_uploads(3600) == len(left)
    assert (files(tmp_path), os.listdir(tmp_path / "tmp")) == (before, [])


@pytest.mark.parametrize("kind", ["", "file"])
def test_files_lie_in_the_data_folder_or_where_the_url_says(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "else where" if kind else tmp_path / "data" / "blobs"
    store = build_blobs(folder.as_uri() if kind else "", tmp_path / "data")
    assert (folder / put(store, b"x")).read_bytes() == b"x"


def test_a_bucket_is_never_used_on_both_sides_of_a_fork() -> None:
    """obstore hangs there; the store says so instead."""
    shelf = BucketShelf("memory://", MemoryStore())
    list(shelf.list())
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            list(shelf.list())
        except RuntimeError:
            os.write(writer, b"refused")
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    with os.fdopen(reader, "rb") as said:
        assert said.read() == b"refused"


class Endless(io.RawIOBase):
    """A stream without end."""

    given = 0

    def read(self, size: int = -1) -> bytes:
        self.given += size
        return b"x" * size


class Failing(io.RawIOBase):
    """A stream that fails after its first piece."""

    def __init__(self, number: int) -> None:
        self._pieces: Iterator[bytes] = iter([b"x" * 1000])
        self._number = number

    def read(self, size: int = -1) -> bytes:
        for piece in self._pieces:
            return piece
        raise OSError(self._number, os.strerror(self._number))


def put(store: BlobStore, content: bytes, tenant: str = "local") -> str:
    with store.stage(io.BytesIO(content), 10**9) as staged:
        return store.put(tenant, staged)


def files(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file()]
