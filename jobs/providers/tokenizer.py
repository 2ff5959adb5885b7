"""How many tokens a text has, for models that do not say: by the vocabulary of GPT-4o and its successors."""

VOCABULARY = "o200k_base"


def count_tokens(text: str) -> int:
    """Return how many tokens a text has in that vocabulary. Other models have others: it is an estimate of theirs.

    The first call of a process takes half a second: the vocabulary has 200,000 entries.
    """
    from toktok import batch_count

    return int(batch_count([text.encode("utf-8", "replace").decode()], VOCABULARY, threads=1)[0])
