"""Agents: which there are, one call, many calls."""

from typing import Annotated, Any

from flask import Response, g, jsonify
from flask_openapi3 import APIBlueprint, Tag
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from jobs.agents import BATCH, CALL, MAX_CALLS, BatchArgs, CallArgs, deadline_in, outcomes
from jobs.agents import AgentCall as CheckedCall
from jobs.core.spec import QueueName
from jobs.core.view import JobView
from jobs.domain.agents import AGENTS, Agent, get_agent
from webapp.api.jobs import MAX_WAIT_SECONDS, ListQuery
from webapp.api.users import UserId
from webapp.errors import problem
from webapp.extension import offstage
from webapp.idempotency import stable_id
from webapp.requests import fitting
from webapp.responses import MAX_PAGE, accepted, decode_cursor, encode_cursor, job_links, row_id

bp = APIBlueprint("agents", __name__, abp_tags=[Tag(name="agents", description="Named prompts")])

MAX_DEADLINE = 24 * 3600


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
    """`input` as the agent's schema says; `wait`: answer with the output if it comes in so many seconds, 30 at most."""

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


class BatchBody(CallOptions):
    """Up to 1,000 calls, of one agent or of several."""

    calls: list[AgentCall] = Field(min_length=1, max_length=MAX_CALLS)


class BatchPath(BaseModel):
    """The id of a batch of calls."""

    job_id: str


@bp.get("/agents")
def list_agents() -> Response:
    """List the agents, with the schemas of what they are given and what they answer."""
    llm = offstage().services.llm
    return jsonify(agents=[_agent_json(agent) for agent in AGENTS.values()], model=llm.model if llm else None)


@bp.post("/agents/<string:agent>/call")
def call_agent(path: AgentPath, body: CallBody) -> Response:
    """Ask an agent; answer with its output if it comes within `wait` seconds, else with 202."""
    given = fitting(get_agent(path.agent).input, body.input, "input")
    args = CallArgs(agent=path.agent, input=given, user_id=body.user_id, deadline=deadline_in(body.deadline))
    job_id = offstage().client.start(CALL, args, tenant=g.tenant, queue=body.priority, job_id=stable_id())
    view = offstage().streams.wait(g.tenant, job_id, min(body.wait, MAX_WAIT_SECONDS))
    return _answer(view, path.agent) if view.ended else accepted(job_id, agent=path.agent)


@bp.post("/agents/batch")
def call_agents(body: BatchBody) -> Response:
    """Ask many agents at the same time; results and failures are told as they come."""
    calls = [_checked(index, call) for index, call in enumerate(body.calls)]
    args = BatchArgs(calls=calls, user_id=body.user_id, deadline=deadline_in(body.deadline))
    job_id = offstage().client.start(BATCH, args, tenant=g.tenant, queue=body.priority, job_id=stable_id())
    return accepted(job_id, total=len(calls), results=f"/agents/batch/{job_id}")


@bp.get("/agents/batch/<string:job_id>")
def get_calls(path: BatchPath, query: ListQuery) -> Response:
    """Return what a batch of calls has come to so far, in the order of the request."""
    found = outcomes(offstage().client, g.tenant, path.job_id)
    after, limit = decode_cursor(query.cursor, row_id), min(query.limit, MAX_PAGE)
    rest = [one for one in found.results if after is None or one.index > after]
    cursor = encode_cursor(rest[limit - 1].index) if len(rest) > limit else None
    view = offstage().client.get(g.tenant, path.job_id)
    return jsonify(
        task_id=view.id,
        state=view.state,
        completed=found.completed,
        failed=found.failed,
        results=[one.model_dump(mode="json") for one in rest[:limit]],
        next_cursor=cursor,
        links=job_links(view.id),
    )


def _checked(index: int, call: AgentCall) -> CheckedCall:
    given = fitting(get_agent(call.agent).input, call.input, f"calls.{index}.input")
    return CheckedCall(agent=call.agent, input=given)


def _answer(view: JobView, agent: str) -> Response:
    """Return what a call came to: its answer, or why it failed."""
    if view.state != "completed":
        code, message = (
            (view.error.code, view.error.message) if view.error else (view.state, "The call has not completed.")
        )
        response = problem(502, code, message, task_id=view.id, links=job_links(view.id))
    else:
        response = jsonify(agent=agent, **view.result, task_id=view.id, links=job_links(view.id))
        response.headers["X-Model-Name"] = view.result["model"]
    response.headers["X-Task-ID"] = view.id
    return response


def _agent_json(agent: Agent) -> dict[str, Any]:
    return {
        "name": agent.name,
        "description": agent.description,
        "input": agent.input.model_json_schema(),
        "output": agent.output.model_json_schema(),
        "works_without_model": agent.built_in is not None,
    }
