"""Chat: answer a message, as a whole or as it is written; what was said, and how much."""

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any
from uuid import uuid4

from flask import Response, g, request
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from jobs.chat import Asked, Chat, Reply, chat
from jobs.domain.analysis import Analysis
from jobs.stores.conversations import Conversation
from jobs.stores.sessions import Session
from webapp.api.jobs import ListQuery
from webapp.api.users import UserId, as_given, as_number
from webapp.errors import broken_off
from webapp.extension import offstage
from webapp.openapi.describing import describe
from webapp.requests import Moment, Storable
from webapp.responses import MAX_PAGE, Answer, EventStream, decode_cursor, encode_cursor, header_value, row_id
from webapp.shapes import chat as shapes

bp = APIBlueprint("chat", __name__, abp_tags=[Tag(name="chat", description="Chat, history, statistics")])

SessionId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
Topic = Annotated[str, Field(max_length=200), Storable]
Message = Annotated[str, Field(min_length=1, max_length=8000, pattern=r"\S"), Storable]  # not of white space alone
DocumentId = Annotated[int, Field(ge=0, le=2**63 - 1)]


class ChatBody(BaseModel):
    """A message. A `session_id` goes on with a conversation; with `document_ids` these documents are asked too, with an
    empty list all of the caller's."""

    model_config = ConfigDict(extra="forbid")

    user_id: UserId
    message: Message
    session_id: SessionId | None = None
    topic: Topic | None = None
    document_ids: list[DocumentId] | None = Field(default=None, max_length=20)


class UserPath(BaseModel):
    """A user's id."""

    user_id: Annotated[str, Field(max_length=100), Storable]


class HistoryQuery(ListQuery):
    """Which conversations: of a session, since and until a time with a zone, those that hold the text `q`."""

    limit: int = Field(default=10, ge=1)
    session_id: SessionId | None = None
    since: Moment | None = None
    until: Moment | None = None
    q: Annotated[str, Field(max_length=200), Storable] | None = None


class AnalysisQuery(ListQuery):
    """Which sessions: all of the user's, or one."""

    session_id: SessionId | None = None


@bp.post("/chat")
@describe(sends=("X-Task-ID", "X-Model-Name"), problems=(404, 429, 502))
def send_message(body: ChatBody) -> Answer[shapes.Reply] | EventStream:
    """Answer a message; with `Accept: text/event-stream` as it is written. It is logged and counted offstage."""
    app, asked = offstage(), _asked(body)
    if request.accept_mimetypes.best_match(["application/json", "text/event-stream"]) == "text/event-stream":
        exchange = Chat(app.services, app.client, asked)
        stream = Response(_frames(exchange, asked, as_given(body.user_id)), 200, mimetype="text/event-stream")
        stream.headers.update({"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        stream.headers["X-Model-Name"] = header_value(exchange.reply.model)
        return stream
    reply = chat(app.services, app.client, asked)
    answer = Answer(reply_json(reply, asked, as_given(body.user_id)))
    answer.headers["X-Model-Name"] = header_value(reply.model)
    answer.headers["X-Task-ID"] = reply.task_id
    return answer


@bp.get("/stats/<string:user_id>")
@describe(never=(404,))
def get_stats(path: UserPath) -> Answer[shapes.UserStats]:
    """Return how much a user has used; zeros, of one who is not known."""
    stats = offstage().services.user_stats.get(g.tenant, path.user_id)
    last = stats.last_conversation_at
    return Answer(
        shapes.UserStats(
            user_id=as_number(path.user_id),
            total_conversations=stats.total_conversations,
            total_tokens=stats.total_tokens,
            last_conversation_at=last.isoformat() if last else None,
        )
    )


@bp.get("/history/<string:user_id>")
@describe(never=(404,))
def get_history(path: UserPath, query: HistoryQuery) -> Answer[shapes.History]:
    """List a user's conversations, newest first."""
    limit = min(query.limit, MAX_PAGE)
    page = offstage().services.conversations.history(
        g.tenant,
        path.user_id,
        before=decode_cursor(query.cursor, row_id),
        limit=limit,
        session_id=query.session_id,
        since=query.since,
        until=query.until,
        text=query.q,
    )
    cursor = encode_cursor(page[-1].number) if len(page) == limit else None
    conversations = [conversation_json(each) for each in page]
    return Answer(shapes.History(user_id=as_number(path.user_id), conversations=conversations, next_cursor=cursor))


@bp.get("/history/<string:user_id>/analysis")
@describe(never=(404,))
def get_analysis(path: UserPath, query: AnalysisQuery) -> Answer[shapes.Sessions]:
    """List a user's sessions, those that grew last first, each with its analysis: null until there is one."""
    limit, before = min(query.limit, MAX_PAGE), decode_cursor(query.cursor, row_id)
    store = offstage().services.sessions
    page = store.list(g.tenant, path.user_id, before=before, limit=limit, session_id=query.session_id)
    cursor = encode_cursor(page[-1].last_number) if len(page) == limit else None
    sessions = [session_json(each) for each in page]
    return Answer(shapes.Sessions(user_id=as_number(path.user_id), sessions=sessions, next_cursor=cursor))


def session_json(session: Session) -> shapes.Session:
    """Return a session with its analysis; `model` says who made it."""
    return {
        "session_id": session.session_id,
        "topic": session.topic,
        "exchanges": session.exchanges,
        "analysis": _analysis_json(session, session.analysis) if session.analysis else None,
    }


def reply_json(reply: Reply, asked: Asked, user_id: Any) -> shapes.Reply:
    """Return an answer as its user sees it."""
    return {
        "user_id": user_id,
        "session_id": asked.session_id,
        "response": reply.text,
        "response_time": reply.response_time,
        "model": reply.model,
        "citations": list(reply.citations),
        "tokens": {
            "prompt": reply.prompt_tokens,
            "completion": reply.completion_tokens,
            "estimated": reply.estimated,
        },
        "background_task_id": reply.task_id,
        "links": {"task": f"/task/{reply.task_id}"},
    }


def conversation_json(conversation: Conversation) -> shapes.Conversation:
    """Return a logged conversation."""
    return {
        "id": conversation.number,
        "session_id": conversation.session_id,
        "topic": conversation.topic,
        "message": conversation.message,
        "response": conversation.response,
        "cut_off": conversation.cut_off,
        "response_time": conversation.response_time,
        "model": conversation.model,
        "tokens": conversation.prompt_tokens + conversation.completion_tokens,
        "tokens_estimated": conversation.estimated,
        "created_at": conversation.created_at.isoformat(),
    }


def _analysis_json(session: Session, analysis: Analysis) -> shapes.SessionAnalysis:
    return {
        "topics": analysis.topics,
        "sentiment": analysis.sentiment,
        "open_questions": analysis.open_questions,
        "model": session.analysis_model,
        "analyzed_at": session.analyzed_at.isoformat() if session.analyzed_at else None,
    }


def _asked(body: ChatBody) -> Asked:
    """Return the question, once every document that it names is the caller's and has been read."""
    for document_id in body.document_ids or ():
        offstage().services.documents.get_completed(g.tenant, document_id)
    return Asked(
        tenant=g.tenant,
        user_id=body.user_id,
        session_id=body.session_id or uuid4().hex,
        is_new=body.session_id is None,
        message=body.message,
        topic=body.topic,
        documents=body.document_ids,
    )


def _frames(exchange: Chat, asked: Asked, user_id: Any) -> Iterator[str]:
    """Yield the answer as events: `token` for each piece, then `end` with the whole, or `error`."""
    try:
        for piece in exchange.pieces():
            yield _frame("token", {"text": piece})
    except Exception as error:
        yield _frame("error", broken_off(error))
        return
    yield _frame("end", reply_json(exchange.reply, asked, user_id))


def _frame(kind: str, data: Mapping[str, Any]) -> str:
    return f"event: {kind}\ndata: {json.dumps(data, ensure_ascii=False, default=vars)}\n\n"
