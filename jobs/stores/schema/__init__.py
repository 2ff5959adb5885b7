"""Our tables, a module for each capability. Every row carries its tenant.

The migrations in `migrations/versions` create them; a test holds the two against each other.
"""

from jobs.stores.schema.base import Id, metadata
from jobs.stores.schema.canvases import canvas_versions, canvases
from jobs.stores.schema.conversations import (
    conversations,
    has_grown,
    pending_conversations,
    reservations,
    sessions,
    user_stats,
)
from jobs.stores.schema.documents import documents, is_hidden, is_shown, pages, passages, vectors
from jobs.stores.schema.effects import effects
from jobs.stores.schema.exports import exports
from jobs.stores.schema.memories import memories, pending_memories
from jobs.stores.schema.notifications import deliveries, notifications, users
from jobs.stores.schema.research import research
from jobs.stores.schema.schedules import schedules
from jobs.stores.schema.usage import is_live, usage, usage_days
from jobs.stores.schema.work import batches, is_untold, requests, work

# `passage_terms` is an FTS5 table with its shadow tables on SQLite, a table with a tsvector on PostgreSQL.
LEXICAL_TABLES = ("passage_terms", "passage_vocabulary")


def is_ours(_object: object, name: str | None, kind: str, _reflected: bool, _compare_to: object) -> bool:
    """Tell alembic which tables these files describe: the lexical index is DDL of each database's own."""
    return not (kind == "table" and (name or "").startswith(LEXICAL_TABLES))


__all__ = [
    "Id",
    "batches",
    "canvas_versions",
    "canvases",
    "conversations",
    "deliveries",
    "documents",
    "effects",
    "exports",
    "has_grown",
    "is_hidden",
    "is_live",
    "is_ours",
    "is_shown",
    "is_untold",
    "memories",
    "metadata",
    "notifications",
    "pages",
    "passages",
    "pending_conversations",
    "pending_memories",
    "requests",
    "research",
    "reservations",
    "schedules",
    "sessions",
    "usage",
    "usage_days",
    "user_stats",
    "users",
    "vectors",
    "work",
]
