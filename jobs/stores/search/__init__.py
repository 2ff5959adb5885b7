"""Search over a tenant's passages: lexical and by vectors, fused."""

from jobs.domain.chunks import Hit
from jobs.stores.search.index import SearchIndex

__all__ = ["Hit", "SearchIndex"]
