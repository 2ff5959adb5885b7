"""The description of an application in OpenAPI 3.1."""

import inspect
from collections.abc import Iterable, Iterator
from functools import cache
from http import HTTPStatus
from typing import Annotated, Any

from flask import Flask, Response
from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from config import Config
from webapp.errors import HTTP_CODES, STATUSES
from webapp.idempotency import HEADER as IDEMPOTENCY_KEY
from webapp.openapi.headers import SENT, TAKEN
from webapp.openapi.operations import JSON, Operation, Said, Shape, operations_of, problems_of
from webapp.responses import Media, ProblemAnswer
from webapp.shapes.common import Problem

VERSION = "0.1.0"
ABOUT = (
    "Answers at once, and does the slow work offstage. 202 means that it will be done: follow the job at `Location`. "
    "Every POST takes an `Idempotency-Key`, every error is a problem with a stable `code`, every list goes on with its "
    "`next_cursor`."
)
_REF = "#/components/schemas/{model}"
_SENT_WITH = {401: ("WWW-Authenticate",), 429: ("Retry-After",), 503: ("Retry-After",)}

Document = dict[str, Any]


class _Schemas:
    """The schemas of many shapes together: one that several have stands there once, and no two have one name."""

    def __init__(self, shapes: Iterable[Shape]) -> None:
        given = [(shape, mode, TypeAdapter(shape)) for shape, mode in dict.fromkeys(shapes)]
        self._refs, found = TypeAdapter.json_schemas(given, ref_template=_REF, schema_generator=_Generator)
        self.definitions: Document = found.get("$defs", {})

    def __getitem__(self, shape: Shape) -> Document:
        return self._refs[shape]


class _Generator(GenerateJsonSchema):
    """Schemas without a title for each field, which says its name once more; models are answered with all fields."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def field_is_required(self, field: Any, total: bool) -> bool:
        if self.mode == "serialization" and field["type"] != "typed-dict-field":
            return not field.get("serialization_exclude")
        return super().field_is_required(field, total)


def register_openapi(app: Flask, config: Config) -> None:
    """Serve `/openapi.json`; it is written when somebody asks for it first."""

    @cache
    def text() -> str:
        return app.json.dumps(document_of(app, keys=bool(config.api_keys)))

    @app.get("/openapi.json")
    def openapi() -> Annotated[Response, Media((JSON,), dict[str, Any])]:
        """Return this description."""
        return Response(text(), mimetype=JSON)


def document_of(app: Flask, *, keys: bool) -> Document:
    """Return the description of an application, with or without API keys."""
    operations = list(operations_of(app))
    schemas = _Schemas([(Problem, "serialization"), *(shape for each in operations for shape in each.shapes())])
    paths: Document = {}
    for each in operations:
        paths.setdefault(each.path, {})[each.method.lower()] = _operation(each, schemas, keys)
    statuses = sorted({status for each in operations for status in problems_of(each, keys)})
    return {
        "openapi": "3.1.0",
        "info": {"title": "Offstage", "version": VERSION, "description": ABOUT},
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}] if keys else [{}, {"bearer": []}],
        "tags": _tags(app),
        "paths": paths,
        "components": {
            "schemas": schemas.definitions,
            "responses": {_name(status): _problem(status, schemas) for status in (*statuses, 0)},
            "parameters": TAKEN,
            "headers": SENT,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "description": "An API key."}},
        },
    }


def _operation(each: Operation, schemas: _Schemas, keys: bool) -> Document:
    summary, _, description = (inspect.getdoc(each.view) or "").partition("\n\n")
    found: Document = {
        "operationId": each.view.__name__,
        "tags": list(each.tags),
        "summary": " ".join(summary.split()).removesuffix("."),
        "responses": _responses(each, schemas, keys),
    }
    if description:
        found["description"] = " ".join(description.split())
    if parameters := list(_parameters(each)):
        found["parameters"] = parameters
    if body := each.body():
        found["requestBody"] = {"required": True, "content": {body[0]: {"schema": schemas[body[1]]}}}
    return found | ({"security": []} if each.is_open else {})


def _parameters(each: Operation) -> Iterator[Document]:
    for place in ("path", "query"):
        if place in each.hints:
            for found in _parameters_of(each.hints[place], place):
                yield found | {"name": each.notes.called.get(found["name"], found["name"])}
    for name in (*((IDEMPOTENCY_KEY,) if each.method == "POST" else ()), *each.notes.takes):
        yield {"$ref": f"#/components/parameters/{name}"}


def _parameters_of(model: type[BaseModel], place: str) -> Iterator[Document]:
    schema = model.model_json_schema(ref_template=_REF, schema_generator=_Generator)
    for name, field in schema["properties"].items():
        found = {"name": name, "in": place, "required": name in schema.get("required", ())}
        if description := field.pop("description", None):
            found["description"] = description
        yield found | {"schema": _without_null(field)}


def _without_null(schema: Document) -> Document:
    """Return the schema of a field as a parameter has it, which can be absent, but not null."""
    rest = {key: value for key, value in schema.items() if key != "default" or value is not None}
    options = [option for option in rest.pop("anyOf", ()) if option != {"type": "null"}]
    return rest | (options[0] if len(options) == 1 else {"anyOf": options} if options else {})


def _responses(each: Operation, schemas: _Schemas, keys: bool) -> Document:
    responses: dict[str, Document] = {}
    for said in each.said:
        response = responses.setdefault(str(said.status), {"description": HTTPStatus(said.status).phrase})
        response.setdefault("headers", {}).update(_headers(each, said))
        for media_type in said.types:
            response.setdefault("content", {})[media_type] = {"schema": schemas[said.shape, said.mode]}
    if each.method == "GET" and "If-None-Match" in each.notes.takes:
        responses["304"] = {"description": HTTPStatus(304).phrase, "headers": _headers(each, Said(304))}
    for status in sorted(problems_of(each, keys)):
        responses.setdefault(str(status), {"$ref": f"#/components/responses/{_name(status)}"})
    return responses | {"default": {"$ref": f"#/components/responses/{_name(0)}"}}


def _headers(each: Operation, said: Said) -> Document:
    names = ["X-Request-ID", *said.sends, *each.notes.sends]
    if each.method == "POST":
        names.append("Idempotency-Replayed")
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _problem(status: int, schemas: _Schemas) -> Document:
    codes = {kind.code for kind, its in STATUSES.items() if its == status}  # type: ignore[attr-defined]
    codes |= {HTTP_CODES[status]} if status in HTTP_CODES else set()
    names = [*_SENT_WITH.get(status, ()), "X-Request-ID"]
    said = f", with a `code` such as {', '.join(f'`{code}`' for code in sorted(codes))}" if codes else ""
    return {
        "description": (HTTPStatus(status).phrase if status else "Any other error") + said,
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in names},
        "content": {ProblemAnswer.default_mimetype: {"schema": schemas[Problem, "serialization"]}},
    }


def _name(status: int) -> str:
    return f"Problem{status or ''}"


def _tags(app: Flask) -> list[Document]:
    tags = [tag for blueprint in app.blueprints.values() for tag in getattr(blueprint, "abp_tags", ())]
    return [{"name": tag.name, "description": tag.description} for tag in tags]
