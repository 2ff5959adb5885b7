"""Research: ask, follow, read, take home."""

import unicodedata
from datetime import UTC, datetime
from typing import Annotated, Any

from flask import Response, abort, g, request
from flask_openapi3 import APIBlueprint, Tag
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from jobs.core.events import FROM_START, is_event_id
from jobs.domain.research import LEAST_TOKENS, MAX_QUESTIONS, Language, ResearchArgs, language_of
from jobs.research import RUN_SECONDS, forget, model_of, start, uses_web
from webapp.api.jobs import EventsQuery, ListQuery
from webapp.api.users import UserId
from webapp.extension import offstage
from webapp.idempotency import stable_id
from webapp.openapi.describing import describe
from webapp.requests import Storable, StoredId
from webapp.research import events, listed_json, look, run_json, started_json, status_of
from webapp.responses import (
    MAX_PAGE,
    Accepted,
    Answer,
    EventStream,
    Media,
    NoContent,
    accepted,
    decode_cursor,
    encode_cursor,
    header_value,
    row_id,
)
from webapp.shapes import research as shapes
from webapp.webhooks import checked

bp = APIBlueprint("research", __name__, abp_tags=[Tag(name="research", description="Reports from many sources")])

MIN_QUERY_CHARS = 2
MAX_DOCUMENTS = 20
MAX_RESULTS = 10
MAX_MINUTES = RUN_SECONDS // 60
MAX_SECTION_TOKENS = 4096
DocumentId = Annotated[int, Field(ge=0, le=2**63 - 1)]
Markdown = Annotated[Response, Media(("text/markdown",))]
Pdf = Annotated[Response, Media(("application/pdf",))]


def _plain(text: str) -> str:
    """Return a query in the form in which equal ones are equal: composed characters, single blanks."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def _long_enough(query: str) -> str:
    if len(query) < MIN_QUERY_CHARS:
        raise ValueError(f"a query has at least {MIN_QUERY_CHARS} characters")
    return query


def _still_to_come(time: datetime) -> datetime:
    """Return a time in the form in which equal ones are equal. Raises ValueError for one that is over, or that no zone
    can have."""
    try:
        time = time.astimezone(UTC)
    except OverflowError:
        raise ValueError("this time is out of range") from None
    if time <= datetime.now(UTC):
        raise ValueError("this time is over")
    return time


def _choice_of_documents(value: Any, check: ValidatorFunctionWrapHandler) -> Any:
    try:
        return check(value)
    except ValidationError:  # which names the ways to say it, not what was said
        raise ValueError(f"it is true, false, or a list of 1 to {MAX_DOCUMENTS} ids of documents") from None


class AiConfig(BaseModel):
    """`language` of the report, that of the query if it is not given; `max_tokens` of a section."""

    model_config = ConfigDict(extra="forbid")

    model: str | None = Field(default=None, max_length=200)
    language: Language | None = None
    max_tokens: int = Field(default=800, ge=LEAST_TOKENS, le=MAX_SECTION_TOKENS)


class SearchConfig(BaseModel):
    """`documents`: all of the caller's, none, or these. `web`: if there is one, unless said otherwise. `breadth`: into
    how many questions the query is taken apart; `results`: how many pages, or passages, of each are used."""

    model_config = ConfigDict(extra="forbid")

    documents: Annotated[
        bool | Annotated[list[DocumentId], Field(min_length=1, max_length=MAX_DOCUMENTS)],
        WrapValidator(_choice_of_documents),
    ] = True
    web: bool | None = None
    breadth: int = Field(default=4, ge=1, le=MAX_QUESTIONS)
    results: int = Field(default=5, ge=1, le=MAX_RESULTS)


class Budget(BaseModel):
    """What it may use: `tokens` of the model, `searches`, `minutes` from its start, and no more after a `deadline`."""

    model_config = ConfigDict(extra="forbid")

    tokens: int | None = Field(default=None, ge=1, le=10_000_000)
    searches: int | None = Field(default=None, ge=1, le=2 * MAX_QUESTIONS)
    minutes: float | None = Field(default=None, gt=0, le=MAX_MINUTES, allow_inf_nan=False)
    deadline: Annotated[AwareDatetime, AfterValidator(_still_to_come)] | None = None


class ResearchBody(BaseModel):
    """A query, and how it is to be looked into. `fresh` starts anew what an equal request has started or done."""

    model_config = ConfigDict(extra="forbid")

    query: Annotated[
        str,
        Field(max_length=4000, json_schema_extra={"minLength": MIN_QUERY_CHARS}),
        Storable,
        AfterValidator(_plain),
        AfterValidator(_long_enough),
    ]
    ai_config: AiConfig = Field(default_factory=AiConfig)
    search_config: SearchConfig = Field(default_factory=SearchConfig)
    budget: Budget = Field(default_factory=Budget)
    fresh: bool = False
    user_id: UserId | None = None
    webhook_url: str | None = Field(default=None, max_length=2000)


class ResearchPath(BaseModel):
    """The id of research: its task's."""

    research_id: StoredId


class ResearchQuery(ListQuery):
    """`q`: what stands in the query or the title; the text of reports is not looked through."""

    q: Annotated[str, Storable] | None = Field(default=None, max_length=200)


@bp.post("/research")
@describe(takes=("Last-Event-ID",), sends=("X-Task-ID", "X-Model-Name"), problems=(404,))
def start_research(body: ResearchBody) -> Accepted[shapes.ResearchStarted] | EventStream | NoContent:
    """Start research, or join the same one; with `Accept: text/event-stream` follow it at once."""
    app, args, after = offstage(), _args(body), _after()
    options = {"fresh": body.fresh, "job_id": stable_id(), "webhook": checked(body.webhook_url)}
    view = start(app.services, app.client, g.tenant, args, **options)
    if request.accept_mimetypes.best_match(["application/json", "text/event-stream"]) == "text/event-stream":
        response = events(app, g.tenant, view.id, after)
    else:
        response = accepted(view.id, **started_json(args, view))
    response.headers["X-Task-ID"] = view.id
    response.headers["X-Model-Name"] = header_value(args.model)
    return response


@bp.get("/research")
def list_research(query: ResearchQuery) -> Answer[shapes.ResearchList]:
    """List the caller's research, newest first."""
    app, limit = offstage(), min(query.limit, MAX_PAGE)
    before = decode_cursor(query.cursor, row_id)
    page = app.services.research.list(g.tenant, before=before, limit=limit, text=query.q)
    cursor = encode_cursor(page[-1].number) if len(page) == limit else None
    listed = [listed_json(each, status_of(app, each)) for each in page]
    return Answer(shapes.ResearchList(research=listed, next_cursor=cursor))


@bp.get("/research/<string:research_id>")
@describe(sends=("X-Task-ID", "X-Model-Name"))
def get_research(path: ResearchPath) -> Answer[shapes.Research]:
    """Return research: how far it is, and its report as far as it is written."""
    run = look(offstage(), g.tenant, path.research_id)
    response = Answer(run_json(run))
    response.headers["X-Task-ID"] = run.kept.id
    response.headers["X-Model-Name"] = header_value(run.kept.model)
    return response


@bp.get("/research/<string:research_id>/events")
@describe(takes=("Last-Event-ID",), problems=(400,))
def follow_research(path: ResearchPath, query: EventsQuery) -> EventStream | NoContent:
    """Stream what research says (SSE), exactly after the last event received."""
    return events(offstage(), g.tenant, path.research_id, _after(query.after))


@bp.get("/research/<string:research_id>/report.md")
def get_markdown(path: ResearchPath) -> Markdown:
    """Return the report, as far as it is written, in Markdown."""
    run = look(offstage(), g.tenant, path.research_id)
    return _file(run.report.encode(), "text/markdown; charset=utf-8", f"{run.kept.id}.md")


@bp.get("/research/<string:research_id>/report.pdf")
def get_pdf(path: ResearchPath) -> Pdf:
    """Return the report, as far as it is written, as a PDF."""
    app = offstage()
    run = look(app, g.tenant, path.research_id)
    return _file(app.renderer.pdf(run.report), "application/pdf", f"{run.kept.id}.pdf")


@bp.delete("/research/<string:research_id>")
@describe(problems=(409,))
def delete_research(path: ResearchPath) -> NoContent:
    """Forget research that has ended, with its report and its task."""
    app = offstage()
    forget(app.services, app.client, g.tenant, path.research_id)
    return NoContent()


def _args(body: ResearchBody) -> ResearchArgs:
    """Return what is asked for, in the form in which equal requests are equal."""
    ai, search, services = body.ai_config, body.search_config, offstage().services
    documents = search.documents if isinstance(search.documents, list) else ([] if search.documents else None)
    for document_id in documents or ():
        services.documents.get_completed(g.tenant, document_id)
    return ResearchArgs(
        query=body.query,
        language=ai.language or language_of(body.query),
        model=model_of(services, ai.model),
        max_tokens=ai.max_tokens,
        documents=sorted(set(documents)) if documents is not None else None,
        web=uses_web(services, search.web, documents),
        breadth=search.breadth,
        results=search.results,
        user_id=body.user_id,
        **body.budget.model_dump(),
    )


def _after(given: str | None = None) -> str:
    """Return the last event that the client has; another thing than an event's id is a 400."""
    after = request.headers.get("Last-Event-ID") or given or FROM_START
    if not is_event_id(after):
        abort(400, "`Last-Event-ID` or `after` is not the id of an event.")
    return after


def _file(content: bytes, media_type: str, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(content, 200, headers, content_type=media_type)
