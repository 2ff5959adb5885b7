"""Errors that jobs raise, and how they are classified: by type, never by text.

A class's docstring is its public text, unless an instance brings its own. `code` is stable: clients may rely on it.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

Kind = Literal["RETRYABLE", "NON_RETRYABLE", "FATAL"]


class JobError(Exception):
    """The job failed."""

    code: ClassVar[str] = "job_failed"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str = "", **details: Any) -> None:
        super().__init__(message or (type(self).__doc__ or "").splitlines()[0])
        self.details = details


class RetryableError(JobError):
    """Something outside failed for now; trying again can help.

    `retry_after` is the wait in seconds that the other side asked for.
    """

    code = "temporarily_unavailable"
    retryable = True

    def __init__(self, message: str = "", *, retry_after: float | None = None, **details: Any) -> None:
        super().__init__(message, **details)
        self.retry_after = retry_after


class NonRetryableError(JobError):
    """The job cannot succeed as it was asked for; trying again would end the same way."""

    code = "not_possible"


class FatalError(JobError):
    """Something is set up wrongly; no job of this kind can succeed before a person mends it."""

    code = "misconfigured"


class JobTimeout(RetryableError):
    """The job took longer than its timeout."""

    code = "timeout"


class ResourceLimitExceeded(NonRetryableError):
    """The job needed more memory, CPU or wall time than its kind may use."""

    code = "resource_limit"


class WorkerDied(RetryableError):
    """The worker process ended while it ran the job."""

    code = "worker_died"


class JobCanceled(JobError):
    """The job was canceled."""

    code = "canceled"


class EffectUnknown(JobError):
    """The job was cut off in the middle of something that cannot be taken back; whether it happened is not known."""

    code = "outcome_unknown"


class KeptFailure(Exception):
    """The job had failed before; its error is as it was then."""

    retryable = False

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class GivenUp(JobError):
    """What the job needed failed as often as it was to be tried; its error is that of the last attempt."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.code = getattr(cause, "code", type(self).code)  # type: ignore[misc]


class UnknownJobType(NonRetryableError):
    """This worker knows no job type of that name."""

    code = "unknown_job_type"


class InvalidArguments(NonRetryableError):
    """The job's arguments do not fit its type."""

    code = "invalid_arguments"


class Interrupted(BaseException):
    """The job leaves its worker at a checkpoint and begins again, after its finished steps, without using an attempt.

    As it stands: at once and wherever there is a worker, since this one is asked to stop, or when a client resumes it.
    Not an `Exception`, so that a job's own `except Exception` does not swallow it.
    """


class Postponed(Interrupted):
    """The job leaves its worker and comes back after so many seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class Awaiting(Interrupted):
    """The job leaves its worker and comes back when other jobs have ended, however they do."""

    def __init__(self, job_ids: Sequence[str]) -> None:
        super().__init__(job_ids)
        self.job_ids = list(job_ids)


def kind_of(error: BaseException) -> Kind:
    """Say, by an error's type, whether trying again can help, or whether a person must mend something first."""
    if isinstance(error, FatalError) or getattr(error, "fatal", False):
        return "FATAL"
    return "RETRYABLE" if getattr(error, "retryable", False) else "NON_RETRYABLE"
