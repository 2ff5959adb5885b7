"""The headers of requests and answers, as `/openapi.json` describes them."""

from typing import Any

from webapp.idempotency import MAX_KEY_CHARS


def _taken(name: str, description: str, **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": description, "schema": {"type": "string", **schema}}


def _sent(description: str, **schema: Any) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string", **schema}}


TAKEN = {
    "Idempotency-Key": _taken(
        "Idempotency-Key",
        "The same request with the same key is answered again, and not done again. Keys are kept for a day.",
        minLength=1,
        maxLength=MAX_KEY_CHARS,
    ),
    "If-Match": _taken("If-Match", "Only if the file is as one of these ETags says; `*`: only if there is one."),
    "If-None-Match": _taken(
        "If-None-Match", "Only if the file is not as one of these ETags says; `*`: only if there is none."
    ),
    "Last-Event-ID": _taken("Last-Event-ID", "The id of the last event received; it goes before `after`."),
}

SENT = {
    "X-Request-ID": _sent("The id of this request: its own, if it sent a good one."),
    "X-Task-ID": _sent("The id of the job, where there is one."),
    "X-Model-Name": _sent("Which model wrote the answer; what is not printable ASCII is percent-encoded."),
    "Location": _sent("Where it is.", format="uri-reference"),
    "Retry-After": _sent("In how many seconds to look, or to try, again.", type="integer"),
    "ETag": _sent("Which state of the canvas this is."),
    "Idempotency-Replayed": _sent("Given if this is the first answer once more.", const="true"),
    "WWW-Authenticate": _sent("How to send a key."),
}
