"""Our own Redis keys. RQ's are the truth for a job's state; these hold what RQ has not, each under its tenant."""

COUNT = "count:"  # of a number that a job keeps, before its name among the steps


def events(tenant: str, job_id: str) -> str:
    """Stream: what the job said while it ran, ended by one `end` entry."""
    return f"offstage:{tenant}:events:{job_id}"


def state(tenant: str, job_id: str) -> str:
    """Hash: progress, and the flags that control a running job."""
    return f"offstage:{tenant}:state:{job_id}"


def steps(tenant: str, job_id: str) -> str:
    """Hash: step name -> its result as JSON; and the job's numbers, under `COUNT`."""
    return f"offstage:{tenant}:steps:{job_id}"


def attempts(tenant: str, job_id: str) -> str:
    """List: one JSON object for each attempt that failed, oldest first."""
    return f"offstage:{tenant}:attempts:{job_id}"


def jobs(tenant: str) -> str:
    """Sorted set: the tenant's job ids by creation time, in seconds since 1970."""
    return f"offstage:{tenant}:jobs"


def batch(tenant: str, batch_id: str) -> str:
    """Hash: a batch. Beside it, `:open`, `:completed`, `:failed` and `:canceled`, the numbers of its jobs."""
    return f"offstage:{tenant}:batch:{batch_id}"


def fingerprint(tenant: str, digest: str) -> str:
    """String: the id of the newest job of that fingerprint."""
    return f"offstage:{tenant}:fingerprint:{digest}"


def fair(queue: str) -> str:
    """Sorted set: the tenants with jobs on a queue by their turn. Beside it, `:{tenant}`, the list of their ids."""
    return f"offstage:fair:{queue}"


def durations(tenant: str, kind: str) -> str:
    """List: seconds of the last attempts of a job type, newest first; of a failed one followed by its code."""
    return f"offstage:{tenant}:durations:{kind}"


def attempt_counts(tenant: str, kind: str) -> str:
    """Hash: how many attempts of a job type `completed`, and `failed:CODE`."""
    return f"offstage:{tenant}:attempts-of:{kind}"


def kind_durations(kind: str) -> str:
    """List: seconds of the last completed attempts of a job type, of all tenants."""
    return f"offstage:durations:{kind}"


def ended(queue: str, bucket: int) -> str:
    """String: how many jobs of a queue ended in ten seconds; `bucket` is their number since 1970."""
    return f"offstage:ended:{queue}:{bucket}"


def webhooks(tenant: str, job_id: str) -> str:
    """Hash: who is told of the job's end, and the deliveries that did so."""
    return f"offstage:{tenant}:webhooks:{job_id}"


def children(tenant: str, job_id: str) -> str:
    """Set: the ids of the jobs that this one has started as its children."""
    return f"offstage:{tenant}:children:{job_id}"


def of_job(tenant: str, job_id: str) -> list[str]:
    """Every key of ours that belongs to one job."""
    return [key(tenant, job_id) for key in (events, state, steps, attempts, webhooks, children)]
