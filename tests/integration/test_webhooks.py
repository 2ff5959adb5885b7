"""Webhooks of a running service: from the request over the job's end to a receiver that refuses at first."""

from collections.abc import Iterator

import httpx2
import pytest

from tests.integration.conftest import StartStack
from tests.integration.http import EXAMPLES, ended
from tests.integration.worker.fleet import eventually
from tests.receiver import Receiver, receiver


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as running:
        yield running


def test_ends_are_told_signed_and_until_they_are_taken(start_stack: StartStack, hook: Receiver) -> None:
    """A document that is read, one that cannot be, a job canceled before it ran; busy, then taken; and on demand."""
    stack = start_stack(webhook_allow_private="true", webhook_timeout=2)
    with httpx2.Client(base_url=stack.url, timeout=40) as client:
        (secret,) = client.get("/webhooks/secret").raise_for_status().json()["secrets"]
        hook.answers = [(503, {"Retry-After": "1"})]
        content = (EXAMPLES / "handbook.en.pdf").read_bytes()
        files = {"file": ("a.pdf", content)}
        read = client.post("/upload", files=files, data={"webhook_url": hook.url}).raise_for_status().json()["task_id"]
        eventually(lambda: len(hook.requests) == 2, 60)
        first, second = hook.requests
        assert (first.id, first.body) == (second.id, second.body)
        message = second.verified(secret)
        assert (message["type"], message["data"]["id"]) == ("job.completed", read)

        broken = {"file": ("b.pdf", content[:2000])}
        failed = client.post("/upload", files=broken, params={"webhook_url": hook.url}).raise_for_status().json()
        assert ended(client, failed["task_id"])["state"] == "failed"
        later = {"args": {"document_id": 1}, "delay": 600, "webhook_url": hook.url}
        canceled = client.post("/jobs/documents.embed", json=later).raise_for_status().json()["task_id"]
        client.post(f"/jobs/{canceled}/cancel").raise_for_status()
        eventually(lambda: len(hook.requests) == 4, 30)
        told = {request.verified(secret)["data"]["id"]: request.verified(secret) for request in hook.requests[2:]}
        assert told[failed["task_id"]]["type"] == "job.failed"
        assert told[canceled]["type"] == "job.canceled"

        view = client.get(f"/jobs/{read}").json()
        (link,) = view["links"]["deliveries"]
        delivery = ended(client, link.rpartition("/")[2])
        assert (delivery["state"], len(delivery["attempts"])) == ("completed", 1)
        again = client.post(view["links"]["redeliver"]).raise_for_status().json()["deliveries"][0]
        assert ended(client, again["id"])["state"] == "completed"
        assert hook.requests[4].id == first.id
        assert len(client.get(f"/jobs/{read}").json()["webhooks"][0]["deliveries"]) == 2


def test_a_form_with_a_webhook_that_may_not_be_called_is_not_taken(start_stack: StartStack) -> None:
    """The field comes after the file, as with curl; nothing of the file is kept."""
    stack = start_stack()
    with httpx2.Client(base_url=stack.url, timeout=40) as client:
        body = (
            b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nhello\r\n'
            b'--x\r\nContent-Disposition: form-data; name="webhook_url"\r\n\r\nhttp://127.1/\r\n--x--\r\n'
        )
        answer = client.post("/upload", content=body, headers={"Content-Type": "multipart/form-data; boundary=x"})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "webhook_url")
        assert client.get("/documents").json()["documents"] == []
