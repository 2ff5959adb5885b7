"""Event streams of a real web server at their limit."""

import time

import httpx2

from tests.integration.conftest import StartStack
from tests.integration.http import ended, events, upload
from tests.integration.test_jobs import long_pdf

LIMIT = 20


def test_at_the_limit_of_streams_other_routes_answer_quickly(start_stack: StartStack) -> None:
    """Streams over it are told to come back; a waiting GET answers at once; the open ones reach their end."""
    stack = start_stack(max_streams=LIMIT)
    with httpx2.Client(base_url=stack.url, timeout=40, limits=httpx2.Limits(max_connections=200)) as client:
        job_id = upload(client, "long.pdf", long_pdf(60))["task_id"]
        followers = [events(client, job_id) for _ in range(LIMIT)]
        assert [next(follower)[0] for follower in followers] == ["status"] * LIMIT
        for _ in range(3):
            refused = client.get(f"/jobs/{job_id}/events")
            assert (refused.status_code, refused.json()["code"]) == (503, "too_many_streams")
            assert int(refused.headers["Retry-After"]) > 0
        taken = []
        for path in ("/health", f"/jobs/{job_id}", f"/jobs/{job_id}?wait=30", "/jobs", "/documents") * 6:
            began = time.monotonic()
            client.get(path).raise_for_status()
            taken.append(time.monotonic() - began)
        assert sorted(taken)[len(taken) // 2] < 0.5
        assert max(taken) < 5
        followers.pop().close()
        client.post(f"/jobs/{job_id}/cancel").raise_for_status()
        assert [list(follower)[-1][0] for follower in followers] == ["end"] * (LIMIT - 1)
        assert ended(client, job_id)["state"] == "canceled"
        assert [kind for kind, _, _ in events(client, job_id)][-1] == "end"
