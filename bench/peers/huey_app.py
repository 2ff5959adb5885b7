"""huey: keeps results until they are read, also None here."""

from huey import RedisHuey

from bench.peers import jobs

huey = RedisHuey("bench", url=jobs.URL, store_none=True)
tasks = {name: huey.task(name=name)(getattr(jobs, name)) for name in ("noop", "wait", "stamp")}

if __name__ == "__main__":
    jobs.enqueue_from_command_line(lambda name, args: tasks[name](*args))
