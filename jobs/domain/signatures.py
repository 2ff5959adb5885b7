"""Signatures by the Standard Webhooks specification (https://www.standardwebhooks.com): HMAC-SHA256, version `v1`."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence

PREFIX = "whsec_"
MIN_SECRET_BYTES = 24


def read_secret(text: str) -> bytes:
    """Return the key that `whsec_...` stands for.

    Raises:
        ValueError: it is not one, or too short to be safe.
    """
    try:
        key = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not text.startswith(PREFIX) or len(key) < MIN_SECRET_BYTES:
        raise ValueError(f"a secret is {PREFIX} and the Base64 of {MIN_SECRET_BYTES} bytes or more")
    return key


def write_secret(key: bytes) -> str:
    """Return a key as people and libraries exchange it."""
    return PREFIX + base64.b64encode(key).decode()


def tenant_key(key: bytes, tenant: str) -> bytes:
    """Return a tenant's own key: it tells nothing of the service's, or of another tenant's."""
    return hmac.digest(key, f"offstage webhooks {tenant}".encode(), hashlib.sha256)


def signed_headers(keys: Sequence[bytes], message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the headers that go with a message: a signature for each key, the newest first.

    `message_id` is the same at every attempt; `timestamp`, in seconds since 1970, is the attempt's.
    """
    content = f"{message_id}.{timestamp}.".encode() + body
    signatures = (base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode() for key in keys)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }
