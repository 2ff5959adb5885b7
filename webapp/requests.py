"""What a request may be: its size, its JSON, its id."""

import re
import secrets
from typing import Annotated, Any

from flask import Flask, Request, abort, g, request
from flask import Response as FlaskResponse
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError, from_json

from config import Config
from jobs.domain.faults import faults_of
from jobs.domain.json_size import MAX_VALUES, is_crowded

UPLOAD_PATH = "/upload"
BATCH_PATHS = ("/batches", "/agents/batch")
CANVASES_FOLDER = "/canvases/"
FORM_OVERHEAD = 64 * 1024  # multipart boundaries and part headers around the file
_ZONE = re.compile(r"(:\d\d(?:\.\d+)?) (\d\d:?\d\d)$")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def without_nul(text: str) -> str:
    """Return a text that every database takes. Raises ValueError if it holds NUL, which PostgreSQL does not."""
    if "\0" in text:
        raise ValueError("the character NUL is not allowed here")
    return text


def _with_plus(value: Any) -> Any:
    """Return a time with the `+` of its zone, which is a blank in a query where it is not escaped."""
    return _ZONE.sub(r"\1+\2", value) if isinstance(value, str) else value


Storable = AfterValidator(without_nul)
Moment = Annotated[AwareDatetime, BeforeValidator(_with_plus)]  # a time in a query
StoredId = Annotated[str, Storable]  # of what a database is asked for


class StrictRequest(Request):
    """JSON is UTF-8 without NaN, lone surrogates or bottomless nesting, else a 400; with too many values a 413."""

    def get_json(self, force: bool = False, silent: bool = False, cache: bool = True) -> Any:
        """Return the body as JSON data. `silent` is not honoured: a broken body is never taken for an absent one."""
        if not (force or self.is_json):
            abort(415, "Send JSON with `Content-Type: application/json`.")
        data = self.get_data()
        if is_crowded(data):
            abort(413, f"A body may hold {MAX_VALUES} values at most.")
        try:
            return from_json(data, allow_inf_nan=False)
        except ValueError as error:
            abort(400, f"The body is not valid JSON: {error}")


def fitting(model: type[BaseModel], data: Any, at: str) -> dict[str, Any]:
    """Return a part of a body as a model has it, as JSON data. `at` is where it stands in the body.

    Raises:
        ValidationError: naming the fields by their place in the body.
    """
    try:
        return model.model_validate(data).model_dump(mode="json")
    except ValidationError as error:
        problems: list[InitErrorDetails] = [
            {
                "type": PydanticCustomError("unfit", "{text}", {"text": fault.message}),
                "loc": (at, fault.field) if fault.field else (at,),
                "input": None,
            }
            for fault in faults_of(error, whole="")
        ]
        raise ValidationError.from_exception_data(error.title, problems) from None


def register_limits(app: Flask, config: Config) -> None:
    """Bound every body, and give every request an id."""
    limits = dict.fromkeys(BATCH_PATHS, config.max_batch_bytes)
    limits[UPLOAD_PATH] = config.max_upload_bytes + FORM_OVERHEAD

    @app.before_request
    def bound() -> None:
        given = request.headers.get("X-Request-ID", "")
        g.request_id = given if _REQUEST_ID.fullmatch(given) else f"req-{secrets.token_hex(8)}"
        if request.headers.get("Transfer-Encoding"):
            abort(411, "Send the body's Content-Length.")
        largest = config.max_canvas_bytes if request.path.startswith(CANVASES_FOLDER) else config.max_json_bytes
        request.max_content_length = limits.get(request.path, largest)
        if (request.content_length or 0) > request.max_content_length:
            abort(413, f"The body may have {request.max_content_length} bytes at most.")

    @app.after_request
    def mark(response: FlaskResponse) -> FlaskResponse:
        response.headers["X-Request-ID"] = g.get("request_id", "")
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        response.headers.setdefault("Referrer-Policy", "no-referrer")
        return response
