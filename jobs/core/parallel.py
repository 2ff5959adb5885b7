"""Run functions at the same time, in threads of this process: for what waits for others, such as calls of a model."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Event
from typing import Generic, TypeVar

from jobs.core.errors import Interrupted, JobCanceled
from jobs.core.worker_parts.outage import AWAY
from jobs.stores.database import is_away

T = TypeVar("T")
_LOOK_SECONDS = 1.0  # between two checkpoints while everything is under way


@dataclass(frozen=True)
class Done(Generic[T]):
    """One that has ended: with a value or, if it raised, with its error."""

    name: str
    value: T | None = None
    error: Exception | None = None

    @property
    def result(self) -> T:
        """The value. Raises the error if there is one."""
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]


def run_together(
    tasks: Mapping[str, Callable[[], T]], limit: int, leaving: Event, checkpoint: Callable[[], None]
) -> Iterator[Done[T]]:
    """Run the tasks, `limit` of them at once, and yield each as it ends. `checkpoint` is called before each, and
    once a second.

    When the job is to leave, by what a checkpoint or a task raises, `leaving` is set and nothing more is begun. If it
    only leaves its worker, what is under way is waited for; else its threads end by themselves.

    Raises:
        BaseException: what is no outcome of a task: the job leaves, or Redis or the database is away.
    """
    if not tasks:
        return
    ended: SimpleQueue[Done[T] | BaseException] = SimpleQueue()
    pool = ThreadPoolExecutor(min(limit, len(tasks)), "step")
    for name, function in tasks.items():
        pool.submit(_run, name, function, leaving, ended)
    try:
        for _ in tasks:
            checkpoint()
            yield _next(ended, checkpoint)
    except GeneratorExit:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    except BaseException as error:
        leaving.set()
        pool.shutdown(wait=isinstance(error, Interrupted), cancel_futures=True)
        raise
    pool.shutdown()


def _run(name: str, function: Callable[[], T], leaving: Event, ended: "SimpleQueue[Done[T] | BaseException]") -> None:
    if leaving.is_set():
        return
    try:
        ended.put(Done(name, function()))
    except JobCanceled as error:
        ended.put(error)
    except Exception as error:
        ended.put(error if isinstance(error, AWAY) or is_away(error) else Done(name, error=error))
    except BaseException as error:
        ended.put(error)


def _next(ended: "SimpleQueue[Done[T] | BaseException]", checkpoint: Callable[[], None]) -> Done[T]:
    while True:
        try:
            one = ended.get(timeout=_LOOK_SECONDS)
        except Empty:
            checkpoint()
            continue
        if isinstance(one, BaseException):
            raise one
        return one
