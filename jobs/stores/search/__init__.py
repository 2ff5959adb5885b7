"""Search over a tenant's passages: lexical and by vectors, fused."""

from jobs.stores.search.index import Hit, SearchIndex

__all__ = ["Hit", "SearchIndex"]
