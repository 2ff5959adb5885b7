"""What several answers have in common."""

from typing import Annotated, Any, NotRequired

from pydantic import Field
from pydantic.fields import FieldInfo
from typing_extensions import TypedDict


def one_of(*words: str) -> FieldInfo:
    """Say of a text which ones it can be: for one that a store keeps as `str`."""
    return Field(json_schema_extra={"enum": list(words)})  # type: ignore[no-any-return]


Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
UserId = int | str
Cursor = Annotated[str | None, Field(description="Ask for what follows with it as `cursor`; null at the end.")]
JsonSchema = Annotated[dict[str, Any], Field(description="A JSON Schema.")]


class FieldProblem(TypedDict):
    """What is wrong with a field of the request."""

    field: str
    message: str


class Problem(TypedDict):
    """Why a request was refused, or failed (RFC 9457). Rely on `code`: `detail` is for people."""

    type: str
    status: int
    code: str
    detail: str
    request_id: NotRequired[str]
    errors: NotRequired[list[FieldProblem]]
    state: NotRequired[Annotated[str, Field(description="Of a job or a batch: why it does not allow this.")]]


class JobLinks(TypedDict):
    """Where a job can be looked at and acted on."""

    self: str
    events: str
    cancel: str
    pause: str
    resume: str
    requeue: str


class Started(TypedDict):
    """Work that was started as a job."""

    task_id: str
    links: JobLinks


class SelfLink(TypedDict):
    """Where it is found again."""

    self: str
