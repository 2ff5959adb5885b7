"""Analysis: what conversations were about, how their users felt, what stayed open."""

from collections.abc import Sequence
from functools import partial

from pydantic import BaseModel

from jobs.calling import AnswerUnfit, ask
from jobs.core.context import JobContext
from jobs.core.spec import job
from jobs.domain.analysis import ANALYZE, Analysis, ConversationInput, analyze, bounded
from jobs.domain.chat import BUILT_IN, Turn, turns_of
from jobs.domain.memory import transcript
from jobs.providers.errors import ProviderError
from jobs.stores.sessions import Session

NAME = "conversations.analyze"
ROUND = 50  # sessions claimed at once
_AT_ONCE = 4  # model calls of one job
_EXCHANGES = 100  # the newest of a session


class AnalyzeArgs(BaseModel):
    """Of all sessions of the tenant that have grown: no text stands in a job."""


class AnalyzeResult(BaseModel):
    """How many sessions were analyzed."""

    analyzed: int = 0


@job(NAME, queue="high", timeout=900, retries=5)
def analyze_conversations(ctx: JobContext, args: AnalyzeArgs) -> AnalyzeResult:
    """Analyze the sessions that have grown since the last time, by the model or by their words."""
    result, by_model = AnalyzeResult(), ctx.services.llm is not None and ctx.services.config.chat_analysis == "model"
    while sessions := ctx.services.sessions.claim(ctx.tenant, ctx.job_id, ROUND):
        if by_model:
            _ask_model(ctx, sessions)
        else:
            ctx.services.sessions.keep_analyses(
                (each, _by_words(each, _turns(ctx, each)), BUILT_IN) for each in sessions
            )
        result.analyzed += len(sessions)
        ctx.progress(50, f"{result.analyzed} analyzed")
    return result


def _ask_model(ctx: JobContext, sessions: Sequence[Session]) -> None:
    """Have the model analyze some sessions at once.

    Raises:
        ProviderError: it failed for one of them; the others are done.
    """
    tasks = {str(session.last_number): partial(_ask_about, ctx, session) for session in sessions}
    failed = [done.error for done in ctx.parallel(tasks, _AT_ONCE) if done.error]
    if failed:
        raise failed[0]


def _ask_about(ctx: JobContext, session: Session) -> None:
    turns = _turns(ctx, session)
    found = _by_model(ctx, session, turns) if turns else None  # none, if its user is being forgotten
    analysis, model = found or (_by_words(session, turns), BUILT_IN)
    ctx.services.sessions.keep_analyses([(session, analysis, model)])


def _by_model(ctx: JobContext, session: Session, turns: Sequence[Turn]) -> tuple[Analysis, str] | None:
    """Return what the model says, and its name; None if it would refuse, or stammer, the next time too."""
    given, key = ConversationInput(text=transcript(turns)), str(session.last_number)
    try:
        answer = ask(ctx, ANALYZE, given, key=key, source="analysis", user_id=session.user_id)
    except ProviderError as error:
        if error.retryable and not isinstance(error, AnswerUnfit):
            raise
        return None
    return bounded(Analysis.model_validate(answer.output)), answer.model


def _by_words(session: Session, turns: Sequence[Turn]) -> Analysis:
    return analyze(turns, session.topic)


def _turns(ctx: JobContext, session: Session) -> list[Turn]:
    found = ctx.services.conversations.history(
        ctx.tenant,
        session.user_id,
        session_id=session.session_id,
        before=session.last_number + 1,
        limit=_EXCHANGES,
    )
    return turns_of(reversed(found))
