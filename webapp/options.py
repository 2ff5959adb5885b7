"""What a request may say about how a job is started."""

import time
from typing import Annotated, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from jobs.core.enqueue import OnDependencyFailure, Options
from jobs.core.spec import QueueName

MAX_TIMEOUT = 24 * 3600
MAX_RETRIES = 20
MAX_DELAY = 366 * 24 * 3600
MAX_PARENTS = 100
MAX_KEEP = 366 * 24 * 3600
JobId = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$")]


class JobOptions(BaseModel):
    """What takes the place of the job type's own: `timeout` in seconds, `delay` in seconds or `run_at` for later,
    `keep` for how many seconds it is kept after its end.

    The job starts when those of `depends_on` have completed; if one does not, it is canceled, or runs all the same
    (`on_dependency_failure`).
    """

    model_config = ConfigDict(extra="forbid")

    priority: QueueName | None = None
    timeout: int | None = Field(default=None, ge=1, le=MAX_TIMEOUT)
    retries: int | None = Field(default=None, ge=0, le=MAX_RETRIES)
    delay: float | None = Field(default=None, ge=0, le=MAX_DELAY, allow_inf_nan=False)
    run_at: AwareDatetime | None = None
    depends_on: list[JobId] = Field(default=[], max_length=MAX_PARENTS)
    on_dependency_failure: OnDependencyFailure = "cancel"
    keep: int | None = Field(default=None, ge=60, le=MAX_KEEP)

    @model_validator(mode="after")
    def _one_time(self) -> Self:
        if self.delay is not None and self.run_at is not None:
            raise ValueError("give `delay` or `run_at`, not both")
        if self.run_at and self.run_at.timestamp() > time.time() + MAX_DELAY:
            raise ValueError(f"`run_at` may be {MAX_DELAY} seconds ahead at most")
        return self

    def due(self) -> float | None:
        """Return when the job may start, in seconds since 1970; None for now."""
        if self.run_at:
            return self.run_at.timestamp()
        return time.time() + self.delay if self.delay else None

    def options(self) -> Options:
        """Return them as the engine takes them."""
        return Options(
            queue=self.priority,
            timeout=self.timeout,
            retries=self.retries,
            due=self.due(),
            depends_on=self.depends_on,
            on_dependency_failure=self.on_dependency_failure,
            keep=self.keep,
        )
