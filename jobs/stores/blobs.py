"""Blobs: uploaded files, under names of our own.

Files on this machine are written by the standard library: obstore neither syncs what it writes nor survives a fork
(a forked process that uses it after its parent hangs). Buckets are reached by obstore.
"""

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import ClassVar, Protocol
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from jobs.domain.documents import EmptyFile, TooLarge

CHUNK_BYTES = 1024 * 1024
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}  # the last: a limit of the process or the file system


class StorageError(Exception):
    """The file storage is not available now."""

    code: ClassVar[str] = "storage_unavailable"
    retryable: ClassVar[bool] = True

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").splitlines()[0])


class StorageFull(StorageError):
    """There is no room for more files."""

    code = "storage_full"


class BlobNotFound(StorageError):
    """The file is not in the storage."""

    code = "blob_not_found"
    retryable = False


@dataclass(frozen=True)
class Staged:
    """A file that has come in whole and is kept nowhere yet. `sha256` is in hex digits."""

    path: Path
    size: int
    sha256: str


@dataclass(frozen=True)
class BlobInfo:
    """A stored file. `changed_at` is in seconds since 1970."""

    name: str
    changed_at: float


class Source(Protocol):
    """Where a file comes from."""

    def read(self, size: int, /) -> bytes:
        """Return up to so many bytes, and nothing at the end."""


class Shelf(Protocol):
    """Where blobs lie. Names are relative paths of our own making."""

    def put(self, name: str, source: Path) -> None:
        """Store a local file, which may be moved. After the return it survives a power cut."""

    def local(self, name: str, copy: Path) -> Path:
        """Return the path of a local file: `copy`, if one must be made."""

    def delete(self, name: str) -> None:
        """Delete a blob; one that is gone is no error."""

    def list(self) -> Iterator[BlobInfo]:
        """Yield every blob."""


class BlobStore:
    """Takes files in, hands them out, forgets them."""

    def __init__(self, shelf: Shelf, staging: Path) -> None:
        self._shelf = shelf
        self._staging = staging

    @contextmanager
    def stage(self, stream: Source, limit: int) -> Iterator[Staged]:
        """Read a stream to its end, in chunks, into a file that lasts as long as the block.

        Raises:
            TooLarge: it has more than `limit` bytes.
            EmptyFile: it has none.
            StorageFull
        """
        path = self._staging / uuid4().hex
        try:
            with _disk_errors():
                self._staging.mkdir(parents=True, exist_ok=True)
                size, digest = _receive(stream, path, limit)
            yield Staged(path, size, digest)
        finally:
            path.unlink(missing_ok=True)

    def put(self, tenant: str, staged: Staged) -> str:
        """Keep a staged file for good and return its name.

        Raises:
            StorageFull
            StorageError
        """
        name = f"{tenant}/{uuid4().hex}"
        with _disk_errors():
            self._shelf.put(name, staged.path)
        return name

    @contextmanager
    def open(self, name: str) -> Iterator[Path]:
        """Yield the path of a local, seekable copy that lasts as long as the block.

        Raises:
            BlobNotFound
            StorageError
        """
        copy = self._staging / uuid4().hex  # where a killed process leaves it to `delete_stale_uploads`
        try:
            yield self._shelf.local(name, copy)
        finally:
            copy.unlink(missing_ok=True)

    def delete(self, name: str) -> None:
        """Delete a blob; one that is gone already is no error."""
        self._shelf.delete(name)

    def list(self) -> Iterator[BlobInfo]:
        """Yield every blob of every tenant."""
        return self._shelf.list()

    def delete_stale_uploads(self, older_than: float) -> int:
        """Delete what killed processes left of uploads and copies, by age in seconds. Returns their number."""
        count = 0
        for path in self._staging.glob("*"):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < time.time() - older_than:
                    path.unlink()
                    count += 1
        return count


class LocalShelf:
    """A folder on this machine."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, name: str, source: Path) -> None:
        target = self._root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with source.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(source, target)
        _sync_folder(target.parent)

    def local(self, name: str, copy: Path) -> Path:
        path = self._root / name
        if not path.is_file():
            raise BlobNotFound
        return path

    def delete(self, name: str) -> None:
        (self._root / name).unlink(missing_ok=True)

    def list(self) -> Iterator[BlobInfo]:
        for path in self._root.glob("*/*"):
            with suppress(FileNotFoundError):
                if path.parent.name != STAGING and path.is_file():
                    yield BlobInfo(path.relative_to(self._root).as_posix(), path.stat().st_mtime)


STAGING = ".incoming"


def build_blobs(storage_url: str, data_dir: Path) -> BlobStore:
    """Return the store for a URL: empty or `file://` for this machine, else a bucket (`s3://`, `gs://`, `az://`)."""
    root = data_dir / "blobs"
    if not storage_url:
        return BlobStore(LocalShelf(root), root / STAGING)
    address = urlsplit(storage_url)
    if address.scheme == "file":
        root = Path(unquote(address.path))
        return BlobStore(LocalShelf(root), root / STAGING)
    from jobs.stores.buckets import BucketShelf

    return BlobStore(BucketShelf(storage_url), root / STAGING)


def _receive(stream: Source, path: Path, limit: int) -> tuple[int, str]:
    size, digest = 0, sha256()
    with path.open("xb") as file:
        while chunk := stream.read(CHUNK_BYTES):
            size += len(chunk)
            if size > limit:
                raise TooLarge(f"The file is larger than {limit} bytes.")
            digest.update(chunk)
            file.write(chunk)
    if not size:
        raise EmptyFile
    return size, digest.hexdigest()


def _sync_folder(folder: Path) -> None:
    """Make a rename last: https://man7.org/linux/man-pages/man2/fsync.2.html"""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise (StorageFull if error.errno in _FULL else StorageError) from error
