"""Job types: what a job is called, what it takes, and how it is run.

A capability module declares its jobs with `@job`; `discover()` imports the modules and so fills the registry.
"""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field
from inspect import getdoc, signature
from typing import TYPE_CHECKING, Any, Literal, get_type_hints

from pydantic import BaseModel, TypeAdapter

from jobs.core.errors import JobCanceled, UnknownJobType

if TYPE_CHECKING:
    from jobs.core.context import JobContext

QueueName = Literal["high", "default", "low"]
JobFunction = Callable[["JobContext", Any], Any]
FailureHook = Callable[["JobContext", Any, "Failure"], None]

_registry: dict[str, "JobType"] = {}


@dataclass(frozen=True)
class Failure:
    """Why a job, or one attempt of it, failed. `message` is fit for clients."""

    type: str
    code: str
    message: str
    retryable: bool


CANCELED = Failure(JobCanceled.__name__, JobCanceled.code, str(JobCanceled()), retryable=False)


@dataclass(frozen=True)
class Backoff:
    """Waits between attempts, in seconds: `base`, doubled each time up to `cap`, and up to a quarter more by chance."""

    base: float = 2.0
    cap: float = 60.0


@dataclass(frozen=True)
class JobType:
    """One kind of job. `name` is `capability.verb`; times are in seconds.

    `public` types can be started by clients. `describe` names the arguments that stand in dashboards: never personal
    data. `on_failure` runs once when a job has failed for good, also when its worker died. With `reuse`, an equal
    request joins the job that waits or runs, or gets one that completed less than so long ago: none, with 0. With
    `every`, the scheduler starts it that often, with default arguments and for no client.
    """

    name: str
    function: JobFunction
    args_model: type[BaseModel]
    queue: QueueName = "default"
    timeout: int = 180
    retries: int = 3
    backoff: Backoff = field(default_factory=Backoff)
    isolated: bool = False
    public: bool = False
    describe: tuple[str, ...] = ()
    on_failure: FailureHook | None = None
    reuse: int | None = None
    every: int = 0

    @property
    def summary(self) -> str:
        """The first line of the function's docstring."""
        return (getdoc(self.function) or self.name).splitlines()[0]

    def description(self, args: BaseModel) -> str:
        """Return `type(key arguments)`, for dashboards; the type alone where there are none that may be shown."""
        if not self.describe:
            return self.name
        return f"{self.name}({', '.join(f'{name}={getattr(args, name)}' for name in self.describe)})"

    def dump_result(self, result: Any) -> Any:
        """Return a job's result as JSON data."""
        return TypeAdapter(Any).dump_python(result, mode="json")


def job(
    name: str,
    *,
    queue: QueueName = "default",
    timeout: int = 180,
    retries: int = 3,
    backoff: Backoff | None = None,
    isolated: bool = False,
    public: bool = False,
    describe: tuple[str, ...] = (),
    on_failure: FailureHook | None = None,
    reuse: int | None = None,
    every: int = 0,
) -> Callable[[JobFunction], JobFunction]:
    """Declare a function `(ctx, args) -> result` as a job type. See `JobType` for the settings.

    `args` must be annotated with a pydantic model. The function itself is returned unchanged.
    """

    def register(function: JobFunction) -> JobFunction:
        _registry[name] = JobType(
            name=name,
            function=function,
            args_model=_args_model(function),
            queue=queue,
            timeout=timeout,
            retries=retries,
            backoff=backoff or Backoff(),
            isolated=isolated,
            public=public,
            describe=describe,
            on_failure=on_failure,
            reuse=reuse,
            every=every,
        )
        return function

    return register


def discover() -> dict[str, JobType]:
    """Import every capability module in `jobs` and return all job types by name."""
    package = importlib.import_module("jobs")
    for module in pkgutil.iter_modules(package.__path__):
        if not module.ispkg and module.name != "services":
            importlib.import_module(f"jobs.{module.name}")
    return _registry


def get_job_type(name: str) -> JobType:
    """Return a declared job type.

    Raises:
        UnknownJobType: no module declares it.
    """
    try:
        return _registry[name]
    except (KeyError, TypeError):  # a forged job may name anything, also a list
        raise UnknownJobType(f"No job type is called {name!r}.") from None


def _args_model(function: JobFunction) -> type[BaseModel]:
    parameter = list(signature(function).parameters)[1]
    model = get_type_hints(function).get(parameter)
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise TypeError(f"{function.__qualname__}: annotate {parameter!r} with a pydantic model")
    return model
