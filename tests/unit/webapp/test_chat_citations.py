"""Citations in a model's answers: `[n]` in the text is the n-th of them, as JSON, as a stream, and in the log."""

import io
import json
from typing import Any

import pytest
from flask.testing import FlaskClient

from jobs.services import Services
from tests.fakes import run_jobs
from tests.unit.webapp.chatting import ScriptedModel, ask, logged
from tests.unit.webapp.conftest import Build
from webapp import create_app

QUESTION = "How high is the lighthouse of Roter Sand?"
TEXTS = {
    "a.txt": "The lighthouse of Roter Sand is 30 metres high.",
    "b.txt": "The lighthouse of Roter Sand is as high as ten men.",
}


@pytest.fixture
def services(build: Build, model: ScriptedModel) -> Services:
    return build(model)


@pytest.fixture
def web(services: Services) -> FlaskClient:
    return create_app(services=services).test_client()


@pytest.fixture
def documents(services: Services, web: FlaskClient) -> list[int]:
    sent = [web.post("/upload", data={"file": (io.BytesIO(text.encode()), name)}) for name, text in TEXTS.items()]
    run_jobs(services)
    return [answer.get_json()["document_id"] for answer in sent]


def streamed(web: FlaskClient, **fields: Any) -> tuple[str, dict[str, Any]]:
    """Send a chat; return the text that was streamed, and what its end says."""
    body = {"user_id": 1, "message": QUESTION} | fields
    answer = web.post("/chat", json=body, headers={"Accept": "text/event-stream"}).get_data(as_text=True)
    data = [json.loads(frame.split("\ndata: ")[1]) for frame in answer.strip().split("\n\n")]
    return "".join(each["text"] for each in data[:-1]), data[-1]


def shown_as(model: ScriptedModel) -> list[str]:
    """Return the names of the documents in the order in which the model was shown them."""
    prompt = model.asked[-1][-1].content
    return sorted(TEXTS, key=lambda name: prompt.index(TEXTS[name]))


def test_numbers_in_the_text_are_those_of_the_citations(
    services: Services, web: FlaskClient, model: ScriptedModel, documents: list[int]
) -> None:
    """What was made up is gone; the stream, the whole answer and the log are the same to the byte."""
    model.pieces = ["From two [", "2]. From", " one [1]. Made up [9]."]
    text, end = streamed(web, document_ids=documents)
    whole = ask(web, QUESTION, document_ids=documents).get_json()
    assert text == end["response"] == whole["response"] == "From two [1]. From one [2]. Made up."
    first, second = shown_as(model)
    for said in (end, whole):
        assert [each["document_name"] for each in said["citations"]] == [second, first]
    logged(services)
    assert [each.response for each in services.conversations.history("local", "1")] == [text, text]


def test_without_passages_nothing_is_cited(web: FlaskClient, model: ScriptedModel, documents: list[int]) -> None:
    """With no documents asked, and with none that fits; code keeps its brackets."""
    model.pieces = ["Made up [1]. Use `items[0]`."]
    for fields in ({}, {"document_ids": documents, "message": "Wer hat das Penicillin entdeckt?"}):
        said = ask(web, **fields).get_json()
        assert (said["response"], said["citations"]) == ("Made up. Use `items[0]`.", [])


def test_what_a_client_has_read_of_a_citation_is_logged(
    services: Services, web: FlaskClient, model: ScriptedModel, documents: list[int]
) -> None:
    """What was held back when it left is neither sent nor logged."""
    model.pieces = ["From two [2] and", " from one [", "1]."]
    answer = web.post(
        "/chat",
        json={"user_id": 1, "message": QUESTION, "document_ids": documents},
        headers={"Accept": "text/event-stream"},
        buffered=False,
    )
    frames = iter(answer.response)
    read = [json.loads(str(next(frames), "utf-8").split("data: ")[1])["text"] for _ in range(2)]
    answer.close()
    logged(services)
    [kept] = services.conversations.history("local", "1")
    assert (kept.response, kept.cut_off) == ("".join(read), True) == ("From two [1] and from one", True)


def test_a_model_that_writes_only_made_up_numbers_has_written_nothing(web: FlaskClient, model: ScriptedModel) -> None:
    model.pieces = ["[", "7", "]"]
    assert ask(web).get_json()["code"] == "provider_nonsense"
