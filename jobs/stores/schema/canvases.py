"""Canvases and their last versions; the newest one is the canvas."""

from sqlalchemy import Column, ForeignKey, Integer, LargeBinary, String, Table, UniqueConstraint

from jobs.stores.schema.base import Id, Time, metadata

canvases = Table(
    "canvases",
    metadata,
    Column("number", Id, primary_key=True),
    Column("tenant", String(64), nullable=False),
    Column("name", String(200), nullable=False),
    Column("version", Integer, nullable=False),  # the newest one
    Column("made_by", String(64)),  # the job that made it, if one did
    Column("created_at", Time(), nullable=False),
    Column("deleted_at", Time()),  # since then it can be restored, and nothing else
    UniqueConstraint("tenant", "name"),
    UniqueConstraint("tenant", "made_by"),
    sqlite_autoincrement=True,
)

canvas_versions = Table(
    "canvas_versions",
    metadata,
    Column("canvas", Id, ForeignKey("canvases.number", ondelete="CASCADE"), primary_key=True),
    Column("version", Integer, primary_key=True),  # from 1
    Column("tenant", String(64), nullable=False),
    Column("etag", String(64), nullable=False),  # of the file's content
    Column("size", Integer, nullable=False),  # bytes of the file
    Column("nodes", Integer, nullable=False),
    Column("edges", Integer, nullable=False),
    Column("content", LargeBinary, nullable=False),  # the file, by zlib
    Column("updated_at", Time(), nullable=False),
)
