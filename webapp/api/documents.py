"""Documents: upload, watch, search, ask, delete."""

from typing import Any

from flask import Response, abort, g, jsonify, request
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, ConfigDict, Field

from jobs import documents
from jobs.answering import answer_question
from webapp.api.jobs import ListQuery
from webapp.extension import offstage
from webapp.responses import MAX_PAGE, accepted, decode_cursor, encode_cursor

bp = APIBlueprint("documents", __name__, abp_tags=[Tag(name="documents", description="Upload, search, ask")])
