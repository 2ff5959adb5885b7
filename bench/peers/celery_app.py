"""Celery: state and result are kept, its default."""

from celery import Celery

from bench.peers import jobs

app = Celery("bench", broker=jobs.URL, backend=jobs.URL)
app.conf.update(broker_connection_retry_on_startup=True, worker_hijack_root_logger=False)
tasks = {name: app.task(getattr(jobs, name), name=name) for name in ("noop", "wait", "stamp")}

if __name__ == "__main__":
    jobs.enqueue_from_command_line(lambda name, args: tasks[name].apply_async(args))
