"""How many tokens a text has, for models that do not say: by the vocabulary of GPT-4o and its successors."""

from collections.abc import Sequence
from dataclasses import replace

from jobs.domain.usage import MAX_TOKENS
from jobs.providers.llm import Completion, Message

VOCABULARY = "o200k_base"


def count_tokens(text: str) -> int:
    """Return how many tokens a text has in that vocabulary. Other models have others: it is an estimate of theirs.

    The first call of a process takes half a second: the vocabulary has 200,000 entries.
    """
    from toktok import batch_count

    return int(batch_count([text.encode("utf-8", "replace").decode()], VOCABULARY, threads=1)[0])


def counted(completion: Completion, messages: Sequence[Message]) -> Completion:
    """Return a model's answer with its tokens: the endpoint's own, else counted here and marked as estimated."""
    given = completion.prompt_tokens, completion.completion_tokens
    if any(given) and all(0 <= tokens <= MAX_TOKENS for tokens in given):
        return completion
    asked = sum(count_tokens(message.content) for message in messages)
    return replace(completion, prompt_tokens=asked, completion_tokens=count_tokens(completion.text), estimated=True)
