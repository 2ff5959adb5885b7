"""Language models behind OpenAI-compatible endpoints."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from jobs.domain.usage import MAX_TOKENS
from jobs.providers.errors import ProviderNonsense
from jobs.providers.http import DONE, Endpoint


@dataclass(frozen=True)
class Message:
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True)
class Completion:
    """What a model wrote. Token counts are the endpoint's own, 0 if it gives none, or `estimated`."""

    text: str
    prompt_tokens: int
    completion_tokens: int
    estimated: bool = False


class LanguageModel(Protocol):
    """What every language model offers. A call takes the time that is set for all of them, or `within` seconds, if that
    is less."""

    @property
    def model(self) -> str:
        """The model's name."""

    def complete(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int = 512,
        temperature: float = 0.0,
        schema: Mapping[str, Any] | None = None,
        within: float | None = None,
    ) -> Completion:
        """Return the model's answer, as JSON of the `schema` if one is given. May raise a `ProviderError`."""

    def stream(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int = 512,
        temperature: float = 0.0,
        within: float | None = None,
    ) -> "Writing":
        """Return the model's answer in pieces as it is written. May raise a `ProviderError`, also half-way."""


class Writing:
    """A model's answer as it is written: iterate over its pieces. Then `counts` are its tokens, prompt and completion,
    if the endpoint has said them. A stream that ends without a word of that raises ProviderNonsense."""

    def __init__(self, events: Iterator[Any]) -> None:
        self._events = events
        self._half = ""  # a character's first half, whose second comes with the next piece
        self._is_over = False
        self.counts: tuple[int, int] | None = None

    def __iter__(self) -> "Writing":
        return self

    def __next__(self) -> str:
        for event in self._events:
            self._is_over = self._is_over or _is_last(event)
            if event == DONE:
                break
            self.counts = _counts(event) or self.counts
            if piece := self._joined(_piece(event)):
                return piece
        if not self._is_over:
            raise ProviderNonsense("The model's stream broke off.")
        if self._half:
            return self._joined("", at_end=True)
        raise StopIteration

    def _joined(self, piece: str, *, at_end: bool = False) -> str:
        """Return a piece of whole characters: endpoints may cut one beyond U+FFFF in two."""
        text = self._half + piece
        self._half = text[-1:] if not at_end and "\ud800" <= text[-1:] <= "\udbff" else ""
        return _clean(text.removesuffix(self._half))


def build_language_model(
    url: str, *, model: str = "", key: str = "", timeout: float = 60.0, connect_timeout: float = 10.0
) -> LanguageModel | None:
    """Return the language model behind a base URL, or None without one. Connects nothing.

    `timeout` is for a whole call, in seconds, however slowly the answer comes; `connect_timeout` for reaching it.
    """
    endpoint = Endpoint(url, key=key, timeout=timeout, connect_timeout=connect_timeout)
    return OpenAIModel(endpoint, model) if url else None


class OpenAIModel:
    """Any endpoint that speaks `/v1/chat/completions`."""

    def __init__(self, endpoint: Endpoint, model: str) -> None:
        self._endpoint = endpoint
        self.model = model

    def complete(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int = 512,
        temperature: float = 0.0,
        schema: Mapping[str, Any] | None = None,
        within: float | None = None,
    ) -> Completion:
        """Return the model's answer. An endpoint may pass over the `schema`: check what it says.

        Raises:
            ProviderError: the endpoint failed, was too slow, or its answer holds no text.
        """
        body = self._body(messages, max_tokens, temperature)
        if schema is not None:
            body["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "schema": dict(schema)}}
        answer = self._endpoint.post("chat/completions", body, within)
        try:
            text = answer["choices"][0]["message"]["content"]
            usage = answer.get("usage") or {}
            counts = int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise ProviderNonsense("The model's answer holds no text.") from error
        if not isinstance(text, str):
            raise ProviderNonsense("The model's answer holds no text.")
        return Completion(_clean(text), *counts)

    def stream(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int = 512,
        temperature: float = 0.0,
        within: float | None = None,
    ) -> Writing:
        """Return the model's answer in pieces as it is written; nothing is asked before the first one is taken.

        Raises:
            ProviderError: the endpoint failed or was too slow, at the start or half-way.
        """
        body = self._body(messages, max_tokens, temperature)
        body |= {"stream": True, "stream_options": {"include_usage": True}}
        return Writing(self._endpoint.stream("chat/completions", body, within))

    def _body(self, messages: Sequence[Message], max_tokens: int, temperature: float) -> dict[str, Any]:
        turns = [{"role": message.role, "content": _clean(message.content)} for message in messages]
        return {"model": self.model, "messages": turns, "max_tokens": max_tokens, "temperature": temperature}


def _is_last(event: Any) -> bool:
    """Say whether an event tells that the answer is whole: by itself, by its usage alone, or by why it ends there."""
    if not isinstance(event, dict):
        return bool(event == DONE)
    choices = event.get("choices")
    if not choices:
        return isinstance(event.get("usage"), dict)
    first = choices[0] if isinstance(choices, list) else None
    return isinstance(first, dict) and bool(first.get("finish_reason"))


def _counts(event: Any) -> tuple[int, int] | None:
    usage = event.get("usage") if isinstance(event, dict) else None
    if not isinstance(usage, dict):
        return None
    found = usage.get("prompt_tokens"), usage.get("completion_tokens")
    usable = all(isinstance(tokens, int) and 0 <= tokens <= MAX_TOKENS for tokens in found)
    return (int(found[0]), int(found[1])) if usable else None  # type: ignore[arg-type]


def _piece(event: Any) -> str:
    try:
        if "error" in event:
            raise ProviderNonsense("The model's stream broke off with an error.")
        choices = event["choices"]  # the last event may hold the usage alone
        delta = choices[0].get("delta") if choices else {}
        piece = (choices[0]["message"] if delta is None else delta).get("content")  # at the end a delta is empty
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise ProviderNonsense("The model's stream holds an unknown event.") from error
    return piece if isinstance(piece, str) else ""


def _clean(text: str) -> str:
    """Return a text of whole characters: halves that belong together are joined, others replaced."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
