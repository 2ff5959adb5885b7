"""Conditional requests (RFC 9110, 13): a file only if it is, or is not, as the client knows it."""

from typing import TypeVar

from flask import Response, request

from jobs.domain.canvas.errors import PreconditionFailed
from jobs.stores.canvases import OnlyIf

R = TypeVar("R", bound=Response)


def precondition() -> OnlyIf:
    """Return what the request's `If-Match` and `If-None-Match` want of an ETag; None stands for no file."""
    headers, match, none_match = request.headers, request.if_match, request.if_none_match

    def holds(etag: str | None) -> bool:
        if "If-Match" in headers and (etag is None or etag not in match):
            return False
        return "If-None-Match" not in headers or etag is None or not none_match.contains_weak(etag)

    return holds


def with_etag(response: R, etag: str) -> R:
    """Return an answer with its ETag; to a GET of what the client has already, a 304 in its place.

    Raises:
        PreconditionFailed: a GET wants another one by its `If-Match`.
    """
    response.set_etag(etag)
    if request.method not in ("GET", "HEAD"):
        return response
    if "If-Match" in request.headers and etag not in request.if_match:
        raise PreconditionFailed
    if request.if_none_match.contains_weak(etag):
        response.status_code = 304
        response.set_data(b"")
    return response
