"""What is answered about the service itself."""

from typing import Literal

from typing_extensions import TypedDict

from jobs.core.statistics import KindStatistics, QueueStatistics


class Alive(TypedDict):
    """This process answers."""

    status: Literal["ok"]


class Checks(TypedDict):
    """What answers."""

    redis: bool
    database: bool


class Readiness(TypedDict):
    """Whether Redis and the database answer."""

    status: Literal["ok", "unavailable"]
    checks: Checks


class Queues(TypedDict):
    """The queues, for all tenants together."""

    queues: list[QueueStatistics]


class JobStatistics(TypedDict):
    """What became of the caller's jobs, by type."""

    job_types: list[KindStatistics]


class Model(TypedDict):
    """How the language model stands; `tries_in` says in how many seconds an open breaker lets a call try."""

    model: str | None
    limit: int
    running: int
    waiting: int
    endpoint: str
    breaker: Literal["closed", "open", "half_open"]
    failures: int
    tries_in: float
