"""Agents: which there are, one call, many calls."""

from typing import Annotated, Any

from flask import g
from flask_openapi3 import APIBlueprint, Tag
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from jobs.agents import BATCH, CALL, MAX_CALLS, BatchArgs, CallArgs, deadline_in, outcomes
from jobs.agents import AgentCall as CheckedCall
from jobs.calling import NoModel
from jobs.core.spec import QueueName
from jobs.core.view import JobView
from jobs.domain.agents import AGENTS, Agent, get_agent
from jobs.providers.model_gate import CircuitOpen
from webapp.api.jobs import MAX_WAIT_SECONDS, ListQuery
from webapp.api.users import UserId
from webapp.errors import problem
from webapp.extension import offstage
from webapp.idempotency import stable_id
from webapp.openapi.describing import describe
from webapp.requests import StoredId, fitting
from webapp.responses import (
    MAX_PAGE,
    Accepted,
    Answer,
    ProblemAnswer,
    accepted,
    decode_cursor,
    encode_cursor,
    header_value,
    job_links,
    row_id,
)
from webapp.shapes import agents as shapes

bp = APIBlueprint("agents", __name__, abp_tags=[Tag(name="agents", description="Named prompts")])

MAX_DEADLINE = 24 * 3600
_STATUSES = {NoModel.code: 503, CircuitOpen.code: 503}  # of calls that failed since there is nobody to ask
Called = Answer[shapes.AgentReply] | Accepted[shapes.CallStarted] | ProblemAnswer


class AgentPath(BaseModel):
    """An agent's name."""

    agent: str


class CallOptions(BaseModel):
    """`user_id`: whose usage it is. `deadline`: for how many seconds a model that is down is waited for, an hour if it
    is not given."""

    model_config = ConfigDict(extra="forbid")

    user_id: UserId | None = None
    priority: QueueName | None = None
    deadline: float | None = Field(default=None, gt=0, le=MAX_DEADLINE, allow_inf_nan=False)


class CallBody(CallOptions):
    """`input` as the agent's schema says; `wait`: answer with the output if it comes in so many seconds.

    More than 30 count as 30.
    """

    input: dict[str, Any]
    wait: float = Field(default=5, ge=0, allow_inf_nan=False)


def _known(name: str) -> str:
    if name not in AGENTS:
        raise ValueError(f"must be one of {', '.join(AGENTS)}")
    return name


class AgentCall(BaseModel):
    """One call of a batch."""

    model_config = ConfigDict(extra="forbid")

    agent: Annotated[str, AfterValidator(_known)]
    input: dict[str, Any]


class CallsBody(CallOptions):
    """Up to 1,000 calls, of one agent or of several."""

    calls: list[AgentCall] = Field(min_length=1, max_length=MAX_CALLS)


class CallsPath(BaseModel):
    """The id of a batch of calls."""

    job_id: StoredId


@bp.get("/agents")
def list_agents() -> Answer[shapes.Agents]:
    """List the agents, with the schemas of what they are given and what they answer."""
    llm = offstage().services.llm
    agents = [_agent_json(agent) for agent in AGENTS.values()]
    return Answer(shapes.Agents(agents=agents, model=llm.model if llm else None))


@bp.post("/agents/<string:agent>/call")
@describe(sends=("X-Task-ID", "X-Model-Name"), problems=(502, 503))
def call_agent(path: AgentPath, body: CallBody) -> Called:
    """Ask an agent; answer with its output if it comes within `wait` seconds, else with 202."""
    given = fitting(get_agent(path.agent).input, body.input, "input")
    args = CallArgs(agent=path.agent, input=given, user_id=body.user_id, deadline=deadline_in(body.deadline))
    job_id = offstage().client.start(CALL, args, tenant=g.tenant, queue=body.priority, job_id=stable_id())
    view = offstage().streams.wait(g.tenant, job_id, min(body.wait, MAX_WAIT_SECONDS))
    return _answer(view, path.agent) if view.ended else accepted(job_id, agent=path.agent)


@bp.post("/agents/batch")
def call_agents(body: CallsBody) -> Accepted[shapes.CallsStarted]:
    """Ask many agents at the same time; results and failures are told as they come."""
    calls = [_checked(index, call) for index, call in enumerate(body.calls)]
    args = BatchArgs(calls=calls, user_id=body.user_id, deadline=deadline_in(body.deadline))
    job_id = offstage().client.start(BATCH, args, tenant=g.tenant, queue=body.priority, job_id=stable_id())
    return accepted(job_id, total=len(calls), results=f"/agents/batch/{job_id}")


@bp.get("/agents/batch/<string:job_id>")
def get_calls(path: CallsPath, query: ListQuery) -> Answer[shapes.Calls]:
    """Return what a batch of calls has come to so far, in the order of the request."""
    found = outcomes(offstage().client, g.tenant, path.job_id)
    after, limit = decode_cursor(query.cursor, row_id), min(query.limit, MAX_PAGE)
    rest = [one for one in found.results if after is None or one.index > after]
    cursor = encode_cursor(rest[limit - 1].index) if len(rest) > limit else None
    view = offstage().client.get(g.tenant, path.job_id)
    return Answer(
        shapes.Calls(
            task_id=view.id,
            state=view.state,
            completed=found.completed,
            failed=found.failed,
            results=rest[:limit],
            next_cursor=cursor,
            links=job_links(view.id),
        )
    )


def _checked(index: int, call: AgentCall) -> CheckedCall:
    given = fitting(get_agent(call.agent).input, call.input, f"calls.{index}.input")
    return CheckedCall(agent=call.agent, input=given)


def _answer(view: JobView, agent: str) -> Answer[shapes.AgentReply] | ProblemAnswer:
    """Return what a call came to: its answer, or why it failed."""
    if view.state != "completed":
        code, message = (
            (view.error.code, view.error.message) if view.error else (view.state, "The call has not completed.")
        )
        failed = problem(_STATUSES.get(code, 502), code, message, task_id=view.id, links=job_links(view.id))
        failed.headers.pop("Retry-After", None)  # the soon of other 503s is too soon for a model that is not there
        failed.headers["X-Task-ID"] = view.id
        return failed
    reply: Answer[Any] = Answer({"agent": agent, **view.result, "task_id": view.id, "links": job_links(view.id)})
    reply.headers["X-Model-Name"] = header_value(view.result["model"])
    reply.headers["X-Task-ID"] = view.id
    return reply


def _agent_json(agent: Agent) -> shapes.Agent:
    return {
        "name": agent.name,
        "description": agent.description,
        "input": agent.input.model_json_schema(),
        "output": agent.output.model_json_schema(),
        "works_without_model": agent.built_in is not None,
    }
