"""Calling: how jobs ask a language model.

Every call passes the gate (a limit on calls at once over all workers, a circuit breaker), is tried up to five times
within a minute, and its use is recorded once. A job whose call meets an open breaker leaves its worker and comes back.
"""

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar
from uuid import NAMESPACE_OID, uuid4, uuid5

from pydantic import BaseModel

from jobs.core.context import JobContext
from jobs.core.errors import FatalError
from jobs.domain.agents import Agent, AgentAnswer
from jobs.domain.chat import BUILT_IN
from jobs.domain.usage import Usage
from jobs.providers.errors import DeadlinePassed, ProviderBusy, ProviderError, ProviderNonsense, ProviderTimeout
from jobs.providers.llm import Completion, LanguageModel, Message
from jobs.providers.model_gate import CircuitOpen, Outcome, Pass
from jobs.providers.tokenizer import counted
from jobs.trying import Patience, attempts

_PATIENCE_SECONDS = 3600.0
_TRIAL_SECONDS = 2.0  # to wait for what a call finds out that tries the endpoint now
_LOST = "lost_tokens"
_USED = "used_tokens"
_WAITED = "waited_for_the_endpoint"
_WAITING = "Waiting for the language model, which does not answer: next try in {seconds} s."

T = TypeVar("T")
log = logging.getLogger(__name__)


class NoModel(FatalError):
    """No language model is set up: set LLM_URL."""

    code = "no_model"


class AnswerUnfit(ProviderNonsense):
    """The model's answer does not have the form that was asked for."""

    code = "answer_unfit"


@dataclass(frozen=True)
class Call:
    """One call of a model. `key` is the same in every attempt of the job; `source` names the capability.

    With a `schema` the answer is JSON that follows it. While the breaker is open the job waits, up to `deadline`, in
    seconds since 1970, or for an hour from its start, and no longer than `patience` seconds in all its calls; `waiting`
    is what its watchers are told. At the deadline a try that is under way is given up, and no other begins.
    `before_try` is called when a try to write is about to begin, and may raise.
    """

    key: str
    messages: Sequence[Message]
    source: str
    user_id: str | None = None
    max_tokens: int = 512
    temperature: float = 0.0
    schema: Mapping[str, Any] | None = None
    deadline: float | None = None
    patience: float | None = None
    waiting: str = _WAITING
    before_try: Callable[[], object] | None = None


class Pen(Protocol):
    """What a streamed answer is written with."""

    def begin(self) -> None:
        """The answer begins, or begins anew."""

    def write(self, piece: str) -> None:
        """The answer goes on."""


def complete(ctx: JobContext, call: Call) -> Completion:
    """Return the model's answer as a whole, with its tokens; counted here, and `estimated`, if the endpoint gives none.

    Raises:
        NoModel: none is set up.
        DeadlinePassed: its time was up; what it has written until then stays written.
        ProviderError: it failed, five times or for good.
    """
    return _record(ctx, call, _through_the_gate(ctx, call, lambda llm: _complete(llm, call)))


def write(ctx: JobContext, call: Call, pen: Pen) -> Completion:
    """Have the model write the answer piece by piece; return it as a whole. Raises as `complete`."""
    return _record(ctx, call, _through_the_gate(ctx, call, lambda llm: _stream(ctx, llm, call, pen)))


def lost_tokens(ctx: JobContext) -> int:
    """Return how many tokens the job has used for answers that broke off, in all its attempts."""
    return ctx.count(_LOST)


def used_tokens(ctx: JobContext) -> int:
    """Return how many tokens all calls of the job have used, those of its attempts that died and are done again too."""
    return ctx.count(_USED)


def ask(
    ctx: JobContext,
    agent: Agent,
    given: BaseModel,
    *,
    key: str,
    source: str = "agents",
    user_id: str | None = None,
    deadline: float | None = None,
) -> AgentAnswer:
    """Return an agent's answer. Without a model the agent's own, built-in answer, if it has one.

    Raises:
        NoModel: none is set up, and the agent has no answer of its own.
        ProviderError: the model failed, or its answers did not fit the agent's output.
    """
    if ctx.services.llm is None:
        if agent.built_in is None:
            raise NoModel
        return AgentAnswer(output=agent.built_in(given).model_dump(mode="json"), model=BUILT_IN)
    messages = [Message("system", agent.instructions()), Message("user", agent.prompt(given))]
    call = Call(key, messages, source, user_id, agent.max_tokens, schema=agent.schema(), deadline=deadline)
    output, completion = _through_the_gate(ctx, call, lambda llm: _fitting(ctx, llm, agent, call))
    completion = _record(ctx, call, completion)
    return AgentAnswer(
        output=output.model_dump(mode="json"),
        model=ctx.services.llm.model,
        prompt_tokens=completion.prompt_tokens,
        completion_tokens=completion.completion_tokens,
        estimated=completion.estimated,
    )


def _fitting(ctx: JobContext, llm: LanguageModel, agent: Agent, call: Call) -> tuple[BaseModel, Completion]:
    """Return an answer that has the agent's form; one that has not has used tokens, too."""
    completion = _complete(llm, call)
    try:
        return agent.read(completion.text), completion
    except ValueError:
        _record_failed(ctx, call, completion)
        raise AnswerUnfit(retry_after=0) from None  # the endpoint is well: it need not rest


def _complete(llm: LanguageModel, call: Call) -> Completion:
    options = _options(call)
    if call.schema is not None:
        options["schema"] = call.schema
    return llm.complete(call.messages, **options)


def _options(call: Call) -> dict[str, Any]:
    """Return how a try is to be made that begins now."""
    options: dict[str, Any] = {"max_tokens": call.max_tokens, "temperature": call.temperature}
    return options if call.deadline is None else options | {"within": _seconds_left(call)}


def _seconds_left(call: Call) -> float:
    """Return how long a call may take. Raises DeadlinePassed if that is over."""
    left = math.inf if call.deadline is None else call.deadline - time.time()
    if left <= 0:
        raise DeadlinePassed
    return left


def _stream(ctx: JobContext, llm: LanguageModel, call: Call, pen: Pen) -> Completion:
    """Return an answer that was written to its end; one that broke off has used tokens, too."""
    if call.before_try:
        call.before_try()
    options = _options(call)
    pen.begin()
    writing = llm.stream(call.messages, **options)
    pieces = []
    try:
        for piece in writing:
            pieces.append(piece)
            pen.write(piece)
    except BaseException:  # also that the job is stopped, or put back
        if pieces:
            lost = _record_failed(ctx, call, Completion("".join(pieces), *(writing.counts or (0, 0))))
            ctx.count(_LOST, lost.prompt_tokens + lost.completion_tokens)
        raise
    return Completion("".join(pieces), *(writing.counts or (0, 0)))


def _record(ctx: JobContext, call: Call, completion: Completion) -> Completion:
    """Record what a call has used, once; return it with its tokens."""
    completion = counted(completion, call.messages)
    usage = Usage(completion.prompt_tokens, completion.completion_tokens, completion.estimated)
    ctx.count(_USED, completion.prompt_tokens + completion.completion_tokens)
    key = uuid5(NAMESPACE_OID, f"{ctx.job_id}/{call.key}").hex
    model = ctx.services.llm.model if ctx.services.llm else ""
    ctx.services.usage.record(None, ctx.tenant, call.user_id, model, usage, call.source, key)
    return completion


def _record_failed(ctx: JobContext, call: Call, completion: Completion) -> Completion:
    return _record(ctx, replace(call, key=f"{call.key}/failed/{uuid4().hex}"), completion)


def _through_the_gate(ctx: JobContext, call: Call, attempt: Callable[[LanguageModel], T]) -> T:
    llm, gate = ctx.services.llm, ctx.services.model_gate
    if llm is None:
        raise NoModel
    patience = Patience(call.deadline)

    def between() -> None:
        ctx.checkpoint()
        _seconds_left(call)

    try:
        for trial in attempts(ctx, patience):
            with trial, patience.waiting(gate.enter(ctx.tenant, between, owner=ctx.worker)) as granted:
                return _watched(granted, attempt, llm, call)
    except CircuitOpen as error:
        _wait_for_the_endpoint(ctx, call, error)
    except ProviderError as error:
        state = gate.state()
        if not error.retryable or state.breaker == "closed":
            raise
        _wait_for_the_endpoint(ctx, call, CircuitOpen(retry_after=state.tries_in or _TRIAL_SECONDS))
    raise AssertionError("tenacity raises the last error")


def _watched(granted: Pass, attempt: Callable[[LanguageModel], T], llm: LanguageModel, call: Call) -> T:
    try:
        result = attempt(llm)
    except ProviderError as error:
        if isinstance(error, ProviderTimeout):
            _seconds_left(call)  # a call that had little time says nothing of its endpoint
        granted.outcome = _says(error)
        raise
    granted.outcome = "ok"
    return result


def _says(error: ProviderError) -> Outcome:
    """Say what an error tells of its endpoint: one that answers, if only with a refusal, is alive."""
    if isinstance(error, ProviderBusy):
        return "none"
    return "failed" if error.retryable and not isinstance(error, AnswerUnfit) else "ok"


def _wait_for_the_endpoint(ctx: JobContext, call: Call, error: CircuitOpen) -> None:
    """Leave the worker until the endpoint may be tried again, if that is soon enough.

    Raises:
        CircuitOpen: it is not.
    """
    seconds = math.ceil(error.retry_after or 1.0)
    deadline = call.deadline or ctx.created_at.timestamp() + _PATIENCE_SECONDS
    if time.time() + seconds > deadline or ctx.count(_WAITED) + seconds > (call.patience or math.inf):
        raise error
    ctx.count(_WAITED, seconds)
    ctx.say(call.waiting.format(seconds=seconds))
    log.info("job %s waits %.0f s for the model's endpoint", ctx.job_id, seconds)
    ctx.postpone(seconds)
