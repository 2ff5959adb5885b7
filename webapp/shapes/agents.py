"""What is answered about agents."""

from typing import Annotated, get_args

from typing_extensions import TypedDict

from jobs.agents import CallOutcome
from jobs.domain.agents import AgentAnswer
from webapp.shapes.common import Cursor, JobLinks, JsonSchema, Started, one_of
from webapp.shapes.jobs import JobState


class Agent(TypedDict):
    """A named prompt, with the schemas of what it is given and what it answers."""

    name: str
    description: str
    input: JsonSchema
    output: JsonSchema
    works_without_model: bool


class Agents(TypedDict):
    """The agents, and the model that they ask."""

    agents: list[Agent]
    model: str | None


class AgentReply(AgentAnswer):
    """What an agent answered."""

    agent: str
    task_id: str
    links: JobLinks


class CallStarted(Started):
    """A call that is under way."""

    agent: str


class CallsStarted(Started):
    """A batch of calls that is under way; `results` is where they are told as they come."""

    total: int
    results: str


class Calls(TypedDict):
    """What a batch of calls has come to so far."""

    task_id: str
    state: Annotated[str, one_of(*get_args(JobState))]
    completed: int
    failed: int
    results: list[CallOutcome]
    next_cursor: Cursor
    links: JobLinks
