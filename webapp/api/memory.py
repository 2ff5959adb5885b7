"""Memory: what is known of a user; sum a conversation up into it, look at it, delete it."""

from typing import Annotated, Any, Literal, Self

from flask import g
from flask_openapi3 import APIBlueprint
from flask_openapi3 import Tag as Chapter
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from jobs import memory
from jobs.domain.chat import Turn
from jobs.stores.memories import Memory, PendingMemory
from webapp.api.chat import SessionId, Topic, UserPath
from webapp.api.jobs import ListQuery
from webapp.api.users import UserId, as_number
from webapp.extension import offstage
from webapp.idempotency import stable_id
from webapp.openapi.describing import describe
from webapp.requests import Storable
from webapp.responses import (
    MAX_PAGE,
    MAX_ROW_ID,
    Accepted,
    Answer,
    NoContent,
    accepted,
    decode_cursor,
    encode_cursor,
    new_id,
    row_id,
)
from webapp.shapes import memory as shapes

bp = APIBlueprint("memory", __name__, abp_tags=[Chapter(name="memory", description="What is known of a user")])

NOBODY = "default"  # whose memory it is where a request names no user, as the seed's do
Said = Annotated[str, Field(max_length=20_000), Storable]


class TurnBody(BaseModel):
    """One turn of a conversation."""

    model_config = ConfigDict(extra="forbid")

    role: Literal["user", "assistant", "system"]
    content: Said


class ExchangeBody(BaseModel):
    """A message, and its answer."""

    model_config = ConfigDict(extra="forbid")

    message: Said
    response: Said = ""


def _kind(value: Any) -> str:
    return "exchange" if isinstance(value, dict) and "message" in value else "turn"


Given = Annotated[Annotated[TurnBody, Tag("turn")] | Annotated[ExchangeBody, Tag("exchange")], Discriminator(_kind)]


class MemorizeBody(BaseModel):
    """A conversation: `conversation_history`, turn by turn, or the logged one of a user's `session_id`."""

    model_config = ConfigDict(extra="forbid")

    user_id: UserId = NOBODY
    topic: Topic | None = None
    conversation_history: list[Given] | None = Field(default=None, min_length=1, max_length=500)
    session_id: SessionId | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.conversation_history is None) == (self.session_id is None):
            raise ValueError("give `conversation_history`, or the `session_id` of a logged conversation")
        return self

    def turns(self) -> list[Turn]:
        """Return the conversation that was given, without what the system said."""
        return [turn for each in self.conversation_history or () for turn in _turns(each)]


class MemoryPath(UserPath):
    """A user, and the number of a fact."""

    memory_id: int = Field(ge=0, lt=MAX_ROW_ID)


@bp.post("/memorize")
@describe(problems=(404,))
def memorize(body: MemorizeBody) -> Accepted[shapes.Memorizing]:
    """Have a conversation summed up into what is known of its user."""
    app, pending = offstage(), _pending(body)
    start = memory.memorize_session if body.session_id else memory.memorize_given
    job_id = start(app.services, app.client, pending)
    return accepted(job_id, message="记忆任务已加入后台处理队列。", user_id=as_number(body.user_id))


@bp.get("/memory/<string:user_id>")
@describe(never=(404,))
def get_memory(path: UserPath, query: ListQuery) -> Answer[shapes.Memories]:
    """List what is known of a user, the newest first."""
    limit, before = min(query.limit, MAX_PAGE), decode_cursor(query.cursor, row_id)
    page = offstage().services.memories.list(g.tenant, path.user_id, before=before, limit=limit)
    cursor = encode_cursor(page[-1].number) if len(page) == limit else None
    memories = [memory_json(each) for each in page]
    return Answer(shapes.Memories(user_id=as_number(path.user_id), memories=memories, next_cursor=cursor))


@bp.delete("/memory/<string:user_id>")
@describe(never=(404,))
def forget_all(path: UserPath) -> NoContent:
    """Delete all that is known of a user, and what waits to be summed up."""
    offstage().services.memories.forget_all(g.tenant, path.user_id)
    return NoContent()


@bp.delete("/memory/<string:user_id>/<int:memory_id>")
def forget(path: MemoryPath) -> NoContent:
    """Delete one fact about a user."""
    offstage().services.memories.forget(g.tenant, path.user_id, path.memory_id)
    return NoContent()


def memory_json(fact: Memory) -> shapes.Fact:
    """Return a fact about a user; `model` says who wrote it, `built-in` that these are the user's own words."""
    return {
        "id": fact.number,
        "text": fact.text,
        "topic": fact.topic,
        "session_id": fact.session_id,
        "model": fact.model,
        "created_at": fact.created_at.isoformat(),
        "confirmed_at": fact.confirmed_at.isoformat(),
    }


def _pending(body: MemorizeBody) -> PendingMemory:
    return PendingMemory(
        id=new_id(stable_id()),
        tenant=g.tenant,
        user_id=body.user_id,
        topic=body.topic,
        turns=body.turns(),
        session_id=body.session_id,
    )


def _turns(said: TurnBody | ExchangeBody) -> list[Turn]:
    if isinstance(said, ExchangeBody):
        return [Turn("user", said.message), *([Turn("assistant", said.response)] if said.response else [])]
    return [] if said.role == "system" else [Turn(said.role, said.content)]
