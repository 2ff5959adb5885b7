"""The operations of an application: what each takes and answers, as its view says."""

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from flask import Flask
from pydantic.json_schema import JsonSchemaMode
from werkzeug.routing import Rule

from webapp.auth import OPEN_PATHS
from webapp.openapi.describing import Notes, notes_of
from webapp.responses import Answer, Kept, Media, NoContent, ProblemAnswer

JSON = "application/json"
FOR_PEOPLE = ("console", "rq_dashboard")  # pages, no API
_BODY_PROBLEMS = {400, 411, 413, 422}

Shape = tuple[Any, JsonSchemaMode]


@dataclass(frozen=True)
class Said:
    """One of the answers that a view's return type names; those without a body have no `types`."""

    status: int
    types: tuple[str, ...] = ()
    shape: Any = str
    sends: tuple[str, ...] = ()
    mode: JsonSchemaMode = "serialization"


@dataclass(frozen=True)
class Operation:
    """A route with one of its methods, and what its view says of it."""

    rule: Rule
    method: str
    view: Callable[..., Any]
    tags: tuple[str, ...]
    hints: dict[str, Any]
    notes: Notes

    @property
    def path(self) -> str:
        """The route as OpenAPI writes it."""
        called = self.notes.called
        return re.sub(r"<(?:\w+:)?(\w+)>", lambda part: f"{{{called.get(part[1], part[1])}}}", self.rule.rule)

    @property
    def is_open(self) -> bool:
        """Whether it asks for no key."""
        return self.path in OPEN_PATHS

    @property
    def said(self) -> list[Said]:
        """What it answers, but for errors."""
        return list(_said(self.hints["return"]))

    def body(self) -> tuple[str, Shape] | None:
        """Return the media type and the shape of what it is sent, or None if that is nothing."""
        if self.notes.form:
            return "multipart/form-data", (self.notes.form, "validation")
        if "raw" in self.hints:
            return JSON, (self.hints["raw"].shape, "validation")
        return (JSON, (self.hints["body"], "validation")) if "body" in self.hints else None

    def shapes(self) -> Iterator[Shape]:
        """Yield what its bodies are made of."""
        if body := self.body():
            yield body[1]
        yield from ((said.shape, said.mode) for said in self.said)


def operations_of(app: Flask) -> Iterator[Operation]:
    """Yield what programs may ask of an application, in the order in which it was registered."""
    for rule in app.url_map.iter_rules():
        blueprint = app.blueprints.get(rule.endpoint.partition(".")[0])
        if blueprint and blueprint.name in FOR_PEOPLE:
            continue
        view = inspect.unwrap(app.view_functions[rule.endpoint])
        hints = get_type_hints(view, include_extras=True)
        tags = tuple(tag.name for tag in getattr(blueprint, "abp_tags", ())) or ("operation",)
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield Operation(rule, method, view, tags, hints, notes_of(view))


def _said(hint: Any) -> Iterator[Said]:
    if get_origin(hint) in (Union, UnionType):
        for each in get_args(hint):
            yield from _said(each)
        return
    media = next((each for each in getattr(hint, "__metadata__", ()) if isinstance(each, Media)), None)
    kind = get_origin(hint) or hint
    if media:
        yield Said(200, media.types, media.shape, media.sends)
    elif issubclass(kind, Answer):
        [shape] = get_args(hint) or get_args(kind.__orig_bases__[0])
        mode: JsonSchemaMode = "validation" if issubclass(kind, Kept) else "serialization"
        yield Said(kind.default_status, (JSON,), shape, kind.sends, mode)
    elif issubclass(kind, NoContent):
        yield Said(kind.default_status)
    elif not issubclass(kind, ProblemAnswer):
        raise TypeError(f"{hint} does not say what is answered: see docs/decisions/0027-openapi.md")


def problems_of(each: Operation, keys: bool) -> set[int]:
    """Return the statuses of the errors that an operation can end with, as far as they follow from what it takes."""
    found = set(each.notes.problems)
    if not each.is_open:
        found |= {503, 401} if keys else {503}
    if each.method == "POST":
        found |= {400, 409, 422}  # of the Idempotency-Key
    if body := each.body():
        found |= _BODY_PROBLEMS | ({415} if body[0] == JSON and "body" in each.hints else set())
    if "path" in each.hints:
        found |= {404, 422}
    if "query" in each.hints:
        found |= {400, 422} if "cursor" in each.hints["query"].model_fields else {422}
    if "If-Match" in each.notes.takes:
        found.add(412)
    return found - set(each.notes.never)
