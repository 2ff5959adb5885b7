"""Signatures: what we send is what the specification's own library accepts, and nothing else."""

import json
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from jobs.domain.signatures import read_secret, signed_headers, tenant_key, write_secret

KEY = bytes(range(32))
BODY = '{"type":"job.completed","data":{"result":"好"}}'.encode()


def now() -> int:
    return int(datetime.now(UTC).timestamp())


def test_the_library_of_the_specification_verifies_a_message() -> None:
    """With the secret as it is handed out, Chinese in the body included."""
    headers = signed_headers([KEY], "msg_1", now(), BODY)
    assert Webhook(write_secret(KEY)).verify(BODY, headers) == json.loads(BODY)


@pytest.mark.parametrize(
    ("part", "value"), [("webhook-id", "msg_2"), ("webhook-timestamp", "1700000000"), ("body", "")]
)
def test_a_message_that_was_changed_is_not_verified(part: str, value: str) -> None:
    """Its id, its time and its body are signed; an old one is refused."""
    headers = signed_headers([KEY], "msg_1", now(), BODY)
    body = BODY if part != "body" else BODY.replace(b"completed", b"failed")
    with pytest.raises(WebhookVerificationError):
        Webhook(write_secret(KEY)).verify(body, {**headers, **({part: value} if part != "body" else {})})


def test_while_a_secret_is_changed_both_verify() -> None:
    """A message carries a signature for each."""
    new, old = KEY, bytes(32)
    headers = signed_headers([new, old], "msg_1", now(), BODY)
    for key in (new, old):
        Webhook(write_secret(key)).verify(BODY, headers)


def test_each_tenant_has_a_key_of_its_own() -> None:
    """Stable, unlike another tenant's, unlike the service's."""
    keys = {tenant_key(KEY, "acme"), tenant_key(KEY, "other"), KEY}
    assert len(keys) == 3
    assert tenant_key(KEY, "acme") in keys
    assert read_secret(write_secret(KEY)) == KEY


@pytest.mark.parametrize("text", ["", "whsec_", "whsec_AAAA", "whsec_!!!", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"])
def test_what_is_no_secret_is_refused(text: str) -> None:
    """Too short, not Base64, without its prefix."""
    with pytest.raises(ValueError, match="whsec_"):
        read_secret(text)
