"""Memory: sum conversations up into what is known of a user.

What is to be summed up is kept in the database, and the jobs carry ids: no text of a conversation stands in Redis.
"""

from collections.abc import Sequence

from pydantic import BaseModel, Field

from jobs.calling import ask
from jobs.core.client import JobClient
from jobs.core.context import JobContext
from jobs.core.spec import job
from jobs.domain.chat import BUILT_IN, Turn, turns_of
from jobs.domain.memory import MEMORIZE, MemorizeInput, MemorizeOutput, clean_facts, in_own_words, numbered, transcript
from jobs.services import Services
from jobs.stores.conversations import SessionNotFound
from jobs.stores.memories import Memory, PendingMemory

NAME = "conversations.memorize"
_KNOWN_CHARS = 6000  # of the user's facts that a model is told, so that it writes none twice
_EXCHANGES = 200  # the newest of a session: more would not fit into a transcript


class MemorizeArgs(BaseModel):
    """The conversation that waits under this id."""

    id: str = Field(pattern="^[0-9a-f]{32}$")


class MemorizeResult(BaseModel):
    """How many facts were new, known before, and dropped; and who wrote them. All 0 if it was done or taken back."""

    new: int = 0
    confirmed: int = 0
    dropped: int = 0
    model: str | None = None


def memorize_session(services: Services, client: JobClient, pending: PendingMemory) -> str:
    """Have a logged session of a user summed up; return the job that does so.

    Raises:
        SessionNotFound: the user has none of that id.
    """
    session_id = pending.session_id or ""
    if not services.conversations.session(pending.tenant, pending.user_id, session_id, 1):
        raise SessionNotFound
    return memorize_given(services, client, pending)


def memorize_given(services: Services, client: JobClient, pending: PendingMemory) -> str:
    """Have a conversation summed up that is given, turn by turn; return the job that does so."""
    services.memories.accept(pending)
    return client.start(NAME, MemorizeArgs(id=pending.id), tenant=pending.tenant, job_id=pending.id)


@job(NAME, queue="low", timeout=300, retries=5, describe=("id",))
def memorize(ctx: JobContext, args: MemorizeArgs) -> MemorizeResult:
    """Sum a conversation up into facts about its user, merged with what is known."""
    store = ctx.services.memories
    pending = store.pending(ctx.tenant, args.id)
    if pending is None:
        return MemorizeResult()
    turns = pending.turns or _logged(ctx, pending)
    known = store.known(ctx.tenant, pending.user_id, _KNOWN_CHARS)
    output, model = _written(ctx, pending, turns, known)
    outdated = [known[number - 1].number for number in output.outdated if 0 < number <= len(known)]
    learned = store.learn(pending, clean_facts(output.facts), outdated, model, cap=ctx.services.config.memory_facts)
    return MemorizeResult(**vars(learned), model=model)


def _logged(ctx: JobContext, pending: PendingMemory) -> list[Turn]:
    """Return the part of a session that is to be summed up."""
    store, session_id = ctx.services.conversations, pending.session_id or ""
    if pending.through_number is None:
        return turns_of(store.session(ctx.tenant, pending.user_id, session_id, _EXCHANGES))
    found = store.history(
        ctx.tenant,
        pending.user_id,
        session_id=session_id,
        before=pending.through_number + 1,
        limit=min(pending.exchanges, _EXCHANGES),
    )
    return turns_of(reversed(found))


def _written(
    ctx: JobContext, pending: PendingMemory, turns: Sequence[Turn], known: Sequence[Memory]
) -> tuple[MemorizeOutput, str]:
    """Return what lasts of a conversation, and who says so: the model, or the user's own words without one."""
    text = transcript(turns)
    if ctx.services.llm is None or not text:
        return MemorizeOutput(facts=in_own_words(turns, pending.topic)), BUILT_IN
    given = MemorizeInput(text=text, known=numbered([memory.text for memory in known]))
    answer = ask(ctx, MEMORIZE, given, key="memorize", source="memory", user_id=pending.user_id)
    return MemorizeOutput.model_validate(answer.output), answer.model
