"""The client of language models: what it sends, and how each fault of the other side ends."""

import json
import socket
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from jobs.providers.errors import (
    ProviderBusy,
    ProviderError,
    ProviderNonsense,
    ProviderRefused,
    ProviderTimeout,
    ProviderUnavailable,
)
from jobs.providers.http import Endpoint, retry_after
from jobs.providers.llm import Message, OpenAIModel, build_language_model
from tests.unit.providers.scripted import Exchange, Script, Server

QUESTION = [Message("system", "Be brief."), Message("user", "为什么？ \ud800")]
REPLY = {
    "choices": [{"message": {"role": "assistant", "content": "因为。"}}],
    "usage": {"prompt_tokens": 12, "completion_tokens": 3},
}


def model(server: Server, timeout: float = 5.0, key: str = "") -> OpenAIModel:
    return OpenAIModel(Endpoint(server.url, key=key, timeout=timeout), "tiny")


def delta(content: str | None) -> dict[str, object]:
    return {"choices": [{"delta": {"content": content}}]}


def test_a_completion_is_the_text_and_the_endpoints_own_counts(server: Server) -> None:
    """The request has the model, the turns, the limits and the key."""
    server.script = lambda exchange: exchange.json(REPLY)
    completion = model(server, key="sesame").complete(QUESTION, max_tokens=99)
    assert (completion.text, completion.prompt_tokens, completion.completion_tokens) == ("因为。", 12, 3)
    request = server.requests[0]
    assert request.path == "/v1/chat/completions"
    assert request.headers["Authorization"] == "Bearer sesame"
    assert request.body["model"] == "tiny"
    assert request.body["max_tokens"] == 99
    assert request.body["messages"][1] == {"role": "user", "content": "为什么？ \ufffd"}


def test_without_a_key_none_is_sent_and_a_path_is_kept(server: Server) -> None:
    """A base URL with a path is used as it is."""
    server.script = lambda exchange: exchange.json(REPLY)
    OpenAIModel(Endpoint(f"{server.url}/api/v3/"), "tiny").complete(QUESTION)
    assert server.requests[0].path == "/api/v3/chat/completions"
    assert "Authorization" not in server.requests[0].headers


def test_without_a_url_there_is_no_model() -> None:
    """And nothing connects before the first call."""
    assert build_language_model("") is None
    assert build_language_model("http://127.0.0.1:1") is not None


def test_usage_may_be_missing(server: Server) -> None:
    """Counts are then 0."""
    server.script = lambda exchange: exchange.json({"choices": REPLY["choices"]})
    assert model(server).complete(QUESTION).prompt_tokens == 0


def respond(status: int, **headers: str) -> Script:
    return lambda exchange: exchange.json({"error": {"message": "secret details"}}, status, **headers)


@pytest.mark.parametrize(
    ("script", "error", "retryable", "wait"),
    [
        (respond(429, Retry_After="7"), ProviderBusy, True, 7),
        (respond(429), ProviderBusy, True, None),
        (respond(503, Retry_After="2"), ProviderUnavailable, True, 2),
        (respond(500), ProviderUnavailable, True, None),
        (respond(401), ProviderRefused, False, None),
        (respond(400), ProviderRefused, False, None),
        (respond(302, Location="http://127.0.0.1:1/"), ProviderRefused, False, None),
        (lambda exchange: exchange.raw(b"<html>"), ProviderNonsense, True, None),
        (lambda exchange: exchange.json([]), ProviderNonsense, True, None),
        (lambda exchange: exchange.raw(b"[" * 200_000), ProviderNonsense, True, None),
        (lambda exchange: exchange.json({"choices": []}), ProviderNonsense, True, None),
        (lambda exchange: exchange.json({"choices": [{"message": {"content": None}}]}), ProviderNonsense, True, None),
        (lambda exchange: exchange.json({"choices": "abc"}), ProviderNonsense, True, None),
        (lambda exchange: exchange.handler.wfile.write(b"220 smtp ready\r\n\r\n"), ProviderNonsense, True, None),
    ],
)  # fmt: skip
def test_each_fault_ends_as_its_kind_of_error(
    server: Server, script: Script, error: type[ProviderError], retryable: bool, wait: float | None
) -> None:
    """The kind says whether to try again, `retry_after` when; the remote's own words are not repeated."""
    server.script = script
    with pytest.raises(error) as caught:
        model(server).complete(QUESTION)
    assert caught.value.retryable is retryable
    assert caught.value.retry_after == wait
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("fault", ["hang", "trickle"])
def test_a_call_ends_at_its_deadline(server: Server, fault: str) -> None:
    """Also when each read is quick, as with a server that sends a byte at a time."""
    server.script = lambda exchange: getattr(exchange, fault)()
    started = time.monotonic()
    with pytest.raises(ProviderTimeout):
        model(server, timeout=0.3).complete(QUESTION)
    assert 0.25 < time.monotonic() - started < 2


def test_an_unreachable_service_is_unavailable() -> None:
    """Nobody listens there."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        with pytest.raises(ProviderUnavailable):
            OpenAIModel(Endpoint(url), "tiny").complete(QUESTION)


def test_a_stream_comes_in_pieces(server: Server) -> None:
    """Empty pieces, the last one's empty delta, and the closing event with the usage are passed over."""
    said = [delta(""), delta("因"), delta(None), delta("为"), {"choices": [{"delta": {}, "finish_reason": "stop"}]}]
    usage = {"choices": [], "usage": {"prompt_tokens": 1}}
    server.script = lambda exchange: exchange.events(*said, usage, "[DONE]")
    assert list(model(server).stream(QUESTION)) == ["因", "为"]
    assert server.requests[0].body["stream"] is True


@pytest.mark.parametrize(
    ("pieces", "whole"),
    [
        (["a \\ud83d", "\\ude00 b"], "a 😀 b"),
        (["\\ud83d", "\\ude00", "\\ud83d"], "😀\ufffd"),
        (["a \\ud800 b"], "a \ufffd b"),
        (["\\ude00\\ud83d", "x"], "\ufffd\ufffdx"),
    ],
)
def test_a_character_that_comes_in_halves_is_whole(server: Server, pieces: list[str], whole: str) -> None:
    """Halves that nothing completes are replaced: no text of a model breaks what takes it."""
    events = [f'{{"choices": [{{"delta": {{"content": "{piece}"}}}}]}}' for piece in pieces]
    server.script = lambda exchange: exchange.events(*events, "[DONE]")
    assert "".join(model(server).stream(QUESTION)) == whole


@pytest.mark.parametrize(
    "last",
    [
        "[DONE]",
        {"choices": [{"delta": {}, "finish_reason": "length"}]},
        {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}},
    ],
)
def test_a_stream_is_whole_if_it_says_so(server: Server, last: object) -> None:
    """By the mark of its end, by why it ended, or by its usage, which comes last."""
    server.script = lambda exchange: exchange.events(delta("whole"), last)
    assert list(model(server).stream(QUESTION)) == ["whole"]


def test_a_stream_that_is_cut_short_raises(server: Server) -> None:
    """Though its connection was closed properly; usage beside every piece says nothing of the end."""
    server.script = lambda exchange: exchange.events(delta("half") | {"usage": {"prompt_tokens": 1}})
    with pytest.raises(ProviderNonsense):
        list(model(server).stream(QUESTION))


@pytest.mark.parametrize(
    "event", ["{not json", json.dumps({"error": {"message": "x"}}), "[]", '{"choices": [1]}', "3", "[" * 200_000]
)
def test_a_stream_that_breaks_off_raises(server: Server, event: str) -> None:
    """What came before is not lost."""
    server.script = lambda exchange: exchange.events(delta("half"), event)
    pieces = model(server).stream(QUESTION)
    assert next(pieces) == "half"
    with pytest.raises(ProviderNonsense):
        next(pieces)


def test_a_stream_ends_at_the_deadline_of_its_call(server: Server) -> None:
    """Another call on the same client in between has a deadline of its own."""

    def script(exchange: Exchange) -> None:
        if exchange.request.body.get("stream"):
            exchange.trickle()
        else:
            exchange.json(REPLY)

    server.script = script
    slow = model(server, timeout=0.4)
    pieces = slow.stream(QUESTION)
    assert slow.complete(QUESTION).text == "因为。"
    started = time.monotonic()
    with pytest.raises(ProviderTimeout):
        list(pieces)
    assert time.monotonic() - started < 2


def test_retry_after_takes_seconds_and_dates() -> None:
    """Nonsense and the past count for nothing; a year is cut to an hour."""
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    assert 80 < (retry_after(soon) or 0) <= 90
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert [retry_after(header) for header in ("", "soon", "nan", "1.5", "-3", "99999999")] == [
        None, None, None, 1.5, 0, 3600,
    ]  # fmt: skip
