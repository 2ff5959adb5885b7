"""Both embedders keep one contract; the endpoint's faults end as errors of their kind."""

from typing import Any

import numpy as np
import pytest

from jobs.providers.embedder import Embedder, UseEmbedder, build_embedder
from jobs.providers.errors import ProviderBusy, ProviderNonsense
from tests.unit.providers.scripted import Exchange, Server

_use = UseEmbedder()  # loading the model takes a second or two: once


def serve_vectors(exchange: Exchange) -> None:
    """Answer with a vector for each text, in another order than asked."""
    texts = exchange.request.body["input"]
    items = [{"index": n, "embedding": [len(text) + 1.0, ord(text[0]) % 7 + 1.0, 2.0]} for n, text in enumerate(texts)]
    exchange.json({"data": items[::-1]})


@pytest.fixture(params=["use", "openai"])
def embedder(request: pytest.FixtureRequest, server: Server) -> Embedder:
    server.script = serve_vectors
    return _use if request.param == "use" else build_embedder("openai", url=server.url, model="m")


def test_rows_have_unit_length_and_the_order_of_the_texts(embedder: Embedder) -> None:
    """float32, one row a text, the same for a text alone as in company."""
    texts = ["A cat sleeps.", "猫在睡觉。", "", "\ud800", "x" * 20_000]
    matrix = embedder.encode(texts)
    assert matrix.shape == (5, embedder.dimension)
    assert matrix.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(matrix, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(embedder.encode([texts[1]])[0], matrix[1], atol=1e-5)
    assert embedder.encode([]).shape == (0, embedder.dimension)


def test_a_question_is_encoded_once(server: Server) -> None:
    """The second time it costs nothing."""
    server.script = serve_vectors
    embedder = build_embedder("openai", url=server.url, model="m")
    first = embedder.encode_question("why?")
    assert embedder.encode_question("why?") is first
    assert len(server.requests) == 1


def test_meaning_crosses_languages() -> None:
    """A Chinese and an English sentence of the same meaning are nearer than two of one language."""
    cat, same, other = _use.encode(["The cat sleeps on the sofa.", "猫在沙发上睡觉。", "Interest rates rose again."])
    assert cat @ same > 0.6 > 0.3 > cat @ other


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"data": []},
        {"data": [{"index": 0}]},
        {"data": [{"index": 0, "embedding": []}]},
        {"data": [{"index": 0, "embedding": ["a"]}]},
        {"data": [{"index": 0, "embedding": [float("nan")]}]},
        {"data": [{"index": 0, "embedding": [1]}, {"index": 1, "embedding": [1]}]},
    ],
)
def test_an_answer_without_a_vector_for_each_text_is_nonsense(server: Server, answer: Any) -> None:
    """It is not stored."""
    server.script = lambda exchange: exchange.json(answer)
    embedder = build_embedder("openai", url=server.url, model="m")
    with pytest.raises(ProviderNonsense):
        embedder.encode(["text"])
    assert embedder.encode_question("text") is None


def test_a_busy_endpoint_says_when_to_come_again(server: Server) -> None:
    """The wait that it asked for is passed on."""
    server.script = lambda exchange: exchange.json({}, 429, Retry_After="3")
    with pytest.raises(ProviderBusy) as caught:
        build_embedder("openai", url=server.url, model="m").encode(["text"])
    assert caught.value.retry_after == 3


def test_an_unknown_kind_is_refused() -> None:
    """With the ones that there are."""
    with pytest.raises(ValueError, match="`use` or `openai`"):
        build_embedder("magic")
