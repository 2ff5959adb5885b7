"""Conversations: answer a message, then log and count it offstage.

The answer is not a job: a person waits for it. What follows is: a row is committed with the answer, and a job on `low`
logs all that wait of a tenant, many in one transaction. Chats of the same quarter of a second share that job, which is
due at the end of it: whatever was accepted before is there when it runs.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from uuid import NAMESPACE_OID, uuid5

from pydantic import BaseModel, Field

from jobs.answering import answer
from jobs.core.client import JobClient
from jobs.core.context import JobContext
from jobs.core.spec import job
from jobs.domain.answers import Citation, checked, supporting
from jobs.domain.chat import BUILT_IN, INSTRUCTIONS, Turn, from_conversation, no_answer, pieces, recent
from jobs.domain.chunks import Hit
from jobs.domain.prompts import passages_prompt
from jobs.providers.llm import LanguageModel, Message
from jobs.providers.tokenizer import count_tokens
from jobs.services import Services
from jobs.stores.conversations import ROUND, Conversation, NewConversation

log = logging.getLogger(__name__)

LOG = "conversations.log"
LIMIT_EVENT = "conversation_limit"
_BUCKET = 0.25  # seconds of chats that share a job
_KNOWN_EXCHANGES = 50
_SOURCES = 6


class LogResult(BaseModel):
    """How many conversations were logged, and how many users were told of their soft limit."""

    logged: int = 0
    told: int = 0


class LogArgs(BaseModel):
    """Of all that waits of the tenant: no text stands in a job."""


class RecoverArgs(BaseModel):
    """After how many seconds a conversation that waits is taken for left behind."""

    older_than: float = Field(default=30, ge=0)


@dataclass(frozen=True)
class Asked:
    """A message of a user, `is_new` without a conversation before it.

    With `documents`, they are asked too; with an empty list, all of the tenant's.
    """

    tenant: str
    user_id: str
    session_id: str
    message: str
    is_new: bool = False
    topic: str | None = None
    documents: Sequence[int] | None = None


@dataclass
class Reply:
    """An answer as it is given. Tokens are those of the model's provider, or `estimated`."""

    model: str
    text: str = ""
    citations: Sequence[Citation] = ()
    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated: bool = True
    response_time: float = 0.0
    task_id: str = ""
    cut_off: bool = True
    sources: Sequence[Hit] = field(default_factory=list)


class Chat:
    """One exchange: reserve, answer piece by piece, log."""

    def __init__(self, services: Services, client: JobClient, asked: Asked) -> None:
        self._services = services
        self._client = client
        self._asked = asked
        self._began = time.monotonic()
        self._config = services.config
        self.reply = Reply(model=services.llm.model if services.llm else BUILT_IN)
        known = [] if asked.is_new else self._known()
        turns = [turn for each in known for turn in (Turn("user", each.message), Turn("assistant", each.response))]
        self._turns = recent(turns, self._config.chat_context_chars)
        self._told = [Message("user", asked.message)]
        self._reserved = self._reserve()

    def _known(self) -> list[Conversation]:
        asked = self._asked
        return self._services.conversations.session(asked.tenant, asked.user_id, asked.session_id, _KNOWN_EXCHANGES)

    def pieces(self) -> Iterator[str]:
        """Yield the answer as it is written, and log it at the end; also if the reader leaves before, or the model
        breaks off when something was written.

        Raises:
            ProviderError: the model failed before it wrote anything; nothing is logged, and nothing counted.
        """
        llm = self._services.llm
        try:
            for piece in self._written(llm) if llm else pieces(self._without_model()):
                self.reply.text += piece
                yield piece
            self.reply.cut_off = False
        finally:
            self._end()

    def _written(self, llm: LanguageModel) -> Iterator[str]:
        self.reply.sources = self._sources()
        turns = [Message(turn.role, turn.text) for turn in self._turns]
        asked = passages_prompt(self._asked.message, self.reply.sources) if self.reply.sources else self._asked.message
        messages = [Message("system", INSTRUCTIONS), *turns, Message("user", asked)]
        self._told = messages
        writing = llm.stream(messages, max_tokens=self._config.chat_max_tokens)
        yield from writing
        if writing.counts:
            self.reply.prompt_tokens, self.reply.completion_tokens = writing.counts
            self.reply.estimated = False

    def _sources(self) -> list[Hit]:
        documents, services, asked = self._asked.documents, self._services, self._asked
        if documents is None:
            return []
        hits: list[Hit] = []
        for document_id in documents or (None,):
            hits += services.search.search(asked.tenant, asked.message, document_id=document_id, limit=20)
        return supporting(asked.message, hits, services.embedder.gate)[:_SOURCES]

    def _without_model(self) -> str:
        for document_id in self._asked.documents or (None,):
            found = answer(self._services, self._asked.tenant, self._asked.message, document_id)
            if not found.refused:
                self.reply.citations = found.citations
                return found.text
        return from_conversation(self._asked.message, self._turns) or no_answer(self._asked.message)

    def _reserve(self) -> int | None:
        """Take the exchange off the user's day, if there is a limit; return the tokens that were taken."""
        conversations, tokens = self._config.chat_daily_conversations, self._config.chat_daily_tokens
        if not conversations and not tokens:
            return None
        asked = count_tokens(self._asked.message) + self._config.chat_max_tokens
        self._services.conversations.reserve(
            self._asked.tenant, self._asked.user_id, tokens=asked, max_conversations=conversations, max_tokens=tokens
        )
        return asked

    def _end(self) -> None:
        reply, asked = self.reply, self._asked
        reply.response_time = round(time.monotonic() - self._began, 3)
        if not reply.text:
            if self._reserved is not None:
                self._services.conversations.give_back(asked.tenant, asked.user_id, self._reserved)
            return
        if reply.sources and (found := checked(reply.text, reply.sources)):
            reply.citations = found.citations
        if reply.estimated:
            reply.prompt_tokens = sum(count_tokens(message.content) for message in self._told)
            reply.completion_tokens = count_tokens(reply.text)
        self._services.conversations.accept(self._to_log(), reserved_tokens=self._reserved or 0)
        reply.task_id = start_logging(self._services, self._client, asked.tenant)

    def _to_log(self) -> NewConversation:
        asked, reply = self._asked, self.reply
        return NewConversation(
            tenant=asked.tenant,
            user_id=asked.user_id,
            session_id=asked.session_id,
            topic=asked.topic,
            message=asked.message,
            response=reply.text,
            cut_off=reply.cut_off,
            model=reply.model,
            prompt_tokens=reply.prompt_tokens,
            completion_tokens=reply.completion_tokens,
            estimated=reply.estimated,
            response_time=reply.response_time,
        )


def chat(services: Services, client: JobClient, asked: Asked) -> Reply:
    """Answer a message as a whole.

    Raises:
        SessionNotFound: the session is another user's.
        LimitReached: the user's day is used up.
        ProviderError: the model failed; nothing is logged, and nothing counted.
    """
    exchange = Chat(services, client, asked)
    with closing(exchange.pieces()) as written:  # type: ignore[type-var]
        for _ in written:
            pass
    return exchange.reply


def start_logging(services: Services, client: JobClient, tenant: str) -> str:
    """Have what a tenant's chats have left logged soon; return the job that does so.

    If this process dies before it has started the job that others of its chats rely on, `recover` starts one.
    """
    bucket = int(time.time() / _BUCKET) + 1
    job_id = uuid5(NAMESPACE_OID, f"{LOG}/{tenant}/{bucket}").hex
    if services.conversations.is_first(tenant, bucket):
        client.start(LOG, LogArgs(), tenant=tenant, job_id=job_id, due=bucket * _BUCKET)
    return job_id


@job(LOG, queue="low", timeout=300, retries=10)
def log_conversations(ctx: JobContext, args: LogArgs) -> LogResult:
    """Log and count the conversations that wait, and tell who has reached the soft limit."""
    store, result = ctx.services.conversations, LogResult()
    while logged := store.log(ctx.tenant, soft_limit=ctx.services.config.chat_soft_limit):
        result.logged += logged
        ctx.progress(50, f"{result.logged} logged")
        if logged < ROUND:
            break
    for user_id in store.to_be_told(ctx.tenant):
        args_of_event = {"user_id": user_id, "event_type": LIMIT_EVENT}
        context = {"limit": ctx.services.config.chat_soft_limit}
        job_id = uuid5(NAMESPACE_OID, f"{LIMIT_EVENT}/{ctx.tenant}/{user_id}").hex
        ctx.start("notifications.event", {**args_of_event, "context": context}, job_id=job_id)
        store.told(ctx.tenant, user_id)
        result.told += 1
    return result


@job("conversations.recover", queue="low", timeout=60, every=30)
def recover(ctx: JobContext, args: RecoverArgs) -> int:
    """Have conversations logged whose web died between their row and their job."""
    client = JobClient(ctx.services.redis, result_ttl=ctx.services.config.result_ttl, work=ctx.services.work)
    tenants = ctx.services.conversations.tenants_waiting(time.time() - args.older_than)
    for tenant in tenants:
        start_logging(ctx.services, client, tenant)
    return len(tenants)
