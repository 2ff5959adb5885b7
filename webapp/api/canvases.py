"""Canvases: JSON Canvas files, their nodes and edges, their versions, and reviews of them."""

from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import quote

from flask import Request, g, url_for
from flask_openapi3 import APIBlueprint, RawModel, Tag
from pydantic import BaseModel, ConfigDict, Field, RootModel

from jobs.canvases import ReviewArgs, start_review
from jobs.domain.canvas.file import CanvasFile, Edit
from jobs.domain.canvas.model import Edge, Kind, Node
from jobs.domain.canvas.names import CanvasName
from jobs.stores.canvas_rows import CanvasInfo
from jobs.stores.canvases import CanvasStore, Written
from webapp.api.jobs import ListQuery
from webapp.conditions import precondition, with_etag
from webapp.extension import offstage
from webapp.idempotency import stable_id
from webapp.openapi.describing import describe
from webapp.responses import (
    MAX_PAGE,
    Accepted,
    Answer,
    Created,
    Kept,
    KeptNew,
    NoContent,
    accepted,
    decode_cursor,
    encode_cursor,
    new_id,
    row_id,
)
from webapp.shapes import canvases as shapes

bp = APIBlueprint("canvases", __name__, abp_tags=[Tag(name="canvases", description="JSON Canvas files and reviews")])

MAX_VERSION = 2**31 - 1  # as the column
Version = Annotated[int, Field(ge=1, le=MAX_VERSION)]

Write = Answer[shapes.CanvasWritten] | Created[shapes.CanvasWritten]

reads = describe(takes=("If-Match", "If-None-Match"), sends=("ETag",))
writes = describe(takes=("If-Match", "If-None-Match"), sends=("ETag",))
puts = describe(takes=("If-Match", "If-None-Match"), sends=("ETag",), problems=(409,))


class CanvasPath(BaseModel):
    """A canvas's name, with or without `.canvas`."""

    name: CanvasName


class NodePath(CanvasPath):
    """A node of a canvas."""

    node_id: str


class EdgePath(CanvasPath):
    """An edge of a canvas."""

    edge_id: str


class CanvasFileBody(RawModel):
    """The file, as it is."""

    shape = shapes.CanvasFile


class CanvasesQuery(ListQuery):
    """Which canvases to list: those there are, or those that were deleted and can be restored."""

    deleted: bool = False


class VersionQuery(BaseModel):
    """`version`: an old one, in place of the newest."""

    version: Version | None = None


class Members(RootModel[dict[str, Any]]):
    """The members of a node or an edge, by JSON Canvas 1.0. A new one without an `id` gets one; in a change, null
    removes a member."""


class RestoreBody(BaseModel):
    """The version that is to be the newest again."""

    model_config = ConfigDict(extra="forbid")

    version: Version


@bp.get("/canvases")
def list_canvases(query: CanvasesQuery) -> Answer[shapes.Canvases]:
    """List the caller's canvases, newest first."""
    limit = min(query.limit, MAX_PAGE)
    before = decode_cursor(query.cursor, row_id)
    page = _store().list(g.tenant, deleted=query.deleted, before=before, limit=limit)
    cursor = encode_cursor(page[-1].number) if len(page) == limit else None
    return Answer(shapes.Canvases(canvases=[canvas_json(canvas) for canvas in page], next_cursor=cursor))


@bp.get("/canvases/<string:name>")
@reads
def get_canvas(path: CanvasPath, query: VersionQuery) -> Kept[shapes.CanvasFile]:
    """Return a canvas's file, byte for byte as it is kept."""
    canvas = _store().get(g.tenant, path.name, query.version)
    return with_etag(Kept[shapes.CanvasFile](canvas.content), canvas.etag)


@bp.put("/canvases/<string:name>")
@puts
def put_canvas(path: CanvasPath, raw: CanvasFileBody) -> Write:
    """Keep a file as a canvas, or in place of what the canvas was."""
    assert isinstance(raw, Request)  # noqa: S101 - what flask-openapi3 gives for a raw body
    written = _store().put(g.tenant, path.name, CanvasFile.parse(raw.get_data()), precondition())
    return _written(path.name, written)


@bp.delete("/canvases/<string:name>")
@writes
def delete_canvas(path: CanvasPath) -> NoContent:
    """Take a canvas away; it can be restored for some time."""
    _store().delete(g.tenant, path.name, precondition())
    return NoContent()


@bp.get("/canvases/<string:name>/versions")
def list_versions(path: CanvasPath, query: ListQuery) -> Answer[shapes.CanvasVersions]:
    """List what is kept of a canvas, newest first, also of a deleted one."""
    limit = min(query.limit, MAX_PAGE)
    before = decode_cursor(query.cursor, _version)
    page = _store().versions(g.tenant, path.name, before=before, limit=limit)
    cursor = encode_cursor(page[-1].version) if len(page) == limit else None
    return Answer(
        shapes.CanvasVersions(versions=[canvas_json(each, each.version) for each in page], next_cursor=cursor)
    )


@bp.post("/canvases/<string:name>/restore")
@writes
def restore_canvas(path: CanvasPath, body: RestoreBody) -> Write:
    """Make an old version the newest, also of a deleted canvas."""
    return _written(path.name, _store().restore(g.tenant, path.name, body.version, precondition()))


@bp.post("/canvases/<string:name>/nodes")
@writes
def add_node(path: CanvasPath, body: Members) -> KeptNew[Node]:
    """Add a node on top of the others."""
    return _added(path.name, "nodes", body.root)


@bp.get("/canvases/<string:name>/nodes/<path:node_id>")
@reads
def get_node(path: NodePath) -> Kept[Node]:
    """Return a node as it is written in the file."""
    return _item(path.name, "nodes", path.node_id)


@bp.patch("/canvases/<string:name>/nodes/<path:node_id>")
@writes
def change_node(path: NodePath, body: Members) -> Kept[Node]:
    """Change members of a node (JSON merge patch)."""
    return _changed(path.name, lambda file: file.change("nodes", path.node_id, body.root))


@bp.delete("/canvases/<string:name>/nodes/<path:node_id>")
@writes
def delete_node(path: NodePath) -> NoContent:
    """Remove a node with its edges."""
    return _removed(path.name, "nodes", path.node_id)


@bp.post("/canvases/<string:name>/edges")
@writes
def add_edge(path: CanvasPath, body: Members) -> KeptNew[Edge]:
    """Tie two nodes together."""
    return _added(path.name, "edges", body.root)


@bp.get("/canvases/<string:name>/edges/<path:edge_id>")
@reads
def get_edge(path: EdgePath) -> Kept[Edge]:
    """Return an edge as it is written in the file."""
    return _item(path.name, "edges", path.edge_id)


@bp.patch("/canvases/<string:name>/edges/<path:edge_id>")
@writes
def change_edge(path: EdgePath, body: Members) -> Kept[Edge]:
    """Change members of an edge (JSON merge patch)."""
    return _changed(path.name, lambda file: file.change("edges", path.edge_id, body.root))


@bp.delete("/canvases/<string:name>/edges/<path:edge_id>")
@writes
def delete_edge(path: EdgePath) -> NoContent:
    """Remove an edge."""
    return _removed(path.name, "edges", path.edge_id)


@bp.post("/api/v1/review/generate")
@describe(problems=(404,))
def generate_review(body: ReviewArgs) -> Accepted[shapes.ReviewStarted]:
    """Have a review of a canvas made: questions about the nodes that are not understood yet."""
    app = offstage()
    view = start_review(app.services, app.client, g.tenant, body, stable_id())
    status = "paused" if view.state == "paused" else "scheduled"
    return accepted(view.id, status=status, message=f"Review canvas generation for '{body.canvas_name}' {status}")


def canvas_json(canvas: CanvasInfo, version: int | None = None) -> shapes.Canvas:
    """Return a canvas, or that version of it, as its owner sees it. `size` is in bytes."""
    return {
        "name": canvas.name,
        "version": canvas.version,
        "etag": f'"{canvas.etag}"',
        "size": canvas.size,
        "nodes": canvas.nodes,
        "edges": canvas.edges,
        "created_at": canvas.created_at.isoformat(),
        "updated_at": canvas.updated_at.isoformat(),
        "deleted_at": canvas.deleted_at.isoformat() if canvas.deleted_at else None,
        "links": _links(canvas.name, version),
    }


def _links(name: str, version: int | None = None) -> shapes.CanvasLinks:
    return {
        "self": url_for("canvases.get_canvas", name=name, version=version),
        "versions": url_for("canvases.list_versions", name=name),
    }


def _version(text: str) -> int:
    if not 0 <= (version := int(text)) <= MAX_VERSION:
        raise ValueError(text)
    return version


def _store() -> CanvasStore:
    return offstage().services.canvases


def _written(name: str, written: Written) -> Write:
    body = shapes.CanvasWritten(name=name, version=written.version, links=_links(name))
    return with_etag(Created(body, body["links"]["self"]) if written.created else Answer(body), written.etag)


def _item(name: str, kind: Kind, item_id: str) -> Kept[Any]:
    canvas = _store().get(g.tenant, name)
    item = CanvasFile(canvas.content.decode()).item(kind, item_id)
    return with_etag(Kept[Any](item), canvas.etag)


def _added(name: str, kind: Kind, members: dict[str, Any]) -> KeptNew[Any]:
    # An id as Obsidian's: 16 hex digits. Sent again with its key, a request finds what it has added.
    item = {"id": new_id(stable_id())[:16], **members}
    written = _store().change(g.tenant, name, lambda file: file.add(kind, item), precondition())
    link = f"{url_for('canvases.get_canvas', name=name)}/{kind}/{quote(item['id'])}"
    return with_etag(KeptNew[Any](written.item, link), written.etag)


def _changed(name: str, edit: Callable[[CanvasFile], Edit]) -> Kept[Any]:
    written = _store().change(g.tenant, name, edit, precondition())
    return with_etag(Kept[Any](written.item), written.etag)


def _removed(name: str, kind: Kind, item_id: str) -> NoContent:
    written = _store().change(g.tenant, name, lambda file: file.remove(kind, item_id), precondition())
    return with_etag(NoContent(), written.etag)
