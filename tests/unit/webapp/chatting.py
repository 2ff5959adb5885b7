"""A model that says what a test tells it, and a way to let the jobs that follow chats run."""

import time
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import uuid4

from flask.testing import FlaskClient

from jobs.analysis import AnalyzeArgs, analyze_conversations
from jobs.conversations import LogArgs, log_conversations
from jobs.core.context import JobContext
from jobs.providers.llm import Completion, Message
from jobs.services import Services
from tests.fakes import job_client, make_due, run_jobs

NOTHING = '{"facts": [], "topics": [], "sentiment": "neutral", "open_questions": []}'


class ScriptedWriting:
    """An answer as it is written; an exception among the pieces breaks it off."""

    def __init__(self, pieces: Sequence[Any], counts: tuple[int, int] | None) -> None:
        self._pieces, self.counts = pieces, counts

    def __iter__(self) -> Iterator[str]:
        for piece in self._pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece


class ScriptedModel:
    """Streams `pieces`, completes with `answers` in turn (the last for ever), and keeps what it was asked, and how many
    tokens it was allowed to write."""

    model = "scripted"

    def __init__(self) -> None:
        self.pieces: Sequence[Any] = ("您好", "！")
        self.counts: tuple[int, int] | None = (11, 3)
        self.answers: list[Any] = [NOTHING]
        self.asked: list[Sequence[Message]] = []
        self.allowed: list[int] = []
        self.completed: list[Sequence[Message]] = []

    def stream(self, messages: Sequence[Message], *, max_tokens: int, **_: Any) -> ScriptedWriting:
        self.asked.append(messages)
        self.allowed.append(max_tokens)
        return ScriptedWriting(self.pieces, self.counts)

    def complete(self, messages: Sequence[Message], **_: Any) -> Completion:
        self.completed.append(messages)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return Completion(answer, 20, 5)


def context(services: Services, tenant: str = "local", job_id: str = "a" * 32) -> JobContext:
    """Return what a job gets."""
    return JobContext(job_id=job_id, tenant=tenant, attempt=1, services=services, client=job_client(services))


def logged(services: Services) -> None:
    """Let the jobs that log run, and what they start; one of this moment may have run too early for the last chats."""
    for _ in range(2):  # the log, and what it has started for a while later
        make_due(services)
        run_jobs(services)
    if "local" in services.conversations.tenants_waiting(time.time()):
        log_conversations(context(services), LogArgs())
        make_due(services)
        run_jobs(services)
    if "local" in services.sessions.tenants_grown():
        analyze_conversations(context(services, job_id=uuid4().hex), AnalyzeArgs())


def ask(web: FlaskClient, message: str = "什么是 FastAPI？", **fields: Any) -> Any:
    """Send a chat."""
    return web.post("/chat", json={"user_id": 1, "message": message} | fields)
