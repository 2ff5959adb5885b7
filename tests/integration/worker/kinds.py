"""Job types for the worker's tests, run by the real runner in real workers."""

import os
import signal
import time
from functools import partial

from pydantic import BaseModel

from jobs.core.context import JobContext
from jobs.core.errors import NonRetryableError, RetryableError
from jobs.core.spec import Backoff, Failure, job

QUICK = Backoff(base=1.0, cap=1.0)


class Nothing(BaseModel):
    """No arguments."""


def _failed(ctx: JobContext, args: Nothing, failure: Failure) -> None:
    ctx.services.redis.rpush(f"hook:{ctx.job_id}", failure.code)


@job("probe.noop")
def noop(ctx: JobContext, args: Nothing) -> None:
    """Do nothing."""


@job("probe.broken", retries=1, backoff=QUICK, on_failure=_failed)
def broken(ctx: JobContext, args: Nothing) -> None:
    """Fail each time."""
    raise RetryableError


@job("probe.misused")
def misused(ctx: JobContext, args: Nothing) -> None:
    """Fail for good."""
    raise NonRetryableError


@job("probe.deadly", retries=1, backoff=QUICK, on_failure=_failed)
def deadly(ctx: JobContext, args: Nothing) -> None:
    """Kill the process that runs it."""
    ctx.services.redis.rpush(f"starts:{ctx.job_id}", "1")
    os.kill(os.getpid(), signal.SIGKILL)


@job("probe.apart", isolated=True)
def apart(ctx: JobContext, args: Nothing) -> dict[str, int]:
    """Say who runs it."""
    ctx.progress(50)
    return {"pid": os.getpid(), "parent": os.getppid()}


@job("probe.memory", isolated=True, retries=2, backoff=QUICK)
def memory(ctx: JobContext, args: Nothing) -> int:
    """Take more memory than it may."""
    return len(bytearray(2 * 2**30))


@job("probe.cpu", isolated=True, retries=2, backoff=QUICK)
def cpu(ctx: JobContext, args: Nothing) -> None:
    """Take more CPU time than it may."""
    while True:
        pass


@job("probe.endless", isolated=True, retries=0, timeout=1)
def endless(ctx: JobContext, args: Nothing) -> None:
    """Ignore its timeout."""
    while True:
        try:
            time.sleep(0.1)
        except Exception:
            continue


@job("probe.deadly_apart", isolated=True, retries=1, backoff=QUICK)
def deadly_apart(ctx: JobContext, args: Nothing) -> None:
    """Kill its own process, which is not the horse's."""
    os.kill(os.getpid(), signal.SIGKILL)


@job("probe.stepwise", retries=0, timeout=60)
def stepwise(ctx: JobContext, args: Nothing) -> str:
    """Go through many short steps."""
    for number in range(40):
        ctx.step(f"step-{number}", _step, ctx, number)
    return "through"


@job("probe.stepwise_apart", retries=0, timeout=60, isolated=True)
def stepwise_apart(ctx: JobContext, args: Nothing) -> str:
    """The same in a process of its own."""
    return stepwise(ctx, args)


def _step(ctx: JobContext, number: int) -> int:
    ctx.services.redis.rpush(f"steps:{ctx.job_id}", str(number))
    time.sleep(0.1)
    return number


@job("probe.mark", retries=20, backoff=QUICK)
def mark(ctx: JobContext, args: Nothing) -> None:
    """Leave a mark."""
    ctx.services.redis.rpush("marks", ctx.job_id)


@job("probe.moody", retries=20, backoff=QUICK)
def moody(ctx: JobContext, args: Nothing) -> None:
    """Leave a mark; fail at times, some for good."""
    number = int(ctx.job_id[-2:], 16)
    if number % 5 == 0:
        raise NonRetryableError
    if number % 5 == 1 and ctx.attempt == 1:
        raise RetryableError
    time.sleep(0.005)
    ctx.services.redis.rpush("marks", ctx.job_id)


class BatchArgs(BaseModel):
    """The batch whose callback this is."""

    batch_id: str = ""


@job("probe.callback", queue="high")
def callback(ctx: JobContext, args: BatchArgs) -> None:
    """Say that it was called."""
    ctx.services.redis.rpush("callbacks", args.batch_id)


class Steps(BaseModel):
    """How many steps to take."""

    count: int


@job("probe.steps", retries=50, backoff=QUICK)
def steps(ctx: JobContext, args: Steps) -> int:
    """Take steps that say when they are taken although they have been finished."""

    def take(number: int) -> int:
        redis = ctx.services.redis
        if redis.hexists(f"offstage:{ctx.tenant}:steps:{ctx.job_id}", f"step-{number}"):
            redis.rpush("again", f"{ctx.job_id}/{number}")
        time.sleep(0.02)
        redis.rpush(f"taken:{ctx.job_id}", number)
        return number

    return sum(ctx.step(f"step-{number}", take, number) for number in range(args.count))


class Note(BaseModel):
    """A file to write into, and how long to go on after that."""

    path: str
    seconds: float = 0


@job("probe.note", retries=20, backoff=QUICK)
def note(ctx: JobContext, args: Note) -> int:
    """Write down that this job has begun, where no loss of Redis reaches; return which attempt it is."""
    with open(args.path, "a", encoding="utf-8") as file:
        file.write(f"{ctx.job_id}\n")
    time.sleep(args.seconds)
    return ctx.attempt


class FanOut(BaseModel):
    """How many children to start, how long each takes, and whether the job itself runs in a process of its own."""

    children: int
    seconds: float = 0.0
    broken: int = 0


class ChildArgs(BaseModel):
    """Which child it is, and of whom."""

    number: int
    parent: str
    seconds: float = 0.0
    broken: bool = False


@job("probe.child", retries=3, backoff=QUICK)
def child(ctx: JobContext, args: ChildArgs) -> int:
    """Take a while, in two steps, and say that it was done."""
    if args.broken:
        raise NonRetryableError
    for half in range(2):
        ctx.step(f"half-{half}", _half, ctx, args, half)
    return args.number


def _half(ctx: JobContext, args: ChildArgs, half: int) -> None:
    ctx.services.redis.rpush(f"halves:{args.parent}", f"{args.number}.{half}")
    time.sleep(args.seconds)


@job("probe.fan_out", retries=3, backoff=QUICK)
def fan_out(ctx: JobContext, args: FanOut) -> list[str]:
    """Start children, and wait for them without a worker."""
    ctx.services.redis.rpush(f"runs:{ctx.job_id}", "1")
    started = [
        ctx.start(
            "probe.child",
            ChildArgs(number=n, parent=ctx.job_id, seconds=args.seconds, broken=n < args.broken),
            child=True,
        )
        for n in range(args.children)
    ]
    return [view.state for view in ctx.wait_for(started)]


@job("probe.fan_out_apart", retries=3, backoff=QUICK, isolated=True)
def fan_out_apart(ctx: JobContext, args: FanOut) -> list[str]:
    """The same in a process of its own."""
    return fan_out(ctx, args)


@job("probe.later", retries=0)
def later(ctx: JobContext, args: Nothing) -> int:
    """Come back twice."""
    if ctx.services.redis.incr(f"visits:{ctx.job_id}") < 3:
        ctx.postpone(0.2)
    return ctx.attempt


@job("probe.later_apart", retries=0, isolated=True)
def later_apart(ctx: JobContext, args: Nothing) -> int:
    """The same in a process of its own."""
    return later(ctx, args)


class Together(BaseModel):
    """How many steps, how long each takes, how many at once."""

    count: int
    seconds: float
    limit: int = 8


@job("probe.together", retries=50, backoff=QUICK, timeout=60)
def together(ctx: JobContext, args: Together) -> list[int]:
    """Take steps at the same time; the odd ones fail."""

    def take(number: int) -> int:
        redis = ctx.services.redis
        redis.rpush(f"taken:{ctx.job_id}", number)
        time.sleep(args.seconds)
        if number % 2:
            raise ValueError(number)
        redis.rpush(f"through:{ctx.job_id}", number)
        return number

    tasks = {f"step-{number}": partial(take, number) for number in range(args.count)}
    return sorted(done.result for done in ctx.parallel(tasks, limit=args.limit) if done.error is None)


@job("probe.together_told", retries=50, backoff=QUICK, timeout=60)
def together_told(ctx: JobContext, args: Together) -> int:
    """Take steps at the same time, and say how far it is after each."""

    def take(number: int) -> int:
        ctx.services.redis.rpush(f"taken:{ctx.job_id}", number)
        time.sleep(args.seconds)
        return number

    tasks = {f"step-{number}": partial(take, number) for number in range(args.count)}
    for number, _ in enumerate(ctx.parallel(tasks, limit=args.limit), 1):
        ctx.progress(100 * number / args.count)
    return args.count
