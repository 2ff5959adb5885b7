"""Agents: ask named prompts, one by one or up to a thousand at once, and lose no answer on the way."""

import logging
import time
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from jobs.calling import ask
from jobs.core.client import JobClient
from jobs.core.context import JobContext
from jobs.core.errors import GivenUp, JobCanceled, Kind, kind_of
from jobs.core.runner import UNEXPECTED, failure_of
from jobs.core.spec import job
from jobs.core.worker_parts.outage import AWAY
from jobs.domain.agents import AgentAnswer, get_agent
from jobs.providers.errors import ProviderError
from jobs.stores.database import is_away

CALL, BATCH = "agents.call", "agents.batch"
MAX_CALLS = 1000

log = logging.getLogger(__name__)

UserId = Annotated[str, Field(min_length=1, max_length=100)]


class AgentCall(BaseModel):
    """An agent and what it is given."""

    agent: str = Field(max_length=100)
    input: dict[str, Any]


class CallArgs(AgentCall):
    """`deadline`, in seconds since 1970: until then the job waits for an endpoint that is down."""

    user_id: UserId | None = None
    deadline: float | None = None


class BatchArgs(BaseModel):
    """Calls, all for one user if one is named."""

    calls: list[AgentCall] = Field(min_length=1, max_length=MAX_CALLS)
    user_id: UserId | None = None
    deadline: float | None = None


class CallProblem(BaseModel):
    """Why a call failed, and whether trying again can help: `kind`."""

    code: str
    message: str
    kind: Kind


class CallOutcome(BaseModel):
    """What became of a call of a batch; `index` is its place in the request, from 0."""

    index: int
    agent: str
    status: Literal["completed", "failed"]
    answer: AgentAnswer | None = None
    error: CallProblem | None = None


class BatchResult(BaseModel):
    """Every answer and every failure, in the order of the request."""

    completed: int
    failed: int
    results: list[CallOutcome]


@job(CALL, timeout=1800, retries=3, describe=("agent",))
def call(ctx: JobContext, args: CallArgs) -> AgentAnswer:
    """Ask one agent."""
    try:
        return ctx.step("ask", partial(_answer, ctx, args, args, key="ask"))
    except ProviderError as error:  # it had its attempts
        raise GivenUp(error) from error


@job(BATCH, timeout=24 * 3600, retries=5)
def batch(ctx: JobContext, args: BatchArgs) -> BatchResult:
    """Ask many agents at the same time; what one call comes to says nothing of the others."""
    asking, results = _Batch(ctx, args), []
    tasks = {_step(index): partial(asking.outcome, index) for index in range(len(args.calls))}
    for done in ctx.parallel(tasks, limit=ctx.services.config.agent_concurrency):
        results.append(done.result)
        ctx.progress(100 * len(results) / len(tasks), f"{len(results)} of {len(tasks)}")
    return _summed_up(results)


def outcomes(client: JobClient, tenant: str, job_id: str) -> BatchResult:
    """Return what a batch has come to so far.

    Raises:
        JobNotFound: the tenant has no batch of that id.
    """
    view = client.get(tenant, job_id, kind=BATCH)
    if view.state == "completed":
        return BatchResult.model_validate(view.result)
    return _summed_up(map(CallOutcome.model_validate_json, client.steps(tenant, job_id).values()))


class _Batch:
    """The calls of one batch. What is fatal for one is so for all that come after it and need the same: they are not
    tried."""

    def __init__(self, ctx: JobContext, args: BatchArgs) -> None:
        self._ctx, self._args = ctx, args
        self._fatal: CallProblem | None = None

    def outcome(self, index: int) -> CallOutcome:
        """Make one call, and tell the watchers what it came to."""
        name = self._args.calls[index].agent
        try:
            if self._fatal and self._asks_the_model(name):
                found = CallOutcome(index=index, agent=name, status="failed", error=self._fatal)
            else:
                found = CallOutcome(index=index, agent=name, status="completed", answer=self._answer(index))
        except (JobCanceled, *AWAY):
            raise
        except Exception as error:
            if is_away(error):
                raise
            problem = self._problem(error)
            self._fatal = problem if problem.kind == "FATAL" else self._fatal
            found = CallOutcome(index=index, agent=name, status="failed", error=problem)
        self._ctx.emit("result", found.model_dump(mode="json"))
        return found

    def _asks_the_model(self, name: str) -> bool:
        """Say whether an agent would meet what was fatal for another: without a model, some answer by themselves."""
        return self._ctx.services.llm is not None or get_agent(name).built_in is None

    def _problem(self, error: Exception) -> CallProblem:
        failure = failure_of(error)
        if failure.code == UNEXPECTED:
            log.error("a call of the batch %s failed", self._ctx.job_id, exc_info=error)
        return CallProblem(code=failure.code, message=failure.message, kind=kind_of(error))

    def _answer(self, index: int) -> AgentAnswer:
        return _answer(self._ctx, self._args.calls[index], self._args, key=_step(index))


def _answer(ctx: JobContext, one: AgentCall, options: CallArgs | BatchArgs, *, key: str) -> AgentAnswer:
    agent = get_agent(one.agent)
    given = agent.input.model_validate(one.input)
    answer = ask(ctx, agent, given, key=key, user_id=options.user_id, deadline=options.deadline)
    return agent.bounded(given, answer)


def deadline_in(seconds: float | None) -> float | None:
    """Return the time so many seconds from now, in seconds since 1970."""
    return None if seconds is None else time.time() + seconds


def _step(index: int) -> str:
    return f"call-{index}"


def _summed_up(found: Iterable[CallOutcome]) -> BatchResult:
    results: Sequence[CallOutcome] = sorted(found, key=lambda outcome: outcome.index)
    failed = sum(outcome.status == "failed" for outcome in results)
    return BatchResult(completed=len(results) - failed, failed=failed, results=list(results))
