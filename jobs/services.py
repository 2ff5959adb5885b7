"""Services: what the jobs and the web need, wired in one place."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from redis import Redis

from config import Config
from jobs.stores.database import Database

if TYPE_CHECKING:
    from jobs.providers.embedder import Embedder
    from jobs.providers.llm import LanguageModel
    from jobs.stores.blobs import BlobStore
    from jobs.stores.documents import DocumentStore
    from jobs.stores.search import SearchIndex


@dataclass(frozen=True)
class Services:
    """What the jobs need. Nothing here connects before its first use."""

    config: Config
    redis: Redis
    database: Database
    blobs: "BlobStore"
    documents: "DocumentStore"
    search: "SearchIndex"
    embedder: "Embedder"
    llm: "LanguageModel | None"

    def after_fork(self) -> None:
        """Let go of connections inherited from the parent process."""
        self.redis.connection_pool.reset()
        self.database.after_fork()
