"""Readers of research: live, coming back and coming late, all end up with the kept report."""

from functools import partial

import pytest
from flask.testing import FlaskClient
from redis import Redis

from jobs.core import dependencies
from jobs.core.context import JobContext
from jobs.core.keys import events as stream
from jobs.core.live_text import LiveText
from jobs.core.runner import run_failure_hook
from jobs.core.spec import CANCELED
from jobs.services import Services
from tests.fakes import job_client
from tests.unit.research.asking import LIVE, MINE, done, frames, post, text_of

pytestmark = pytest.mark.usefixtures("answers_are_as_described")


def test_a_live_request_is_the_report_as_it_is_written(client: FlaskClient, services: Services) -> None:
    """Events until the end; the text is the report's, and the headers name task and model."""
    task = done(client, services)
    live = post(client, MINE | LIVE)
    assert live.mimetype == "text/event-stream"
    assert (live.headers["X-Task-ID"], live.headers["X-Model-Name"]) == (task, "built-in")
    found = frames(live)
    assert (found[0][0], found[-1][0]) == ("status", "end")
    report = client.get(f"/research/{task}/report.md", headers=MINE)
    assert text_of(found) == report.get_data(as_text=True)
    assert report.content_type == "text/markdown; charset=utf-8"


def test_a_reader_goes_on_exactly_after_what_it_has(client: FlaskClient, services: Services) -> None:
    """By header or query, of either route; who has seen the end gets 204."""
    task = done(client, services)
    found = frames(client.get(f"/research/{task}/events", headers=MINE))
    ids = [event_id for _, _, event_id in found if event_id]
    for n in (0, len(ids) // 2):
        after = ids[n]
        for again in (
            client.get(f"/research/{task}/events", headers=MINE | {"Last-Event-ID": after}),
            client.get(f"/research/{task}/events?after={after}", headers=MINE),
            post(client, MINE | LIVE | {"Last-Event-ID": after}),
        ):
            assert [event_id for _, _, event_id in frames(again) if event_id] == ids[n + 1 :]
    assert client.get(f"/research/{task}/events?after={ids[-1]}", headers=MINE).status_code == 204
    assert client.get(f"/research/{task}/events?after=abc", headers=MINE).status_code == 400


def test_a_report_whose_events_are_gone_is_sent_whole(
    client: FlaskClient, services: Services, fake_redis: Redis
) -> None:
    """Also to a reader who had a part of it."""
    task = done(client, services)
    report = client.get(f"/research/{task}/report.md", headers=MINE).get_data(as_text=True)
    for gone in ([stream("acme", task)], fake_redis.keys("*")):
        fake_redis.delete(*gone)
        for after in ("0-0", "17-3"):
            found = frames(client.get(f"/research/{task}/events?after={after}", headers=MINE))
            assert (text_of(found), found[-1][:2]) == (report, ("end", {"state": "completed"}))
    view = client.get(f"/research/{task}", headers=MINE).json
    assert view is not None
    assert (view["status"], view["report"], len(view["messages"]) > 2) == ("completed", report, True)


def test_canceled_while_it_waits_all_readers_end_up_with_the_kept_report(
    client: FlaskClient, services: Services
) -> None:
    """Who reads along, who comes later, and who comes back, before the end or after it."""
    task = post(client).json["task_id"]  # type: ignore[index]
    ctx = JobContext(job_id=task, tenant="acme", attempt=1, services=services, client=job_client(services))
    live = LiveText(ctx)
    live.write("# Sleep\n\n")
    live.flush()
    along = client.get(f"/research/{task}/events", headers=MINE, buffered=False)
    client.post(f"/jobs/{task}/cancel", headers=MINE)
    kept = client.get(f"/research/{task}/report.md", headers=MINE).get_data(as_text=True)
    assert kept.startswith("# Sleep\n\n## Notes\n\n- The research was canceled here")
    had = frames(along)
    assert (text_of(had), had[-1][:2]) == (kept, ("end", {"state": "canceled"}))
    assert text_of(frames(client.get(f"/research/{task}/events", headers=MINE))) == kept
    first = next(n for n, (kind, _, _) in enumerate(had) if kind == "output")
    again = frames(client.get(f"/research/{task}/events?after={had[first][2]}", headers=MINE))
    assert text_of(had[: first + 1] + again) == kept
    assert client.get(f"/research/{task}/events?after={had[-1][2]}", headers=MINE).status_code == 204


def test_a_stream_goes_on_until_a_canceled_jobs_capability_was_told(
    client: FlaskClient, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if the process that canceled it died before that: another one tells it, and no reader misses what comes."""
    monkeypatch.setattr("webapp.sse.HEARTBEAT_SECONDS", 0.01)
    task = post(client).json["task_id"]  # type: ignore[index]
    dependencies.cancel(services.redis, task)
    stream = client.get(f"/research/{task}/events", headers=MINE, buffered=False).iter_encoded()
    assert next(piece for piece in stream if b"event: status" not in piece) == b": still here\n\n"
    dependencies.tell_canceled(services.redis, partial(run_failure_hook, failure=CANCELED, services=services))
    rest = b"".join(stream).decode()
    assert "The research was canceled here" in rest
    assert 'event: end\ndata: {"state": "canceled"}' in rest
