"""Bodies that are refused, over a real web server: the answer reaches also clients that still send."""

import json
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from local.stack import Stack


@pytest.mark.parametrize(
    ("headers", "status"), [({}, 413), ({"Transfer-Encoding": "chunked"}, 411)], ids=["too large", "without a length"]
)
def test_a_client_that_closes_its_connection_sees_why_its_body_was_refused(
    stack: Stack, headers: dict[str, str], status: int
) -> None:
    """It sends all of its body first, as Python's own client does."""
    body = b"x" * (8 * 2**20)
    for _ in range(10):
        connection = HTTPConnection(urlsplit(stack.url).netloc, timeout=20)
        sent = {"Content-Type": "application/json", "Connection": "close", **headers}
        connection.request("POST", "/ask", body, sent, encode_chunked=True)
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["status"]) == (status, status)
        connection.close()
