"""How the outside fails. Each error says whether trying again can help, and how long the other side asked to wait."""

from typing import ClassVar


class ProviderError(Exception):
    """A remote service did not do what it was asked."""

    code: ClassVar[str] = "provider_error"
    retryable: ClassVar[bool] = False
    fatal: ClassVar[bool] = False

    def __init__(self, message: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").splitlines()[0])
        self.retry_after = retry_after


class ProviderUnavailable(ProviderError):
    """The service could not be reached, or failed on its side."""

    code = "provider_unavailable"
    retryable = True


class ProviderTimeout(ProviderError):
    """The service did not answer in time."""

    code = "provider_timeout"
    retryable = True


class DeadlinePassed(ProviderTimeout):
    """The time that there was for this is up."""

    code = "deadline_passed"
    retryable = False


class ProviderBusy(ProviderError):
    """The service asked to be called less often."""

    code = "provider_busy"
    retryable = True


class ProviderNonsense(ProviderError):
    """The service's answer does not follow its protocol."""

    code = "provider_nonsense"
    retryable = True


class ProviderRefused(ProviderError):
    """The service refused the request; the same request will be refused again."""

    code = "provider_refused"


class ProviderMisconfigured(ProviderRefused):
    """The service does not know us, or has not what the settings name; a person must mend the settings."""

    code = "provider_misconfigured"
    fatal = True
