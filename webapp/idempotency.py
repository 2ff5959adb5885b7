"""`Idempotency-Key`: a POST that is sent again is answered again, not done again.

After draft-ietf-httpapi-idempotency-key-header: 409 while the first is under way, 422 for the same key with another
request, the first one's answer after it. A request that failed on our side (5xx) is forgotten, so that it can be sent
again; one whose process died is under way for `IN_FLIGHT_SECONDS` more.
"""

import hashlib
import json
import logging
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from flask import Flask, Response, abort, g, request
from sqlalchemy.exc import SQLAlchemyError

from jobs.stores.requests import Begun, RequestStore
from webapp.errors import problem
from webapp.multipart import file_part
from webapp.under_way import IN_FLIGHT_SECONDS, UnderWay

log = logging.getLogger(__name__)

HEADER = "Idempotency-Key"
MAX_KEY_CHARS = 255
MAX_ANSWER_BYTES = 256 * 1024
_READ_BYTES = 256 * 1024
_KEPT_HEADERS = ("Content-Type", "Location", "Retry-After", "X-Task-ID", "ETag")


def register_idempotency(app: Flask, store: RequestStore) -> None:
    """Honour `Idempotency-Key` on every POST of a known tenant."""
    under_way = UnderWay(store)

    @app.before_request
    def replay() -> Response | None:
        given = request.headers.get(HEADER)
        if given is None or request.method != "POST" or "tenant" not in g:
            return None
        if not 0 < len(given) <= MAX_KEY_CHARS or not given.isprintable():
            abort(400, f"`{HEADER}` is 1 to {MAX_KEY_CHARS} printable characters.")
        key = hashlib.sha256(given.encode("utf-8", "surrogateescape")).hexdigest()
        fingerprint = None if _is_form() else _fingerprint(request.get_data())
        begun = store.begin(g.tenant, key, fingerprint, in_flight=IN_FLIGHT_SECONDS)
        if begun.token is None:
            return _known(begun, fingerprint)
        g.idempotency = (key, begun.token, fingerprint)
        g.under_way = begun.token
        under_way.add(begun.token)
        return None

    @app.after_request
    def keep(response: Response) -> Response:
        if "idempotency" not in g:
            return response
        key, token, fingerprint = g.pop("idempotency")
        if fingerprint is None and "content_sha256" in g:
            fingerprint = _fingerprint(g.content_sha256.encode())
        too_large = response.is_streamed or len(response.data) > MAX_ANSWER_BYTES
        try:
            if fingerprint is None or response.status_code >= 500 or too_large:
                store.drop(g.tenant, key, token)
            else:
                store.finish(g.tenant, key, token, fingerprint, _dump(response))
        except SQLAlchemyError:  # the work is done: sent again, the request is under way for a while, then done again
            log.exception("the answer to a request with a key is not kept")
        return response

    @app.teardown_request
    def leave(_error: BaseException | None) -> None:
        if "under_way" in g:
            under_way.remove(g.pop("under_way"))


def stable_id() -> str | None:
    """Return an id that follows from the request's key and content, or None without a key: work that was sent again
    after a 5xx finds what the first attempt left."""
    if "idempotency" not in g:
        return None
    key, _, fingerprint = g.idempotency
    return uuid5(NAMESPACE_OID, f"{g.tenant}/{key}/{fingerprint}").hex


def _dump(response: Response) -> str:
    headers = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
    return json.dumps({"status": response.status_code, "headers": headers, "body": response.get_data(as_text=True)})


def _is_form() -> bool:
    return request.mimetype == "multipart/form-data"


def _fingerprint(content: bytes) -> str:
    """Say which request this is: its address and its content, of an upload the SHA-256 of the file."""
    return hashlib.sha256(f"{request.full_path}\n".encode() + content).hexdigest()


def _known(begun: Begun, fingerprint: str | None) -> Response:
    if begun.answer is None and None in (begun.request, fingerprint):
        return _in_flight()
    if begun.request != (fingerprint or _fingerprint(_file_sha256().encode())):
        return problem(422, "idempotency_key_reused", f"This `{HEADER}` was sent with another request.")
    if begun.answer is None:
        return _in_flight()
    answer: dict[str, Any] = json.loads(begun.answer)
    return Response(answer["body"], answer["status"], {**answer["headers"], "Idempotency-Replayed": "true"})


def _in_flight() -> Response:
    return problem(409, "in_flight", f"The first request of this `{HEADER}` is under way.")


def _file_sha256() -> str:
    """Return the SHA-256 of an upload that is not taken, read from the socket."""
    digest, file = hashlib.sha256(), file_part(request, "file")
    while file and (chunk := file.read(_READ_BYTES)):
        digest.update(chunk)
    return digest.hexdigest()
