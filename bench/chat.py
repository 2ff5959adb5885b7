"""What logging adds to `POST /chat`: the same route with it and without, in turns; both answer without a model.

Starts a Redis and web servers of its own on free ports. Prints a table, then JSON. Run it with `python -m bench.chat`.
"""

import json
import tempfile
from functools import partial
from http.client import HTTPConnection
from pathlib import Path

from flask import Flask

import webapp
from bench.report import print_report
from bench.upload import measure, web_server
from jobs.stores.conversations import ConversationStore, NewConversation
from jobs.stores.user_stats import Reservation
from local.redis_server import RedisServer

POSTS = 400
ROUNDS = 3


class Unlogged(ConversationStore):
    """Keeps nothing."""

    def accept(self, new: NewConversation, reservation: Reservation | None = None) -> None:
        return


def without_logging() -> Flask:
    """Return the application as it would be if nothing followed a chat."""
    from dataclasses import replace

    import jobs.chat

    app = webapp.create_app()
    offstage = app.extensions["offstage"]
    services = replace(offstage.services, conversations=Unlogged(offstage.services.database, offstage.services.usage))
    app.extensions["offstage"] = replace(offstage, services=services)
    jobs.chat.start_logging = lambda *_: "0" * 32
    return app


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, RedisServer(Path(folder) / "redis") as server:
        rows = []
        with (
            web_server(folder, server.url) as logged,
            web_server(folder, server.url, "bench.chat:without_logging()") as plain,
        ):
            for _ in range(ROUNDS):
                rows.append(measure("POST /chat, without logging", POSTS, partial(post, plain)))
                rows.append(measure("POST /chat", POSTS, partial(post, logged)))
    print_report("chat", rows)


def post(port: int, number: int) -> None:
    """Send a message and read the answer."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    body = json.dumps({"user_id": number % 50, "message": "Hello"})
    connection.request("POST", "/chat", body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    answer = response.read()
    connection.close()
    if response.status != 200:
        raise SystemExit(f"{response.status} {answer!r}")


if __name__ == "__main__":
    main()
