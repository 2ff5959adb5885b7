"""What is answered about the data of users."""

from typing import Annotated

from typing_extensions import TypedDict

from jobs.domain.exports import Format
from webapp.shapes.common import Started, Time, UserId, one_of


class ExportStarted(Started):
    """An export that is being written; `file` is where it can be fetched then."""

    message: str
    export_id: str
    file: str


class ExportLinks(TypedDict):
    """An export's file, and the job that writes it."""

    file: str
    job: str


class Export(TypedDict):
    """An export. `size` is in bytes, `records` says how many of each kind it holds."""

    id: str
    user_id: UserId
    format: Format
    status: Annotated[str, one_of("processing", "completed", "failed")]
    size: int | None
    records: dict[str, int]
    error_code: str | None
    created_at: Time
    completed_at: Time | None
    expires_at: Time
    links: ExportLinks


class Erasing(Started):
    """A user's data that is being deleted."""

    message: str
    user_id: UserId
