"""`Idempotency-Key`: a POST that is sent again is answered again, not done again.

After draft-ietf-httpapi-idempotency-key-header: 409 while the first is under way, 422 for the same key with another
request, the first one's answer after it. A request that failed on our side (5xx) is forgotten, so that it can be sent
again; one whose process died is under way for `IN_FLIGHT_SECONDS` at most.
"""

import hashlib
import json
from typing import Any, cast
from uuid import NAMESPACE_OID, uuid5

from flask import Flask, Response, abort, g, request
from redis import Redis

from webapp.errors import problem

HEADER = "Idempotency-Key"
MAX_KEY_CHARS = 255
KEEP_SECONDS = 24 * 3600
IN_FLIGHT_SECONDS = 120
MAX_ANSWER_BYTES = 256 * 1024
_KEPT_HEADERS = ("Content-Type", "Location", "Retry-After", "X-Task-ID")


def register_idempotency(app: Flask, redis: Redis) -> None:
    """Honour `Idempotency-Key` on every POST of a known tenant."""

    @app.before_request
    def replay() -> Response | None:
        given = request.headers.get(HEADER)
        if given is None or request.method != "POST" or "tenant" not in g:
            return None
        if not 0 < len(given) <= MAX_KEY_CHARS or not given.isprintable():
            abort(400, f"`{HEADER}` is 1 to {MAX_KEY_CHARS} printable characters.")
        name = hashlib.sha256(given.encode("utf-8", "surrogateescape")).hexdigest()
        key, fingerprint = f"offstage:{g.tenant}:idempotency:{name}", _fingerprint()
        if redis.set(key, json.dumps({"request": fingerprint}), nx=True, ex=IN_FLIGHT_SECONDS):
            g.idempotency = (key, fingerprint)
            return None
        return _known(redis, key, fingerprint)

    @app.after_request
    def keep(response: Response) -> Response:
        if "idempotency" not in g:
            return response
        key, fingerprint = g.pop("idempotency")
        if response.status_code >= 500 or response.is_streamed or len(response.data) > MAX_ANSWER_BYTES:
            redis.delete(key)
            return response
        headers = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
        answer = {"status": response.status_code, "headers": headers, "body": response.get_data(as_text=True)}
        redis.set(key, json.dumps({"request": fingerprint, "answer": answer}), ex=KEEP_SECONDS)
        return response


def stable_id() -> str | None:
    """Return an id that follows from the request's key and content, or None without a key: work that was sent again
    after a 5xx finds what the first attempt left."""
    return uuid5(NAMESPACE_OID, "/".join(g.idempotency)).hex if "idempotency" in g else None


def _fingerprint() -> str:
    """Say which request this is: its address and its body; of a file, which is not read twice, the length."""
    body = request.get_data() if request.is_json else str(request.content_length).encode()
    return hashlib.sha256(f"{request.full_path}\n".encode() + body).hexdigest()


def _known(redis: Redis, key: str, fingerprint: str) -> Response:
    stored: dict[str, Any] = json.loads(cast(bytes, redis.get(key)) or b"{}")
    if not stored:
        return problem(409, "in_flight", f"The first request of this `{HEADER}` has just ended; send it again.")
    if stored["request"] != fingerprint:
        return problem(422, "idempotency_key_reused", f"This `{HEADER}` was sent with another request.")
    if "answer" not in stored:
        return problem(409, "in_flight", f"The first request of this `{HEADER}` is under way.")
    answer = stored["answer"]
    return Response(answer["body"], answer["status"], {**answer["headers"], "Idempotency-Replayed": "true"})
