"""SMS and push over a real HTTP server."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import pytest

from jobs.providers.channels import AddressRefused, ChannelMisconfigured, OutcomeUncertain, Outgoing, build_channels
from jobs.providers.errors import ProviderBusy, ProviderError, ProviderRefused, ProviderUnavailable

SMS = Outgoing("+8613800000000", "", "您的验证码：123456")
KINDS = {"twilio": "twilio://SID:TOKEN@{}?from=%2B15550100&tls=no", "ntfy": "ntfy://TOKEN@{}/acme-?tls=no"}
KINDS["http"] = "http://ada:secret@{}/send"


class Service:
    """What it was asked, and what it answers: a status, `drop` for a connection that ends without a word."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.answer: tuple[int, dict[str, Any]] | str = (200, {"id": "m1", "sid": "SM1"})
        self.headers: dict[str, str] = {}
        self.address = ""


@pytest.fixture
def service() -> Iterator[Service]:
    state = Service()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.requests.append((self.path, dict(self.headers.items()), body))
            if isinstance(state.answer, str):
                self.connection.close()
                return
            self.send_response(state.answer[0])
            content = json.dumps(state.answer[1]).encode()
            for name, value in (state.headers | {"Content-Length": str(len(content))}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.address = f"127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


def sender(service: Service, kind: str) -> Any:
    return build_channels("", "", KINDS[kind].format(service.address), "", 5)["sms"]


def test_twilio_is_given_its_form_and_login(service: Service) -> None:
    assert sender(service, "twilio").send(SMS, "k") == "SM1"
    [(path, headers, body)] = service.requests
    assert path == "/2010-04-01/Accounts/SID/Messages.json"
    assert parse_qs(body.decode()) == {"To": [SMS.to], "From": ["+15550100"], "Body": [SMS.text]}
    assert headers["Authorization"].startswith("Basic ")


def test_ntfy_is_given_a_topic_for_each_user(service: Service) -> None:
    assert sender(service, "ntfy").send(Outgoing("7", "标题", "内容"), "k") == "m1"
    [(path, headers, body)] = service.requests
    assert (path, headers["Authorization"]) == ("/", "Bearer TOKEN")
    assert json.loads(body) == {"topic": "acme-7", "title": "标题", "message": "内容"}


def test_any_service_is_given_json_and_our_key(service: Service) -> None:
    """So that a message that is sent again arrives once."""
    assert sender(service, "http").send(SMS, "k") == "m1"
    [(path, headers, body)] = service.requests
    assert (path, headers["Idempotency-Key"]) == ("/send", "k")
    assert json.loads(body) == {"to": SMS.to, "subject": "", "text": SMS.text}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, ProviderRefused),
        (401, ChannelMisconfigured),
        (404, AddressRefused),
        (429, ProviderBusy),
        (503, ProviderUnavailable),
    ],
)
def test_answers_are_told_apart(service: Service, kind: str, status: int, error: type[ProviderError]) -> None:
    """The wait that is asked for is kept."""
    service.answer, service.headers = (status, {}), {"Retry-After": "7"}
    with pytest.raises(error) as raised:
        sender(service, kind).send(SMS, "k")
    assert type(raised.value) is error
    assert raised.value.retry_after == (7 if status in (429, 503) else None)


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated")  # in one of the plugins that Apprise loads
def test_any_other_service_is_reached_by_its_url(service: Service) -> None:
    """By Apprise; `{to}` is the recipient. What it does not take can be taken later."""
    url = f"json://{service.address}/messages/{{to}}"
    by_url = build_channels("", "", url, "", 5)["sms"]
    assert by_url.send(Outgoing("+8613800000000", "标题", "内容"), "k") == ""
    [(path, _, body)] = service.requests
    assert path == "/messages/+8613800000000"
    assert (json.loads(body)["title"], json.loads(body)["message"]) == ("标题", "内容")
    service.answer = (500, {})
    with pytest.raises(ProviderUnavailable):
        by_url.send(SMS, "k")


def test_a_number_that_twilio_does_not_know_is_refused_for_good(service: Service) -> None:
    service.answer = (400, {"code": 21211})
    with pytest.raises(AddressRefused):
        sender(service, "twilio").send(SMS, "k")


@pytest.mark.parametrize(
    ("kind", "error"), [("twilio", OutcomeUncertain), ("ntfy", OutcomeUncertain), ("http", ProviderUnavailable)]
)
def test_no_answer_is_uncertain_unless_the_service_knows_our_key(
    service: Service, kind: str, error: type[ProviderError]
) -> None:
    service.answer = "drop"
    with pytest.raises(error) as raised:
        sender(service, kind).send(SMS, "k")
    assert type(raised.value) is error


def test_a_service_that_is_not_there_has_sent_nothing(service: Service) -> None:
    gone = build_channels("", "", KINDS["twilio"].format("127.0.0.1:1"), "", 5)["sms"]
    with pytest.raises(ProviderUnavailable):
        gone.send(SMS, "k")
