"""User data: all that is kept of a user, as a file to take along, or deleted."""

from contextlib import ExitStack
from datetime import timedelta
from typing import Annotated

from flask import Response, g, send_file
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, ConfigDict, Field

from jobs import user_data
from jobs.domain.exports import MEDIA_TYPES, Format
from jobs.stores.exports import Export
from webapp.api.chat import UserPath
from webapp.api.users import as_number
from webapp.extension import offstage
from webapp.idempotency import stable_id
from webapp.openapi.describing import describe
from webapp.responses import Accepted, Answer, Media, accepted, new_id
from webapp.shapes import user_data as shapes

bp = APIBlueprint("user_data", __name__, abp_tags=[Tag(name="user data", description="Take it along, delete it")])

File = Annotated[Response, Media(tuple(MEDIA_TYPES.values()))]


class ExportBody(BaseModel):
    """The file's format: JSON, a line for each record, or CSV for a spreadsheet."""

    model_config = ConfigDict(extra="forbid")

    format: Format = "jsonl"


class ExportPath(BaseModel):
    """An export's id."""

    export_id: str = Field(pattern="^[0-9a-f]{32}$")


@bp.post("/users/<string:user_id>/export")
@describe(never=(404,))
def export_data(path: UserPath, body: ExportBody) -> Accepted[shapes.ExportStarted]:
    """Have all that is kept of a user written to a file."""
    app = offstage()
    export = user_data.start_export(app.services, app.client, g.tenant, new_id(stable_id()), path.user_id, body.format)
    return accepted(
        export.id, message="The export is being written.", export_id=export.id, file=f"/exports/{export.id}/file"
    )


@bp.get("/exports/<string:export_id>")
def get_export(path: ExportPath) -> Answer[shapes.Export]:
    """Return how far an export is, and until when its file can be fetched."""
    return Answer(export_json(offstage().services.exports.get(g.tenant, path.export_id)))


@bp.get("/exports/<string:export_id>/file")
@describe(takes=("If-Match",), problems=(409,))
def get_export_file(path: ExportPath) -> File:
    """Return the file of an export."""
    services, opened = offstage().services, ExitStack()
    export, blob = services.exports.finished(g.tenant, path.export_id)
    file = opened.enter_context(services.blobs.open(blob))
    name = f"export-{export.id[:8]}.{export.format}"
    response = send_file(file.absolute(), mimetype=MEDIA_TYPES[export.format], as_attachment=True, download_name=name)
    response.call_on_close(opened.close)
    response.headers["Cache-Control"] = "no-store"
    return response


@bp.delete("/users/<string:user_id>/data")
@describe(never=(404,))
def delete_data(path: UserPath) -> Accepted[shapes.Erasing]:
    """Have all that is kept of a user deleted."""
    job_id = offstage().client.start(user_data.ERASE, user_data.EraseArgs(user_id=path.user_id), tenant=g.tenant)
    return accepted(job_id, message="The user's data is being deleted.", user_id=as_number(path.user_id))


def export_json(export: Export) -> shapes.Export:
    """Return an export as its owner sees it; its size is in bytes."""
    expires = export.created_at + timedelta(hours=offstage().services.config.export_hours)
    return {
        "id": export.id,
        "user_id": as_number(export.user_id),
        "format": export.format,
        "status": export.status,
        "size": export.size,
        "records": dict(export.records),
        "error_code": export.error_code,
        "created_at": export.created_at.isoformat(),
        "completed_at": export.completed_at.isoformat() if export.completed_at else None,
        "expires_at": expires.isoformat(),
        "links": {"file": f"/exports/{export.id}/file", "job": f"/jobs/{export.id}"},
    }
