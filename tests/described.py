"""Whether what the application answers is what `/openapi.json` says."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from flask import Flask, Response, request, request_finished
from jsonschema import Draft202012Validator

from webapp.openapi.document import document_of
from webapp.openapi.operations import FOR_PEOPLE, JSON, operations_of
from webapp.responses import ProblemAnswer

GROWS = {"Problem", "CanvasFile", "TextNode", "FileNode", "LinkNode", "GroupNode", "Edge"}  # may have other members
BY_DEFAULT = (400, 403, 405, 413, 415, 421, 422, 500, 502)  # what any request can be answered: `default`


class Description:
    """The description of an application, held against its answers."""

    def __init__(self, app: Flask, keys: bool) -> None:
        self.document = document_of(app, keys=keys)
        self._components = json.loads(json.dumps(self.document["components"]))
        for name, schema in self._components["schemas"].items():
            if "properties" in schema and name not in GROWS:
                schema["additionalProperties"] = False
        self._operations = {(each.rule.rule, each.method): each for each in operations_of(app)}

    def faults(self, response: Response) -> list[str]:
        """Return what the answer to the current request has that is not described, or lacks."""
        rule, blueprint = request.url_rule, request.blueprint
        if rule is None or blueprint in FOR_PEOPLE or request.method in ("HEAD", "OPTIONS"):
            return []
        operation = self._operations[rule.rule, request.method]
        name = f"{request.method} {operation.path} {response.status_code}"
        said = self.document["paths"][operation.path][request.method.lower()]["responses"]
        answer = self._resolved(said.get(str(response.status_code), said["default"]))
        if str(response.status_code) not in said and response.status_code not in BY_DEFAULT:
            return [f"{name}: not described"]
        lacking = [f"{name}: no {header}" for header in self._missing(answer, response)]
        return lacking + [f"{name}: {fault}" for fault in self._body_faults(answer, response)]

    def _missing(self, answer: Any, response: Response) -> list[str]:
        always = {"X-Request-ID", "Location"} & set(answer.get("headers", ()))
        return [header for header in always if header not in response.headers]

    def _body_faults(self, answer: Any, response: Response) -> list[str]:
        content = answer.get("content", {})
        if not content:
            return ["has a body"] if response.status_code != 304 and response.content_length else []
        if response.content_type not in content and response.mimetype not in content:
            return [f"is {response.content_type}"]
        if response.mimetype not in (JSON, ProblemAnswer.default_mimetype) or response.is_streamed:
            return []
        validator = self._validator(json.dumps(content[response.mimetype]["schema"]))
        return [f"{error.json_path}: {error.message[:300]}" for error in validator.iter_errors(response.get_json())]

    @cache  # noqa: B019 - there are two of them
    def _validator(self, schema: str) -> Draft202012Validator:
        whole = {**json.loads(schema), "components": self._components}
        return Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER)

    def _resolved(self, answer: Any) -> Any:
        name = answer.get("$ref", "").rpartition("/")[2]
        return self.document["components"]["responses"][name] if name else answer


_known: dict[bool, Description] = {}


@contextmanager
def held_to_description() -> Iterator[None]:
    """Within it, every answer of an application has the status, the headers and the body that its description says."""
    faults: list[str] = []

    def check(sender: Flask, response: Response, **_: Any) -> None:
        faults.extend(_description(sender).faults(response))

    with request_finished.connected_to(check):
        yield
    assert faults == []


def _description(app: Flask) -> Description:
    """Return the description of an application; writing it takes a while, and all of a kind have the same."""
    keys = bool(app.extensions["offstage"].services.config.api_keys)
    if keys not in _known:
        _known[keys] = Description(app, keys)
    return _known[keys]
