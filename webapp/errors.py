"""Exceptions become `application/problem+json` here, and nowhere else (RFC 9457).

Every problem has a stable `code`. Texts of unexpected exceptions stay in the log.
"""

import json
import logging
from typing import Any

from flask import Flask, Response, g
from pydantic import ValidationError
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException

from jobs.core.batch_intake import BatchOvertaken
from jobs.core.batches import BatchEnded, BatchNotFound
from jobs.core.client import WrongState
from jobs.core.errors import InvalidArguments, UnknownJobType
from jobs.core.view import JobNotFound
from jobs.core.webhooks import TooManyWebhooks
from jobs.domain.agents import UnknownAgent
from jobs.domain.canvas.errors import (
    CanvasNotFound,
    CanvasTooLarge,
    EdgeExists,
    EdgeNotFound,
    InvalidCanvas,
    NodeExists,
    NodeNotFound,
    NothingToReview,
    PreconditionFailed,
    ReviewTooLarge,
    TooManyCanvases,
    UnknownNode,
    VersionNotFound,
)
from jobs.domain.daily_limits import LimitReached, LimitUnderWay
from jobs.domain.documents import (
    Corrupt,
    DocumentNotFound,
    DocumentNotReady,
    DocxBomb,
    EmptyFile,
    TooLarge,
    UnsupportedMedia,
)
from jobs.domain.faults import faults_of, told
from jobs.domain.notifications import BadContext, TextTooLong, UnknownEvent
from jobs.providers.errors import ProviderError
from jobs.providers.report_pdf import PdfUnavailable
from jobs.research import ModelNotServed, NoSource
from jobs.stores.blobs import StorageError, StorageFull
from jobs.stores.conversations import SessionNotFound
from jobs.stores.database import is_away
from jobs.stores.exports import ExportNotFound, ExportNotReady
from jobs.stores.memories import MemoryNotFound
from jobs.stores.notifications import NotificationNotFound
from jobs.stores.research import ResearchNotFound
from jobs.stores.schedules import ScheduleExists, ScheduleNotFound, ScheduleReadOnly, TooManySchedules
from jobs.stores.users import UserExists, UserNotFound
from jobs.webhooks import NoWebhook, NoWebhookSecret, WebhookUrlRefused
from webapp.responses import ProblemAnswer
from webapp.sse import TooManyStreams

log = logging.getLogger(__name__)

# Exception -> status. Its `code` and its text are its own.
STATUSES: dict[type[Exception], int] = {
    JobNotFound: 404,
    DocumentNotFound: 404,
    UnknownJobType: 404,
    UnknownAgent: 404,
    ScheduleNotFound: 404,
    NoWebhook: 404,
    NotificationNotFound: 404,
    ResearchNotFound: 404,
    SessionNotFound: 404,
    MemoryNotFound: 404,
    ExportNotFound: 404,
    UserNotFound: 404,
    NoWebhookSecret: 404,
    BatchNotFound: 404,
    CanvasNotFound: 404,
    NodeNotFound: 404,
    EdgeNotFound: 404,
    VersionNotFound: 404,
    WrongState: 409,
    BatchEnded: 409,
    BatchOvertaken: 409,
    ScheduleExists: 409,
    ScheduleReadOnly: 409,
    TooManySchedules: 409,
    TooManyWebhooks: 409,
    UserExists: 409,
    ExportNotReady: 409,
    NodeExists: 409,
    EdgeExists: 409,
    TooManyCanvases: 409,
    PreconditionFailed: 412,
    CanvasTooLarge: 413,
    DocumentNotReady: 400,
    InvalidArguments: 422,
    WebhookUrlRefused: 422,
    UnknownEvent: 422,
    ModelNotServed: 422,
    NoSource: 422,
    BadContext: 422,
    TextTooLong: 422,
    InvalidCanvas: 422,
    UnknownNode: 422,
    NothingToReview: 422,
    ReviewTooLarge: 422,
    EmptyFile: 422,
    DocxBomb: 422,
    Corrupt: 422,
    TooLarge: 413,
    UnsupportedMedia: 415,
    LimitReached: 429,
    LimitUnderWay: 429,
    StorageFull: 507,
    StorageError: 503,
    TooManyStreams: 503,
    PdfUnavailable: 503,
}
_UNEXPECTED = "Something went wrong here. The log has it under this request id."
_AWAY = "The database or the job store does not answer. Try again."
HTTP_CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    411: "length_required",
    413: "too_large",
    415: "unsupported_media_type",
    421: "misdirected_request",
    503: "unavailable",
}


def problem(status: int, code: str, detail: str, **extra: Any) -> ProblemAnswer:
    """Return a problem+json answer. `extra` members stand beside the standard ones."""
    body = {"type": "about:blank", "status": status, "code": code, "detail": detail, **extra}
    if request_id := g.get("request_id"):
        body["request_id"] = request_id
    response = ProblemAnswer(f"{json.dumps(body, ensure_ascii=False)}\n", status)
    if status == 503:
        response.headers["Retry-After"] = "2"
    if status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def invalid(error: ValidationError) -> Response:
    """Return a 422 that names the first fields that are wrong, without echoing their values."""
    return problem(422, "invalid", told(error), errors=[fault._asdict() for fault in faults_of(error)])


def broken_off(error: Exception) -> dict[str, str]:
    """Return `code` and `message` of what ends a stream: its status is out already."""
    if isinstance(error, ProviderError):
        return {"code": error.code, "message": str(error)}
    if isinstance(error, RedisError) or is_away(error):
        log.error("a stream ends, what it needs does not do its work: %s", error)
        return {"code": "unavailable", "message": _AWAY}
    log.error("a stream ends with an unexpected error", exc_info=error)
    return {"code": "internal_error", "message": _UNEXPECTED}


def register_errors(app: Flask) -> None:
    """Make every exception of a view a problem+json answer."""
    for kind in STATUSES:
        app.register_error_handler(kind, _known)
    app.register_error_handler(ValidationError, invalid)
    app.register_error_handler(RedisError, _redis_away)
    app.register_error_handler(SQLAlchemyError, _database_away)
    app.register_error_handler(ProviderError, _provider_failed)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unexpected)
    app.after_request(_without_file)


def _known(error: Exception) -> Response:
    status = next(STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES)
    extra: dict[str, Any] = {"state": error.view.state} if isinstance(error, WrongState | BatchEnded) else {}
    if field := getattr(error, "field", None):
        extra["errors"] = [{"field": field, "message": str(error)}]
    if isinstance(error, InvalidCanvas):
        extra["errors"] = [fault._asdict() for fault in error.faults]
    answer = problem(status, error.code, str(error), **extra)  # type: ignore[attr-defined]
    if wait := getattr(error, "retry_after", None):
        answer.headers["Retry-After"] = str(max(1, round(wait)))
    return answer


def _http(error: HTTPException) -> Response:
    if error.response is not None:  # a validation answer made by `invalid`
        return error.response  # type: ignore[return-value]
    status = error.code or 500
    answer = problem(status, HTTP_CODES.get(status, f"http_{status}"), error.description or error.name)
    if allowed := getattr(error, "valid_methods", None):
        answer.headers["Allow"] = ", ".join(sorted(allowed))
    if 300 <= status < 400 and (location := getattr(error, "new_url", None)):
        answer.headers["Location"] = location
    return answer


def _without_file(response: Response) -> Response:
    """Flask gives a file also where `If-Match` wants another: with 412."""
    if response.status_code != 412 or isinstance(response, ProblemAnswer):
        return response
    response.close()
    return problem(412, PreconditionFailed.code, "The file is not as the request's `If-Match` wants it.")


def _redis_away(error: Exception) -> Response:
    """Redis is away, full, or cannot write: for the client it is the same."""
    log.error("Redis does not do its work: %s", error)
    return problem(503, "unavailable", "The job store does not answer. Nothing was changed; try again.")


def _database_away(error: Exception) -> Response:
    if not is_away(error):
        return _unexpected(error)
    log.error("the database does not do its work: %s", error)
    return problem(503, "unavailable", "The database does not answer. Nothing was changed; try again.")


def _provider_failed(error: Exception) -> Response:
    """The language model, or another service that an answer needs, did not do what it was asked."""
    assert isinstance(error, ProviderError)  # noqa: S101 - registered for no other
    log.warning("a request failed with what it needs outside: %s: %s", error.code, error)
    answer = problem(503 if error.retryable else 502, error.code, str(error))
    if error.retry_after:
        answer.headers["Retry-After"] = str(max(1, round(error.retry_after)))
    return answer


def _unexpected(error: Exception) -> Response:
    log.exception("unexpected error")
    return problem(500, "internal_error", _UNEXPECTED)
