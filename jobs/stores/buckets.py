"""Blobs in a bucket: S3, Google Cloud Storage, Azure, by obstore.

obstore's threads do not survive a fork: a process that uses it must not fork another one that does. Jobs that touch
files are therefore isolated ones, whose process runs nothing else.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.stores.blobs import CHUNK_BYTES, BlobInfo, BlobNotFound, StorageError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_used_in: set[int] = set()  # processes; a forked one inherits its parent's entry


class BucketShelf:
    """A bucket, by its URL. Credentials are those of the environment, as the cloud's own tools read them."""

    def __init__(self, url: str, store: "ObjectStore | None" = None) -> None:
        self._url = url
        self._store = store

    def put(self, name: str, source: Path) -> None:
        import obstore

        with _errors(), source.open("rb") as file:
            obstore.put(self._connected(), name, file)

    def local(self, name: str, copy: Path) -> Path:
        import obstore

        copy.parent.mkdir(parents=True, exist_ok=True)
        with _errors(), copy.open("wb") as file:
            for chunk in obstore.get(self._connected(), name).stream(min_chunk_size=CHUNK_BYTES):
                file.write(chunk)
        return copy

    def delete(self, name: str) -> None:
        import obstore

        with _errors():
            try:
                obstore.delete(self._connected(), name)
            except FileNotFoundError:
                return

    def list(self) -> Iterator[BlobInfo]:
        import obstore

        with _errors():
            for batch in obstore.list(self._connected()):
                for entry in batch:
                    yield BlobInfo(entry["path"], entry["last_modified"].timestamp())

    def _connected(self) -> "ObjectStore":
        from obstore.store import from_url

        if _used_in - {os.getpid()}:
            raise RuntimeError("obstore was used before this process was forked, and would hang")
        _used_in.add(os.getpid())
        if self._store is None:
            self._store = from_url(self._url)
        return self._store


@contextmanager
def _errors() -> Iterator[None]:
    from obstore.exceptions import BaseError

    try:
        yield
    except FileNotFoundError:
        raise BlobNotFound from None
    except (BaseError, OSError) as error:
        raise StorageError from error
