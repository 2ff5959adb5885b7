"""What is answered about jobs."""

from typing import Literal, NotRequired

from typing_extensions import TypedDict

from jobs.core.view import JobView
from webapp.shapes.common import Cursor, JobLinks, JsonSchema, Started, Time

JobState = Literal["queued", "scheduled", "waiting", "running", "retrying", "paused", "completed", "failed", "canceled"]
TaskStatus = Literal["pending", "running", "completed", "failed", "retry"]


class LinksOfJob(JobLinks):
    """Where a job can be looked at and acted on; of one with webhooks, where they are told again, and by which jobs."""

    redeliver: NotRequired[str]
    deliveries: NotRequired[list[str]]


class Job(JobView):
    """A job. Times are UTC; `position` counts from 0, the next job to start."""

    state: JobState
    links: LinksOfJob


class ListedJob(Job):
    """A job in a list. A result of more than 16 KiB is left out: the job's own address has it."""

    result_left_out: bool


class Jobs(TypedDict):
    """Jobs, in a page."""

    jobs: list[ListedJob]
    next_cursor: Cursor


class JobStarted(Started):
    """A job that was started."""

    type: str


class JobType(TypedDict):
    """A job type that clients may start. `timeout` is in seconds."""

    name: str
    summary: str
    queue: str
    timeout: int
    retries: int
    args: JsonSchema


class JobTypes(TypedDict):
    """The job types that clients may start."""

    job_types: list[JobType]


class Task(TypedDict):
    """A job in the short form."""

    task_id: str
    name: str
    status: TaskStatus
    created_at: Time
    started_at: Time | None
    completed_at: Time | None
    retry_count: int
    error: str | None


class Deliveries(TypedDict):
    """The jobs that tell an ended job's webhooks again."""

    deliveries: list[Job]


class WebhookSecrets(TypedDict):
    """The secrets that webhooks are signed with, the newest first."""

    secrets: list[str]
