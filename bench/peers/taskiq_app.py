"""taskiq: keeps results."""

import asyncio
import sys
import time

from taskiq_redis import ListQueueBroker, RedisAsyncResultBackend

from bench.peers import jobs

broker = ListQueueBroker(url=jobs.URL).with_result_backend(RedisAsyncResultBackend(redis_url=jobs.URL))


@broker.task(task_name="noop")
async def noop() -> None:
    """Do nothing."""


@broker.task(task_name="wait")
async def wait() -> None:
    """Wait 20 ms."""
    await asyncio.sleep(0.02)


@broker.task(task_name="stamp")
async def stamp(sent: float) -> None:
    """Note how long ago this was sent."""
    jobs.stamp(sent)


async def main() -> None:
    """Enqueue from the command line."""
    tasks = {"noop": noop, "wait": wait, "stamp": stamp}
    await broker.startup()
    for number in range(int(sys.argv[2])):
        if sys.argv[1] == "stamp":
            await asyncio.sleep(0.03)
            await stamp.kiq(time.time())
            while jobs._redis().llen(jobs.STAMPS) <= number:
                await asyncio.sleep(0.0005)
        else:
            await tasks[sys.argv[1]].kiq()
    await broker.shutdown()


if __name__ == "__main__":
    asyncio.run(main())
