"""An estimate of how many tokens a text has, for models that do not say."""

import re

_WORD = re.compile(r"[A-Za-z]+|\d{1,3}|\s+|[^\sA-Za-z\d]")
_LETTERS_A_TOKEN = 6  # English words of today's vocabularies are one token up to about so long


def count_tokens(text: str) -> int:
    """Return about how many tokens a text has: one for a Chinese character or a sign, one or more for a word.

    Byte-pair vocabularies differ by a fifth from it, either way; it is said to be an estimate wherever it is shown.
    """
    return sum(_of_word(word) for word in _WORD.findall(text))


def _of_word(word: str) -> int:
    return 0 if word.isspace() else -(-len(word) // _LETTERS_A_TOKEN) if word.isascii() else len(word)
