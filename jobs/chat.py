"""Chat: answer a message while a person waits, and leave the rest to jobs.

A model writes the answer; without one it is made of the documents, the conversation and what is known of the user.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from jobs.answering import answer
from jobs.conversations import start_logging
from jobs.core.client import JobClient
from jobs.domain.answers import Citation, supporting
from jobs.domain.chat import (
    BUILT_IN,
    from_conversation,
    from_memory,
    instructions,
    no_answer,
    pieces,
    recent,
    storable,
    turns_of,
)
from jobs.domain.chunks import Hit
from jobs.domain.daily_limits import DailyLimits
from jobs.domain.prompts import passages_prompt
from jobs.domain.reply_text import ReplyText
from jobs.providers.errors import ProviderNonsense
from jobs.providers.llm import LanguageModel, Message
from jobs.providers.tokenizer import count_tokens
from jobs.services import Services
from jobs.stores.conversations import Conversation, NewConversation
from jobs.stores.user_stats import Reservation

_KNOWN_EXCHANGES = 50
_SOURCES = 6
_LEAST_ANSWER = 32  # tokens that must be left of a day for a model's answer: it would be cut too short
_BESIDES_MODEL = 10.0  # seconds that an exchange may take beside the model's


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
    """An answer as it is given: `[n]` in its text is the n-th citation, code apart. Tokens are those of the model's
    provider, or `estimated`."""

    model: str
    text: str = ""
    citations: Sequence[Citation] = ()
    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated: bool = True
    response_time: float = 0.0
    task_id: str = ""
    cut_off: bool = True


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
        self._turns = recent(turns_of(known), self._config.chat_context_chars)
        self._facts = self._memory()
        self._sources = self._find_sources() if services.llm else []
        self._told = self._to_tell()
        self._max_tokens = self._config.chat_max_tokens
        self._reserved = self._reserve()

    def _known(self) -> list[Conversation]:
        asked = self._asked
        return self._services.conversations.session(asked.tenant, asked.user_id, asked.session_id, _KNOWN_EXCHANGES)

    def _memory(self) -> list[str]:
        asked, chars = self._asked, self._config.chat_memory_chars
        known = self._services.memories.known(asked.tenant, asked.user_id, chars) if chars else []
        return [each.text for each in known]

    def _to_tell(self) -> list[Message]:
        asked, sources = self._asked, self._sources
        system = Message("system", instructions(self._facts, asked.topic))
        message = passages_prompt(asked.message, sources) if sources else asked.message
        return [system, *(Message(turn.role, turn.text) for turn in self._turns), Message("user", message)]

    def pieces(self) -> Iterator[str]:
        """Yield the answer as it is written, and log it at the end; also if the reader leaves before, or the model
        breaks off when something was written: it has been read.

        Raises:
            ProviderError: the model failed. If it had written nothing, nothing is logged, and nothing counted.
        """
        try:
            yield from self._pieces()
            self.reply.cut_off = False
        finally:
            self._end()

    def whole(self) -> Reply:
        """Return the whole answer, logged.

        Raises:
            ProviderError: the model failed; nothing is logged, and nothing counted.
        """
        try:
            for _ in self._pieces():
                pass
        except BaseException:
            self._take_back()
            raise
        self.reply.cut_off = False
        self._end()
        return self.reply

    def _pieces(self) -> Iterator[str]:
        llm = self._services.llm
        for piece in self._written(llm) if llm else map(storable, pieces(self._without_model())):
            self.reply.text += piece
            yield piece

    def _written(self, llm: LanguageModel) -> Iterator[str]:
        writing = llm.stream(self._told, max_tokens=self._max_tokens)
        yield from self._numbered(map(storable, writing), ReplyText(self._sources))
        if not self.reply.text:
            raise ProviderNonsense("The model wrote nothing.")
        if writing.counts:
            self.reply.prompt_tokens, self.reply.completion_tokens = writing.counts
            self.reply.estimated = False

    def _numbered(self, writing: Iterable[str], text: ReplyText) -> Iterator[str]:
        """Yield what a model writes with its citations numbered anew; blanks around it are dropped."""
        for piece in text.through(writing):
            shown = piece if self.reply.text else piece.lstrip()
            if shown:
                self.reply.citations = text.citations
                yield shown

    def _find_sources(self) -> list[Hit]:
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
        message = self._asked.message
        return from_conversation(message, self._turns) or from_memory(message, self._facts) or no_answer(message)

    def _reserve(self) -> Reservation | None:
        """Take the exchange off the user's day, if there is a limit; the answer may be as long as the day allows."""
        config, asked = self._config, self._asked
        limits = DailyLimits(config.chat_daily_conversations, config.chat_daily_tokens)
        if not limits.conversations and not limits.tokens:
            return None
        told = self._tokens_told()
        least = min(_LEAST_ANSWER, self._max_tokens) if self._services.llm else 0
        reserved = self._services.user_stats.reserve(
            asked.tenant,
            asked.user_id,
            limits,
            least=told + least,
            most=told + self._max_tokens,
            seconds=config.llm_timeout + _BESIDES_MODEL,
        )
        self._max_tokens = reserved.tokens - told
        return reserved

    def _tokens_told(self) -> int:
        told = [message.content for message in self._told]
        told = told if self._services.llm else [self._asked.message]  # the built-in responder is told no more
        return sum(map(count_tokens, told))

    def _end(self) -> None:
        reply, asked = self.reply, self._asked
        reply.response_time = round(time.monotonic() - self._began, 3)
        if not reply.text:
            self._take_back()
            return
        if reply.estimated:
            reply.prompt_tokens = self._tokens_told()
            reply.completion_tokens = count_tokens(reply.text)
        try:
            self._services.conversations.accept(self._to_log(), self._reserved)
        except BaseException:
            self._take_back()  # a lock that was held for too long may be gone by now
            raise
        reply.task_id = start_logging(self._services, self._client, asked.tenant)

    def _take_back(self) -> None:
        if self._reserved is not None:
            self._services.user_stats.give_back(self._reserved)

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
        LimitReached, LimitUnderWay: too little is left of the user's day.
        ProviderError: the model failed; nothing is logged, and nothing counted.
    """
    return Chat(services, client, asked).whole()
