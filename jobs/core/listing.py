"""Lists of jobs: which jobs, which page, and where to go on."""

from dataclasses import dataclass
from datetime import datetime

from jobs.core.view import JobView

MAX_SECONDS = 2**40


@dataclass(frozen=True)
class JobFilter:
    """Which jobs to list. Times are of their creation; what is None does not matter."""

    type: str | None = None
    state: str | None = None
    queue: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def fits(self, view: JobView) -> bool:
        """Say whether a job is among them."""
        return (
            self.type in (None, view.type)
            and self.state in (None, view.state)
            and self.queue in (None, view.queue)
            and (self.since is None or view.created_at >= self.since)
            and (self.until is None or view.created_at < self.until)
        )


@dataclass(frozen=True)
class Page:
    """Some jobs of a list. `last` is the place to go on from; None at the end of the list."""

    jobs: list[JobView]
    last: "Place | None"


@dataclass(frozen=True)
class Place:
    """A place in a tenant's list of jobs: right after a job, which may be gone meanwhile."""

    created: float
    job_id: str

    def __str__(self) -> str:
        return f"{self.created!r}/{self.job_id}"

    @classmethod
    def parse(cls, text: str) -> "Place":
        """Return the place of its text. Raises ValueError if it is none."""
        created, _, job_id = text.partition("/")
        if not 0 <= float(created) < MAX_SECONDS or not job_id.isalnum():
            raise ValueError(text)
        return cls(float(created), job_id)
